"""Joules and watts of one case from its blocks: the arithmetic of the uncertainties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from statistics import fmean

from .errors import BelowResolution
from .quantity import Provenance, Quantity
from .resolution import needed_s
from .results import Block, Estimate
from .statistics import combine_u, mean_interval, t_quantile


@dataclass(frozen=True)
class Context:
    """What all cases of a measurement share."""

    idle: Estimate | None  # W
    idle_problem: str
    idle_share: float
    rel_u: float = 0.0  # of the instrument, the same in every block: not reduced by repeating
    flags: frozenset[str] = frozenset()


def floor_u(us: Sequence[float], provenance: Provenance) -> float:
    """What the instrument alone leaves uncertain of a mean of blocks.

    The ends of the windows fall anywhere in a tick, independently: u / sqrt(n). What somebody declared is as wrong in
    one block as in the next: u.
    """
    return math.hypot(*us) / len(us) if provenance.is_measured else fmean(us)


def estimate(
    value: float, u: float, dof: float, unit: str, blocks: Sequence[Block], *, at_least: Provenance
) -> Estimate:
    """With the weakest provenance and all sources of the blocks' energies."""
    energies: list[Quantity] = [block.energy for block in blocks if block.energy is not None]
    provenance = reduce(Provenance.__or__, (energy.provenance for energy in energies), at_least)
    source = tuple(dict.fromkeys(name for energy in energies for name in energy.source))
    return Estimate(value, u, unit, provenance, source, dof)


def gross_j(blocks: Sequence[Block], context: Context) -> Estimate | None:
    """J per call, all that the zones used. Needs the idle power (else None) where blocks end with a rest."""
    if any(block.rest_s for block in blocks):
        return None if context.idle is None else less_idle_j(blocks, context, 0.0)
    return _mean(blocks, [1.0 / block.calls for block in blocks], "J", context.rel_u, Provenance.MEASURED)


def power_w(blocks: Sequence[Block], context: Context) -> Estimate | None:
    """Gross W while it runs; None where blocks end with a rest."""
    if any(block.rest_s for block in blocks):
        return None
    return _mean(blocks, [1.0 / block.seconds for block in blocks], "W", context.rel_u, Provenance.DERIVED)


def _mean(blocks: Sequence[Block], factors: Sequence[float], unit: str, rel_u: float, least: Provenance) -> Estimate:
    """The mean of energy x factor."""
    pairs = [(block.energy, factor) for block, factor in zip(blocks, factors, strict=True) if block.energy]
    provenance = reduce(Provenance.__or__, (energy.provenance for energy, _ in pairs))
    floor = floor_u([energy.u * factor for energy, factor in pairs], provenance)
    found = mean_interval([energy.value * factor for energy, factor in pairs], floor_u=floor)
    u, dof = combine_u((found.u, found.dof), (rel_u * found.mean, math.inf))
    return estimate(found.mean, u, dof, unit, blocks, at_least=least)


def less_idle_j(blocks: Sequence[Block], context: Context, share: float) -> Estimate:
    """J per call less `share` of the idle energy: E/n - P_idle x (share x T/n + rest/n).

    u^2 = u_A^2 + ((share x T/n + rest/n) x u(P_idle))^2: the scatter of the blocks (of this very difference, so that
    what time and energy have in common cancels), and the idle power, whose error all blocks share. The instrument's own
    relative error is common to both terms and scales the difference.
    """
    assert context.idle is not None
    idle = context.idle
    values, us, times = [], [], []
    for block in blocks:
        if block.energy is not None:
            idle_s = share * block.call_s + block.rest_s / block.calls
            values.append(block.energy.value / block.calls - idle.value * idle_s)
            us.append(block.energy.u / block.calls)
            times.append(idle_s)
    least = reduce(Provenance.__or__, (block.energy.provenance for block in blocks if block.energy))
    scatter = mean_interval(values, floor_u=floor_u(us, least))
    u, dof = combine_u(
        (scatter.u, scatter.dof), (fmean(times) * idle.u, idle.dof), (context.rel_u * scatter.mean, math.inf)
    )
    plain = estimate(scatter.mean, u, dof, "J", blocks, at_least=Provenance.DERIVED)
    source = tuple(dict.fromkeys((*plain.source, *idle.source)))
    return Estimate(plain.value, plain.u, "J", plain.provenance | idle.provenance, source, dof)


def net_j(name: str, blocks: Sequence[Block], context: Context) -> tuple[Estimate | None, BelowResolution | None]:
    """Net J per call; where it is below twice its uncertainty, a bound in its place."""
    net, idle = less_idle_j(blocks, context, 1.0), context.idle
    assert idle is not None
    if net.value >= 2.0 * net.u:
        return net, None
    bound = max(net.value, 0.0) + max(2.0, t_quantile(0.975, net.dof)) * net.u
    time, calls = fmean(block.call_s for block in blocks), fmean(block.calls for block in blocks)
    ends = math.sqrt(max(net.u**2 - (time * idle.u) ** 2, 0.0)) * calls
    text = (
        f"the net energy of {name!r} cannot be told from zero: {net.value:.3g} ± {net.u:.2g} J per call above an idle "
        f"power of {idle.value:.4g} ± {idle.u:.2g} W; it is less than {bound:.3g} J per call"
    )
    return None, BelowResolution(text, upper_bound_j=bound, needed_s=needed_s(net.value / time, idle.u, ends))


def bound_j(blocks: Sequence[Block]) -> BelowResolution:
    """Where some window saw no tick: the most that a call can have used, from all windows that were read."""
    read = [block for block in blocks if block.energy is not None or block.bound_j is not None]
    most = sum((b.energy.value + 2 * b.energy.u) if b.energy else (b.bound_j or 0.0) for b in read)
    per_call = most / sum(block.calls for block in read)
    why = next(block.problem for block in read if block.bound_j is not None)
    return BelowResolution(f"less than {per_call:.3g} J per call: {why}", upper_bound_j=per_call)
