"""The charts of a result, derived from its samples and independent of any charting library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import figures
from ..records import Result
from . import roofline, special, speed
from . import threads as against_threads
from .model import Axis, Chart, Point, Reference, Series, Style, text_of

DRAW: Mapping[str, Callable[[Result, str], list[Chart]]] = {
    "ladder": speed.ladder,
    "sizes": speed.against_size,
    "threads": against_threads.threads,
    "flags": speed.flags,
    "blocks": special.blocks,
    "shapes": speed.shapes,
    "gpu": speed.against_size,
    "precision": special.precision,
    "power": special.power,
    "roofline": roofline.roofline,
}


def of(result: Result, study: str | None = None) -> list[Chart]:
    """The charts of every study, or of one, in the order in which they are to be read."""
    charts: list[Chart] = []
    for each in figures.studies(result):
        name = each["name"]
        if study in (None, name):
            part = figures.of_study(result, name)
            charts += DRAW.get(name, speed.ladder)(part, name) or speed.at_one_size(part, name)
    return charts


__all__ = ["Axis", "Chart", "Point", "Reference", "Series", "Style", "of", "text_of"]
