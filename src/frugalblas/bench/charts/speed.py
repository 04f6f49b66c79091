"""Charts of speed: the ladder as bars, curves against size, threads, flags, shapes and places."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from .. import figures, text
from ..cases import Size
from ..records import CaseRecord, Result
from .model import Axis, Chart, Kind, Point, Reference, Series
from .palette import KINDS, group_of, style_of_group
from .points import (
    HOVER,
    Value,
    gflop_per_joule,
    hover_of,
    joules,
    name_of,
    series_of,
    speed,
)

QUARTILES = "Whiskers: quartiles of the samples."
INTERVAL = "Whiskers: 95 % interval."
GFLOPS = "GFLOP/s"


def timed(result: Result) -> list[CaseRecord]:
    """The cases with samples."""
    return [record for record in result["cases"] if record["status"] == "ok"]


def slug(*parts: str) -> str:
    """Fit for an id and for a file name."""
    return "-".join("".join(c if c.isalnum() else "_" for c in part).strip("_") for part in parts if part)


def peaks(result: Result, size: Size | None = None) -> list[Reference]:
    """The measured FMA peak by threads, over all sizes or at one."""
    found: dict[int, list[float]] = {}
    for peak in result["peaks"]:
        if peak["seconds"] and (size is None or figures.size_of(peak) == size):
            found.setdefault(peak["threads"], []).append(figures.peak_gflops(peak))
    return [
        Reference("y", statistics.median(values), f"FMA peak, {text.count(threads, 'thread', 'threads')}")
        for threads, values in sorted(found.items())
    ]


def bars(result: Result, study: str, size: Size, value: Value, title: str, axis: Axis, caption: str) -> Chart | None:
    """One bar per strategy at one size, coloured by what kind of strategy it is."""
    kinds = {card["name"]: card["kind"] for card in result["strategies"]}
    records = [r for r in timed(result) if figures.size_of(r) == size and value(r) is not None]
    if not records:
        return None
    found: dict[str, list[Point]] = {}
    for record in records:
        middle, low, high = value(record) or (0.0, None, None)
        point = Point(middle, name_of(record), low, high, hover_of(record))
        found.setdefault(group_of(kinds[record["strategy"]]), []).append(point)
    series = tuple(Series(KINDS[group], style_of_group(group), tuple(points)) for group, points in found.items())
    order = tuple(dict.fromkeys(name_of(record) for record in records))
    reference = tuple(Reference("x", r.value, r.label) for r in peaks(result, size)) if value is speed else ()
    return Chart(
        slug(study, axis.name.lower(), str(size)),
        study,
        title,
        caption,
        "bars",
        axis,
        Axis("strategy", "category", categories=order),
        series,
        reference,
        HOVER,
    )


def ladder(result: Result, study: str) -> list[Chart]:
    """The whole ladder at one size as bars, then each strategy against size."""
    return at_one_size(result, study) + against_size(result, study)


def at_one_size(result: Result, study: str) -> list[Chart]:
    """Bars at the size where most was timed: also what is left of a study that the budget cut to one point."""
    size = figures.main_size(result)
    if size is None:
        return []
    speeds = Axis(GFLOPS, "log", may_switch=True)
    charts = [
        bars(result, study, size, speed, f"Speed of every strategy at {size}", speeds, f"Median. {QUARTILES}"),
        bars(
            result,
            study,
            size,
            joules,
            f"Energy of one product at {size}",
            Axis("energy per call (J)", "log", may_switch=True),
            f"Net of idle. {INTERVAL}",
        ),
        bars(
            result,
            study,
            size,
            gflop_per_joule,
            f"What a joule buys at {size}",
            Axis("GFLOP/s per watt (GFLOP/J)", "log", may_switch=True),
            f"Net of idle. {INTERVAL}",
        ),
    ]
    return [chart for chart in charts if chart is not None]


def edge(record: CaseRecord) -> float:
    """N of a square product; of another, the edge of the cube with as many flops."""
    return round(figures.size_of(record).edge, 3)


def against_size(result: Result, study: str) -> list[Chart]:
    """GFLOP/s, joules and GFLOP/J against N, where more than one size was timed."""
    records = timed(result)
    if len({edge(record) for record in records}) < 2:
        return []
    axis = Axis("N (M = N = K)", "log2", may_switch=True)
    marks = tuple(cache_edges(result)) + tuple(peaks(result))
    return lines(
        result,
        study,
        "size",
        axis,
        edge,
        name_of,
        [
            (speed, Axis(GFLOPS, "log", may_switch=True), "Speed against size", f"Median. {QUARTILES}", marks),
            (joules, Axis("energy per call (J)", "log", may_switch=True), "Energy against size", INTERVAL, ()),
            (
                gflop_per_joule,
                Axis("GFLOP/s per watt (GFLOP/J)", may_switch=True),
                "What a joule buys, against size",
                INTERVAL,
                (),
            ),
        ],
    )


Drawn = tuple[Value, Axis, str, str, tuple[Reference, ...]]


def lines(
    result: Result,
    study: str,
    what: str,
    axis: Axis,
    x: Callable[[CaseRecord], float | str],
    name: Callable[[CaseRecord], str],
    drawn: list[Drawn],
    kind: Kind = "lines",
) -> list[Chart]:
    """One chart per value that any case has, with a line or a set of points per name."""
    charts = []
    for value, y, title, caption, references in drawn:
        series = series_of(result, timed(result), x, value, name)
        if len({point.x for one in series for point in one.points}) > 1:
            ident = slug(study, what, y.name.lower())
            charts.append(Chart(ident, study, title, caption, kind, axis, y, series, references, HOVER))
    return charts


def cache_edges(result: Result) -> list[Reference]:
    """The N at which three N x N matrices of float32 just fill a cache."""
    sizes: dict[str, Any] = result["machine"].get("cpu", {}).get("cache_bytes") or {}
    edges = [edge(record) for record in timed(result)]
    found = [
        Reference("x", (bytes_ / (3 * 4)) ** 0.5, f"{name[:2].upper()} full")
        for name, bytes_ in sizes.items()
        if bytes_
    ]
    return [mark for mark in found if min(edges) / 1.5 <= mark.value <= max(edges) * 1.5]


def by_category(
    result: Result,
    study: str,
    axis: Axis,
    category: Callable[[CaseRecord], str],
    name: Callable[[CaseRecord], str],
    title: str,
    kind: Kind,
) -> list[Chart]:
    """Points over categories: compiler flags, shapes, places; one chart of speed, one of energy if there is any."""
    found = dict.fromkeys(category(record) for record in timed(result))
    axis = Axis(axis.title, "category", categories=tuple(found))
    drawn: list[Drawn] = [
        (speed, Axis(GFLOPS, "log", may_switch=True), title, f"Median. {QUARTILES}", tuple(peaks(result))),
        (joules, Axis("energy per call (J)", "log", may_switch=True), f"{title}: energy", INTERVAL, ()),
    ]
    return lines(result, study, axis.name, axis, category, name, drawn, kind)


def flags(result: Result, study: str) -> list[Chart]:
    """Strategies x build variants, one chart per size."""
    charts = []
    sizes = figures.sizes(result)
    for size in sizes:
        part: Result = {**result, "cases": [r for r in result["cases"] if figures.size_of(r) == size]}

        def name(record: CaseRecord) -> str:
            return figures.describe({**record, "variant": None}) + (
                f", {record['threads']} threads" if record["threads"] > 1 else ""
            )

        ident = study if len(sizes) == 1 else f"{study}-{size}"
        found = by_category(
            part,
            ident,
            Axis("build variant"),
            lambda record: record["variant"] or "default",
            name,
            f"What compiler flags are worth at {size}",
            "lines",
        )
        charts += [Chart(**{**vars(chart), "study": study}) for chart in found]
    return charts


def shapes(result: Result, study: str) -> list[Chart]:
    """Every strategy over the shapes."""
    return by_category(
        result, study, Axis("M x N x K"), lambda r: f"{r['M']}x{r['N']}x{r['K']}", name_of, "Speed by shape", "points"
    )
