"""Error against speed against joules, in every precision that a strategy offers."""

from collections.abc import Iterator

from ..cases import Case, Size
from ..check import PRECISIONS
from .base import Here, Study, cubes


def cases(here: Here, size: Size) -> Iterator[Case]:
    """Every strategy of the ladder in each of its precisions."""
    for strategy in here.strategies():
        card = here.card(strategy)
        for precision in card.precisions:
            if precision in PRECISIONS:
                for count in here.counts(strategy):
                    yield Case(strategy, card.kind, size, count, "precision", precision=precision)


STUDY = Study(
    name="precision",
    title="Error, speed and energy",
    question="How much accuracy does speed cost, and which strategies does no other beat in both?",
    course="",
    axis="precision",
    fit="size",
    seconds=45.0,
    sizes=cubes([240, 480, 960, 1920]),
    cases=cases,
)
