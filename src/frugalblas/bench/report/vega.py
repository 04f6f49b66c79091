"""A chart as a Vega-Lite specification, and the JavaScript that draws it.

Colours are CSS variables of the page (``var(--c0)``): a chart follows dark mode and print without being drawn anew.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

from .. import text
from ..charts import Chart, Series, text_of
from . import layers

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
BAR_STEP, CELL_STEP = 28, 30

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "gridColor": "var(--grid)",
        "domainColor": "var(--axis)",
        "tickColor": "var(--axis)",
        "labelColor": "var(--muted)",
        "titleColor": "var(--ink)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 600,
        "labelOverlap": "greedy",
        "labelSeparation": 6,
        "tickSize": 4,
    },
    "text": {"fontSize": 11, "fill": "var(--ink)"},
}


class MissingLibrary(ImportError):
    """vl-convert-python is not installed; the message says how to get it."""


@functools.lru_cache(maxsize=1)
def runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, from vl-convert-python; nothing is downloaded."""
    try:
        import vl_convert
    except ImportError:
        raise MissingLibrary(
            "the page needs vl-convert-python, which is not installed; install it with: pip install 'frugalblas[bench]'"
        ) from None
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # In a string or a regular expression the same, but not the end of the element nor a comment in it.
    return re.sub("<(/script|!--)", r"<\\\1", script, flags=re.IGNORECASE)


def drawing(chart: Chart) -> dict[str, Any]:
    """What the page needs to draw one chart: data once, and a specification for each choice of axes."""
    scales = [
        ("linear", "log") if axis.may_switch else (("log",) if axis.is_log else ("linear",))
        for axis in (chart.x, chart.y)
    ]
    specs = {f"{x},{y}": specification(chart, x == "log", y == "log") for x, y in itertools.product(*scales)}
    first = ",".join("log" if axis.is_log else "linear" for axis in (chart.x, chart.y))
    return {"id": chart.id, "start": first, "datasets": datasets(chart), "specs": specs}


def datasets(chart: Chart) -> dict[str, list[dict[str, Any]]]:
    """Rows for Vega: points, curves, fits and reference lines."""
    return {
        "points": [row for series in chart.series if not series.curve for row in _rows(chart, series)],
        "curves": [row for series in chart.series if series.curve and not series.fit for row in _rows(chart, series)],
        "fits": [row for series in chart.series if series.fit for row in _rows(chart, series)],
        **{name: _marks(chart, axis) for name, axis in (("across", "y"), ("along", "x"))},
    }


def _marks(chart: Chart, axis: str) -> list[dict[str, Any]]:
    """Reference lines in the order of their values; `lane` keeps neighbouring labels off each other."""
    marks = sorted((r for r in chart.references if r.axis == axis), key=lambda r: r.value)
    return [{"at": mark.value, "label": mark.label, "lane": i % 2} for i, mark in enumerate(marks)]


def _rows(chart: Chart, series: Series) -> list[dict[str, Any]]:
    rows = []
    for point in series.points:
        along = point.y if chart.lies else point.x
        value = point.x if chart.lies else point.y
        row: dict[str, Any] = {"series": series.name, "x": point.x, "y": point.y, "along": text_of(along)}
        if isinstance(value, float):
            row["shown"] = text.number(value)
        if point.low is not None and point.high is not None:
            row |= {"low": point.low, "high": point.high}
        if point.part:
            row["part"] = point.part
        if point.value is not None:
            row |= {"value": point.value, "shown": text.number(point.value)}
        rows.append(row | {f"h{i}": said for i, said in enumerate(point.hover)})
    return rows


def specification(chart: Chart, x_log: bool, y_log: bool) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, its data left out."""
    drawn = {"bars": layers.bars, "dots": layers.bars, "heat": layers.heat}.get(chart.kind, layers.lines)(
        chart, x_log, y_log
    )
    spec: dict[str, Any] = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{chart.title}. The numbers are in the table below it.",
        "width": "container",
        "height": _height(chart),
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 4, "right": 12, "top": 6, "bottom": 4},
        "params": [{"name": "hidden", "value": []}],
        "config": CONFIG,
        "layer": drawn,
    }
    return spec


def _height(chart: Chart) -> int:
    step = {"bars": BAR_STEP, "dots": BAR_STEP, "heat": CELL_STEP}.get(chart.kind)
    return layers.HEIGHT if step is None else step * len(chart.y.categories)
