"""Power against time, sampled at the source's own tick, in a pass of its own: reading a counter costs energy too."""

from __future__ import annotations

from collections.abc import Callable

from .blocks import Windows
from .plan import IDLE
from .results import TracePoint

LEAST_PERIOD_S = 1e-3  # every read wakes the CPU that holds the counter
TICKS, LEAST_S, MOST_S = 100, 0.5, 10.0  # of one case


class Tracer:
    """Collects points by case, and those of idle before each."""

    def __init__(self, windows: Windows, origin_ns: int) -> None:
        """Times count from `origin_ns` of the meter's clock."""
        self._windows, self._origin_ns = windows, origin_ns
        self._last: tuple[int, int] | None = None  # time of the last tick (ns), energy then (µJ)
        self._into: list[TracePoint] = []
        self.points: dict[str, list[TracePoint]] = {}

    def record(self, name: str, work: Callable[[], object]) -> float:
        """A while of idle, then of one case; the seconds it took. Raises what the case raises."""
        windows, began_ns = self._windows, self._windows.meter.clock()
        period_s = max(LEAST_PERIOD_S, windows.meter.tick_s)
        seconds = min(max(TICKS * period_s, LEAST_S), MOST_S)
        windows.wait_until_asleep()
        self._trace(IDLE, period_s, lambda: windows.machine.sleep(seconds))
        self._trace(name, period_s, lambda: self._keep_busy(work, seconds))
        return (windows.meter.clock() - began_ns) / 1e9

    def _trace(self, name: str, period_s: float, during: Callable[[], object]) -> None:
        self._into, self._last = self.points.setdefault(name, []), None
        stop = self._windows.machine.every(period_s, self._sample)
        try:
            during()
        finally:
            stop()

    def _keep_busy(self, work: Callable[[], object], seconds: float) -> None:
        clock = self._windows.meter.clock
        end_ns = clock() + round(seconds * 1e9)
        while clock() < end_ns:
            self._windows.repeat(work, 1)

    def _sample(self) -> None:
        snapshot = self._windows.meter.snapshot()
        t_ns = (snapshot.before_ns + snapshot.after_ns) // 2
        total_uj = sum(mark.total_uj for mark in snapshot.marks.values())
        if self._last is not None and total_uj > self._last[1]:
            watts = (total_uj - self._last[1]) * 1e3 / (t_ns - self._last[0])
            self._into.append(TracePoint((t_ns - self._origin_ns) / 1e9, watts))
        if self._last is None or total_uj > self._last[1]:
            self._last = (t_ns, total_uj)
