"""Each strategy under the roof of what this machine can compute and what its memory can deliver."""

from ..cases import Size
from .base import Study, cubes, plain

STUDY = Study(
    name="roofline",
    title="Roofline",
    question="What holds each strategy back, the arithmetic or the memory?",
    course="",
    axis="intensity",
    fit="largest",
    seconds=60.0,
    # Least traffic 4(MK + KN + MN) bytes: from half a flop per byte to 320.
    sizes=[*cubes([480]), Size(1, 4096, 4096), Size(16, 4096, 4096), *cubes([1920])],
    cases=lambda here, size: plain(here, "roofline", size, here.strategies()),
    joules="every size",
    bandwidth=True,
)
