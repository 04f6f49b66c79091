"""Counter: the running total of one zone, free of wraps, phantom joules and silent gaps.

Every rule here was broken in some published tool: the modulus is the zone's own; a step back without a known modulus is
a fault, not a number; a failed read is a fault, not a zero; a step larger than the hardware can draw is a fault.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .zones import Sample, Zone


class Mark(NamedTuple):
    """A counter's state at one read; two marks of one counter span a window."""

    t_ns: int
    total_uj: int
    u_uj: float
    faults: int  # how many so far: a window in which this rises is invalid
    fault: str  # the latest


class Counter:
    """Sums the differences of consecutive samples of one zone. Not thread-safe: the Meter holds a lock around it."""

    __slots__ = ("_slack_uj", "_uj_per_ns", "_wrap_ns", "fault", "faults", "last", "total_uj", "u_uj", "zone")

    def __init__(self, zone: Zone) -> None:
        """A total of 0, counted from the next sample on."""
        self.zone = zone
        self.total_uj = 0
        self.u_uj = 0.0
        self.last: Sample | None = None
        self.faults = 0
        self.fault = ""
        self._uj_per_ns = zone.max_power_w * 1e-3
        self._slack_uj = _slack_uj(zone)
        self._wrap_ns = math.inf if zone.modulus_uj is None else zone.modulus_uj / self._uj_per_ns

    def update(self, sample: Sample | Exception) -> None:
        """Add what was used since the sample before, or record why that cannot be known."""
        if isinstance(sample, Exception):
            self._fail(f"{type(sample).__name__}: {sample}")
            self.last = None
            return
        if not isinstance(sample, Sample) or not isinstance(sample.energy_uj, int):
            self._fail(f"the source gave {sample!r}, which is no Sample of whole microjoules")
            self.last = None
            return
        modulus = self.zone.modulus_uj
        if sample.energy_uj < 0 or (modulus is not None and sample.energy_uj >= modulus):
            self._fail(f"read {sample.energy_uj} µJ, outside the counter's range of {modulus} µJ")
            self.last = None
            return
        last, self.last = self.last, sample
        if last is None:
            return
        elapsed_ns, step, problem = sample.t_ns - last.t_ns, sample.energy_uj - last.energy_uj, ""
        if not (0 <= elapsed_ns < self._wrap_ns and 0 <= step <= elapsed_ns * self._uj_per_ns + self._slack_uj):
            step, problem = difference(self.zone, last, sample)  # a wrap, or a fault
        if problem:
            self._fail(problem)
        else:
            self.total_uj += step
            self.u_uj += abs(sample.u_uj - last.u_uj)

    def state(self, t_ns: int) -> tuple[int, int, float, int, str]:
        """The fields of a Mark now; ``t_ns`` stands in where there is no sample."""
        return self.last.t_ns if self.last else t_ns, self.total_uj, self.u_uj, self.faults, self.fault

    def _fail(self, text: str) -> None:
        self.faults += 1
        self.fault = f"{self.zone.id} ({self.zone.name or self.zone.domain}): {text}"


def difference(zone: Zone, start: Sample, end: Sample) -> tuple[int, str]:
    """Energy between two samples (µJ), and why it cannot be known (then the energy is 0), else ""."""
    seconds = (end.t_ns - start.t_ns) * 1e-9
    step = end.energy_uj - start.energy_uj
    if seconds < 0:
        return 0, f"the clock went back by {-seconds:.6g} s"
    if step < 0 and zone.modulus_uj is None:
        return 0, f"went back by {-step} µJ (a reset?), and where it wraps is not known"
    if zone.modulus_uj is not None:
        if seconds * zone.max_power_w * 1e6 >= zone.modulus_uj:
            return 0, f"not read for {seconds:.6g} s: it may have wrapped more than once"
        step += zone.modulus_uj if step < 0 else 0
    if step > seconds * zone.max_power_w * 1e6 + _slack_uj(zone):
        return 0, f"moved from {start.energy_uj} to {end.energy_uj} µJ in {seconds:.6g} s: more than it can draw"
    return step, ""


def _slack_uj(zone: Zone) -> float:
    """What was drawn up to one tick before the first sample may show up after it; jitter may double that."""
    return zone.max_power_w * 2 * zone.tick_s * 1e6 + 2 * zone.lsb_uj
