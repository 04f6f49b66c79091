"""A chart on the page: heading, switches for its axes, room for the drawing, legend to toggle, table of its numbers."""

from __future__ import annotations

from ..charts import Axis, Chart, Series
from .html import Html, element, table

# The path of each marker in a box of 10 x 10, as Vega draws them.
MARKER_PATHS = {
    0: "M5 1a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
    1: "M1.5 1.5h7v7h-7z",
    2: "M5 1l4.3 7.6H.7z",
    3: "M5 .4L9 5 5 9.6 1 5z",
    4: "M5 9L.7 1.4h8.6z",
    5: "M3.4 1h3.2v2.4H9v3.2H6.6V9H3.4V6.6H1V3.4h2.4z",
}


def figure(chart: Chart) -> Html:
    """The whole of it."""
    head, body = chart.table()
    # Open until a script closes it: without one, and for whoever cannot see the drawing, the table is the chart.
    shown = table(head, body, left=2 if head[0] == "series" else 1)
    numbers = element("details", element("summary", "The numbers of this chart"), shown, class_="numbers", open=True)
    caption = element("div", element("h3", chart.title), element("p", chart.caption))
    axes = element("div", _switch(chart, "y", chart.y), _switch(chart, "x", chart.x), class_="axes")
    return element(
        "figure",
        element("figcaption", caption, axes),
        element("div", class_="plot", role="img", aria_label=f"{chart.title}. The numbers are in the table below."),
        legend(chart),
        numbers,
        id=chart.id,
    )


def _switch(chart: Chart, which: str, axis: Axis) -> Html | None:
    """Linear or logarithmic."""
    if not axis.may_switch:
        return None
    name = f"{chart.id}-{which}"
    choices = (
        element(
            "label",
            element(
                "input", type="radio", name=name, value=value, data_axis=which, checked=axis.is_log == (value == "log")
            ),
            element("span", value),
        )
        for value in ("linear", "log")
    )
    return element("fieldset", element("legend", axis.name), *choices)


def legend(chart: Chart) -> Html | None:
    """A button per series that shows and hides it; curves cannot be hidden."""
    shown = [series for series in chart.series if not series.curve]
    curves = [series for series in chart.series if series.curve and not series.fit]
    if chart.kind == "heat" or len(shown) + len(curves) < 2:
        return None
    buttons = [
        element(
            "button", _swatch(chart, series), series.name, type="button", data_series=series.name, aria_pressed="true"
        )
        for series in shown
    ]
    if len(shown) > 3:
        buttons += [
            element("button", "all", type="button", data_all="show"),
            element("button", "none", type="button", data_all="hide"),
        ]
    dotted = element("path", d="M1 7h24", stroke="var(--muted)", stroke_width=1.5, stroke_dasharray="2 3")
    marks = [
        element("span", element("svg", dotted, viewBox="0 0 26 14", aria_hidden="true"), series.name, class_="curve")
        for series in curves
    ]
    return element("div", *buttons, *marks, class_="legend", role="group", aria_label="show or hide a series")


def _swatch(chart: Chart, series: Series) -> Html:
    """Colour, marker and dash of a series, as in the drawing."""
    colour = f"var(--c{series.style.colour})"
    if chart.lies:
        parts = [element("rect", x=4, y=1, width=18, height=12, rx=3, fill=colour)]
    else:
        dash = "6 3" if series.style.dashed else None
        line = element("path", d="M1 7h24", stroke=colour, stroke_width=2, stroke_dasharray=dash)
        look = {"fill": "var(--card)" if series.style.dashed else colour, "stroke": colour, "stroke_width": 1.4}
        marker = element("path", d=MARKER_PATHS[series.style.marker], transform="translate(8 2)", **look)
        parts = [*([line] if chart.kind == "lines" else []), marker]
    return element("svg", *parts, viewBox="0 0 26 14", aria_hidden="true")
