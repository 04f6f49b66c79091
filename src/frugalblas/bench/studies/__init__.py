"""The studies of ``frugalblas bench --study``: each a short declaration, all carried out by one runner."""

from __future__ import annotations

from ..cases import RequestError
from ..parsing import nearest
from . import blocks, flags, gpu, ladder, power, precision, roofline, shapes, sizes, threads
from .base import Here, Study

__all__ = ["STUDIES", "Here", "Study", "parse_studies"]

STUDIES = {
    module.STUDY.name: module.STUDY
    for module in (ladder, sizes, threads, flags, blocks, shapes, gpu, precision, power, roofline)
}


def parse_studies(text: str | None, here: Here) -> tuple[list[Study], list[str]]:
    """``sizes,threads``, ``all``, or None for the ladder; and why some of ``all`` are left out.

    RequestError for a name that is none, and for a study asked for by name that cannot be made here.
    """
    if text is None:
        return [ladder.STUDY], []
    if text.strip() == "all":
        left_out = [f"study {s.name} left out: {why}" for s in STUDIES.values() if (why := s.lacking(here))]
        return [study for study in STUDIES.values() if not study.lacking(here)], left_out
    names = dict.fromkeys(token.strip() for token in text.split(","))
    for name in names:
        if name not in STUDIES:
            raise RequestError(
                f"--study: no study is called {name!r}{nearest(name, STUDIES)}; expected all or some of "
                f"{', '.join(STUDIES)}"
            )
        if reason := STUDIES[name].lacking(here):
            raise RequestError(f"--study: {name} cannot be made here: {reason}")
    return [study for name, study in STUDIES.items() if name in names], []
