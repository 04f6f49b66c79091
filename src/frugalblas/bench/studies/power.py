"""Power against time around a run, idle and at work."""

from ..cases import Case, Size
from .base import Here, Study, cubes, plain


def cases(here: Here, size: Size) -> list[Case]:
    """One strategy that waits for memory, one that computes, and all CPUs at work."""
    return plain(here, "power", size, here.named("transposed", "blocked", "openmp", "openblas"))


STUDY = Study(
    name="power",
    title="Power against time",
    question="What does the machine draw when idle, and what while it multiplies?",
    course="1-2, 33",
    axis="time",
    fit="size",
    seconds=45.0,
    sizes=cubes([480, 960, 1920]),
    cases=cases,
    lacking=lambda here: here.why_no_joules(),
    traces=True,
)
