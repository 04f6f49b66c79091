"""Meter: joules of named regions of a program.

with Meter() as meter:
    with meter.region("product", flops=2 * M * N * K) as r:
        C = frugalblas.sgemm(A, B)
    print(r.gross, r.time)
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar

from .counter import Counter
from .keeper import Every, after_fork, in_background
from .reading import Idle, Reading
from .region import Region
from .resolution import Snapshot
from .sources import discover
from .zones import Sample, Scope, Source, Zone, explain_missing, select

NO_READING = OSError("the source gave no reading")
P = ParamSpec("P")
R = TypeVar("R")


class Meter:
    """Reads the energy counters of ``scope`` around regions of a program.

    Args:
        scope: ``cpu`` (packages), ``cpu+dram``, ``gpu``, ``node`` (all of these) or ``platform`` (psys or a wattmeter).
        sources: what ``discover()`` returned, or sources of your own; the meter closes only those it found itself.
        idle: the power of the same zones at rest; readings then have ``net``.
        on_missing: ``"raise"``: EnergyUnavailable at once if the scope cannot be measured, and readings raise where
            they have no figure. ``"none"``: readings are None and flagged. Never 0.0.
        gpus: PCI bus ids or UUIDs of the GPUs to count; None: all.
        clock: monotonic nanoseconds. every: what calls the keeper; tests inject a simulated one.

    Regions may nest, and may run in several threads (they are then flagged ``overlap``: a counter cannot tell who used
    the energy). A thread that re-reads the counters before they can wrap starts with the first region that needs it and
    ends with ``close()``. After a fork the child may go on with the meter; regions open at the fork fail there.

    Raises:
        EnergyUnavailable: see ``on_missing``. ValueError: bad scope, or an idle power of other zones.
    """

    def __init__(
        self,
        scope: Scope = "cpu+dram",
        *,
        sources: Sequence[Source] | None = None,
        idle: Idle | None = None,
        on_missing: Literal["raise", "none"] = "raise",
        gpus: Sequence[str] | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
        every: Every = in_background,
    ) -> None:
        """Choose the zones; nothing is read yet."""
        if on_missing not in ("raise", "none"):
            raise ValueError(f"on_missing is {on_missing!r}; it must be 'raise' or 'none'")
        self._own = sources is None
        self.sources: list[Source] = list(discover(clock=clock) if sources is None else sources)
        self.clock = clock
        self._every = every
        self._on_missing = on_missing
        self._closed = False
        try:
            self.selection = select(self.sources, scope, gpus=gpus)
            if self.selection.missing and on_missing == "raise":
                raise explain_missing(self.selection)
            self.zones: tuple[Zone, ...] = () if self.selection.missing else self.selection.zones
            self.idle = idle
        except BaseException:
            self._close_sources()
            raise
        self.readings: list[Reading] = []  # of all regions that have ended, in that order
        self._ticks = {zone.id: zone.tick_s for zone in self.zones}
        self._zones_with_ticks = tuple((zone, zone.tick_s) for zone in self.zones)
        self._flags = self.selection.flags if self.zones else frozenset()
        self._plan = [(source, ids) for source in self.sources if (ids := self._ids_of(source))]
        self._counters = {zone.id: Counter(zone) for zone in self.zones}
        self._open: list[Region] = []
        self._stop_keeper: Callable[[], None] | None = None
        self._lock = threading.Lock()
        horizons = [zone.horizon_s for zone in self.zones if zone.horizon_s is not None]
        self._horizon_s = min(horizons) if horizons else None
        after_fork(self._after_fork)

    @property
    def scope(self) -> Scope:
        """The scope asked for."""
        return self.selection.scope

    @property
    def idle(self) -> Idle | None:
        """The power at rest that ``net`` subtracts; set it after ``measure_idle``."""
        return self._idle

    @idle.setter
    def idle(self, idle: Idle | None) -> None:
        ids = tuple(zone.id for zone in self.zones)
        if idle is not None and set(idle.zones) != set(ids):
            raise ValueError(f"the idle power is that of {', '.join(idle.zones)}; this meter reads {', '.join(ids)}")
        self._idle = idle

    @property
    def tick_s(self) -> float:
        """The slowest update period among the zones (s); 0 if there is none."""
        return max(self._ticks.values(), default=0.0)

    def set_ticks(self, ticks: dict[str, float]) -> None:
        """Use probed update periods (s, by zone id) in place of the nominal ones, for regions that start later."""
        if not all(tick > 0 for tick in ticks.values()):
            raise ValueError(f"an update period is positive, not {min(ticks.values())} s")
        self._ticks = {**self._ticks, **{id: tick for id, tick in ticks.items() if id in self._ticks}}
        self._zones_with_ticks = tuple((zone, self._ticks[zone.id]) for zone in self.zones)

    # ---- regions

    def region(self, name: str, *, flops: float | None = None, sync: Callable[[], object] | None = None) -> Region:
        """A context manager around the work to be measured; it yields the Reading, filled when the region ends.

        ``flops``: the work in it, for GFLOP/s per watt. ``sync``: waits for a GPU's queue; called before both reads.
        """
        return Region(self, name, flops, sync)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator: every call is a region with the function's name."""
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} returns before it works: use region() inside it")

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.region(function.__qualname__):
                return function(*args, **kwargs)

        return measured

    def snapshot(self) -> Snapshot:
        """Read all zones now. Between two snapshots keep a region open, or the counters may wrap unseen: a fault."""
        with self._lock:
            return self._snapshot(self._plan)

    def _snapshot(self, plan: Sequence[tuple[Source, list[str]]]) -> Snapshot:
        before = self.clock()
        answers: list[tuple[list[str], Mapping[str, Sample | Exception]]] = []
        for source, ids in plan:
            try:
                answers.append((ids, source.read(ids)))
            except Exception as error:  # a source of somebody else's: no joule may be invented because of it
                answers.append((ids, dict.fromkeys(ids, error)))
        after = self.clock()
        for ids, samples in answers:
            for id in ids:
                self._counters[id].update(samples.get(id, NO_READING))
        return Snapshot(before, after, {id: counter.state(after) for id, counter in self._counters.items()})

    def _begin(self, region: Region) -> Snapshot:
        with self._lock:
            if self._closed:
                raise RuntimeError("the meter is closed")
            for other in self._open:
                if other.thread == region.thread:
                    region.reading.path = (*other.reading.path, region.reading.name)
                else:
                    _overlap(other, region)
            start = self._snapshot(self._plan)
            # What is wrong with the time since the last read is no fault of this window, but a failed first read is.
            for id, counter in self._counters.items():
                if counter.last is None:
                    t_ns, total_uj, u_uj, faults, fault = start.states[id]
                    start.states[id] = (t_ns, total_uj, u_uj, faults - 1, fault)
            self._open.append(region)
            if self._stop_keeper is None and self._horizon_s is not None:
                self._stop_keeper = self._every(self._horizon_s, self._keep)
            return start

    def _end(self, region: Region) -> Snapshot:
        with self._lock:
            end = self._snapshot(self._plan)
            if region in self._open:
                for other in self._open[self._open.index(region) + 1 :]:
                    if other.thread == region.thread:  # it began later and has not ended
                        _overlap(other, region)
                self._open.remove(region)
            return end

    def _keep(self) -> None:
        """Read the zones that might wrap before the next call, if a region is open."""
        with self._lock:
            if not self._open or self._closed:
                return
            plan = [(source, [id for id in ids if self._due(id)]) for source, ids in self._plan]
            self._snapshot([(source, ids) for source, ids in plan if ids])

    def _due(self, id: str) -> bool:
        """Whether the zone's horizon would pass before the keeper comes again."""
        counter = self._counters[id]
        if counter.zone.horizon_s is None or self._horizon_s is None:
            return False
        age_s = (self.clock() - counter.last.t_ns) * 1e-9 if counter.last else 0.0
        return age_s + self._horizon_s > counter.zone.horizon_s

    # ---- the end

    def close(self) -> None:
        """Stop the keeper and release the sources the meter found itself. A second call does nothing.

        Regions still open fail when they end; what was recorded stays.
        """
        with self._lock:
            self._closed = True
            stop, self._stop_keeper = self._stop_keeper, None
        if stop:
            stop()
        self._close_sources()

    def _close_sources(self) -> None:
        if self._own:
            for source in self.sources:
                source.close()

    def __enter__(self) -> Meter:
        """The meter itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the meter."""
        self.close()

    def _ids_of(self, source: Source) -> list[str]:
        mine = {zone.id for zone in source.zones}
        return [zone.id for zone in self.zones if zone.id in mine]

    def _after_fork(self) -> None:
        """In the child: the keeper's thread is not here, and the lock may be held by a thread that is not either."""
        self._lock = threading.Lock()
        self._stop_keeper = None
        for region in self._open:
            region.reading._fault = "the process forked inside the region; only the parent's reading is valid"
            region.reading._flags |= {"forked", "failed"}
        self._open = []
        self._counters = {zone.id: Counter(zone) for zone in self.zones}


@contextmanager
def measure(
    name: str = "measure", *, flops: float | None = None, sync: Callable[[], object] | None = None, **options: Any
) -> Iterator[Reading]:
    """A meter and one region in one line: ``with measure() as r: …``; ``options`` are Meter's."""
    with Meter(**options) as meter, meter.region(name, flops=flops, sync=sync) as reading:
        yield reading


def _overlap(*regions: Region) -> None:
    for region in regions:
        region.reading._flags.add("overlap")
