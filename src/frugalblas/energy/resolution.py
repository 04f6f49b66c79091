"""What one zone used between two marks, and how well that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from .counter import Mark
from .errors import BelowResolution, CounterFault
from .quantity import Quantity
from .zones import Zone

# The two ends of a window fall anywhere in a tick or a step: each end's error is uniform, of variance 1/12.
UNIFORM_ENDS = math.sqrt(2 / 12)


class Snapshot(NamedTuple):
    """All zones of a meter, read together: ``before_ns`` and ``after_ns`` enclose the reads."""

    before_ns: int
    after_ns: int
    states: dict[str, tuple[int, int, float, int, str]]  # the fields of a Mark, for speed

    @property
    def marks(self) -> dict[str, Mark]:
        """The state of each zone's counter."""
        return {id: Mark(*state) for id, state in self.states.items()}


@dataclass(frozen=True)
class ZoneEnergy:
    """One zone over one window: its energy, or the reason there is none."""

    zone: Zone
    energy: Quantity | None
    problem: BelowResolution | CounterFault | None


def window_s(start: Snapshot, end: Snapshot) -> float:
    """From the last read before the work to the first one after it (s)."""
    return (end.before_ns - start.after_ns) * 1e-9


def zone_energy(zone: Zone, start: Mark, end: Mark, seconds: float, tick_s: float) -> ZoneEnergy:
    """The energy of one zone between two marks, over a window of ``seconds``.

    Standard uncertainty: the window's two ends fall anywhere within a tick, P·τ·√(2/12), and within a step of the
    counter, LSB·√(2/12); the counter's window differs from the clock's by the time the reads take (uniform, P·skew/√3);
    a power-integrating source adds its own. The calibration of the sensor is not in it: vendors do not state it.
    """
    if start.faults != end.faults:
        return ZoneEnergy(zone, None, CounterFault(end.fault))
    joules = (end.total_uj - start.total_uj) / 1e6
    if joules == 0:
        return ZoneEnergy(zone, None, _did_not_tick(zone, seconds, tick_s))
    power = min(joules / seconds, zone.max_power_w) if seconds > 0 else zone.max_power_w
    ends = power * tick_s * UNIFORM_ENDS
    skew = power * abs((end.t_ns - start.t_ns) * 1e-9 - seconds) / math.sqrt(3)
    integration = (end.u_uj - start.u_uj) * 1e-6
    u = math.hypot(ends, zone.lsb_uj * 1e-6 * UNIFORM_ENDS, skew, integration)
    return ZoneEnergy(zone, Quantity(joules, u, "J", zone.provenance, (f"{zone.backend}:{zone.id}",)), None)


def _did_not_tick(zone: Zone, seconds: float, tick_s: float) -> BelowResolution | CounterFault:
    label = f"{zone.id} ({zone.name or zone.domain})"
    # Long enough for any live counter to move: a hundred ticks, and a step at a tenth of a watt.
    if seconds > max(100 * tick_s, zone.lsb_uj * 1e-6 / 0.1):
        return CounterFault(f"{label}: did not move in {seconds:.6g} s: frozen or dead")
    bound = zone.lsb_uj * 1e-6 + zone.max_power_w * min(max(seconds, 0.0), tick_s)
    text = f"{label} did not tick in {seconds:.3g} s: less than {bound:.3g} J; repeat the work within one region"
    return BelowResolution(text, upper_bound_j=bound, needed_s=2 * UNIFORM_ENDS * tick_s)


def needed_s(power: float, u_power: float, u_ends: float) -> float:
    """The window T for which power·T = 2·√(u_ends² + (u_power·T)²); infinite if there is none (s)."""
    margin = power * power - 4 * u_power * u_power
    return 2 * u_ends / math.sqrt(margin) if power > 0 and margin > 0 else math.inf


def resolved(energy: Quantity, seconds: float, u_power: float = 0.0, what: str = "the energy") -> Quantity:
    """``energy`` itself, if it can be told from zero.

    Raises:
        BelowResolution: value < 2 u. The upper bound is value + 2 u, or 2 u where the value is negative.
    """
    if energy.value >= 2 * energy.u:
        return energy
    bound = max(energy.value, 0.0) + 2 * energy.u
    ends = math.sqrt(max(energy.u**2 - (u_power * seconds) ** 2, 0.0))
    needed = needed_s(energy.value / seconds, u_power, ends) if seconds > 0 else math.inf
    advice = f"it needs about {needed:.3g} s" if math.isfinite(needed) else "no longer window would help"
    text = f"{what} cannot be told from zero in {seconds:.3g} s: {energy.value:.3g} ± {energy.u:.2g} J; {advice}"
    raise BelowResolution(text, upper_bound_j=bound, needed_s=needed)
