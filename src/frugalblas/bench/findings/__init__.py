"""What a run found, in words, the same on a terminal and on the page: each sentence follows from the samples."""

from __future__ import annotations

from collections.abc import Callable

from .. import figures
from ..records import Result
from . import studies
from .ladder import ladder

SAY: dict[str, Callable[[Result], list[str]]] = {
    "sizes": studies.sizes,
    "threads": studies.threads,
    "flags": studies.flags,
    "blocks": studies.blocks,
    "shapes": studies.shapes,
    "gpu": studies.gpu,
    "precision": studies.precision,
    "power": studies.power,
    "roofline": studies.roofline,
}


def findings(result: Result, study: str) -> list[str]:
    """Sentences about one study of a result; empty when nothing can be compared."""
    return SAY.get(study, ladder)(figures.of_study(result, study))


__all__ = ["findings"]
