"""Charts of their own kind: heat maps of block sizes, precision against speed, power against time."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

from .. import figures, text
from ..records import CaseRecord, Result, TraceRecord
from .model import Axis, Chart, Point, Series
from .palette import style_number, style_of
from .points import HOVER, hover_of, joules, looks_of, series_of, speed
from .speed import GFLOPS, slug, timed

POINTS = 600  # of a trace: more are no more to the eye, and a page of megabytes
AT_REST = 6  # the grey of the palette


def blocks(result: Result, study: str) -> list[Chart]:
    """A heat map for each pair of block sizes that both vary, of the best over all others."""
    charts = []
    groups: dict[tuple[str, str | None], list[CaseRecord]] = {}
    for record in timed(result):
        if record.get("parameters"):
            key = f"{figures.label_of(record)} at {figures.size_of(record)}", record.get("series")
            groups.setdefault(key, []).append(record)
    for (group, _), records in groups.items():
        names = list(dict.fromkeys(key for record in records for key in parameters(record)))
        varying = [n for n in names if len({parameters(r).get(n) for r in records}) > 1]
        pairs = list(itertools.combinations(varying, 2))
        charts += [heat(result, study, group, records, *pair) for pair in pairs if is_grid(records, *pair)]
        if len(varying) == 1:
            charts.append(sweep(result, study, group, records, varying[0]))
    return charts


def parameters(record: CaseRecord) -> dict[str, Any]:
    """Block sizes or schedule of a case."""
    return dict(record.get("parameters") or {})


def is_grid(records: list[CaseRecord], first: str, second: str) -> bool:
    """Whether both vary independently: some value of one is met with two of the other, and the other way round."""
    cells = {(parameters(r).get(first), parameters(r).get(second)) for r in records}
    return len(cells) > max(len({a for a, _ in cells}), len({b for _, b in cells}))


def sweep(result: Result, study: str, group: str, records: list[CaseRecord], name: str) -> Chart:
    """Speed against the one block size that varies."""
    series = series_of(result, records, lambda r: float(parameters(r)[name]), speed, lambda r: group)
    axis = Axis(f"{name} (elements)", "log2", may_switch=True)
    title = f"Speed against {name}: {group}"
    return Chart(slug(study, group, name), study, title, "Median.", "lines", axis, Axis(GFLOPS), series, (), HOVER)


def heat(result: Result, study: str, group: str, records: list[CaseRecord], first: str, second: str) -> Chart:
    """GFLOP/s over two block sizes, each cell the best of the cases in it."""
    best: dict[tuple[Any, Any], CaseRecord] = {}
    for record in records:
        cell = parameters(record).get(first), parameters(record).get(second)
        if cell not in best or figures.gflops(record) > figures.gflops(best[cell]):
            best[cell] = record
    rest = [n for n in dict.fromkeys(k for r in records for k in parameters(r)) if n not in (first, second)]
    points = tuple(
        Point(
            str(a),
            str(b),
            hover=(str(b), *(str(parameters(record).get(n, text.NONE)) for n in rest), *hover_of(record)),
            value=figures.gflops(record),
        )
        for (a, b), record in best.items()
    )
    order_x, order_y = (
        tuple(str(v) for v in sorted({cell[i] for cell in best}, key=lambda v: (v is None, v))) for i in (0, 1)
    )
    caption = "Median GFLOP/s of each combination" + (f", the best over {', '.join(rest)}." if rest else ".")
    return Chart(
        slug(study, group, first, second),
        study,
        f"{first} and {second}: {group}",
        caption,
        "heat",
        Axis(f"{first} (elements)", "category", categories=order_x),
        Axis(f"{second} (elements)", "category", categories=order_y[::-1]),
        (Series(group, style_of(result, records[0]), points),),
        (),
        (second, *rest, *HOVER),
        GFLOPS,
    )


def precision(result: Result, study: str) -> list[Chart]:
    """Error against speed and against joules, with the front of those that nothing beats in both."""
    charts = []
    for size in figures.sizes(result):
        records = [r for r in timed(result) if figures.size_of(r) == size and r["error_u"]]
        for value, axis, less in (
            (speed, Axis(GFLOPS, "log", may_switch=True), False),
            (joules, Axis("energy per call (J)", "log", may_switch=True), True),
        ):
            chart = trade_off(result, study, str(size), records, value, axis, less)
            if chart is not None:
                charts.append(chart)
    return charts


def trade_off(
    result: Result,
    study: str,
    size: str,
    records: list[CaseRecord],
    value: Callable[[CaseRecord], tuple[float, float | None, float | None] | None],
    axis: Axis,
    less_is_better: bool,
) -> Chart | None:
    """Error on the one axis, what it costs on the other."""

    def error(record: CaseRecord) -> float:
        return record["error_u"] or 0.0

    series = [
        Series(s.name, s.style, tuple(Point(p.x, p.y, p.low, p.high, (*p.hover, f"{p.x:.3g} u")) for p in s.points))
        for s in series_of(result, records, error, value)
    ]
    if not series:
        return None
    points = ((float(p.x), float(p.y)) for s in series for p in s.points)
    front = figures.front(points, less_is_better=less_is_better)
    if len(front) > 1:
        series.append(Series("Pareto front", style_number(6), tuple(Point(*p) for p in front), curve=True))
    errors = Axis("largest error (u = 2^-24)", "log", may_switch=True)
    caption = "Largest |C - C64| / (|A||B|). On the front nothing else is better in both."
    title = f"Error against {'energy' if less_is_better else 'speed'} at {size}"
    hover = (*HOVER, "error")
    ident = slug(study, size, axis.name.lower())
    return Chart(ident, study, title, caption, "points", errors, axis, tuple(series), (), hover)


def power(result: Result, study: str) -> list[Chart]:
    """Power against time, at rest and while each strategy runs."""
    records = {figures.full_label(record): record for record in timed(result)}
    charts = []
    for number, trace in enumerate(result.get("traces") or []):
        parts, joined = stretches(trace)
        names = list(dict.fromkeys(name for name, _ in parts))
        looks = looks_of(result, {name: records[name] for name in names if name in records})
        series = tuple(
            Series(
                name,
                looks.get(name, style_number(AT_REST if name == "idle" else i % AT_REST)),
                tuple(
                    Point(at, watts, hover=(f"{watts:.4g} W",), part=part)
                    for part, (other, points) in enumerate(parts)
                    if other == name
                    for at, watts in points
                ),
            )
            for i, name in enumerate(names)
        )
        each = f" Each point is the mean of {joined} readings." if joined > 1 else ""
        charts.append(
            Chart(
                slug(study, "power", str(number) if number else ""),
                study,
                "Power against time",
                f"All that the counter sees, {trace['source'].removesuffix(', net of idle')}.{each}",
                "lines",
                Axis("time (s)"),
                Axis("power (W)"),
                series,
                (),
                ("power",),
            )
        )
    return charts


Stretch = tuple[str, list[tuple[float, float]]]


def stretches(trace: TraceRecord) -> tuple[list[Stretch], int]:
    """What ran, with seconds from the first reading and watts; and how many readings were joined into a point."""
    joined = max(1, math.ceil(len(trace["seconds"]) / POINTS))
    begin = min(trace["seconds"], default=0.0)
    found = []
    for mark in trace["marks"]:
        inside = [(at - begin, w) for at, w in figures.readings(trace, mark)]
        bins = [inside[i : i + joined] for i in range(0, len(inside), joined)]
        means = [(statistics.fmean(at for at, _ in some), statistics.fmean(w for _, w in some)) for some in bins]
        found.append((mark["name"], means))
    return found, joined
