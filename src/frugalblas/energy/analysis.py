"""From blocks to results: idle power, and what each case costs per call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from statistics import median, stdev

from .percall import Context, bound_j, estimate, floor_u, gross_j, less_idle_j, net_j, power_w
from .plan import LEAST_BLOCKS
from .quantity import Provenance
from .results import BenchResult, Block, Comparison, Estimate, TracePoint
from .statistics import combine_u, mean_interval
from .wattlog import WattLog
from .wattrows import WattLogError

MEDIAN_COST = math.sqrt(math.pi / 2)  # u of a median over u of a mean: its limit for many blocks, an upper bound
FOREIGN_SHARE = 0.05  # of all CPUs: above it, somebody else's joules are in the figures


def idle_power(blocks: Sequence[Block], rel_u: float = 0.0) -> tuple[Estimate | None, str]:
    """Median power of the idle blocks (W), or None and why.

    The median, for a disturbance of an idle machine only adds. u from the spread between blocks, which holds the slow
    wander of idle power as the spread within one would not, and at least what the counter leaves uncertain.
    """
    good = [block for block in blocks if block.energy is not None]
    if len(good) < LEAST_BLOCKS:
        problem = next((block.problem for block in blocks if block.problem), "")
        return None, f"{len(good)} idle blocks gave energy, {LEAST_BLOCKS} are needed{problem and ': '}{problem}"
    watts = [energy.value / block.seconds for block in good if (energy := block.energy)]
    floors = [energy.u / block.seconds for block in good if (energy := block.energy)]
    spread_u = MEDIAN_COST * stdev(watts) / math.sqrt(len(watts))
    provenance = reduce(Provenance.__or__, (block.energy.provenance for block in good if block.energy))
    least_u = MEDIAN_COST * floor_u(floors, provenance)
    u, dof = (spread_u, len(watts) - 1.0) if spread_u >= least_u else (least_u, math.inf)
    u, dof = combine_u((u, dof), (rel_u * median(watts), math.inf))
    return estimate(median(watts), u, dof, "W", good, at_least=Provenance.DERIVED), ""


def result_of(
    name: str,
    blocks: Sequence[Block],
    flops: float | None,
    context: Context,
    trace: Sequence[TracePoint] = (),
    failed: str = "",
) -> BenchResult:
    """All figures of one case; those that cannot be had are None."""
    flags = set(context.flags) | _flags_of(blocks)
    figures: dict[str, Estimate | None] = dict.fromkeys(("time", "gross", "net", "amortised", "power"))
    below, problem = None, failed
    if failed:
        flags.add("failed")
    if len(blocks) >= 2:
        per_call = mean_interval([block.call_s for block in blocks])
        figures["time"] = Estimate(
            per_call.mean, per_call.u, "s", Provenance.MEASURED, ("monotonic clock",), per_call.dof
        )
    good = [block for block in blocks if block.energy is not None]
    unresolved = [block for block in blocks if block.bound_j is not None]
    if unresolved:  # leaving them out would keep the blocks that happened to tick, and overstate
        below = bound_j(blocks)
        problem = problem or str(below)
    elif len(good) < 2:
        problem = problem or next((block.problem for block in blocks if block.problem), "too few blocks")
    else:
        figures["gross"], figures["power"] = gross_j(good, context), power_w(good, context)
        if context.idle is None:
            problem = problem or f"no net energy: {context.idle_problem}"
        else:
            net, below = net_j(name, good, context)
            figures["net"], problem = net, problem or (str(below) if below else "")
            figures["amortised"] = less_idle_j(good, context, 1.0 - context.idle_share) if net else None
    if below is not None:
        flags.add("below-resolution")
    return BenchResult(
        name=name,
        time=figures["time"],
        gross=figures["gross"],
        net=figures["net"],
        amortised=figures["amortised"],
        power=figures["power"],
        flops=flops,
        calls=sum(block.calls for block in blocks),
        blocks=tuple(blocks),
        flags=frozenset(flags),
        problem=problem,
        below=below,
        trace=tuple(trace),
    )


def _flags_of(blocks: Sequence[Block]) -> set[str]:
    flags = set()
    if any(block.foreign_share is not None and block.foreign_share > FOREIGN_SHARE for block in blocks):
        flags.add("foreign-load")
    if any(block.energy is None and block.bound_j is None and block.problem for block in blocks):
        flags.add("faults")
    counts = [block.state.throttle_events for block in blocks if block.state.throttle_events is not None]
    if counts and max(counts) > min(counts):
        flags.add("throttled")
    return flags


def with_watt_log(comparison: Comparison, log: WattLog, *, clock_u_s: float | None = None) -> Comparison:
    """The same measurement with its joules taken from a wattmeter's log, matched by clock.

    Blocks that the log does not cover, or covers with a gap, have no energy and say so.
    """
    blocks_only = replace(log, rel_u=0.0)  # the meter's own error is one for all blocks: applied to their mean

    def refill(block: Block) -> Block:
        began, ended = (comparison.began.to_wall_ns(t_ns) for t_ns in (block.started_ns, block.ended_ns))
        try:
            energy, problem = blocks_only.energy_ns(began, ended, clock_u_s=clock_u_s), ""
        except WattLogError as error:
            energy, problem = None, str(error)
        return replace(block, energy=energy, problem=problem, bound_j=None)

    idle_blocks = tuple(refill(block) for block in comparison.idle_blocks)
    idle, idle_problem = idle_power(idle_blocks, log.rel_u or 0.0)
    flags = (comparison.flags - {"unmeasured"}) | {f"log-{flag}" for flag in log.flags}
    context = Context(idle, idle_problem, comparison.settings.idle_share, log.rel_u or 0.0, frozenset(flags))
    results = {
        name: result_of(
            name,
            [refill(block) for block in old.blocks],
            old.flops,
            context,
            failed=old.problem if "failed" in old.flags else "",
        )
        for name, old in comparison.results.items()
    }
    zone = {"id": f"wattmeter:{log.name}", "domain": "wall", "backend": "wattmeter"}
    return replace(
        comparison,
        results=results,
        idle=idle,
        idle_blocks=idle_blocks,
        scope="platform",
        zones=(zone,),
        flags=frozenset(flags),
        reason=reason_of(results),
        cost=None,
        trace={},
    )


def reason_of(results: Mapping[str, BenchResult]) -> str:
    """Why there are no joules at all; "" if some case has some."""
    if any(result.gross is not None or result.below is not None for result in results.values()):
        return ""
    return next((result.problem for result in results.values() if result.problem), "nothing was measured")
