"""The roofline: each strategy under measured bandwidth and measured peak; and the same for energy."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from frugalblas.energy.statistics import t_quantile

from .. import figures, roof, text
from ..records import CaseRecord, Result
from .model import Axis, Chart, Point, Series
from .palette import style_number
from .points import HOVER, joules, joules_of, name_of, plus_minus, series_of, speed
from .speed import GFLOPS, INTERVAL, peaks, slug, timed

CURVE_STEPS = 48  # of a fitted curve: smooth at the width of a desk
LOGARITHMIC_ROOM = 10  # how far below the lowest point an interval is drawn, where it may reach below 0


def intensity(record: CaseRecord) -> float:
    """Flops per byte if every matrix crosses the memory bus once."""
    return roof.intensity(figures.size_of(record))


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


def _roofs(result: Result, low: float, high: float) -> list[Series]:
    measured: dict[int, list[float]] = {}
    for peak in result["peaks"]:
        if peak["seconds"]:
            measured.setdefault(peak["threads"], []).append(figures.peak_gflops(peak))
    series = []
    for threads, (rate, what) in sorted(roof.fastest_access(result).items()):
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
    """pJ per flop against intensity, with the fitted e_flop + e_byte / intensity and its interval."""

    def pj_per_flop(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
        found = joules(record)
        scale = 1e12 / figures.size_of(record).flops
        return None if found is None else tuple(None if v is None else v * scale for v in found)  # type: ignore[return-value]

    series = series_of(result, timed(result), intensity, pj_per_flop)
    if not series:
        return None
    found = fits(result)
    caption = f"Energy per flop, net of idle. {INTERVAL}"
    if found:
        caption += (
            " Lines: pJ/flop + pJ/byte / intensity, fitted by least squares, in the band of their 95 % interval. "
        )
        caption += "; ".join(f"{name}: {line}" for name, line in found.items()) + "."
    drawn = tuple(_fitted(one, found[one.name]) for one in series if one.name in found)
    y = Axis("energy per flop (pJ)", "log", may_switch=True)
    ident = slug(study, "energy")
    return Chart(ident, study, "Roofline of energy", caption, "points", axis, y, (*series, *drawn), (), HOVER)


def _fitted(series: Series, line: Line) -> Series:
    """The fit from the first of its points to the last, and its interval."""
    at = [float(point.x) for point in series.points]
    low, high = min(at), max(at)
    floor = min(float(point.y) for point in series.points) / LOGARITHMIC_ROOM
    points = []
    for step in range(CURVE_STEPS + 1):
        x = low * (high / low) ** (step / CURVE_STEPS)
        y, half = line.at(1 / x)
        points.append(Point(x, max(y, floor), max(y - half, floor), max(y + half, floor)))
    return Series(series.name, series.style, tuple(points), curve=True)


@dataclass(frozen=True)
class Line:
    """Energy per flop = level + slope / intensity by ordinary least squares, with standard uncertainties.

    The scatter about the line stands for the uncertainty of the points.
    """

    level: float  # pJ/flop
    u_level: float
    slope: float  # pJ/byte
    u_slope: float
    mean_x: float  # of 1 / intensity
    u_mean: float  # of the line there
    t: float  # standard uncertainties in half of a 95 % interval: Student's, as the points are few

    def at(self, x: float) -> tuple[float, float]:
        """Energy per flop where 1 / intensity is x, and half of its 95 % interval."""
        return self.level + self.slope * x, self.t * math.hypot(self.u_mean, self.u_slope * (x - self.mean_x))

    def __str__(self) -> str:
        """Both figures with half of their 95 % intervals."""
        level, slope = plus_minus(self.level, self.t * self.u_level), plus_minus(self.slope, self.t * self.u_slope)
        return f"{level} pJ/flop and {slope} pJ/byte"


def fits(result: Result) -> dict[str, Line]:
    """Per series with three intensities at least: pJ/flop and pJ/byte, a straight line in 1 / intensity."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for record in timed(result):
        found = joules_of(record)
        if found is not None:
            x, y = 1 / intensity(record), found[0] / figures.size_of(record).flops * 1e12
            groups.setdefault(name_of(record), []).append((x, y))
    return {name: _line(points) for name, points in groups.items() if len({x for x, _ in points}) > 2}


def _line(points: list[tuple[float, float]]) -> Line:
    n = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    level = mean_y - slope * mean_x
    scatter = sum((y - level - slope * x) ** 2 for x, y in points) / (n - 2)
    u_mean, u_slope = math.sqrt(scatter / n), math.sqrt(scatter / spread)
    return Line(level, math.hypot(u_mean, u_slope * mean_x), slope, u_slope, mean_x, u_mean, t_quantile(0.975, n - 2))
