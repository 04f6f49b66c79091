"""Every strategy at a few sizes: the course's story in one table."""

from ..cases import LADDER_EDGES
from ..records import LADDER
from .base import Study, cubes, plain

STUDY = Study(
    name=LADDER,
    title="The ladder",
    question="What does each way of multiplying two matrices gain over the one before it?",
    course="3-5, 9-27",
    axis="strategy",
    fit="largest",
    seconds=90.0,  # the whole command stays under two minutes
    sizes=cubes(LADDER_EDGES),
    cases=lambda here, size: plain(here, LADDER, size, here.strategies()),
)
