"""GFLOP/s and joules against N: the course's curves."""

from ..cases import Case, Size
from .base import Here, Study, cubes, plain

# 128 to 1920 by 128; 96 to 3072 by 96 and multiples of 48 to 3840, here by 96; 4096; beyond that for GPUs.
EDGES = sorted({*range(128, 1921, 128), *range(96, 3841, 96), 4096, *range(5120, 16385, 1024)})
LARGEST_ON_CPU = 4096


def cases(here: Here, size: Size) -> list[Case]:
    """Every strategy; beyond the CPU's sizes those of a GPU, if there is one, and the fastest of the CPU."""
    strategies = here.strategies()
    if here.asked is None and size.M > LARGEST_ON_CPU:
        on_gpu = [s for s in strategies if here.card(s).kind.startswith("cuda")]
        strategies = [s for s in strategies if s in on_gpu or (on_gpu and s.name in ("openmp", "openblas"))]
    return plain(here, "sizes", size, strategies)


STUDY = Study(
    name="sizes",
    title="Speed and energy against size",
    question="How do speed and energy depend on the size of the matrices?",
    course="6-8, 11, 13, 17, 20, 23, 27, 35-39",
    axis="size",
    fit="thin",
    seconds=180.0,
    sizes=cubes(EDGES),
    cases=cases,
    joules="every size",
)
