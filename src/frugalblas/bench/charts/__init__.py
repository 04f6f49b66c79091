"""The charts of a result, derived from its samples and independent of any charting library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..records import Result, StudyRecord
from ..schema import study_of
from . import special, speed
from .model import Axis, Chart, Point, Reference, Series, Style, text_of

DRAW: Mapping[str, Callable[[Result, str], list[Chart]]] = {
    "ladder": speed.ladder,
    "sizes": speed.against_size,
    "threads": speed.threads,
    "flags": speed.flags,
    "blocks": special.blocks,
    "shapes": speed.shapes,
    "gpu": speed.against_size,
    "precision": special.precision,
    "power": special.power,
    "roofline": special.roofline,
}

LADDER: StudyRecord = {
    "name": "ladder",
    "title": "The ladder",
    "question": "What does each optimisation bring on this machine?",
    "course": "",
    "axis": "strategy",
    "notes": [],
}


def studies(result: Result) -> list[StudyRecord]:
    """The studies of a result, in its order; a file without any holds the ladder."""
    return list(result.get("studies") or [LADDER])


def part_of(result: Result, study: str) -> Result:
    """The result with the cases of one study alone."""
    return {
        **result,
        "cases": [record for record in result["cases"] if study_of(record) == study],
        "peaks": [peak for peak in result["peaks"] if study_of(peak) == study],
    }


def of(result: Result, study: str | None = None) -> list[Chart]:
    """The charts of every study, or of one, in the order in which they are to be read."""
    charts: list[Chart] = []
    for each in studies(result):
        name = each["name"]
        if study in (None, name):
            charts += DRAW.get(name, speed.ladder)(part_of(result, name), name)
    return charts


__all__ = ["Axis", "Chart", "Point", "Reference", "Series", "Style", "of", "part_of", "studies", "text_of"]
