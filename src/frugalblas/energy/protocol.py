"""The protocol: joules per call of one piece of work, or of several compared, that can be published.

    with Meter() as meter:
        comparison = compare({"blocked": run_blocked, "openblas": run_openblas}, meter=meter, flops=2 * M * N * K)
    print(comparison.table())

Warm up until the machine is steady, then measure windows long enough for the counter's tick, of all cases and of idle
in a random order, and report means with t-intervals. docs/energy.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .analysis import idle_power
from .blocks import Windows
from .conditions import Machine
from .errors import EnergyUnavailable
from .meter import Meter
from .plan import IDLE, LEAST_BLOCKS, Settings
from .reading import Idle
from .results import BenchResult, Comparison
from .runner import Runner

Work = Callable[[], object]


def compare(
    cases: Mapping[str, Work],
    *,
    meter: Meter | None = None,
    flops: float | Mapping[str, float] | None = None,
    sync: Callable[[], object] | None = None,
    machine: Machine | None = None,
    **settings: Any,
) -> Comparison:
    """Measure several ways of doing the same work, interleaved, per call.

    `cases`: name -> function without arguments. `meter`: default a Meter of scope "cpu+dram". `flops` of one call, for
    all or by name. `sync` waits for a GPU's queue. `settings` are the fields of :class:`Settings`. A case that raises
    is recorded as failed; the others go on. Raises EnergyUnavailable if nothing here can measure (a meter made with
    ``on_missing="none"`` gives times only, and the reason), ValueError for bad settings or a measurement that cannot
    fit into `max_seconds`.
    """
    chosen = Settings(**settings)
    if not cases or not all(isinstance(name, str) and name and name != IDLE for name in cases):
        raise ValueError(f"cases must be a mapping of names (not {IDLE!r}) to functions, with at least one")
    by_name = dict.fromkeys(cases, flops) if flops is None or isinstance(flops, (int, float)) else dict(flops)
    if unknown := set(by_name) - set(cases):
        raise ValueError(f"flops are given for {', '.join(sorted(unknown))}, which is no case")
    with ExitStack() as stack:
        used = stack.enter_context(Meter()) if meter is None else meter
        return Runner(cases, by_name, Windows(used, machine or Machine(), sync), chosen).run()


def bench(work: Work, *, name: str | None = None, flops: float | None = None, **options: Any) -> BenchResult:
    """Measure one piece of work per call; `options` are those of :func:`compare`. An exception of `work` is raised."""
    label = name or str(getattr(work, "__name__", "work"))
    errors: list[Exception] = []

    def kept() -> object:
        try:
            return work()
        except Exception as error:
            errors.append(error)
            raise

    result: BenchResult = compare({label: kept}, flops=flops, **options)[label]
    if errors:
        raise errors[0]
    return result


def measure_idle(meter: Meter, *, seconds: float = 2.0, blocks: int = 5, machine: Machine | None = None) -> Idle:
    """The power of the meter's zones while this program waits, from `blocks` windows of `seconds` each.

    It starts when this process's own threads sleep. For ``Meter(idle=...)``; :func:`compare` measures its own, in
    between. Raises ValueError for fewer than 3 blocks or seconds <= 0, EnergyUnavailable if the windows gave no energy.
    """
    if blocks < LEAST_BLOCKS or not seconds > 0.0:
        raise ValueError(f"idle power needs at least {LEAST_BLOCKS} blocks of a positive length")
    windows = Windows(meter, machine or Machine())
    with meter.region("idle power"):
        windows.wait_until_asleep()
        measured = [windows.rest(IDLE, seconds) for _ in range(blocks)]
    power, problem = idle_power(measured)
    if power is None:
        raise EnergyUnavailable(f"no idle power: {problem}")
    return Idle(power, tuple(zone.id for zone in meter.zones), seconds, blocks)


@dataclass(frozen=True)
class JoulesPass:
    """What a benchmark needs: J per call by case (None where there is no figure), and where from or why not."""

    joules_per_call: dict[str, float | None]
    source: str | None
    reason: str | None
    comparison: Comparison | None


def measure_joules(cases: Mapping[str, Work], *, meter: Meter | None = None, **options: Any) -> JoulesPass:
    """Like :func:`compare`, in a pass of its own after a benchmark's timing; a machine without counters is no error.

    J per call are net. `options` are those of :func:`compare`.
    """
    nothing = dict.fromkeys(cases)
    try:
        comparison = compare(cases, meter=meter, **options)
    except EnergyUnavailable as error:
        return JoulesPass(nothing, None, str(error), None)
    if comparison.reason:
        return JoulesPass(nothing, None, comparison.reason, comparison)
    joules = {name: None if r.net is None else r.net.value for name, r in comparison.results.items()}
    source = ", ".join(zone["id"] for zone in comparison.zones)
    return JoulesPass(joules, f"{comparison.scope}: {source}, net of idle", None, comparison)
