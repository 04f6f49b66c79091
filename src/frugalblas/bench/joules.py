"""Joules: a pass of its own after the timing, by the protocol of `frugalblas.energy`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from frugalblas import energy
from frugalblas.energy.plan import IDLE
from frugalblas.energy.protocol import JoulesPass
from frugalblas.energy.results import BenchResult, Comparison

from . import figures
from .cases import Size, case_of
from .check import Problem
from .engine import Engine
from .fit import evenly
from .plan import Plan
from .progress import Progress
from .records import CaseRecord, Mark, Result, TraceRecord
from .studies import Study

SECONDS_SHARE = 0.25  # of the timing's budget, on top of it: the default command then still ends within two minutes
MOST_SIZES = 5  # of a study in which energy against size is asked for: each has a warm-up of its own


def _meter_or_reasons() -> energy.Meter:
    return energy.Meter(on_missing="none")


def why_none(open_meter: Callable[[], Any] = _meter_or_reasons) -> str | None:
    """Why no energy can be measured on this machine; None if it can."""
    with open_meter() as meter:
        return _why_not(meter.selection.missing) if meter.selection.missing else None


@dataclass(frozen=True)
class Target:
    """The cases of one size of a study, to be compared in one go."""

    study: Study
    size: Size
    seconds: float
    result: Result  # of that study alone


def targets(plan: Plan, result: Result) -> Iterator[Target]:
    """The table's size of each study, or some of its sizes; each study has its part of the time."""
    for study in plan.studies:
        only = figures.of_study(result, study.name)
        main = figures.main_size(only)
        if main is None:
            continue
        sizes = [main]
        if study.joules == "every size":
            timed = {figures.size_of(record) for record in only["cases"] if record["status"] == "ok"}
            sizes = evenly([size for size in figures.sizes(only) if size in timed], MOST_SIZES)
        share = study.seconds / sum(other.seconds for other in plan.studies)
        for size in sizes:
            yield Target(study, size, SECONDS_SHARE * plan.seconds * share / len(sizes), only)


def measure(
    plan: Plan,
    engine: Engine,
    progress: Progress,
    result: Result,
    *,
    open_meter: Callable[[], Any] = _meter_or_reasons,
    measure_joules: Callable[..., JoulesPass] = energy.measure_joules,
) -> None:
    """Fill in the J per call, and the trace of a study that wants one, or the reason why there are none.

    When not all cases fit into the time, the slowest go without. Ctrl-C keeps the timing, and the reason says so.
    """
    to_do = list(targets(plan, result))
    if not to_do or result["interrupted"]:
        result["energy"] = {"source": None, "reason": "the run ended before the energy pass"}
        return
    try:
        with open_meter() as meter:
            if meter.selection.missing:
                result["energy"] = {"source": None, "reason": _why_not(meter.selection.missing)}
                return
            result["traces"] = []
            result["energy"] = {"source": None, "reason": None}
            for target in to_do:
                progress.begin(f"measuring joules at {target.size}", target.seconds)
                _fill(plan, engine, result, target, lambda calls, **more: measure_joules(calls, meter=meter, **more))
    except KeyboardInterrupt:
        result["interrupted"] = True
        result["energy"] = {"source": None, "reason": "the energy pass was interrupted"}
    finally:
        progress.close()


def _fill(plan: Plan, engine: Engine, result: Result, target: Target, run: Callable[..., JoulesPass]) -> None:
    problem = Problem(target.size, plan.seed, engine.empty)
    kinds = {card["name"]: card["kind"] for card in result["strategies"]}
    cases = target.result["cases"]
    records = [r for r in cases if r["status"] == "ok" and figures.size_of(r) == target.size]
    records.sort(key=lambda record: min(record["seconds"]))
    while True:
        calls = {
            figures.full_label(record): engine.bind(
                case_of(record, kinds[record["strategy"]]), problem.A, problem.B, problem.out
            )
            for record in records
        }
        try:
            flops = float(target.size.flops)
            found = run(calls, flops=flops, max_seconds=target.seconds, trace=target.study.traces)
            break
        except ValueError as error:  # even the shortest windows of all cases do not fit into max_seconds
            records.pop()
            if not records:
                result["energy"]["reason"] = result["energy"]["reason"] or str(error)
                return
    if found.source is None:
        result["energy"]["reason"] = result["energy"]["reason"] or found.reason
        return
    result["energy"] = {"source": found.source, "reason": None}
    for record in records:
        record["joules_per_call"] = found.joules_per_call[figures.full_label(record)]
        if found.comparison is not None:
            _add_details(record, found.comparison[figures.full_label(record)], found.source)
    if found.comparison is not None and target.study.traces:
        result["traces"] += _traces(found.comparison, target.study.name, found.source)


def _add_details(record: CaseRecord, measured: BenchResult, source: str) -> None:
    if measured.net is None or measured.time is None:
        return
    record["energy"] = {
        "joules_per_call": measured.net.value,
        "joules_per_call_u": measured.net.u,
        "watts": None if measured.power is None else measured.power.value,
        "seconds": measured.time.value,
        "source": source,
        "calls": measured.calls,
    }


def _traces(comparison: Comparison, study: str, source: str) -> list[TraceRecord]:
    """One trace of all that was recorded, in the order of time, with a mark for each stretch of one case or of idle."""
    points = sorted(
        (point.t_s, point.watts, "idle" if name == IDLE else name)
        for name, trace in comparison.trace.items()
        for point in trace
    )
    if not points:
        return []
    marks: list[Mark] = []
    for name, stretch in itertools.groupby(points, key=lambda point: point[2]):
        times = [seconds for seconds, _, _ in stretch]
        marks.append({"name": name, "begin_seconds": times[0], "end_seconds": times[-1]})
    return [
        {
            "study": study,
            "source": source,
            "seconds": [seconds for seconds, _, _ in points],
            "watts": [watts for _, watts, _ in points],
            "marks": marks,
        }
    ]


def _why_not(missing: tuple[str, ...]) -> str:
    """Each reason once, though several sources may give it: "powercap: vm-no-rapl: …", "perf: vm-no-rapl: …"."""
    reasons = dict.fromkeys(line.partition(": ")[2] or line for line in missing)
    return f"{'; '.join(reasons)} (frugalblas energy doctor says more)"
