"""A GPU three ways: the kernel alone, operands that live there, and operands that come from the host."""

from collections.abc import Iterator

from ..cases import Case, Size
from .base import Here, Study, cubes

WHERE = ("kernel", "device", "host")


def on_gpu(here: Here) -> bool:
    """Whether any strategy of a GPU runs here."""
    return any(card.available and card.kind.startswith("cuda") for card in here.cards)


def lacking(here: Here) -> str | None:
    """The reason that the strategies themselves give."""
    if on_gpu(here):
        return None
    return next((card.reason for card in here.cards if card.kind.startswith("cuda")), "this build has no CUDA")


def cases(here: Here, size: Size) -> Iterator[Case]:
    """Every strategy of the GPU in all three ways, and the fastest of the CPU."""
    wanted = here.strategies(lambda card: card.kind.startswith("cuda") or card.name in ("openmp", "openblas"))
    for strategy in wanted:
        kind = here.card(strategy).kind
        if kind.startswith("cuda"):
            for where in WHERE:
                yield Case(strategy, kind, size, 1, "gpu", where=where)
        else:
            yield Case(strategy, kind, size, here.team if kind != "interpreted" else 1, "gpu")


STUDY = Study(
    name="gpu",
    title="The GPU, with and without the way there",
    question="What does a GPU gain, and what does the transfer of the matrices cost?",
    course="35-39",
    axis="where",
    fit="thin",
    seconds=90.0,
    sizes=cubes([512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384]),
    cases=cases,
    lacking=lacking,
    joules="every size",
)
