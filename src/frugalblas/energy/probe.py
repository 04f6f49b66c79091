"""What a counter is really like: its update period, its smallest step, how long a read takes, whether it lives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .counter import Counter
from .quantity import Reason
from .zones import Source, Zone

PAUSE_S = 1e-4  # between reads: a tenth of RAPL's tick. A read interrupts the zone's CPU, so no faster than needed


@dataclass(frozen=True)
class Probe:
    """What was seen of one zone. ``tick_s``, ``step_uj`` and ``watts`` are None if it did not move at least twice."""

    seconds: float
    reads: int
    moves: int
    tick_s: float | None  # median time between moves; never below the time between reads
    step_uj: int | None  # the smallest move
    latency_s: float  # median time of one read
    joules: float
    watts: float | None
    fault: str = ""


class _Watch:
    """One zone while it is probed."""

    def __init__(self, zone: Zone) -> None:
        self.counter = Counter(zone)
        self.first_ns = self.last_ns = 0
        self.move_times: list[int] = []
        self.steps: list[int] = []
        self.reads = 0

    def result(self, latencies: Sequence[int]) -> Probe:
        seconds = (self.last_ns - self.first_ns) * 1e-9
        gaps = [later - sooner for sooner, later in zip(self.move_times, self.move_times[1:], strict=False)]
        joules = self.counter.total_uj * 1e-6
        return Probe(
            seconds=seconds,
            reads=self.reads,
            moves=len(self.move_times),
            tick_s=statistics.median(gaps) * 1e-9 if gaps else None,
            step_uj=min(self.steps) if gaps else None,
            latency_s=statistics.median(latencies) * 1e-9 if latencies else 0.0,
            joules=joules,
            watts=joules / seconds if gaps and seconds > 0 else None,
            fault=self.counter.fault,
        )


def probe(
    sources: Sequence[Source],
    seconds: float = 1.0,
    *,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, Probe]:
    """Read all usable (and mirrored) zones again and again for ``seconds``, at a tenth of their nominal tick."""
    watches: dict[str, _Watch] = {}
    plan: list[tuple[Source, list[str], int, list[int]]] = []  # source, zones, pause (ns), latencies
    for source in sources:
        zones = [zone for zone in source.zones if zone.reason in (Reason.OK, Reason.MIRRORED)]
        if zones:
            watches.update({zone.id: _Watch(zone) for zone in zones})
            pause_s = max(PAUSE_S, min(zone.tick_s for zone in zones) / 10)
            plan.append((source, [zone.id for zone in zones], round(pause_s * 1e9), []))
    start = clock()
    due = [start] * len(plan)
    end = start + round(seconds * 1e9)
    while plan and clock() <= end:
        for index, (source, ids, pause_ns, latencies) in enumerate(plan):
            before = clock()
            if before >= due[index]:
                due[index] = before + pause_ns
                _look(source, ids, watches)
                latencies.append((clock() - before) // len(ids))
        sleep(max(PAUSE_S, (min(due) - clock()) * 1e-9))
    return {id: watches[id].result(latencies) for _, ids, _, latencies in plan for id in ids}


def _look(source: Source, ids: list[str], watches: dict[str, _Watch]) -> None:
    for id, sample in source.read(ids).items():
        watch = watches[id]
        before = watch.counter.total_uj
        watch.counter.update(sample)
        watch.reads += 1
        if isinstance(sample, Exception):
            continue
        watch.first_ns = watch.first_ns or sample.t_ns
        watch.last_ns = sample.t_ns
        step = watch.counter.total_uj - before
        if step:
            watch.move_times.append(sample.t_ns)
            watch.steps.append(step)
