"""Joules: a pass of its own after the timing, by the protocol of `frugalblas.energy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frugalblas import energy
from frugalblas.energy.protocol import JoulesPass

from . import figures
from .cases import Case, Size, Strategy
from .check import Problem
from .engine import Call, Engine
from .plan import Plan
from .progress import Progress
from .schema import CaseRecord, Result

SECONDS_SHARE = 0.25  # of the timing's budget, on top of it: the default command then still ends within two minutes


def _meter_or_reasons() -> energy.Meter:
    return energy.Meter(on_missing="none")


def measure(
    plan: Plan,
    engine: Engine,
    progress: Progress,
    result: Result,
    *,
    open_meter: Callable[[], Any] = _meter_or_reasons,
    measure_joules: Callable[..., JoulesPass] = energy.measure_joules,
) -> None:
    """Fill in the J per call of the table's size, or the reason why there are none.

    When not all cases fit into the time, the slowest go without. Ctrl-C keeps the timing, and the reason says so.
    """
    size = figures.main_size(result)
    if size is None or result["interrupted"]:
        result["energy"] = {"source": None, "reason": "no joules: the run ended before the energy pass"}
        return
    try:
        with open_meter() as meter:
            if meter.selection.missing:
                result["energy"] = {"source": None, "reason": _why_not(meter.selection.missing)}
                return
            progress.begin("measuring joules", SECONDS_SHARE * plan.seconds)
            _fill(plan, engine, result, size, lambda calls, **more: measure_joules(calls, meter=meter, **more))
    except KeyboardInterrupt:
        result["interrupted"] = True
        result["energy"] = {"source": None, "reason": "no joules: the energy pass was interrupted"}
    finally:
        progress.close()


def _fill(plan: Plan, engine: Engine, result: Result, size: Size, run: Callable[..., JoulesPass]) -> None:
    problem = Problem(size, plan.seed)
    records = [r for r in result["cases"] if r["status"] == "ok" and figures.size_of(r) == size]
    records.sort(key=lambda record: min(record["seconds"]))
    while True:
        calls = {_label(record): _bind(engine, record, problem) for record in records}
        try:
            found = run(calls, flops=float(size.flops), max_seconds=SECONDS_SHARE * plan.seconds, trace=False)
            break
        except ValueError as error:  # even the shortest windows of all cases do not fit into max_seconds
            records.pop()
            if not records:
                result["energy"] = {"source": None, "reason": str(error)}
                return
    result["energy"] = {"source": found.source, "reason": found.reason}
    for record in records:
        record["joules_per_call"] = found.joules_per_call[_label(record)]


def _why_not(missing: tuple[str, ...]) -> str:
    """Each reason once, though several sources may give it: "powercap: vm-no-rapl: …", "perf: vm-no-rapl: …"."""
    reasons = dict.fromkeys(line.partition(": ")[2] or line for line in missing)
    return f"none. {'; '.join(reasons)} (frugalblas energy doctor says more)"


def _label(record: CaseRecord) -> str:
    return f"{figures.label_of(record)} on {record['threads']}"


def _bind(engine: Engine, record: CaseRecord, problem: Problem) -> Call:
    strategy = Strategy(record["strategy"], record["variant"])
    return engine.bind(Case(strategy, "", problem.size, record["threads"]), problem.A, problem.B, problem.out)
