"""What a study is made of: where it runs, and what it is declared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..cases import COOPERATING, SINGLE_THREADED, Card, Case, Size, Strategy
from ..records import StudyRecord

Parameters = dict[str, int | str]
Axis = Literal["strategy", "size", "threads", "variant", "blocks", "shape", "where", "precision", "time", "intensity"]
# What gives when the budget is too small: "largest": the largest sizes are left out; "thin": sizes, evenly; "size": the
# study is made at one size, the largest of its sizes at which all of it fits, and then the points of its axis, evenly.
Fit = Literal["largest", "thin", "size"]


@dataclass(frozen=True)
class Here:
    """The build, the machine and the request that a study is made for."""

    cards: Sequence[Card]
    cpus: int
    most_threads: int
    blocks: Callable[[Size], Parameters]  # MR, NR, MC, KC and NC that `blocked` would use
    tiles: Sequence[tuple[int, int]] = ()  # MR, NR that `_core.study_gemm` has
    asked: Sequence[Strategy] | None = None  # --algo
    threads: Sequence[int] | None = None  # --threads
    why_no_joules: Callable[[], str | None] = lambda: None  # asked only for a study that is nothing without them

    def card(self, strategy: Strategy) -> Card:
        """The card of a strategy."""
        return next(card for card in self.cards if card.name == strategy.name)

    def strategies(self, wanted: Callable[[Card], bool] = lambda card: bool(card.course)) -> list[Strategy]:
        """Those asked for, else the available ones that are `wanted`: those of the ladder."""
        if self.asked is not None:
            return list(self.asked)
        return [Strategy(card.name) for card in self.cards if card.available and wanted(card)]

    def named(self, *names: str) -> list[Strategy]:
        """Those asked for, else these, as far as they are available."""
        return self.strategies(lambda card: card.name in names)

    def counts(self, strategy: Strategy) -> list[int]:
        """Thread counts: those asked for, else 1, and all CPUs where threads cooperate."""
        kind = self.card(strategy).kind
        if self.threads is not None:
            honoured = self.threads if kind != SINGLE_THREADED and not kind.startswith("cuda") else [1]
            return [count for count in honoured if count in self.threads]
        return sorted({1, self.cpus}) if kind in COOPERATING else [1]

    def many(self) -> list[int]:
        """Thread counts from 1 to beyond the number of CPUs, or those asked for; at most 12 of them up to it."""
        if self.threads is not None:
            return list(self.threads)
        step = max(1, -(-self.cpus // 10))
        beyond = {self.cpus + max(1, self.cpus // 2), 2 * self.cpus}
        counts = {1, 2, *range(step, self.cpus + 1, step), self.cpus, *beyond}
        return sorted(count for count in counts if count <= self.most_threads)

    @property
    def team(self) -> int:
        """All CPUs, or the most threads asked for."""
        return self.cpus if self.threads is None else max(self.threads)


@dataclass(frozen=True)
class Study:
    """A declaration: what is asked, at which sizes, and which cases answer it at one of them."""

    name: str
    title: str
    question: str  # one sentence
    course: str  # exercises of the course; "" if none
    axis: Axis
    fit: Fit
    seconds: float  # budget unless told
    sizes: Sequence[Size]  # smallest first
    cases: Callable[[Here, Size], Iterable[Case]]
    lacking: Callable[[Here], str | None] = lambda here: None  # why it cannot be made here
    joules: Literal["main size", "every size"] = "main size"
    traces: bool = False  # record power against time
    bandwidth: bool = False  # measure that of main memory

    def record(self) -> StudyRecord:
        """For the JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "question": self.question,
            "course": self.course,
            "axis": self.axis,
            "notes": [],
        }


def cubes(edges: Iterable[int]) -> list[Size]:
    """N x N x N."""
    return [Size(n, n, n) for n in edges]


def plain(here: Here, study: str, size: Size, strategies: Iterable[Strategy]) -> list[Case]:
    """Each strategy on its thread counts."""
    return [
        Case(strategy, here.card(strategy).kind, size, count, study)
        for strategy in strategies
        for count in here.counts(strategy)
    ]
