"""Reading: what a region cost, zone by zone, with the uncertainty of each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import BelowResolution, CounterFault
from .quantity import Provenance, Quantity, total
from .resolution import Snapshot, ZoneEnergy, resolved, window_s, zone_energy
from .zones import Zone

CLOCK_U_S = 1e-7  # a monotonic clock's two calls, each well under 100 ns


@dataclass(frozen=True)
class Idle:
    """The power the same zones draw when the program waits (W), and how it was found."""

    power: Quantity
    zones: tuple[str, ...]
    seconds: float = 0.0
    blocks: int = 0


class Reading:
    """What one region used; filled when the region ends, and computed when it is asked for.

    ``gross`` and ``net`` raise ``BelowResolution`` or ``CounterFault`` where there is no number to give (they are None
    if the meter was made with ``on_missing="none"``); the region itself never raises for that, so a result computed
    inside it is not lost. ``problem`` is the exception that ``gross`` would raise, or None.
    """

    # What a region starts with; defaults of the class, so that making a Reading costs little.
    error = ""  # the exception that ended the region, if one did
    _fault = ""  # of the region as a whole
    _zones: Sequence[tuple[Zone, float]] = ()  # with the tick of each
    _window: tuple[Snapshot, Snapshot] | None = None
    _idle: Idle | None = None

    def __init__(self, name: str, flops: float | None, on_missing: str) -> None:
        """Made by ``Meter.region``."""
        self.name = name
        self.path: tuple[str, ...] = (name,)  # the names of the regions around it and its own
        self.flops = flops
        self._on_missing = on_missing
        self._flags: set[str] = set()

    @property
    def ended(self) -> bool:
        """Whether the region is over, so that there are figures."""
        return self._window is not None

    def _ends(self) -> tuple[Snapshot, Snapshot]:
        if self._window is None:
            raise RuntimeError(f"the region {self.name!r} has not ended yet")
        return self._window

    @property
    def started_ns(self) -> int:
        """Start of the window on the meter's monotonic clock (ns)."""
        return self._ends()[0].after_ns

    @property
    def ended_ns(self) -> int:
        """End of the window on the meter's monotonic clock (ns)."""
        return self._ends()[1].before_ns

    @cached_property
    def time(self) -> Quantity:
        """Wall time of the region (s)."""
        return Quantity(window_s(*self._ends()), CLOCK_U_S, "s", Provenance.MEASURED, ("monotonic clock",))

    @cached_property
    def _energies(self) -> dict[str, ZoneEnergy]:
        start, end = self._ends()
        if self._fault:
            return {zone.id: ZoneEnergy(zone, None, CounterFault(self._fault)) for zone, _ in self._zones}
        first, last, seconds = start.marks, end.marks, window_s(start, end)
        return {
            zone.id: zone_energy(zone, first[zone.id], last[zone.id], seconds, tick_s) for zone, tick_s in self._zones
        }

    @property
    def per_zone(self) -> dict[str, Quantity]:
        """Joules by zone id, of the zones that gave any; see ``faults`` for the others."""
        return {id: result.energy for id, result in self._energies.items() if result.energy}

    @property
    def faults(self) -> dict[str, str]:
        """Why a zone gave none, by zone id."""
        return {id: str(result.problem) for id, result in self._energies.items() if result.problem}

    @cached_property
    def _gross(self) -> Quantity | BelowResolution | CounterFault | None:
        results = list(self._energies.values())
        problems = [result.problem for result in results if result.problem]
        for problem in problems:
            if isinstance(problem, CounterFault):
                return problem
        if problems:  # some zone did not tick: all that is known is the sum of the bounds
            bound = sum(p.upper_bound_j for p in problems if isinstance(p, BelowResolution))
            bound += sum(result.energy.value + 2 * result.energy.u for result in results if result.energy)
            needed = max(p.needed_s for p in problems if isinstance(p, BelowResolution))
            return BelowResolution("; ".join(map(str, problems)), upper_bound_j=bound, needed_s=needed)
        energies = [result.energy for result in results if result.energy]
        if not energies:
            return None
        try:
            return resolved(total(energies), self.time.value, what=f"the energy of {self.name!r}")
        except BelowResolution as problem:
            return problem

    @property
    def problem(self) -> BelowResolution | CounterFault | None:
        """Why there is no gross energy, or None."""
        return self._gross if isinstance(self._gross, Exception) else None

    @property
    def gross(self) -> Quantity | None:
        """All that the zones used in the window (J)."""
        return self._give(self._gross)

    @cached_property
    def _net(self) -> Quantity | BelowResolution | CounterFault | None:
        gross, idle, time = self._gross, self._idle, self.time
        if idle is None or not isinstance(gross, Quantity):
            return gross if isinstance(gross, Exception) else None
        net = gross - idle.power * time
        try:
            return resolved(net, time.value, idle.power.u, what=f"the net energy of {self.name!r}")
        except BelowResolution as problem:
            return problem

    @property
    def net(self) -> Quantity | None:
        """Gross less the idle power over the same time, E − P_idle·T (J); None if the meter has no idle power."""
        return self._give(self._net)

    def _give(self, found: Quantity | BelowResolution | CounterFault | None) -> Quantity | None:
        if isinstance(found, Quantity) or found is None:
            return found
        if self._on_missing == "raise":
            raise found
        return None

    @property
    def flags(self) -> frozenset[str]:
        """What a reader of the figures must know.

        ``failed`` an exception ended the region · ``forked`` in a child process · ``overlap`` another region of this
        meter ran at the same time in another thread, and its energy is in here · ``mirrored`` dies counted once ·
        ``no-dram`` this machine has no DRAM counter · ``unmeasured`` · ``below-resolution`` · ``fault``
        """
        flags = set(self._flags)
        if not self.ended:
            return frozenset(flags)
        if not self._zones:
            flags.add("unmeasured")
        elif isinstance(self._gross, BelowResolution) or isinstance(self._net, BelowResolution):
            flags.add("below-resolution")
        elif isinstance(self._gross, CounterFault):
            flags.add("fault")
        return frozenset(flags)

    @property
    def power(self) -> Quantity | None:
        """Mean gross power (W)."""
        gross = self.gross
        return gross / self.time if gross else None

    def gflops_per_watt(self) -> Quantity:
        """1e-9 · flops / joules: net joules if the meter knows the idle power, else gross ("GFLOP/s/W").

        Raises:
            ValueError: the region was not given its flops, or has no energy.
        """
        energy = self.net if self._idle else self.gross
        if self.flops is None or energy is None:
            raise ValueError(f"the region {self.name!r} has {'no flops=' if self.flops is None else 'no energy'}")
        value = 1e-9 * self.flops / energy.value
        return energy.derived(value, value * energy.relative_u, "GFLOP/s/W")

    def co2e(self, country: str, *, pue: float = 1.0) -> Quantity:
        """Grams of CO2e of the gross energy in ``country`` (ISO 3166 alpha-3). KeyError if it is not in the table."""
        from .carbon import co2e

        gross = self.gross
        if gross is None:
            raise ValueError(f"the region {self.name!r} has no energy")
        return co2e(gross, country, pue=pue)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; figures that do not exist are None, and ``problems`` says why."""
        gross, net = self._gross, self._net
        problems = [*self.faults.values(), *(str(found) for found in (gross, net) if isinstance(found, Exception))]
        return {
            "name": self.name,
            "path": list(self.path),
            "flops": self.flops,
            "error": self.error or None,
            "flags": sorted(self.flags),
            "time": self.time.as_dict(),
            "gross": gross.as_dict() if isinstance(gross, Quantity) else None,
            "net": net.as_dict() if isinstance(net, Quantity) else None,
            "per_zone": {id: energy.as_dict() for id, energy in self.per_zone.items()},
            "problems": list(dict.fromkeys(problems)),
        }
