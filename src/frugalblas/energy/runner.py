"""Carries a comparison out: calibration, warm-up or cold start, interleaved blocks, the trace."""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable, Mapping

from .analysis import idle_power, reason_of, result_of
from .blocks import Windows
from .conditions import Machine
from .meter import Meter
from .percall import Context
from .plan import IDLE, Schedule, Settings, Warmth, order, schedule
from .probe import probe
from .reading import Reading
from .results import Block, Comparison
from .trace import Tracer
from .warmup import Cold, calibrate, warm_up
from .wattlog import ClockPair

LEAD_IN_SHARE = 0.1  # of a window, before it: an idle block has cooled caches and clocks


class Runner:
    """One measurement of some cases; `run` may be called once."""

    def __init__(
        self,
        cases: Mapping[str, Callable[[], object]],
        flops: Mapping[str, float | None],
        windows: Windows,
        settings: Settings,
    ) -> None:
        """Nothing runs yet. Raises ValueError if a limit in joules is asked of a meter without counters."""
        if settings.max_joules is not None and not windows.meter.zones:
            raise ValueError("max_joules cannot be honoured: this meter has no counter")
        self._cases, self._flops, self._windows, self._settings = dict(cases), flops, windows, settings
        self._meter: Meter = windows.meter
        self._machine: Machine = windows.machine
        self._random = random.Random(settings.seed + 1)
        self._cold: Cold | None = None
        self._failed: dict[str, str] = {}
        self._flags: set[str] = set(self._meter.selection.flags)
        self._blocks: list[Block] = []
        self._warmup: list[Warmth] = []

    def run(self) -> Comparison:
        """Measure everything."""
        began = ClockPair(time.time_ns(), self._meter.clock())
        tracer = Tracer(self._windows, began.monotonic_ns)
        ticks = self._probe_ticks()
        with self._meter.region("energy protocol") as whole:
            self._windows.spent_j()  # counts from here
            if self._settings.state == "cold":
                self._cold = Cold(self._windows, self._settings)
            call_s = {name: s for name in self._cases if (s := self._try(name, self._call_s)) is not None}
            call_s = self._warm_up(call_s)
            if call_s:
                plan = schedule(call_s, self._meter.tick_s, self._settings)
                self._flags |= plan.flags
                self._measure(plan, call_s)
                self._trace(tracer)
        return self._finish(began, whole, tracer, ticks)

    def _probe_ticks(self) -> dict[str, float]:
        """Update period by zone (s): as seen, else as the source says."""
        ticks = {zone.id: zone.tick_s for zone in self._meter.zones}
        if ticks and self._settings.probe_s:
            seen = probe(
                self._meter.sources, self._settings.probe_s, clock=self._meter.clock, sleep=self._machine.sleep
            )
            ticks |= {id: found.tick_s for id, found in seen.items() if id in ticks and found.tick_s is not None}
            self._meter.set_ticks(ticks)
        return ticks

    def _try(self, name: str, step: Callable[[str], float]) -> float | None:
        """Whatever a case raises is a finding about that case: the others go on."""
        try:
            return step(name)
        except Exception as error:
            self._failed[name] = f"{type(error).__name__}: {error}"
            return None

    def _call_s(self, name: str) -> float:
        return calibrate(self._windows, self._cases[name])

    def _warm_up(self, call_s: dict[str, float]) -> dict[str, float]:
        """Without the cases that fail during it, which starts it again."""
        while call_s and self._settings.state == "hot":
            running = [""]

            def watched(name: str, running: list[str] = running) -> Callable[[], object]:
                def work() -> object:
                    running[0] = name
                    return self._cases[name]()

                return work

            try:
                self._warmup, steady = warm_up(
                    self._windows, {name: watched(name) for name in call_s}, call_s, self._settings
                )
            except Exception as error:
                self._failed[running[0]] = f"{type(error).__name__}: {error}"
                call_s = {name: seconds for name, seconds in call_s.items() if name != running[0]}
                continue
            if not steady:
                self._flags.add("not-steady")
            return call_s
        return call_s

    def _measure(self, plan: Schedule, call_s: Mapping[str, float]) -> None:
        limit_j = self._settings.max_joules
        for name in order(list(plan.calls), plan.blocks, self._settings.seed):
            if limit_j is not None and self._windows.spent_j() + self._expected_j(name) > limit_j:
                self._flags.add("joules-capped")
                return
            if name == IDLE:
                self._blocks.append(self._idle(plan.idle_s))
            elif name not in self._failed:
                self._try(name, lambda name: self._busy(name, plan.calls[name], call_s[name]))

    def _idle(self, seconds: float) -> Block:
        if not self._windows.wait_until_asleep():
            self._flags.add("team-awake")
        self._machine.sleep(self._part_of_ticks_s())
        return self._windows.rest(IDLE, seconds)

    def _busy(self, name: str, calls: int, call_s: float) -> float:
        """A window of one case. What comes right before it has the same power: see `Windows.measure`."""
        work, cold, tick_s = self._cases[name], self._cold is not None, self._meter.tick_s
        if self._cold is not None and not self._cold.restore():
            self._flags.add("not-cold")
        # Counted in calls: a GPU's queue takes any number of them in no time.
        before = max(1, round(LEAD_IN_SHARE * calls), math.ceil(1.1 * tick_s / call_s))

        def lead_in() -> None:
            self._machine.sleep(self._part_of_ticks_s())
            if not cold:
                self._windows.repeat(work, before)

        again = functools.partial(self._windows.repeat, work, calls)
        block = self._windows.measure(name, calls, again, lead_in=lead_in, rests=cold)
        self._blocks.append(block)
        return block.seconds

    def _part_of_ticks_s(self) -> float:
        """One tick and a random part of another, so that windows do not fall into step with the source's updates."""
        return (1.0 + self._random.random()) * self._meter.tick_s

    def _expected_j(self, name: str) -> float:
        return max((block.energy.value for block in self._blocks if block.name == name and block.energy), default=0.0)

    def _trace(self, tracer: Tracer) -> None:
        if not self._settings.trace or not self._meter.zones or "joules-capped" in self._flags:
            return
        for name in self._cases:
            if name not in self._failed:
                self._try(name, lambda name: tracer.record(name, self._cases[name]))

    def _finish(self, began: ClockPair, whole: Reading, tracer: Tracer, ticks: Mapping[str, float]) -> Comparison:
        settings = self._settings
        idle_blocks = tuple(block for block in self._blocks if block.name == IDLE)
        idle, idle_problem = idle_power(idle_blocks)
        if not self._meter.zones:
            self._flags.add("unmeasured")
            idle_problem = "; ".join(self._meter.selection.missing)
        if any(zone.backend == "model" for zone in self._meter.zones):
            idle, idle_problem = None, "a declared power is one above idle already: its gross joules are the figure"
        context = Context(idle, idle_problem, settings.idle_share, flags=frozenset(self._flags))
        results = {
            name: result_of(
                name,
                [block for block in self._blocks if block.name == name],
                self._flops.get(name),
                context,
                tracer.points.get(name, ()),
                self._failed.get(name, ""),
            )
            for name in self._cases
        }
        return Comparison(
            results=results,
            idle=idle,
            idle_blocks=idle_blocks,
            settings=settings,
            scope=self._meter.scope,
            zones=tuple(
                {"id": zone.id, "domain": zone.domain, "backend": zone.backend, "tick_s": ticks[zone.id]}
                for zone in self._meter.zones
            ),
            flags=frozenset(self._flags),
            reason=reason_of(results),
            cost=None if whole.problem else whole.gross,
            seconds=whole.time.value,
            began=began,
            warmup=tuple(self._warmup),
            trace=tracer.points,
        )
