"""The section on energy: a million calls, a year, CO2e, and where a rebound would take the saving back."""

from __future__ import annotations

from frugalblas.energy import carbon
from frugalblas.energy.quantity import Quantity

from ..charts.points import plus_minus
from ..records import Result
from .html import Html, element, table
from .whatif import MILLION, Assumptions, Use, WhatIf, break_even, grams, kwh, sentence, what_if


def section(result: Result, assumptions: Assumptions) -> Html:
    """Joules, kWh and grams, or why there are none."""
    found = what_if(result)
    heading = element("h2", "What if it runs a million times?")
    if not found.uses:
        said = (
            "No joules, hence no kilowatt-hours and no CO2e: what was not measured is not estimated here. "
            f"The reason: {found.reason}"
        )
        return element("section", heading, element("div", element("p", said), class_="panel"))
    uses = found.uses
    frugal = uses[0]
    parts: list[object] = [_million(uses, assumptions)]
    if assumptions.calls_per_year is not None:
        parts.append(_year(uses, assumptions, assumptions.calls_per_year))
    if len(uses) > 1:
        parts.append(element("p", sentence(uses[-1], frugal)))
    parts += [element("p", note, class_="small") for note in notes(found, assumptions)]
    return element("section", heading, element("div", *parts, class_="panel"))


def _million(uses: tuple[Use, ...], assumptions: Assumptions) -> Html:
    """Joules of one call, and what a million of them come to."""
    frugal = uses[0]
    head = ["strategy", "J per call", f"break-even for {frugal.name}", "kWh per million calls"]
    head += [f"g CO2e, {carbon.intensity(c).country}" for c in assumptions.countries]
    body = []
    for use in uses:
        times = break_even(use.joules, frugal.joules)
        even = "1" if use is frugal else f"x {figure(times, use.u_known and frugal.u_known)}"
        row = [use.name, figure(use.joules, use.u_known), even, figure(kwh(use.joules, MILLION), use.u_known)]
        row += [figure(grams(use.joules, MILLION, c, assumptions.pue), use.u_known) for c in assumptions.countries]
        body.append(row)
    return table(head, body)


def _year(uses: tuple[Use, ...], assumptions: Assumptions, calls: float) -> Html:
    """A year at the declared rate."""
    head = ["strategy", "kWh per year", *(f"kg CO2e, {carbon.intensity(c).country}" for c in assumptions.countries)]
    body = [
        [
            use.name,
            figure(kwh(use.joules, calls), use.u_known),
            *(figure(grams(use.joules, calls, c, assumptions.pue), use.u_known, 1e-3) for c in assumptions.countries),
        ]
        for use in uses
    ]
    return table(head, body, caption=f"A year of {assumptions.calls_per_second:g} calls a second")


def figure(quantity: Quantity, u_known: bool, factor: float = 1.0) -> str:
    """A value with its standard uncertainty where that is known."""
    return plus_minus(quantity.value * factor, quantity.u * factor if u_known else None)


def notes(found: WhatIf, assumptions: Assumptions) -> list[str]:
    """What these lines rest on."""
    known = all(use.u_known for use in found.uses)
    said = [
        f"Products of {found.size}, joules net of idle. "
        + ("± is one standard uncertainty." if known else "The file holds no uncertainty of these joules.")
    ]
    if len(found.uses) > 1:
        said.append(
            "Break-even: how many times as many calls of the most frugal strategy take the joules of the row. Use that "
            "grows beyond it costs more than was saved (rebound)."
        )
    if assumptions.countries:
        years = ", ".join(
            f"{row.country} {row.g_per_kwh:g} g/kWh ({row.year})"
            for row in map(carbon.intensity, assumptions.countries)
        )
        said.append(
            f"CO2e is estimated: yearly mean of the country's grid ({years}), PUE {assumptions.pue:g}; its ± is "
            f"that of the joules alone. {carbon.ATTRIBUTION}."
        )
    else:
        said.append("For CO2e name a country: frugalblas bench --from run.json --report page.html --country FRA.")
    return said
