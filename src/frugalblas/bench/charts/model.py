"""What a chart is, whoever draws it: axes with units, series of points with their spread, reference lines.

Nothing here knows of a charting library. Every point carries what is said when it is pointed at, as text, which is also
its row in the table that stands for the chart where it cannot be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..text import NONE

# "bars" and "dots" lie: their categories are on y, their values on x; dots are for values that 0 means nothing to.
Kind = Literal["bars", "dots", "lines", "points", "heat"]
MARKERS_UP_TO = 100  # points of a series: more are a line to the eye
Scale = Literal["linear", "log", "log2", "category"]


@dataclass(frozen=True)
class Axis:
    """One axis: its title with the unit in brackets, and how values lie on it."""

    title: str
    scale: Scale = "linear"
    may_switch: bool = False  # a reader may want it linear and logarithmic in turn
    categories: tuple[str, ...] = ()  # in order, for the scale "category"

    @property
    def is_log(self) -> bool:
        """Whether it is logarithmic at first."""
        return self.scale in ("log", "log2")

    @property
    def name(self) -> str:
        """The title without its unit."""
        return self.title.partition(" (")[0]


@dataclass(frozen=True)
class Style:
    """Indices into the palette: colour and marker tell strategies apart, dashes and hollow markers thread counts."""

    colour: int = 0
    marker: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """One figure. `low` and `high` bound the value: quartiles of the samples, or an interval of the uncertainty."""

    x: float | str
    y: float | str
    low: float | None = None
    high: float | None = None
    hover: tuple[str, ...] = ()  # one text per title in `Chart.hover`
    value: float | None = None  # what the colour of a heat map's cell stands for
    part: int = 0  # a line joins the points of one part


@dataclass(frozen=True)
class Series:
    """Points of one name. A `curve` is a model or a limit: a thin line without markers, and no row in the table.

    A curve whose points have `low` and `high` is a fit to the series of its name, and a band shows its interval.
    """

    name: str
    style: Style
    points: tuple[Point, ...]
    curve: bool = False

    @property
    def fit(self) -> bool:
        """Whether it is the fit of another series."""
        return self.curve and any(point.low is not None for point in self.points)


@dataclass(frozen=True)
class Reference:
    """A straight line across the chart, at a value of one axis."""

    axis: Literal["x", "y"]
    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Everything there is to draw, and to say where nothing is drawn."""

    id: str  # unique in a result, fit for a file name
    study: str
    title: str
    caption: str  # how to read it: what the points and whiskers are
    kind: Kind
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    references: tuple[Reference, ...] = ()
    hover: tuple[str, ...] = ()
    value_title: str = ""  # of a heat map's colours

    @property
    def lies(self) -> bool:
        """Whether values, and with them `low` and `high`, are on x."""
        return self.kind in ("bars", "dots")

    @property
    def marked(self) -> bool:
        """Whether its points have markers."""
        return max((len(series.points) for series in self.series), default=0) <= MARKERS_UP_TO

    @property
    def columns(self) -> tuple[int, ...]:
        """Which texts of `hover` any point has something to say in."""
        said = [point.hover for series in self.series if not series.curve for point in series.points]
        return tuple(i for i in range(len(self.hover)) if any(texts[i] != NONE for texts in said))

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Head and rows with the numbers of the chart."""
        label = self.y.name if self.lies else self.x.name
        several = len([series for series in self.series if not series.curve]) > 1
        head = (*(["series"] if several else []), label, *(self.hover[i] for i in self.columns))
        rows = []
        for series in self.series:
            for point in () if series.curve else series.points:
                at = point.y if self.lies else point.x
                cells = (point.hover[i] for i in self.columns)
                rows.append((*([series.name] if several else []), text_of(at), *cells))
        return head, rows


def text_of(value: float | str) -> str:
    """A position on an axis, as it is written in a table."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}".replace(",", " ") if value == round(value) and value < 1e9 else f"{value:.4g}"
