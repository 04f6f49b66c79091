"""Charts of their own kind: heat maps of block sizes, precision against speed, power against time, the roofline."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

from .. import figures, tables, text
from ..records import CaseRecord, Result
from .model import Axis, Chart, Point, Reference, Series
from .palette import style_number, style_of
from .points import HOVER, hover_of, joules, joules_of, quantity_text, series_of, speed
from .speed import GFLOPS, peaks, slug, timed


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
    every = sorted((float(p.x), float(p.y)) for s in series for p in s.points)
    front: list[tuple[float, float]] = []
    for at, worth in every:
        if not front or (worth < front[-1][1] if less_is_better else worth > front[-1][1]):
            front.append((at, worth))
    if len(front) > 1:
        series.append(Series("Pareto front", style_number(6), tuple(Point(*p) for p in front), curve=True))
    errors = Axis("largest error (u = 2^-24)", "log", may_switch=True)
    caption = "Largest |C - C64| / (|A||B|). On the front nothing else is better in both."
    title = f"Error against {'energy' if less_is_better else 'speed'} at {size}"
    hover = (*HOVER, "error")
    ident = slug(study, size, axis.name.lower())
    return Chart(ident, study, title, caption, "points", errors, axis, tuple(series), (), hover)


def power(result: Result, study: str) -> list[Chart]:
    """Power against time around a run, its phases marked."""
    traces: list[Any] = [t for t in result.get("traces") or [] if t["study"] == study]
    charts = []
    for number, trace in enumerate(traces):
        hover = ("power",)
        points = tuple(
            Point(t, w, hover=(f"{w:.4g} W",)) for t, w in zip(trace["seconds"], trace["watts"], strict=True)
        )
        marks = [Reference("x", mark["begin_seconds"], mark["name"]) for mark in trace["marks"]]
        charts.append(
            Chart(
                slug(study, "power", str(number) if number else ""),
                study,
                "Power against time",
                f"Source: {trace['source']}.",
                "lines",
                Axis("time (s)"),
                Axis("power (W)"),
                (Series(trace["source"], style_number(0), points),),
                tuple(marks),
                hover,
            )
        )
    return charts


def intensity(record: CaseRecord) -> float:
    """Flops per byte if every matrix crosses the memory bus once."""
    return tables.intensity(figures.size_of(record))


def roofline(result: Result, study: str) -> list[Chart]:
    """Each strategy under the roof of measured bandwidth and measured peak; then the roof of energy."""
    records = timed(result)
    if not records:
        return []
    at = [intensity(record) for record in records]
    roofs = list(_roofs(result, min(at), max(at)))
    series = series_of(result, records, intensity, speed)
    ident = slug(study, "speed")
    caption = (
        "Intensity: flops per byte if A, B and C cross the memory bus once; a strategy that moves them more often "
        "lies further below the roof."
    )
    axis = Axis("arithmetic intensity (flop/byte)", "log2")
    y = Axis(GFLOPS, "log")
    chart = Chart(
        ident,
        study,
        "Roofline",
        caption,
        "points",
        axis,
        y,
        (*series, *roofs),
        () if roofs else tuple(peaks(result)),
        HOVER,
    )
    energy = energy_roofline(result, study, axis)
    return [chart, *([energy] if energy else [])]


def bandwidths(result: Result) -> dict[int, tuple[float, str]]:
    """GB/s by threads: the fastest kind of access measured, and its name."""
    found: dict[int, tuple[float, str]] = {}
    for record in result.get("bandwidths") or []:
        if record["seconds"]:
            rate = record["bytes_per_sample"] / statistics.median(record["seconds"]) / 1e9
            found[record["threads"]] = max(found.get(record["threads"], (0.0, "")), (rate, record["what"]))
    return found


def _roofs(result: Result, low: float, high: float) -> list[Series]:
    measured: dict[int, list[float]] = {}
    for peak in result["peaks"]:
        if peak["seconds"]:
            measured.setdefault(peak["threads"], []).append(figures.peak_gflops(peak))
    series = []
    for threads, (rate, what) in sorted(bandwidths(result).items()):
        if threads not in measured:
            continue
        top = statistics.median(measured[threads])
        ridge = top / rate
        corners = sorted({low / 4, min(ridge, high * 4), max(high * 4, ridge)})
        points = tuple(Point(i, min(top, rate * i)) for i in corners)
        name = f"roof, {text.count(threads, 'thread', 'threads')}: {top:.0f} GFLOP/s, {rate:.1f} GB/s ({what})"
        series.append(Series(name, style_number(6 if threads == 1 else 3), points, curve=True))
    return series


def energy_roofline(result: Result, study: str, axis: Axis) -> Chart | None:
    """pJ per flop against intensity, with the model e_flop + e_byte / intensity where it can be fitted."""

    def pj_per_flop(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
        found = joules(record)
        scale = 1e12 / figures.size_of(record).flops
        return None if found is None else tuple(None if v is None else v * scale for v in found)  # type: ignore[return-value]

    series = list(series_of(result, timed(result), intensity, pj_per_flop))
    if not series:
        return None
    caption = "Energy per flop, net of idle."
    for name, fitted in fits(result).items():
        (flop, u_flop), (byte, u_byte) = fitted
        caption += (
            f" {name}: {quantity_text(flop, u_flop, 'pJ/flop')} and {quantity_text(byte, u_byte, 'pJ/byte')}"
            " (least squares, standard uncertainties)."
        )
    y = Axis("energy per flop (pJ)", "log", may_switch=True)
    ident = slug(study, "energy")
    return Chart(ident, study, "Roofline of energy", caption, "points", axis, y, tuple(series), (), HOVER)


Fit = tuple[tuple[float, float], tuple[float, float]]


def fits(result: Result) -> dict[str, Fit]:
    """Per strategy with three intensities at least: pJ/flop and pJ/byte, each with its standard uncertainty.

    E / flops = e_flop + e_byte / intensity is a straight line in 1 / intensity; ordinary least squares, the scatter
    about the line standing for the uncertainty of the points.
    """
    groups: dict[str, list[tuple[float, float]]] = {}
    for record in timed(result):
        found = joules_of(record)
        if found is not None:
            x, y = 1 / intensity(record), found[0] / figures.size_of(record).flops * 1e12
            threads = f" on {record['threads']} threads" if record["threads"] > 1 else ""
            groups.setdefault(figures.describe(record) + threads, []).append((x, y))
    return {name: _line(points) for name, points in groups.items() if len({x for x, _ in points}) > 2}


def _line(points: list[tuple[float, float]]) -> Fit:
    n = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    level = mean_y - slope * mean_x
    scatter = sum((y - level - slope * x) ** 2 for x, y in points) / (n - 2)
    u_slope = math.sqrt(scatter / spread)
    u_level = math.sqrt(scatter * (1 / n + mean_x**2 / spread))
    return (level, u_level), (slope, u_slope)


__all__ = ["blocks", "power", "precision", "roofline"]
