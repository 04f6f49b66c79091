"""The kernel's perf ``power`` PMU: RAPL as 64-bit counts, one group per package read at the same instant.

Layout, from the kernel's ``arch/x86/events/rapl.c`` and perf_event_open(2): ``type``; ``cpumask``, one CPU per package
or die; ``events/energy-pkg`` ("event=0x02") with ``.scale`` (joules per count). Events are system-wide, so opening them
needs ``perf_event_paranoid`` ≤ 0 or CAP_PERFMON. The kernel extends the 32-bit counter itself, but its timer for that
assumes 200 W per package; a read extends it too, so there is one at least every 30 s.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .powercap import NO_PERMISSION_HINT, absent_rapl, cpu_facts
from .quantity import Reason
from .zones import Sample, Zone, mark_mirrored

DOMAINS = {
    "energy-pkg": "package",
    "energy-ram": "dram",
    "energy-psys": "psys",
    "energy-cores": "core",
    "energy-gpu": "uncore",
}
READ_EVERY_S = 30.0  # 2**31 steps of 15.26 µJ last 32 s at 1000 W
LSB_UJ = 1e6 / 2**14  # the coarser of the two common steps: sysfs does not tell the hardware's


class Kernel(Protocol):
    """What PerfEvent needs of the kernel; FakePerf is another."""

    def open(self, type: int, config: int, cpu: int, group: int) -> int:
        """A file descriptor that counts; OSError with the kernel's errno."""

    def read(self, descriptor: int, size: int) -> bytes:
        """The group's counts."""

    def close(self, descriptor: int) -> None:
        """Stop counting."""


# struct perf_event_attr in its first version: type, size, config, period, sample type, read_format, flags and others.
ATTRIBUTES = struct.Struct("<IIQ16xQ24x")
READ_FORMAT = 1 | 2 | 8  # times enabled and running, and the group
CLOSE_ON_EXEC = 8
SYSTEM_CALL = {"x86_64": 298, "aarch64": 241}


class LinuxKernel:
    """The real one."""

    def open(self, type: int, config: int, cpu: int, group: int) -> int:
        """perf_event_open(2), for which neither Python nor the C library has a function.

        The power PMU accepts no sampling period, no exclude bit and no pid: all of them stay zero. It counts at once.
        """
        import ctypes

        number = SYSTEM_CALL.get(os.uname().machine)
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        attributes = ATTRIBUTES.pack(type, ATTRIBUTES.size, config, READ_FORMAT)
        system_call = ctypes.CDLL(None, use_errno=True).syscall
        system_call.restype, long = ctypes.c_long, ctypes.c_long
        descriptor = int(
            system_call(long(number), attributes, long(-1), long(cpu), long(group), ctypes.c_ulong(CLOSE_ON_EXEC))
        )
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return descriptor

    def read(self, descriptor: int, size: int) -> bytes:
        """read(2)."""
        return os.read(descriptor, size)

    def close(self, descriptor: int) -> None:
        """close(2)."""
        os.close(descriptor)


@dataclass
class _Group:
    """The events of one CPU of the cpumask."""

    zones: list[str] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


class PerfEvent:
    """RAPL by way of perf_event_open(2)."""

    name = "perf"

    def __init__(
        self,
        sysfs_root: str = "/sys",
        proc_root: str = "/proc",
        *,
        kernel: Kernel | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Open all events of all packages; ``kernel`` and ``clock`` are for fakes."""
        self._kernel = kernel or LinuxKernel()
        self._clock = clock
        self._groups: list[_Group] = []
        self._finalizer = weakref.finalize(self, _close, self._kernel, self._groups)  # nobody else would, unlike files
        self._sysfs = sysfs_root
        self._pmu = os.path.join(sysfs_root, "bus", "event_source", "devices", "power")
        self.reason, self.hint = Reason.OK, ""
        zones: list[Zone] = []
        type = _text(self._pmu, "type")
        if not type.isdigit():
            self.reason, self.hint = absent_rapl(proc_root)
            if self.reason is Reason.DRIVER_MISSING:
                self.hint = "the kernel has no `power` PMU; if the CPU has RAPL counters: `modprobe rapl`"
        else:
            for cpu in cpu_list(_text(self._pmu, "cpumask")):
                zones += self._open_group(int(type), cpu)
        self._zones = mark_mirrored(zones, cpu_facts(proc_root).vendor)
        if zones and not any(zone.reason is Reason.OK for zone in zones):
            self.reason, self.hint = zones[0].reason, zones[0].hint

    @property
    def zones(self) -> Sequence[Zone]:
        """All zones found, usable or not."""
        return self._zones

    def _open_group(self, type: int, cpu: int) -> list[Zone]:
        group = _Group()
        zones = []
        topology = os.path.join(self._sysfs, "devices", "system", "cpu", f"cpu{cpu}", "topology")
        socket, die = (_text(topology, file) for file in ("physical_package_id", "die_id"))
        for event, domain in DOMAINS.items():
            config = re.search(r"event=(0x[0-9a-fA-F]+|\d+)", _text(self._pmu, "events", event))
            if not config:
                continue
            zone = f"perf:{event}:cpu{cpu}"
            reason, hint = Reason.OK, ""
            try:
                scale = float(_text(self._pmu, "events", f"{event}.scale"))
                leader = group.descriptors[0] if group.descriptors else -1
                group.descriptors.append(self._kernel.open(type, int(config.group(1), 0), cpu, leader))
                group.zones.append(zone)
                group.scales.append(scale)
            except PermissionError as error:
                reason, hint = Reason.NO_PERMISSION, f"{error.strerror}: {NO_PERMISSION_HINT}"
            except (OSError, ValueError) as error:
                reason, hint = Reason.NOT_SUPPORTED, f"the kernel refuses to open it: {error}"
            zones.append(
                Zone(
                    id=zone,
                    domain=domain,
                    socket=int(socket) if socket.isdigit() else None,
                    backend="perf",
                    modulus_uj=None,
                    lsb_uj=LSB_UJ,
                    reason=reason,
                    hint=hint,
                    name=event,
                    die=int(die) if die.isdigit() else None,
                    read_every_s=READ_EVERY_S,
                )
            )
        if group.descriptors:
            self._groups.append(group)
        return zones

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Read every group that has a zone named; zones of one group share their instant."""
        samples: dict[str, Sample | OSError] = {}
        for group in self._groups:
            wanted = group.zones if ids is None else [zone for zone in group.zones if zone in ids]
            if not wanted:
                continue
            before = self._clock()
            try:
                energies = self._read_group(group)
            except OSError as error:
                samples.update(dict.fromkeys(wanted, error))
                continue
            t_ns = (before + self._clock()) // 2
            samples.update({zone: Sample(t_ns, energies[zone]) for zone in wanted})
        closed = OSError("the counter is not open")
        return samples | {zone: closed for zone in (ids or ()) if zone not in samples}

    def _read_group(self, group: _Group) -> dict[str, int]:
        size = 8 * (3 + len(group.zones))
        data = self._kernel.read(group.descriptors[0], size)
        if len(data) != size:
            raise OSError(f"a perf group read gave {len(data)} bytes instead of {size}")
        count, enabled, running, *values = struct.unpack(f"={size // 8}Q", data)
        if count != len(group.zones) or running < enabled:
            raise OSError("the kernel did not count all the time (multiplexed or incomplete perf group)")
        counts = zip(group.zones, values, group.scales, strict=True)
        return {zone: round(value * scale * 1e6) for zone, value, scale in counts}

    def close(self) -> None:
        """Close all events; a second call does nothing."""
        self._finalizer()


def _close(kernel: Kernel, groups: list[_Group]) -> None:
    while groups:
        for descriptor in reversed(groups.pop().descriptors):
            kernel.close(descriptor)


def cpu_list(text: str) -> list[int]:
    """CPU numbers of the kernel's list format: "0,28" or "0-1"."""
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus


def _text(*path: str) -> str:
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
            return file.read(256).strip()
    except OSError:
        return ""
