"""Declared power: what somebody says a load draws. Used only when asked for by name; every joule of it is ``assumed``.

A model is never a fallback. The figures it gives are its parameters multiplied by a time, so its uncertainty is what
the caller declares, and its provenance stays with everything computed from it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .quantity import Provenance, Quantity, Reason
from .zones import Sample, Zone


@dataclass(frozen=True)
class DeclaredModel:
    """A constant power above idle, and how it came about. Make one with the functions below."""

    watts: float
    u_watts: float
    description: str

    @property
    def power(self) -> Quantity:
        """The declared power (W), `assumed`."""
        return Quantity(self.watts, self.u_watts, "W", Provenance.ASSUMED, (f"model:{self.description}",))

    def energy(self, seconds: Quantity) -> Quantity:
        """Power x time (J), `assumed`."""
        return self.power * seconds


def constant_power(delta_p_w: float, *, u_w: float) -> DeclaredModel:
    """The load draws `delta_p_w` (W) more than idle. Raises ValueError unless it is positive and `u_w` at least 0."""
    return _declare(delta_p_w, u_w, f"constant {delta_p_w:g} W")


def share_of_tdp(tdp_w: float, share: float, *, u_w: float) -> DeclaredModel:
    """`share` (0 to 1) of the data sheet's thermal design power (W). Raises ValueError for anything else."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share!r}; expected a number above 0, at most 1")
    return _declare(tdp_w * share, u_w, f"{share:g} x TDP {tdp_w:g} W")


def power_of_threads(p1_watts: float, threads: int, exponent: float, *, u_w: float) -> DeclaredModel:
    """The course's P(n) = p1_watts x threads ** exponent (W). Raises ValueError for fewer than one thread."""
    if isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads is {threads!r}; expected 1 or more")
    return _declare(p1_watts * threads**exponent, u_w, f"{p1_watts:g} W x {threads} ** {exponent:g}")


def _declare(watts: float, u_w: float, description: str) -> DeclaredModel:
    if not (math.isfinite(watts) and watts > 0.0):
        raise ValueError(f"a declared power must be positive, not {watts!r} W ({description})")
    if not (math.isfinite(u_w) and u_w >= 0.0):
        raise ValueError(f"u_w is {u_w!r}; a standard uncertainty is 0 or more (W)")
    return DeclaredModel(watts, u_w, description)


class ModelSource:
    """A Source that counts a declared power, for a Meter that was asked for it: ``Meter(sources=[ModelSource(m)])``.

    It runs while the Meter looks, idle or not: the power is one above idle, so take its gross joules.
    """

    def __init__(
        self,
        model: DeclaredModel,
        *,
        domain: str = "package",
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Count from now. `domain` is the zone it stands in for; `clock` gives monotonic nanoseconds."""
        self.name, self.reason, self.hint = "model", Reason.OK, ""
        self._model, self._clock = model, clock
        self._began_ns = clock()
        self.zones: Sequence[Zone] = (
            Zone(
                id=f"model:{model.description}",
                domain=domain,
                socket=None,
                backend="model",
                modulus_uj=None,
                lsb_uj=1.0,
                name=model.description,
                tick_s=1e-6,
                max_power_w=max(1000.0, 10.0 * model.watts),
                provenance=Provenance.ASSUMED,
            ),
        )

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Declared power x time since the start."""
        zone = self.zones[0].id
        if ids is not None and zone not in ids:
            return {}
        t_ns = self._clock()
        seconds = (t_ns - self._began_ns) / 1e9
        return {zone: Sample(t_ns, round(self._model.watts * seconds * 1e6), self._model.u_watts * seconds * 1e6)}

    def close(self) -> None:
        """Nothing is kept open."""
