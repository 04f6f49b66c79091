"""The compiled strategies in every build variant: the course's tables of compiler flags."""

from ..cases import Case, Size, Strategy
from .base import Here, Study, cubes

COURSE = ("v1", "v2", "v3", "v4", "v5", "v6")


def builds(here: Here) -> list[Strategy]:
    """Every build of every strategy of the course that runs here, or of those asked for; by variant, in their order."""
    found = [
        Strategy(strategy.name, variant)
        for strategy in here.strategies(lambda card: card.course in COURSE)
        for variant in ([strategy.variant] if strategy.variant else here.card(strategy).variants)
    ]
    variants = max((card.variants for card in here.cards), key=len)  # some strategies have more than others
    return sorted(found, key=lambda build: variants.index(build.variant) if build.variant in variants else -1)


def cases(here: Here, size: Size) -> list[Case]:
    """All on one thread."""
    return [Case(build, here.card(build).kind, size, 1, "flags") for build in builds(here)]


STUDY = Study(
    name="flags",
    title="Strategies and compiler flags",
    question="What do the compiler's options do to each strategy?",
    course="9-10, 12, 14-16, 18-19, 21",
    axis="variant",
    fit="size",
    seconds=120.0,
    sizes=cubes([240, 480, 960, 1920]),
    cases=cases,
    lacking=lambda here: None if builds(here) else "no strategy has build variants here",
)
