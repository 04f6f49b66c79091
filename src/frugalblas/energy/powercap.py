"""The Linux powercap tree: RAPL counters as files (``/sys/class/powercap``), on Intel and on AMD since Zen.

The files, from the kernel's ``powercap_sys.c`` and ``intel_rapl_common.c``: ``name``; ``energy_uj``, readable by root
alone since CVE-2020-8694; ``max_energy_range_uj``, the largest value before the counter restarts from 0. Zone numbers
are hexadecimal and are not socket numbers: the name says what a zone is.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .quantity import Reason
from .zones import Sample, Zone, mark_mirrored

ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio):([0-9a-f]+)(?::([0-9a-f]+))?")
PACKAGE = re.compile(r"package-(\d+)(?:-die-(\d+))?")
STEPS = 2**32 - 1  # max_energy_range_uj is this many steps of the 32-bit counter
PACKAGE_W, PSYS_W = 1000.0, 5000.0  # more than a socket, or a whole node with its GPUs, can draw
USUAL_LSB_UJ = 1e6 / 2**14  # most Intel packages; used where the range cannot be read

PLATYPUS = "whoever reads RAPL can learn secrets of other programs (PLATYPUS, CVE-2020-8694)"
NO_PERMISSION_HINT = (
    f"only root may read it, because {PLATYPUS}. Least privilege: let one trusted group read energy_uj (chgrp, then "
    "chmod 0440), or run with CAP_PERFMON or kernel.perf_event_paranoid=0 to use the perf counters. Do not make it "
    "readable to everybody"
)
MASKED_HINT = (
    "the container runtime hides /sys/devices/virtual/powercap (GHSA-jq35-85cj-fj4p); being root inside does not help. "
    f"Bind-mount that directory read-only into a container you trust: {PLATYPUS}"
)
VM_HINT = (
    "this is a virtual machine whose host shows it no RAPL counters; being root does not help. Measure on the host"
)
DRIVER_HINT = "the kernel shows no RAPL counters; if the CPU has them: `modprobe intel_rapl_msr`"
OTHER_CPU_HINT = "this CPU is not an x86, and RAPL is an x86 interface"


class CpuFacts(NamedTuple):
    """From ``/proc/cpuinfo``: the vendor ("" if it states none), whether a hypervisor runs below the kernel, SGX."""

    vendor: str
    hypervisor: bool
    sgx: bool = False


def cpu_facts(proc_root: str) -> CpuFacts:
    """Vendor and virtualisation of the CPU."""
    try:
        with open(os.path.join(proc_root, "cpuinfo"), encoding="utf-8", errors="replace") as file:
            text = file.read(65536)
    except OSError:
        return CpuFacts("unknown", False)
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    known = set(flags.group(1).split()) if flags else set()
    return CpuFacts(vendor.group(1) if vendor else "", "hypervisor" in known, "sgx" in known)


def absent_rapl(proc_root: str) -> tuple[Reason, str]:
    """Why a machine has neither a powercap tree nor a power PMU."""
    facts = cpu_facts(proc_root)
    if facts.hypervisor:
        return Reason.VM_NO_RAPL, VM_HINT
    if not facts.vendor:
        return Reason.NOT_SUPPORTED, OTHER_CPU_HINT
    return Reason.DRIVER_MISSING, DRIVER_HINT


class Powercap:
    """RAPL by way of sysfs. Needs to read ``energy_uj``; never writes."""

    name = "powercap"

    def __init__(
        self,
        sysfs_root: str = "/sys",
        proc_root: str = "/proc",
        *,
        open_fn: Callable[..., Any] = open,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Look for zones; ``open_fn`` and ``clock`` are for fakes."""
        self._open_fn, self._clock = open_fn, clock
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._paths: dict[str, str] = {}
        self._files: dict[str, Any] = {}
        self.reason, self.hint = Reason.OK, ""
        self._top = os.path.join(sysfs_root, "class", "powercap")
        found = [self._probe(id, path) for id, path in self._directories()]
        self._zones = mark_mirrored(found, cpu_facts(proc_root).vendor)
        if not found:
            self.reason, self.hint = absent_rapl(proc_root)
        elif not any(zone.reason is Reason.OK for zone in found):
            self.reason, self.hint = found[0].reason, found[0].hint

    @property
    def zones(self) -> Sequence[Zone]:
        """All zones found, usable or not."""
        return self._zones

    def _directories(self) -> list[tuple[str, str]]:
        """Zone ids and directories. Sub-zones show up in the class directory, inside their parent, or in both."""
        found: dict[str, tuple[str, str]] = {}
        pending = [self._top]
        while pending:
            directory = pending.pop(0)
            try:
                entries = os.listdir(directory)
            except OSError:  # absent, or the target of a masked symlink
                continue
            for entry in entries:
                path = os.path.join(directory, entry)
                if ZONE.fullmatch(entry) and os.path.realpath(path) not in found:
                    found[os.path.realpath(path)] = (entry, path)
                    pending.append(path)
        return sorted(found.values(), key=lambda item: _order(item[0]))

    def _probe(self, id: str, path: str) -> Zone:
        name = self._text(path, "name")
        domain, socket, die = _place(name)
        if id.count(":") == 2:  # a sub-zone is where its parent is
            _, socket, die = _place(self._text(os.path.join(self._top, id.rpartition(":")[0]), "name"))
        largest = _number(self._text(path, "max_energy_range_uj"))
        power = _number(self._text(path, "constraint_0_max_power_uw"))
        lsb = largest / STEPS if largest else USUAL_LSB_UJ
        self._paths[id] = os.path.join(path, "energy_uj")
        reason, hint = self._first_read(id, path)
        return Zone(
            id=id,
            domain=domain or name or "unknown",
            socket=socket,
            backend="mmio" if id.startswith("intel-rapl-mmio") else "powercap",
            modulus_uj=round(largest + lsb) if largest else None,
            lsb_uj=lsb,
            reason=reason,
            hint=hint,
            name=name,
            die=die,
            max_power_w=max(PSYS_W if name == "psys" else PACKAGE_W, 2e-6 * power if power else 0.0),
        )

    def _first_read(self, id: str, path: str) -> tuple[Reason, str]:
        if not os.path.isdir(path) or not os.path.lexists(os.path.join(path, "name")):
            return Reason.CONTAINER_MASKED, MASKED_HINT
        try:
            self._energy(id)
        except PermissionError:
            return Reason.NO_PERMISSION, NO_PERMISSION_HINT
        except OSError as error:
            return Reason.DEAD, f"reading energy_uj fails: {error}"
        return Reason.OK, ""

    def _text(self, directory: str, file: str) -> str:
        try:
            with self._open_fn(os.path.join(directory, file), "rb", buffering=0) as handle:
                return str(handle.read(256), "utf-8", "replace").strip()
        except OSError:
            return ""

    def _energy(self, id: str) -> int:
        """The counter now (µJ); OSError if there is none."""
        file = self._files.get(id)
        if file is None:
            file = self._files[id] = self._open_fn(self._paths[id], "rb", buffering=0)
        file.seek(0)
        text = file.read(64)
        if not text.strip().isdigit():
            raise OSError(f"energy_uj holds {text!r}, not a number")
        return int(text)

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Read the zones named, one after the other; the time of each is the middle of its read."""
        if os.getpid() != self._pid:  # a child must not share file positions, nor a lock held at the fork
            self._lock, self._files, self._pid = threading.Lock(), {}, os.getpid()
        if ids is None:
            ids = [zone.id for zone in self._zones if zone.reason is Reason.OK]
        samples: dict[str, Sample | OSError] = {}
        with self._lock:
            for id in ids:
                before = self._clock()
                try:
                    energy = self._energy(id)
                except OSError as error:
                    samples[id] = error
                    self._drop(id)  # a driver that was reloaded needs a new file
                else:
                    samples[id] = Sample((before + self._clock()) // 2, energy)
        return samples

    def _drop(self, id: str) -> None:
        file = self._files.pop(id, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        for id in list(self._files):
            self._drop(id)


def _place(name: str) -> tuple[str | None, int | None, int | None]:
    """Domain, socket and die from a zone's name: ``package-0-die-1``, ``dram``, ``psys``."""
    package = PACKAGE.fullmatch(name)
    if package:
        return "package", int(package.group(1)), int(package.group(2)) if package.group(2) else None
    return (name or None), None, None


def _order(id: str) -> tuple[str, int, int]:
    match = ZONE.fullmatch(id)
    assert match
    return match.group(1), int(match.group(2), 16), int(match.group(3), 16) if match.group(3) else -1


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and int(text) > 0 else None
