"""What the joules of a run come to: a million calls, a year at a rate, grams of CO2e, and where a rebound begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from frugalblas.energy import carbon
from frugalblas.energy.quantity import Provenance, Quantity

from .. import figures, text
from ..charts.points import joules_of, name_of
from ..records import Result

MILLION = 1e6


@dataclass(frozen=True)
class Assumptions:
    """What a reader has declared: countries, calls per second of a year, power usage effectiveness of the site."""

    countries: tuple[str, ...] = ()
    calls_per_second: float | None = None
    pue: float = 1.0

    @property
    def calls_per_year(self) -> float | None:
        """At the declared rate."""
        return None if self.calls_per_second is None else self.calls_per_second * carbon.SECONDS_PER_YEAR


@dataclass(frozen=True)
class Use:
    """One strategy at the size of the table."""

    name: str
    joules: Quantity
    u_known: bool  # older files keep no uncertainty


@dataclass(frozen=True)
class WhatIf:
    """All strategies with joules, most frugal first; empty with the reason if there are none."""

    size: str
    uses: tuple[Use, ...]
    reason: str | None


def what_if(result: Result) -> WhatIf:
    """From the joules of the size with the whole ladder, in the first study that has any."""
    for study in figures.studies(result):
        part = figures.of_study(result, study["name"])
        size = figures.main_size(part)
        rows = figures.rows(part, size) if size is not None else []
        uses = [use for row in rows if (use := _use(result, row)) is not None]
        if uses:
            return WhatIf(str(size), tuple(sorted(uses, key=lambda use: use.joules.value)), None)
    reason = figures.why_no_joules(result) or "no joules were measured"
    return WhatIf("", (), reason)


def _use(result: Result, row: figures.Row) -> Use | None:
    found = joules_of(row.record)
    if found is None or found[0] <= 0:
        return None
    value, u = found
    source = result["energy"]["source"] or "unknown counter"
    return Use(name_of(row.record), Quantity(value, u or 0.0, "J", Provenance.DERIVED, (source,)), u is not None)


def kwh(joules: Quantity, calls: float) -> Quantity:
    """Kilowatt-hours of so many calls."""
    factor = calls / carbon.JOULES_PER_KWH
    return joules.derived(joules.value * factor, joules.u * factor, "kWh")


def grams(joules: Quantity, calls: float, country: str, pue: float) -> Quantity:
    """Grams of CO2e of so many calls. Raises KeyError for an unknown country, naming the nearest."""
    return carbon.co2e(joules.derived(joules.value * calls, joules.u * calls, "J"), country, pue=pue)


def break_even(costly: Quantity, frugal: Quantity) -> Quantity:
    """How many times as many calls of the frugal one cost what the calls of the costly one did: the ratio of joules.

    If a call costs a times the joules, a < 1, its use may grow by 1/a before the saving is gone. Uncertainty to first
    order, the two readings taken as independent.
    """
    ratio = costly.value / frugal.value
    return costly.derived(ratio, ratio * math.hypot(costly.relative_u, frugal.relative_u), "times", frugal)


def sentence(costly: Use, frugal: Use) -> str:
    """The rebound in words."""
    times = break_even(costly.joules, frugal.joules)
    low, high = times.ci()
    known = costly.u_known and frugal.u_known
    interval = f" (95 % interval {text.number(low)} to {text.number(high)})" if known else ""
    return (
        f"{frugal.name} takes {text.number(frugal.joules.value)} J a call where {costly.name} takes "
        f"{text.number(costly.joules.value)} J. If that makes people call it {text.number(times.value)} times as "
        f"often{interval}, the saving is gone."
    )
