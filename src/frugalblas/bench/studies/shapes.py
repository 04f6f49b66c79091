"""What is not square: flat, deep and many small products."""

from collections.abc import Iterator

from ..cases import Case, Size
from .base import Here, Study, plain

FLAT = [Size(1, 4096, 4096), Size(16, 4096, 4096), Size(4096, 16, 4096), Size(4096, 4096, 16)]
DEEP = [Size(64, 64, 65536)]
SMALL = [Size(n, n, n) for n in (16, 32, 64, 128)]
BATCH = 256  # products of a SMALL size in one call of matmul
IN_BATCHES = ("numpy", "microkernel", "blocked", "openmp", "skinny", "openblas")


def cases(here: Here, size: Size) -> Iterator[Case]:
    """The fast strategies and those made for such shapes; small products also many at a time."""

    def fast(kind: str, name: str) -> bool:
        return kind in ("vector", "team", "passthrough") or kind.startswith("cuda") or name == "numpy"

    strategies = here.strategies(lambda card: fast(card.kind, card.name))
    yield from plain(here, "shapes", size, strategies)
    if size in SMALL:
        for strategy in strategies:
            kind = here.card(strategy).kind
            if strategy.name in IN_BATCHES:
                for count in here.counts(strategy):
                    batch = (("batch", BATCH),)
                    yield Case(strategy, kind, size, count, "shapes", f"batch of {BATCH}", batch)


STUDY = Study(
    name="shapes",
    title="Shapes",
    question="Which strategy suits products that are flat, deep, or small and many?",
    course="",
    axis="shape",
    fit="largest",
    seconds=60.0,
    sizes=[*SMALL, *FLAT, *DEEP],
    cases=cases,
)
