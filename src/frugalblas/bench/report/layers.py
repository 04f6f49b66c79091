"""The layers of a Vega-Lite specification: lines, bars, heat maps, reference lines."""

from __future__ import annotations

import math
from typing import Any

from ..charts import Axis, Chart
from ..charts.palette import DASHES, MARKERS

HEIGHT = 340
BELOW, ABOVE = 1.6, 2.4  # room in a logarithmic bar chart: for the shortest bar, and for the number after the longest
DECADE = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
CELL_TEXT_FROM = 9  # more columns than these leave no room for numbers on a telephone


def _has_bounds(chart: Chart) -> bool:
    return any(p.low is not None and p.high is not None for series in chart.series for p in series.points)


def _tooltip(chart: Chart) -> list[dict[str, Any]]:
    axis = chart.y if chart.lies else chart.x
    fields = [("series", "title"), ("along", axis.name), *((f"h{i}", chart.hover[i]) for i in chart.columns)]
    return [{"field": field, "title": title, "type": "nominal"} for field, title in fields]


def _scales_of_series(chart: Chart) -> dict[str, Any]:
    """Colour, marker and dash of every series."""
    shown = [series for series in chart.series if not series.curve]
    names = [series.name for series in shown]

    def scale(values: list[Any]) -> dict[str, Any]:
        return {"field": "series", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": None}

    return {
        "color": scale([f"var(--c{series.style.colour})" for series in shown]),
        "fill": scale(["var(--card)" if s.style.dashed else f"var(--c{s.style.colour})" for s in shown]),
        "shape": scale([MARKERS[series.style.marker] for series in shown]),
        "strokeDash": scale([list(DASHES) if series.style.dashed else [1, 0] for series in shown]),
    }


def _visible(more: str = "") -> list[dict[str, str]]:
    return [{"filter": "indexof(hidden, datum.series) < 0" + (f" && {more}" if more else "")}]


def _position(axis: Axis, log: bool, field: str, **more: Any) -> dict[str, Any]:
    """Encoding of x or y."""
    horizontal = field == "x"
    if axis.scale == "category":
        shown: dict[str, Any] = {"title": axis.title if horizontal else None, "grid": False, "labelOverlap": False}
        shown |= {"labelAngle": -35} if horizontal and len("".join(axis.categories)) > 40 else {}
        shown |= {"labelAngle": 0} if horizontal and "labelAngle" not in shown else {}
        return {"field": field, "type": "ordinal", "sort": list(axis.categories), "axis": shown | more}
    shown = {"title": axis.title, "format": "d" if axis.name in ("N", "threads") else ".6~g", "tickCount": 6}
    if log and axis.scale != "log2":
        shown["gridOpacity"] = {"condition": {"test": DECADE, "value": 1}, "value": 0.4}
    if horizontal:
        shown |= {"grid": log}
    else:  # the title above the axis, to be read without turning one's head
        shown |= {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleY": -10, "titleX": -28}
        shown |= {"domain": False, "ticks": False}
    scale: dict[str, Any] = {"type": "log" if log else "linear", "nice": not (log or horizontal)}
    scale |= {"padding": 14} if log or horizontal else {}
    if log:
        scale |= {"base": 2} if axis.scale == "log2" else {}
    else:
        scale |= {"zero": not (horizontal and axis.name == "N")}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": shown | more}


def lines(chart: Chart, x_log: bool, y_log: bool) -> list[dict[str, Any]]:
    """Lines, whiskers, markers, and a target around each; for points the same without the lines."""
    x, y = _position(chart.x, x_log, "x"), _position(chart.y, y_log, "y")
    styles = _scales_of_series(chart)
    at = {"x": x, "y": y}
    if chart.kind == "points" and chart.x.scale == "category":  # side by side, not one upon the other
        at |= {"xOffset": {"field": "series", "sort": None, "scale": {"paddingOuter": 0.4}}}
    colour = {"color": styles["color"]}
    layers = _references(chart, x, y)
    if any(series.curve and not series.fit for series in chart.series):
        mark = {"type": "line", "stroke": "var(--muted)", "strokeDash": [2, 3], "strokeWidth": 1.5, "aria": False}
        layers.append(
            {
                "data": {"name": "curves"},
                "mark": mark,
                "encoding": {**at, "detail": {"field": "series"}, "order": {"field": "x"}},
            }
        )
    if any(series.fit for series in chart.series):
        layers += _fits(at | colour)
    points = {"data": {"name": "points"}}
    if chart.kind == "lines":
        mark = {"type": "line", "strokeWidth": 2, "strokeJoin": "round", "aria": False}
        encoding = at | colour | {"strokeDash": styles["strokeDash"], "detail": {"field": "part"}}
        layers.append({**points, "transform": _visible(), "mark": mark, "encoding": encoding})
    if _has_bounds(chart):
        whiskers = at | {"y": y | {"field": "low"}, "y2": {"field": "high"}} | colour
        mark = {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6, "aria": False}
        layers.append({**points, "transform": _visible("isValid(datum.low)"), "mark": mark, "encoding": whiskers})
    if chart.marked:
        mark = {"type": "point", "size": 64, "strokeWidth": 1.8, "opacity": 1, "aria": False}
        encoding = at | {"stroke": styles["color"], "fill": styles["fill"], "shape": styles["shape"]}
        layers.append({**points, "transform": _visible(), "mark": mark, "encoding": encoding})
    layers += _labels(chart, x, y)
    # A wide, invisible target around each point: for fingers, and for the mouse.
    mark = {"type": "point", "filled": True, "size": 500, "opacity": 0.001, "aria": False, "cursor": "crosshair"}
    layers.append({**points, "transform": _visible(), "mark": mark, "encoding": at | {"tooltip": _tooltip(chart)}})
    return layers


def _fits(at: dict[str, Any]) -> list[dict[str, Any]]:
    """A line in the colour of its series, in the band of its interval; both go when the series is hidden."""
    fits = {"data": {"name": "fits"}, "transform": _visible()}
    band = at | {"y": at["y"] | {"field": "low"}, "y2": {"field": "high"}}
    return [
        {**fits, "mark": {"type": "area", "opacity": 0.14, "aria": False}, "encoding": band},
        {**fits, "mark": {"type": "line", "strokeWidth": 1.5, "aria": False}, "encoding": at},
    ]


def _references(chart: Chart, x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines across the chart, and an empty ground where their labels will be."""
    mark = {"type": "rule", "strokeDash": [3, 3], "color": "var(--axis)", "aria": False}
    lines = [
        {"data": {"name": name}, "mark": mark, "encoding": {axis: at | {"field": "at"}}}
        for axis, name, at in (("y", "across", y), ("x", "along", x))
        if any(r.axis == axis for r in chart.references)
    ]
    return lines + _labels(chart, x, y, stroke="var(--card)", strokeWidth=4, strokeJoin="round")


def _labels(chart: Chart, x: dict[str, Any], y: dict[str, Any], **look: Any) -> list[dict[str, Any]]:
    """What those lines are: above the marks, which they never hide."""
    label = {"type": "text", "color": "var(--muted)", "aria": False, "limit": 200} | look
    layers: list[dict[str, Any]] = []
    for axis, name in (("y", "across"), ("x", "along")):
        at = {axis: (y if axis == "y" else x) | {"field": "at"}}
        for lane in (0, 1)[: len([r for r in chart.references if r.axis == axis])]:
            if axis == "y":  # labels at the right end and at the left one in turn
                place = {"align": ("right", "left")[lane], "dy": -5, "dx": (-2, 4)[lane]}
                where: dict[str, Any] = {"x": {"value": ("width", 0)[lane]}}
            elif chart.lies:  # above the bars, in two lines
                place = {"align": "right", "dx": -4}
                where = {"y": {"value": (-6, -18)[lane]}}
            else:
                place = {"align": "right", "dx": -4}
                where = {"y": {"value": HEIGHT - (8, 22)[lane]}}
            only = [{"filter": f"datum.lane == {lane}"}]
            encoding = at | where | {"text": {"field": "label"}}
            layers.append({"data": {"name": name}, "transform": only, "mark": label | place, "encoding": encoding})
    return layers


def bars(chart: Chart, x_log: bool, y_log: bool) -> list[dict[str, Any]]:
    """Bars or dots that lie, with whiskers and their values."""
    values = [float(p.x) for series in chart.series for p in series.points]
    tops = [p.high or float(p.x) for series in chart.series for p in series.points] + [
        r.value for r in chart.references
    ]
    positive = [value for value in values if value > 0]
    low = 10 ** math.floor(math.log10(min(positive) / BELOW)) if x_log and positive else 0.0
    domain = [low, max(tops) * (ABOVE if x_log else 1.12)]
    x, y = _position(chart.x, x_log, "x", grid=True), _position(chart.y, False, "y")
    if chart.kind == "bars":
        x["scale"] |= {"domain": domain, "nice": False, "padding": 0}
    else:
        x["scale"] |= {"padding": 48} | ({} if x_log else {"zero": False})  # room for the numbers
    y["axis"] |= {"domain": False, "ticks": False, "labelColor": "var(--ink)", "labelPadding": 6}
    colour = {"color": _scales_of_series(chart)["color"]}
    points = {"data": {"name": "points"}}
    rows = {"y": y}
    bar: dict[str, Any] = {"type": "bar", "cornerRadiusEnd": 3, "height": {"band": 0.66}, "aria": False}
    from_base: dict[str, Any] = {"x2": {"datum": low}}
    if chart.kind == "dots":
        bar, from_base = {"type": "point", "filled": True, "size": 80, "opacity": 1, "aria": False}, {}
    whisker = {"type": "rule", "strokeWidth": 1.5, "color": "var(--ink)", "opacity": 0.75, "aria": False}
    label = {"type": "text", "align": "left", "dx": 6, "fontWeight": 600, "aria": False}
    end = [{"calculate": "isValid(datum.high) ? datum.high : datum.x", "as": "end"}]
    bars = {
        **points,
        "transform": _visible(),
        "mark": bar,
        "encoding": rows | colour | from_base | {"x": x, "tooltip": _tooltip(chart)},
    }
    spread = {
        **points,
        "transform": _visible("isValid(datum.low)"),
        "mark": whisker,
        "encoding": rows | {"x": x | {"field": "low"}, "x2": {"field": "high"}},
    }
    return [
        bars,
        *([spread] if _has_bounds(chart) else []),
        {
            **points,
            "transform": _visible() + end,
            "mark": label,
            "encoding": rows | {"x": x | {"field": "end"}, "text": {"field": "shown"}},
        },
        *_references(chart, x, y),
        *_labels(chart, x, y),
    ]


def heat(chart: Chart, x_log: bool, y_log: bool) -> list[dict[str, Any]]:
    """Coloured cells, with their values if there is room."""
    x, y = _position(chart.x, False, "x"), _position(chart.y, False, "y", title=chart.y.title, titlePadding=8)
    at = {"x": x, "y": y}
    values = [p.value for series in chart.series for p in series.points if p.value is not None]
    middle = (min(values) + max(values)) / 2
    legend: dict[str, Any] = {"title": chart.value_title, "labelColor": "var(--muted)", "titleColor": "var(--ink)"}
    legend |= {"orient": "top", "direction": "horizontal", "gradientLength": 160}
    colour = {"field": "value", "type": "quantitative", "scale": {"scheme": "cividis", "zero": False}, "legend": legend}
    points = {"data": {"name": "points"}}
    layers: list[dict[str, Any]] = [
        {
            **points,
            "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 2, "aria": False},
            "encoding": at | {"color": colour, "tooltip": _tooltip(chart)},
        }
    ]
    if len(chart.x.categories) < CELL_TEXT_FROM:
        ink = {"condition": {"test": f"datum.value > {middle!r}", "value": "#16181d"}, "value": "#ffffff"}
        layers.append(
            {
                **points,
                "mark": {"type": "text", "aria": False},
                "encoding": at | {"text": {"field": "shown"}, "color": ink},
            }
        )
    return layers
