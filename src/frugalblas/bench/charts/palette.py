"""Colours, markers and dashes: one strategy looks the same in every chart, on the page and in the figures.

The hues are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), moved in lightness until each has a contrast
of 3:1 to its ground (WCAG 2.2, criterion 1.4.11) and any two stay apart for the three kinds of colour blindness; the
tests hold both. Yellow has no contrast on white and is left out. Seven colours and six markers give 42 pairs: no two
strategies share both, and a chart printed in grey can still be read.
"""

from __future__ import annotations

from typing import Final

from ..records import CaseRecord, Result
from .model import Style

LIGHT: Final = ("#0450c4", "#9c3400", "#005238", "#8d3189", "#3392de", "#b58800", "#7a8f8a")
DARK: Final = ("#79b4ff", "#f2602f", "#3fe0a5", "#f0c4df", "#3d84c6", "#f5bd45", "#8d919c")
PAPER, INK = "#ffffff", "#16181d"  # the grounds they are drawn on
MARKERS: Final = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")  # Vega's names
MATPLOTLIB_MARKERS: Final = ("o", "s", "^", "D", "v", "P")
LOOKS: Final = len(LIGHT) * len(MARKERS)  # no common factor: so many shifts until a look returns
DASHES: Final = (6, 3)  # of a series on several threads, whose markers are hollow

KINDS: Final = {  # of the registry: what the colours of a bar chart stand for
    "interpreted": "interpreted",
    "scalar": "plain loops, compiled",
    "vector": "vector kernel",
    "team": "threads cooperate",
    "passthrough": "vendor's library",
    "cuda": "GPU",
}


def style_of(result: Result, record: CaseRecord, shift: int = 0) -> Style:
    """By the place of the strategy in the registry; `shift` tells variants or series of one strategy apart."""
    names = [card["name"] for card in result["strategies"]]
    index = names.index(record["strategy"]) + shift
    return Style(index % len(LIGHT), index % len(MARKERS), record["threads"] > 1)


def group_of(kind: str) -> str:
    """The key in KINDS: all rungs of a GPU are one group."""
    return kind if kind in KINDS else "cuda"


def style_of_group(group: str) -> Style:
    """Of a group of bars: interpreted in grey, vectors and teams in the strongest hues."""
    index = list(KINDS).index(group)
    return Style((6, 1, 0, 2, 5, 3)[index], index)


def style_number(index: int) -> Style:
    """Of the index-th series of a chart whose series are no strategies."""
    return Style(index % len(LIGHT), index % len(MARKERS))
