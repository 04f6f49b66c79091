"""From a case's samples to a point: median, quartiles, and what is said when it is pointed at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence

from .. import figures, text
from ..records import CaseRecord, Result
from .model import Point, Series, Style
from .palette import LOOKS, style_of

Value = Callable[[CaseRecord], "tuple[float, float | None, float | None] | None"]
NORMAL_95 = 1.96  # standard uncertainties in a 95 % interval
HOVER = ("GFLOP/s", "spread", "time per call", "samples", "joules per call")


def name_of(record: CaseRecord) -> str:
    """What tells a case from the others at its size: strategy, variant, series, precision, where, threads."""
    threads = f", {record['threads']} threads" if record["threads"] > 1 else ""
    return figures.describe(record) + threads


def joules_of(record: CaseRecord) -> tuple[float, float | None] | None:
    """Joules per call and their standard uncertainty (None: not kept); None where nothing was measured."""
    energy = record.get("energy")
    if energy:
        return energy["joules_per_call"], energy["joules_per_call_u"]
    joules = record["joules_per_call"]
    return None if joules is None else (joules, None)


def speed(record: CaseRecord) -> tuple[float, float | None, float | None]:
    """GFLOP/s: median and quartiles."""
    gflop = figures.size_of(record).flops / 1e9
    low, high = quartiles(record["seconds"])
    return (
        figures.gflops(record),
        None if high is None else gflop / high,
        None if low is None else gflop / low,
    )


def quartiles(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """First and third; None for a single sample."""
    if len(samples) < 2:
        return None, None
    first, _, third = statistics.quantiles(samples, n=4, method="inclusive")
    return first, third


def joules(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
    """Joules per call with their 95 % interval, None without a reading."""
    found = joules_of(record)
    if found is None:
        return None
    value, u = found
    return (value, None, None) if u is None else (value, value - NORMAL_95 * u, value + NORMAL_95 * u)


def gflop_per_joule(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
    """GFLOP per joule, which is GFLOP/s per watt; the interval is that of the joules, turned over."""
    found = joules(record)
    if found is None or found[0] <= 0:
        return None
    gflop = figures.size_of(record).flops / 1e9
    value, low, high = found
    bounded = low is not None and high is not None and low > 0
    return gflop / value, gflop / high if bounded and high else None, gflop / low if bounded and low else None


def watts(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
    """Mean power while it ran."""
    energy = record.get("energy")
    return (energy["watts"], None, None) if energy and energy["watts"] is not None else None


def seconds_text(seconds: float) -> str:
    """Three digits and the unit that fits."""
    factor, unit = next((pair for pair in ((1.0, "s"), (1e3, "ms")) if seconds * pair[0] >= 1), (1e6, "µs"))
    return f"{text.number(seconds * factor)} {unit}"


def quantity_text(value: float, u: float | None, unit: str) -> str:
    """A figure with its standard uncertainty, if there is one, to two digits of that."""
    return f"{plus_minus(value, u)} {unit}"


def plus_minus(value: float, u: float | None) -> str:
    """The same without a unit."""
    if not u:
        return text.number(value)
    digits = max(0, 1 - math.floor(math.log10(u)))
    return f"{value:.{digits}f} ± {u:.{digits}f}" if digits <= 6 else f"{value:.4g} ± {u:.2g}"


def hover_of(record: CaseRecord) -> tuple[str, ...]:
    """One text per title of HOVER."""
    spread = figures.spread(record["seconds"])
    found = joules_of(record)
    return (
        text.number(figures.gflops(record)),
        text.NONE if spread is None else f"{spread * 100:.1f} %",
        seconds_text(statistics.median(record["seconds"])),
        str(len(record["seconds"])),
        text.NONE if found is None else quantity_text(*found, "J"),
    )


def series_of(
    result: Result,
    records: Iterable[CaseRecord],
    x: Callable[[CaseRecord], float | str],
    value: Value = speed,
    name: Callable[[CaseRecord], str] = name_of,
) -> tuple[Series, ...]:
    """One series per name, in the order of the ladder, each point at ``x``; cases without the value are left out."""
    found: dict[str, list[CaseRecord]] = {}
    for record in records:
        if record["status"] == "ok" and value(record) is not None:
            found.setdefault(name(record), []).append(record)
    looks = looks_of(result, {label: members[0] for label, members in found.items()})
    series = []
    for label, members in found.items():
        points = []
        for record in members:
            middle, low, high = value(record) or (0.0, None, None)
            points.append(Point(x(record), middle, low, high, hover_of(record)))
        series.append(Series(label, looks[label], tuple(points)))
    return tuple(series)


def looks_of(result: Result, first: dict[str, CaseRecord]) -> dict[str, Style]:
    """A style for each label: the strategy's own for the first of its series, for the others what is left over.

    Counts of threads of one series share colour and marker as far as one of them is dashed and the other is not.
    """
    looks: dict[str, Style] = {}
    pairs: dict[str, tuple[int, int]] = {}  # of each series, whatever its threads
    more: list[str] = []  # a third count of threads, which colour, marker and dashes no longer tell apart

    def free(record: CaseRecord, taken: Collection[object], what: Callable[[Style], object]) -> Style:
        styles = [style_of(result, record, shift) for shift in range(LOOKS)]
        return next((style for style in styles if what(style) not in taken), styles[0])

    strategies = {record["strategy"]: label for label, record in reversed(first.items())}
    for label, record in sorted(first.items(), key=lambda item: item[0] not in strategies.values()):
        style = free(record, pairs.values(), lambda style: (style.colour, style.marker))
        colour, marker = pairs.setdefault(figures.describe(record), (style.colour, style.marker))
        style = Style(colour, marker, record["threads"] > 1)
        if style in looks.values():
            more.append(label)
        else:
            looks[label] = style
    for label in more:
        looks[label] = free(first[label], looks.values(), lambda style: style)
    return looks
