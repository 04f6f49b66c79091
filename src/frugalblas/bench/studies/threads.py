"""From one thread to more than there are CPUs, and the loop that threads share in every OpenMP schedule."""

from collections.abc import Iterator

from ..cases import Case, Size, Strategy
from .base import Here, Parameters, Study, cubes

SERIAL, TEAM, VENDOR = "blocked", "openmp", "openblas"
# Loop over rows (M) or columns (N) of C, schedule, chunk in panels of MR rows or NR columns; 0: OpenMP's default.
SCHEDULES = (
    ("M", "static", 0),
    ("M", "static", 1),
    ("M", "dynamic", 1),
    ("M", "dynamic", 4),
    ("M", "guided", 1),
    ("N", "static", 0),
    ("N", "dynamic", 1),
    ("N", "guided", 1),
)


def cases(here: Here, size: Size) -> Iterator[Case]:
    """The serial rung once, the cooperating ones on every count, and each schedule on every count."""
    counts = here.many()
    for strategy in here.named(SERIAL, TEAM, VENDOR):
        kind = here.card(strategy).kind
        once = kind == "interpreted" or kind.startswith("cuda") or (here.asked is None and strategy.name == SERIAL)
        for count in [1] if once else counts:
            yield Case(strategy, kind, size, count, "threads")
    if here.asked is None and here.tiles:
        for loop, schedule, chunk in SCHEDULES:
            blocks = shared_loop(here.blocks(size), size, loop)
            parameters = {**blocks, "loop": loop, "schedule": schedule, "chunk": chunk}
            series = f"over {loop}, {schedule}" + (f", chunk {chunk}" if chunk else "")
            for count in counts:
                yield Case(Strategy(TEAM), "team", size, count, "threads", series, tuple(parameters.items()))


def shared_loop(blocks: Parameters, size: Size, loop: str) -> Parameters:
    """Blocks that give the shared loop all of its dimension, and of the other what stays in L2."""
    if loop == "M":
        return {**blocks, "MC": size.M}
    return {**blocks, "MC": min(size.M, int(blocks["NC"])), "NC": size.N}


STUDY = Study(
    name="threads",
    title="Speed and energy against threads",
    question="How many threads are fastest, how many are the most frugal, and how should they share the work?",
    course="28-34",
    axis="threads",
    fit="size",
    seconds=90.0,
    sizes=cubes([480, 960, 1920]),
    cases=cases,
)
