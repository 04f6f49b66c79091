"""FakePerf: the files of the perf ``power`` PMU and a kernel for it. Public through ``frugalblas.energy.testing``."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from .perf import PerfEvent
from .simulation import FakeClock, FakeCounter

SCALE = "2.3283064365386962890625e-10"  # 2**-32 J
EVENTS = {"energy-pkg": 0x02, "energy-ram": 0x03, "energy-psys": 0x05}
PMU_TYPE = 23


class FakePerf:
    """A ``power`` PMU with one package per CPU of ``cpus``; pass it as ``kernel=`` or ``perf=``.

    ``paranoid``: what perf_event_paranoid would be; above 0 every open is refused with EACCES.
    """

    def __init__(
        self,
        root: Path,
        clock: FakeClock | None = None,
        *,
        cpus: Sequence[int] = (0,),
        events: Sequence[str] = ("energy-pkg", "energy-ram"),
        paranoid: int = 0,
    ) -> None:
        """Write the PMU's files below ``root``."""
        self.root, self.clock, self.paranoid = Path(root), clock or FakeClock(), paranoid
        self.error: OSError | None = None  # what the next reads raise
        self.configs = {EVENTS[event]: event for event in events}
        self.counters = {
            (event, cpu): FakeCounter(self.clock, lsb_uj=Fraction(10**6, 2**14), tick_s=Fraction(1, 1000), modulus=None)
            for event in events
            for cpu in cpus
        }
        self._groups: dict[int, list[tuple[str, int]]] = {}
        self._leaders: dict[int, int] = {}  # every open descriptor's leader
        self._next = 1000
        pmu = self.root / "bus" / "event_source" / "devices" / "power"
        (pmu / "events").mkdir(parents=True)
        (pmu / "type").write_text(f"{PMU_TYPE}\n")
        (pmu / "cpumask").write_text(",".join(map(str, cpus)) + "\n")
        for event in events:
            (pmu / "events" / event).write_text(f"event=0x{EVENTS[event]:02x}\n")
            (pmu / "events" / f"{event}.scale").write_text(SCALE + "\n")
            (pmu / "events" / f"{event}.unit").write_text("Joules\n")
        for socket, cpu in enumerate(cpus):
            topology = self.root / "devices" / "system" / "cpu" / f"cpu{cpu}" / "topology"
            topology.mkdir(parents=True)
            (topology / "physical_package_id").write_text(f"{socket}\n")
            (topology / "die_id").write_text("0\n")

    @property
    def open_descriptors(self) -> int:
        """How many events are open."""
        return len(self._leaders)

    def open(self, type: int, config: int, cpu: int, group: int) -> int:
        """perf_event_open(2), with the errors of the power PMU."""
        if self.paranoid > 0:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if type != PMU_TYPE:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        event = self.configs.get(config)
        if event is None or (event, cpu) not in self.counters:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        descriptor, self._next = self._next, self._next + 1
        leader = descriptor if group == -1 else group
        self._groups.setdefault(leader, []).append((event, cpu))
        self._leaders[descriptor] = leader
        return descriptor

    def read(self, descriptor: int, size: int) -> bytes:
        """The group's counts, scaled as the kernel scales them."""
        if self.error:
            raise self.error
        if self._leaders.get(descriptor) != descriptor:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        keys = self._groups[descriptor]
        counts = [int(self.counters[key].steps * 2**18) for key in keys]  # 2**-14 J in units of 2**-32 J
        return struct.pack(f"={3 + len(keys)}Q", len(keys), 1, 1, *counts)[:size]

    def close(self, descriptor: int) -> None:
        """close(2)."""
        leader = self._leaders.pop(descriptor, None)
        if leader is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if leader == descriptor:
            self._groups.pop(descriptor)

    def advance(self, seconds: float, watts: Mapping[str, float] | None = None) -> None:
        """Let time pass at these powers, by event (all packages) or ``"energy-pkg:cpu0"``; others stay as they are."""
        for key, value in (watts or {}).items():
            mine = [c for (event, cpu), c in self.counters.items() if key in (event, f"{event}:cpu{cpu}")]
            if not mine:
                raise KeyError(f"no event {key!r}")
            for counter in mine:
                counter.watts = Fraction(value)
        self.clock.advance(seconds)

    def source(self, **options: Any) -> PerfEvent:
        """A PerfEvent on this PMU."""
        return PerfEvent(str(self.root), str(self.root / "proc"), kernel=self, clock=self.clock, **options)
