"""Quantities that say how sure they are and where they come from.

Uncertainties are propagated here, to first order, for independent inputs (JCGM 100:2008 "GUM", eq. 10). The package
``uncertainties`` would also track correlations, but every figure of this module is built from independent parts (a
counter difference, an idle power, a clock), it would be a second run-time dependency of a library that has one, and
it cannot carry a provenance. Code that combines two figures made from the same reading must go back to their parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from statistics import NormalDist
from typing import Any


class Provenance(Enum):
    """How a figure was obtained, strongest first. Combining figures keeps the weakest."""

    MEASURED = 1  # the difference of two readings of a hardware energy counter, or a sum of such
    DERIVED = 2  # computed from measurements alone: power over time, net of a measured idle, a ratio
    ESTIMATED = 3  # a model fitted to measurements, or a published table
    ASSUMED = 4  # a number somebody declared

    @property
    def is_measured(self) -> bool:
        """Whether the figure rests on measurements alone (measured or derived)."""
        return self in (Provenance.MEASURED, Provenance.DERIVED)

    def __or__(self, other: Provenance) -> Provenance:
        """The weaker of two."""
        return max(self, other, key=lambda provenance: provenance.value)


class Reason(Enum):
    """Why a counter can or cannot be used. ``code`` is the stable spelling of reports, e.g. ``vm-no-rapl``."""

    OK = 0
    NO_PERMISSION = 1
    CONTAINER_MASKED = 2
    VM_NO_RAPL = 3
    DRIVER_MISSING = 4
    DEAD = 5
    MIRRORED = 6
    NOT_SUPPORTED = 7
    INCONSISTENT = 8

    @property
    def code(self) -> str:
        """Lower case with hyphens; these spellings never change."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True)
class Quantity:
    """A value with its standard uncertainty ``u`` (one sigma), its unit, its provenance and its sources.

    Raises:
        ValueError: the value is not finite, or ``u`` is negative or not finite. What was not measured has no
            Quantity at all: it is ``None``, an exception or a flag, never 0.0.
    """

    value: float
    u: float
    unit: str
    provenance: Provenance
    source: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is not a number."""
        if not math.isfinite(self.value):
            raise ValueError(f"a quantity must be finite, not {self.value}")
        if not (math.isfinite(self.u) and self.u >= 0):
            raise ValueError(f"a standard uncertainty must be finite and not negative, not {self.u}")

    @property
    def relative_u(self) -> float:
        """``u / |value|``; infinite for a value of zero."""
        return self.u / abs(self.value) if self.value else math.inf

    def ci(self, level: float = 0.95) -> tuple[float, float]:
        """The interval that holds the true value with probability ``level``, for a normal error."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}")
        half = NormalDist().inv_cdf((1 + level) / 2) * self.u
        return self.value - half, self.value + half

    def derived(self, value: float, u: float, unit: str, *others: Quantity) -> Quantity:
        """A figure computed from this one and others: weakest provenance, at least derived, and all their sources."""
        inputs = (self, *others)
        provenance = reduce(Provenance.__or__, (q.provenance for q in inputs), Provenance.DERIVED)
        return Quantity(value, u, unit, provenance, _sources(inputs))

    def __add__(self, other: Quantity) -> Quantity:
        """Sum of independent quantities of one unit; a sum of counters is as measured as they are."""
        return self._sum(other, 1.0)

    def __sub__(self, other: Quantity) -> Quantity:
        """Difference of independent quantities of one unit."""
        return self._sum(other, -1.0)

    def _sum(self, other: Quantity, sign: float) -> Quantity:
        if not isinstance(other, Quantity):
            return NotImplemented
        if other.unit != self.unit:
            raise ValueError(f"cannot add {other.unit} to {self.unit}")
        return Quantity(
            self.value + sign * other.value,
            math.hypot(self.u, other.u),
            self.unit,
            self.provenance | other.provenance,
            _sources((self, other)),
        )

    def __mul__(self, other: Quantity | float) -> Quantity:
        """Product with an exact number, or with an independent quantity (then at least derived)."""
        if isinstance(other, Quantity):
            u = math.hypot(self.u * other.value, other.u * self.value)
            return self.derived(self.value * other.value, u, _product_unit(self.unit, other.unit), other)
        if isinstance(other, (int, float)):
            return Quantity(self.value * other, self.u * abs(other), self.unit, self.provenance, self.source)
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Quantity | float) -> Quantity:
        """Quotient by an exact number, or by an independent quantity (then at least derived)."""
        if isinstance(other, Quantity):
            value = self.value / other.value
            u = math.hypot(self.u / other.value, other.u * value / other.value)
            return self.derived(value, u, _quotient_unit(self.unit, other.unit), other)
        if isinstance(other, (int, float)):
            return self * (1.0 / other)
        return NotImplemented

    def __str__(self) -> str:
        """As ``12.34 ± 0.05 J (measured)``, the uncertainty to two digits and the value to the same place."""
        if self.u == 0:
            return f"{self.value:.6g} {self.unit} ({self.provenance.name.lower()})"
        digits = max(0, 1 - math.floor(math.log10(self.u)))
        return f"{self.value:.{digits}f} ± {self.u:.{digits}f} {self.unit} ({self.provenance.name.lower()})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: value, u, unit, provenance, source."""
        return {
            "value": self.value,
            "u": self.u,
            "unit": self.unit,
            "provenance": self.provenance.name.lower(),
            "source": list(self.source),
        }


def total(quantities: list[Quantity]) -> Quantity:
    """The sum of independent quantities; ValueError if there are none, for an empty sum is not zero joules."""
    if not quantities:
        raise ValueError("no quantities to add: nothing measured is not zero")
    return reduce(Quantity.__add__, quantities)


def _sources(quantities: tuple[Quantity, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for quantity in quantities for source in quantity.source))


_PRODUCTS = {("W", "s"): "J", ("s", "W"): "J"}
_QUOTIENTS = {("J", "s"): "W", ("J", "W"): "s"}


def _product_unit(left: str, right: str) -> str:
    return _PRODUCTS.get((left, right), f"{left}·{right}")


def _quotient_unit(left: str, right: str) -> str:
    return "1" if left == right else _QUOTIENTS.get((left, right), f"{left}/{right}")
