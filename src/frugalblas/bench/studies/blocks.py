"""The cache blocks MC, KC, NC and the register tile MR x NR, swept."""

from collections.abc import Iterable, Iterator

from ..cases import Case, Size, Strategy
from .base import Here, Parameters, Study, cubes

NAME = "blocked"
KC = (32, 64, 128, 256, 512, 1024)
MC = (32, 64, 128, 256, 512, 1024)
NC = (96, 192, 384, 768, 1536)


def up_to(values: Iterable[int], most: int) -> list[int]:
    """The values below `most`, and `most`: larger blocks would be the same."""
    return [*(value for value in values if value < most), most]


def grids(here: Here, size: Size) -> Iterator[tuple[str, Parameters]]:
    """Three heat maps; what a map does not vary is what `blocked` would use."""
    base = here.blocks(size)
    for mc in up_to(MC, size.M):
        for kc in up_to(KC, size.K):
            yield "MC x KC", {**base, "MC": mc, "KC": kc}
    for kc in up_to(KC, size.K):
        for nc in up_to(NC, size.N):
            yield "KC x NC", {**base, "KC": kc, "NC": nc}
    for mr, nr in here.tiles:
        yield "MR x NR", {**base, "MR": mr, "NR": nr}


def cases(here: Here, size: Size) -> Iterator[Case]:
    """The sweep, and for comparison the strategy with its own sizes."""
    for strategy in here.named(NAME):
        yield Case(strategy, here.card(strategy).kind, size, 1, "blocks")
    for series, parameters in grids(here, size):
        yield Case(Strategy(NAME), "vector", size, 1, "blocks", series, tuple(parameters.items()))


STUDY = Study(
    name="blocks",
    title="Block sizes",
    question="Which cache blocks and which register tile are fastest on this machine?",
    course="24-26",
    axis="blocks",
    fit="size",
    seconds=90.0,
    sizes=cubes([480, 960, 1920]),
    cases=cases,
    lacking=lambda here: None if here.tiles else "this build has no study kernels",
)
