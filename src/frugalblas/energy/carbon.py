"""Grams of CO2e from joules: an explicit country, the yearly mean of its grid, no network and no default.

The table is data/carbon_intensity.csv (Our World in Data and Ember, CC BY 4.0); docs/refresh_carbon.py renews it.
"""

from __future__ import annotations

import csv
import difflib
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from .quantity import Provenance, Quantity

JOULES_PER_KWH = 3.6e6
SECONDS_PER_YEAR = 365.25 * 86400.0
ATTRIBUTION = (
    "Carbon intensity: Our World in Data (https://ourworldindata.org/grapher/carbon-intensity-electricity), "
    "from Ember and the Energy Institute, CC BY 4.0"
)


@dataclass(frozen=True)
class Intensity:
    """Life-cycle emissions per kWh generated in a country, mean of one year."""

    iso3: str
    country: str
    year: int
    g_per_kwh: float

    @property
    def source(self) -> str:
        """What a figure computed with it names as its source."""
        return f"carbon:{self.iso3}-{self.year} (OWID/Ember, CC BY 4.0)"


@dataclass(frozen=True)
class Footprint:
    """Emissions of a run, in g CO2e. The two lines are never added: they differ in what they answer for."""

    operational: Quantity  # of the electricity
    embodied: Quantity | None  # of making the machine, the share of the time used; None if nothing was declared
    intensity: Intensity
    pue: float


@lru_cache(maxsize=1)
def _table() -> dict[str, Intensity]:
    text = (files(__package__) / "data" / "carbon_intensity.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        row["iso3"]: Intensity(row["iso3"], row["country"], int(row["year"]), float(row["gco2e_per_kwh"]))
        for row in rows
    }


def countries() -> list[Intensity]:
    """Every country in the bundled table, by name."""
    return sorted(_table().values(), key=lambda row: row.country)


def intensity(country: str) -> Intensity:
    """The row of a country, given its ISO 3166 alpha-3 code or its English name as Our World in Data writes it.

    Case does not matter. Raises KeyError naming the nearest entries: there is no world mean to fall back on.
    """
    rows = _table()
    wanted = country.strip()
    if wanted.upper() in rows:
        return rows[wanted.upper()]
    by_name = {row.country.casefold(): row for row in rows.values()}
    if wanted.casefold() in by_name:
        return by_name[wanted.casefold()]
    names = difflib.get_close_matches(wanted.casefold(), by_name, n=3, cutoff=0.5)
    near = [f"{by_name[name].country} ({by_name[name].iso3})" for name in names]
    near += [f"{code} ({rows[code].country})" for code in difflib.get_close_matches(wanted.upper(), rows, n=2)]
    hint = f"; nearest: {', '.join(dict.fromkeys(near))}" if near else ""
    raise KeyError(f"no carbon intensity for {country!r}: expected an ISO 3166 alpha-3 code or a country name{hint}")


def co2e(energy: Quantity, country: str, *, pue: float = 1.0) -> Quantity:
    """Grams of CO2e of the electricity: J / 3.6e6 x g/kWh x PUE.

    `pue` is the data centre's power usage effectiveness; 1.0 counts the machine alone. The result is `estimated` at
    best, because a yearly national mean stands for the grid of the moment, and its uncertainty is that of the joules:
    the table gives none for the intensity. A PUE other than 1 is the caller's declaration: `assumed`. Raises KeyError
    for an unknown country, ValueError if `energy` is not in joules or `pue` is below 1.
    """
    row = intensity(country)
    if energy.unit != "J":
        raise ValueError(f"CO2e is computed from joules, not from {energy.unit!r}")
    if not 1.0 <= pue < math.inf:
        raise ValueError(f"PUE is {pue!r}; it is the power of the whole site over that of the machines: 1 or more")
    factor = row.g_per_kwh * pue / JOULES_PER_KWH
    least = Provenance.ESTIMATED if pue == 1.0 else Provenance.ASSUMED
    return Quantity(
        value=energy.value * factor,
        u=energy.u * factor,
        unit="gCO2e",
        provenance=energy.provenance | least,
        source=(*energy.source, row.source, *(() if pue == 1.0 else (f"declared PUE {pue:g}",))),
    )


def footprint(
    energy: Quantity,
    country: str,
    *,
    pue: float = 1.0,
    time: Quantity | None = None,
    embodied_kg: float | None = None,
    lifetime_years: float | None = None,
) -> Footprint:
    """Emissions of the electricity, and on a line of its own the share of those of making the machine.

    The embodied share is `embodied_kg` (kg CO2e) x `time` / `lifetime_years`, the machine being charged for every
    second of its declared life, used or not. Its three arguments come together or not at all (ValueError). Raises
    like :func:`co2e`.
    """
    operational = co2e(energy, country, pue=pue)
    embodied = None
    if embodied_kg is not None or lifetime_years is not None:
        if embodied_kg is None or lifetime_years is None or time is None or time.unit != "s":
            raise ValueError("an embodied share needs embodied_kg, lifetime_years and the time in seconds")
        if not (0.0 < embodied_kg < math.inf and 0.0 < lifetime_years < math.inf):
            raise ValueError("embodied_kg and lifetime_years must be positive")
        rate = embodied_kg * 1000.0 / (lifetime_years * SECONDS_PER_YEAR)
        declared = f"declared {embodied_kg:g} kg CO2e over {lifetime_years:g} years"
        embodied = Quantity(time.value * rate, time.u * rate, "gCO2e", Provenance.ASSUMED, (*time.source, declared))
    return Footprint(operational, embodied, intensity(country), pue)
