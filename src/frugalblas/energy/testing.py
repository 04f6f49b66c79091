"""Machines that do not exist: counters that tick, wrap, freeze and fail on demand, on a clock that a test moves.

    machine = FakePowercap(tmp_path, "intel-1s")
    with machine.meter("cpu") as meter, meter.region("work") as r:
        machine.advance(2.0, {"package-0": 50.0})
    assert r.gross.value == pytest.approx(100.0)

Nothing here sleeps or starts a thread, and time passes only in ``advance``: results are exact to a step of the counter.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from .doctor import doctor
from .doctor_report import DoctorReport
from .fakegpu import FakeNvml
from .fakeperf import FakePerf
from .meter import Meter
from .simulation import FakeClock, FakeCounter, FakeSource
from .sources import discover
from .zones import Scope, Source

__all__ = [
    "LAYOUTS",
    "FakeClock",
    "FakeCounter",
    "FakeNvml",
    "FakePerf",
    "FakePowercap",
    "FakeSource",
    "FakeZone",
    "Layout",
]

INTEL, AMD = Fraction(61035, 1000), Fraction(15258, 1000)  # steps as the driver rounds them (µJ)
SERVER_DRAM, SPR_PSYS = Fraction(153, 10), Fraction(10**6)


class FakeZone(NamedTuple):
    """One directory of the tree. Zones with the same ``counter`` show the same register."""

    id: str
    name: str
    lsb_uj: Fraction = INTEL
    counter: str = ""  # default: the id


class Layout(NamedTuple):
    """A machine's powercap tree and what /proc/cpuinfo says."""

    vendor: str
    zones: tuple[FakeZone, ...]
    hypervisor: bool = False
    masked: bool = False  # a container hides the targets of the symlinks


LAYOUTS = {
    "intel-1s": Layout(
        "GenuineIntel",
        (
            FakeZone("intel-rapl:0", "package-0"),
            FakeZone("intel-rapl:0:0", "core"),
            FakeZone("intel-rapl:0:1", "uncore"),
            FakeZone("intel-rapl:0:2", "dram"),
        ),
    ),
    "intel-2s-psys": Layout(
        "GenuineIntel",
        (
            FakeZone("intel-rapl:0", "package-0"),
            FakeZone("intel-rapl:0:0", "dram", SERVER_DRAM),
            FakeZone("intel-rapl:1", "psys"),
            FakeZone("intel-rapl:2", "package-1"),
            FakeZone("intel-rapl:2:0", "dram", SERVER_DRAM),
        ),
    ),
    "intel-die": Layout(
        "GenuineIntel",
        (FakeZone("intel-rapl:0", "package-0-die-0"), FakeZone("intel-rapl:1", "package-0-die-1")),
    ),
    "spr-psys": Layout(
        "GenuineIntel",
        (FakeZone("intel-rapl:0", "package-0"), FakeZone("intel-rapl:1", "psys", SPR_PSYS)),
    ),
    "mmio": Layout(
        "GenuineIntel",
        (
            FakeZone("intel-rapl:0", "package-0"),
            FakeZone("intel-rapl-mmio:0", "package-0", counter="intel-rapl:0"),
        ),
    ),
    "amd-1s": Layout(
        "AuthenticAMD",
        (FakeZone("intel-rapl:0", "package-0", AMD), FakeZone("intel-rapl:0:0", "core", AMD)),
    ),
    "amd-die": Layout(
        "AuthenticAMD",
        (
            FakeZone("intel-rapl:0", "package-0-die-0", AMD),
            FakeZone("intel-rapl:1", "package-0-die-1", AMD, counter="intel-rapl:0"),
        ),
    ),
    "masked": Layout("GenuineIntel", (FakeZone("intel-rapl:0", "package-0"),), masked=True),
    "vm": Layout("AuthenticAMD", (), hypervisor=True),
    "no-driver": Layout("GenuineIntel", ()),
}


class FakePowercap:
    """A sysfs tree with powercap zones below ``root``, and the registers behind them.

    ``root`` stands for ``/sys``; ``root/proc`` for ``/proc``. The files are real, and are brought up to date by
    ``advance``, so another process can read them too; failures exist only for those who open through ``open``.
    """

    def __init__(self, root: Path, layout: str | Layout = "intel-1s", clock: FakeClock | None = None) -> None:
        """Write the tree."""
        self.root, self.clock = Path(root), clock or FakeClock()
        self.layout = LAYOUTS[layout] if isinstance(layout, str) else layout
        self.counters: dict[str, FakeCounter] = {}
        self._failures: dict[str, tuple[OSError, int | None]] = {}
        self._paths: dict[str, str] = {}  # of energy_uj, resolved: zone id
        proc = self.root / "proc"
        proc.mkdir(parents=True)
        flags = "fpu sse2 hypervisor" if self.layout.hypervisor else "fpu sse2"
        (proc / "cpuinfo").write_text(f"vendor_id\t: {self.layout.vendor}\nflags\t\t: {flags}\n")
        for zone in self.layout.zones:
            self._make(zone)

    def _make(self, zone: FakeZone) -> None:
        register = zone.counter or zone.id
        if register not in self.counters:
            self.counters[register] = FakeCounter(
                self.clock, lsb_uj=zone.lsb_uj, tick_s=Fraction(1, 1000), modulus=2**32
            )
        directory = self.directory(zone.id)
        shown = self.root / "class" / "powercap"
        shown.mkdir(parents=True, exist_ok=True)
        (shown / zone.id).symlink_to(directory)
        if self.layout.masked:
            return
        directory.mkdir(parents=True)
        (directory / "name").write_text(zone.name + "\n")
        (directory / "max_energy_range_uj").write_text(f"{int((2**32 - 1) * zone.lsb_uj)}\n")
        self._paths[os.path.realpath(directory / "energy_uj")] = zone.id
        self._write(zone)

    def directory(self, zone: str) -> Path:
        """Where a zone's files are."""
        kind, *numbers = zone.split(":")
        above = [":".join([kind, *numbers[: i + 1]]) for i in range(len(numbers))]
        return self.root.joinpath("devices", "virtual", "powercap", kind, *above)

    def _zones(self, key: str) -> list[FakeZone]:
        found = [zone for zone in self.layout.zones if key in (zone.id, zone.name)]
        if not found:
            raise KeyError(f"no zone {key!r}; there are {', '.join(f'{z.id} ({z.name})' for z in self.layout.zones)}")
        return found

    def _energy(self, zone: FakeZone) -> int:
        return int(self.counters[zone.counter or zone.id].steps * zone.lsb_uj)

    def _write(self, zone: FakeZone) -> None:
        (self.directory(zone.id) / "energy_uj").write_text(f"{self._energy(zone)}\n")

    # ---- what a test does

    def advance(self, seconds: float, watts: Mapping[str, float] | None = None) -> None:
        """Let time pass at these powers, by zone id or name; zones not named go on as before, at first with 0 W."""
        for key, value in (watts or {}).items():
            for zone in self._zones(key):
                self.counters[zone.counter or zone.id].watts = Fraction(value)
        self.clock.advance(seconds)
        if not self.layout.masked:
            for zone in self.layout.zones:
                self._write(zone)

    def set_energy(self, key: str, energy_uj: int) -> None:
        """Make the register show this (rounded up to its step)."""
        for zone in self._zones(key):
            self.counters[zone.counter or zone.id].set_steps(-int(-energy_uj // zone.lsb_uj))
            self._write(zone)

    def fail(self, key: str, error: OSError | None = None, times: int | None = None) -> None:
        """Reads raise ``error`` (default EIO), the next ``times`` or until ``restore``."""
        for zone in self._zones(key):
            self._failures[zone.id] = (error or OSError(errno.EIO, os.strerror(errno.EIO)), times)

    def deny(self, key: str) -> None:
        """Opening and reading raise PermissionError, for root too."""
        self.fail(key, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))

    def freeze(self, key: str) -> None:
        """The register stops moving; reads succeed."""
        for zone in self._zones(key):
            self.counters[zone.counter or zone.id].frozen = True

    def restore(self, key: str) -> None:
        """End fail, deny and freeze."""
        for zone in self._zones(key):
            self._failures.pop(zone.id, None)
            self.counters[zone.counter or zone.id].frozen = False

    # ---- what the code under test uses

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """``open_fn``: the real files, but counters come from the registers, with the failures asked for."""
        zone = self._paths.get(os.path.realpath(path))
        if zone is None:
            return open(path, *args, **kwargs)
        failure = self._failures.get(zone)
        if failure and isinstance(failure[0], PermissionError):
            raise failure[0]
        return _EnergyFile(self, self._zones(zone)[0])

    def _read(self, zone: FakeZone) -> bytes:
        failure = self._failures.get(zone.id)
        if failure:
            error, times = failure
            if times is not None:
                self._failures[zone.id] = (error, times - 1)
                if times <= 1:
                    del self._failures[zone.id]
            raise error
        return b"%d\n" % self._energy(zone)

    def sources(self, **options: Any) -> list[Source]:
        """``discover`` on this machine; ``options`` are its own, e.g. ``nvml=FakeNvml(machine.clock)``."""
        options = {"nvml": False, "amdsmi": False, **options}
        return discover(sysfs_root=self.root, open_fn=self.open, clock=self.clock, **options)

    def doctor(self, sources: Sequence[Source] | None = None, *, probe_s: float = 0.05) -> DoctorReport:
        """The doctor's report on this machine."""
        found = self.sources() if sources is None else sources
        sleep = self.clock.sleep
        return doctor(found, probe_s=probe_s, clock=self.clock, sleep=sleep, sysfs_root=self.root)

    def meter(self, scope: Scope = "cpu+dram", sources: Sequence[Source] | None = None, **options: Any) -> Meter:
        """A Meter on this machine, kept by the simulated clock."""
        found = self.sources() if sources is None else sources
        return Meter(scope, sources=found, clock=self.clock, every=self.clock.every, **options)


class _EnergyFile(io.RawIOBase):
    def __init__(self, machine: FakePowercap, zone: FakeZone) -> None:
        self._machine, self._zone = machine, zone

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        return self._machine._read(self._zone)
