"""The charts of a result as PNG and SVG, drawn by matplotlib: the same data and the same palette as the page."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

from . import charts
from .charts import Axis, Chart, Series, palette
from .destination import Destination
from .records import Result

FORMATS = ("png", "svg")
LONG_NAME = 25  # of a series: three such do not fit side by side
WIDTH, HEIGHT, PER_BAR, DPI = 7.2, 4.6, 0.3, 200  # inches; dots per inch of the PNG
BAND_ALPHA = 0.14  # of the interval of a fit
MUTED, GRID = "#565b66", "#e2e5ea"
SETTINGS: Any = {  # mypy knows every key of matplotlib, and then of no dict
    "savefig.facecolor": palette.PAPER,
    "font.size": 9.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#9aa0ab",
    "axes.labelcolor": palette.INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "frugalblas",  # the same file for the same result
}


def write(result: Result, directory: str | Path) -> list[Path]:
    """Write ``<chart>.png`` and ``<chart>.svg`` for every chart into a folder, each aside and then renamed.

    Raises ImportError, saying what to install, without matplotlib; OSError if a file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "figures need matplotlib, which is not installed; install it with: pip install 'frugalblas[bench]'"
        ) from None
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in charts.of(result):
        with matplotlib.rc_context(SETTINGS):
            figure = Figure(figsize=(WIDTH, _height(chart)), layout="constrained")
            draw(chart, figure.add_subplot())
            figure.suptitle(_origin(result), fontsize=7, color=MUTED, x=0.99, ha="right")
            for kind in FORMATS:
                path = folder / f"{chart.id}.{kind}"
                _save(figure, path, kind)
                written.append(path)
    return written


def _save(figure: Any, path: Path, kind: str) -> None:
    image = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(image, format=kind, dpi=DPI, metadata=metadata)
    Destination(str(path)).write(image.getvalue())


def _origin(result: Result) -> str:
    machine = result["machine"]
    model = machine.get("cpu", {}).get("model", "unknown CPU")
    simulated = "; joules SIMULATED" if "simulated" in (result["energy"]["source"] or "").lower() else ""
    return f"{model}; frugalblas {machine.get('version', '?')}; {result['started'][:10]}{simulated}"


def _height(chart: Chart) -> float:
    if chart.kind in ("bars", "heat"):
        return 1.7 + PER_BAR * max(4, len(chart.y.categories))
    return HEIGHT


def draw(chart: Chart, axes: Any) -> None:
    """One chart on matplotlib axes."""
    from matplotlib.patheffects import withStroke

    axes.set_title(chart.title)
    for set_label, axis in ((axes.set_xlabel, chart.x), (axes.set_ylabel, chart.y)):
        set_label("" if chart.lies and axis is chart.y else axis.title)
    {"bars": _bars, "heat": _heat}.get(chart.kind, _lines)(chart, axes)
    for reference in chart.references:
        along = reference.axis == "x"
        (axes.axvline if along else axes.axhline)(reference.value, color=MUTED, linestyle=":", linewidth=1, zorder=1)
        where = (reference.value, 0.01) if along else (1.0, reference.value)
        transform = axes.get_xaxis_transform() if along else axes.get_yaxis_transform()
        place = {"rotation": 90, "ha": "right", "va": "bottom"} if along else {"ha": "right", "va": "bottom"}
        label = axes.text(*where, reference.label, transform=transform, fontsize=7.5, color=MUTED, **place)
        label.set_path_effects([withStroke(linewidth=2.5, foreground=palette.PAPER)])  # read where marks lie behind it
    shown = [series for series in chart.series if chart.kind != "heat" and not series.fit]
    if len(shown) > 1:
        axes.figure.legend(
            loc="outside lower left", ncols=3 if max(len(series.name) for series in shown) < LONG_NAME else 2
        )


def _scale(axes: Any, which: str, axis: Axis) -> None:
    if not axis.is_log:
        return
    set_scale = axes.set_xscale if which == "x" else axes.set_yscale
    set_scale("log", base=2 if axis.scale == "log2" else 10)
    if axis.scale == "log2":
        (axes.xaxis if which == "x" else axes.yaxis).set_major_formatter("{x:g}")


def _colour(series: Series) -> str:
    return palette.LIGHT[series.style.colour]


def _bars(chart: Chart, axes: Any) -> None:
    places = {name: i for i, name in enumerate(chart.y.categories)}
    for series in chart.series:
        for i, point in enumerate(series.points):
            place, value = places[str(point.y)], float(point.x)
            axes.barh(place, value, color=_colour(series), height=0.66, label=series.name if i == 0 else None)
            bounded = point.low is not None and point.high is not None
            if bounded:
                axes.plot([point.low, point.high], [place, place], color=palette.INK, linewidth=1)
            text = point.hover[0] if chart.x.name == chart.hover[0] else f"{value:.3g}"
            end = point.high if point.high is not None else value
            axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    _scale(axes, "x", chart.x)
    axes.set_yticks(range(len(places)), list(places))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)


def _lines(chart: Chart, axes: Any) -> None:
    place = {name: i for i, name in enumerate(chart.x.categories)}
    for series in chart.series:
        x = [place[str(p.x)] if place else float(p.x) for p in series.points]
        y = [float(p.y) for p in series.points]
        if series.fit:
            band: list[list[float]] = [[p.low or 0.0 for p in series.points], [p.high or 0.0 for p in series.points]]
            axes.fill_between(x, *band, color=_colour(series), alpha=BAND_ALPHA, linewidth=0)
            axes.plot(x, y, color=_colour(series), linewidth=1)
            continue
        if series.curve:
            axes.plot(x, y, color=MUTED, linestyle=(0, (1, 2)), label=series.name)
            continue
        marker = palette.MATPLOTLIB_MARKERS[series.style.marker] if chart.marked else ""
        line = ("--" if series.style.dashed else "-") if chart.kind == "lines" else ""
        look = {"color": _colour(series), "marker": marker, "markersize": 5, "linewidth": 1.5}
        look["markerfacecolor"] = palette.PAPER if series.style.dashed else _colour(series)
        for first, points in itertools.groupby(range(len(x)), key=lambda i: series.points[i].part):
            some = list(points)
            name = series.name if first == series.points[0].part else None
            axes.plot([x[i] for i in some], [y[i] for i in some], linestyle=line, label=name, **look)
        bounds = [(at, p.low, p.high) for at, p in zip(x, series.points, strict=True) if p.low is not None]
        if bounds:
            ats, lows, highs = zip(*bounds, strict=True)
            axes.vlines(ats, lows, highs, color=_colour(series), linewidth=1, alpha=0.6)
    if place:
        axes.set_xticks(range(len(place)), list(place), rotation=30, ha="right")
    _scale(axes, "x", chart.x)
    _scale(axes, "y", chart.y)
    if not chart.y.is_log:
        axes.set_ylim(bottom=0)


def _heat(chart: Chart, axes: Any) -> None:
    columns = {name: i for i, name in enumerate(chart.x.categories)}
    rows = {name: i for i, name in enumerate(chart.y.categories)}
    grid: list[list[float]] = [[float("nan")] * len(columns) for _ in rows]
    for point in chart.series[0].points:
        if point.value is not None:
            grid[rows[str(point.y)]][columns[str(point.x)]] = point.value
    image = axes.imshow(grid, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.grid(visible=False)
    bar = axes.figure.colorbar(image, ax=axes)
    bar.set_label(chart.value_title)
    middle = sum(image.get_clim()) / 2
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            if value == value:
                ink = palette.INK if value > middle else "#ffffff"
                axes.text(x, y, f"{value:.3g}", ha="center", va="center", fontsize=7, color=ink)
