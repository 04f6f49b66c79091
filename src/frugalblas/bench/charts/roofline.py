"""The roofline: each strategy under measured bandwidth and measured peak; and the same for energy."""

from __future__ import annotations

import math
import statistics

from .. import figures, tables, text
from ..records import CaseRecord, Result
from .model import Axis, Chart, Point, Series
from .palette import style_number
from .points import HOVER, joules, joules_of, quantity_text, series_of, speed
from .speed import GFLOPS, peaks, slug, timed


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
