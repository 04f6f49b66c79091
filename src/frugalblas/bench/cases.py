"""What is to be measured: a strategy, a size, a thread count, and what else a study varies.

A study is a list of :class:`Case`; nothing here runs or times anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .records import LADDER, CaseRecord, PeakRecord

# From where Python itself can follow to the course's headline size. Multiples of 48 like the course's, from the second
# on, and no powers of two: there the columns of B share a few cache sets, and the loops without blocks fall far behind.
LADDER_EDGES = (128, 480, 960, 1920)
SINGLE_THREADED = "interpreted"  # the kind whose rungs refuse more than one thread
COOPERATING = ("team", "passthrough")  # kinds worth a second row on all CPUs even if nobody asked


Rung = tuple[object, ...]  # what a prediction is of: see Case.rung


class RequestError(ValueError):
    """A request that cannot be carried out: the message names the value, what is expected and the nearest match."""


class Card(Protocol):
    """The fields of ``frugalblas.Algorithm`` that a study reads."""

    @property
    def name(self) -> str:
        """What ``algo=`` calls it."""

    @property
    def course(self) -> str:
        """Its name in the course; empty for what is no rung of its ladder."""

    @property
    def kind(self) -> str:
        """Decides which thread counts it is run on."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """What ``precision=`` may be."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Builds of it that run here."""

    @property
    def available(self) -> bool:
        """Whether it can run here."""

    @property
    def reason(self) -> str | None:
        """If not, why."""


@dataclass(frozen=True)
class Size:
    """One product: A is (M,K), B is (K,N), C is (M,N)."""

    M: int
    N: int
    K: int

    @property
    def flops(self) -> int:
        """One multiplication and one addition per term of every sum: 2·M·N·K."""
        return 2 * self.M * self.N * self.K

    @property
    def edge(self) -> float:
        """Edge of the cube with as many flops."""
        return float((self.flops / 2) ** (1 / 3))

    def clipped(self, edge: int) -> Size:
        """The same shape with no dimension above `edge`: what a probe runs on."""
        return Size(min(self.M, edge), min(self.N, edge), min(self.K, edge))

    def __str__(self) -> str:
        """``512``, or ``16x4096x4096`` as M x N x K."""
        return str(self.M) if self.M == self.N == self.K else f"{self.M}x{self.N}x{self.K}"


@dataclass(frozen=True)
class Strategy:
    """A rung of the ladder, optionally as built in one variant: ``blocked`` or ``blocked@v3``."""

    name: str
    variant: str | None = None

    def __str__(self) -> str:
        """What ``algo=`` takes."""
        return self.name if self.variant is None else f"{self.name}@{self.variant}"


@dataclass(frozen=True)
class Case:
    """One strategy, at one size, on one number of threads; as one study wants it."""

    strategy: Strategy
    kind: str
    size: Size
    threads: int
    study: str = LADDER
    series: str | None = None  # tells the curves of one strategy apart
    parameters: tuple[tuple[str, int | str], ...] = ()  # of `_core.study_gemm`, which then runs instead of `sgemm`
    precision: str = "fp32"
    where: str | None = None  # of the operands of a GPU: "kernel", "device", "host"

    def __str__(self) -> str:
        """For messages."""
        threads = "" if self.threads == 1 else f" on {self.threads} threads"
        return f"{self.label}{threads} at {self.size}"

    @property
    def label(self) -> str:
        """The strategy, and what tells this case from others of it."""
        more = (self.series, None if self.precision == "fp32" else self.precision, self.where)
        return ", ".join([str(self.strategy), *filter(None, more)])

    @property
    def rung(self) -> Rung:
        """What has about the same speed from size to size, and from study to study: a series is tried once."""
        return str(self.strategy), self.threads, self.series, self.precision, self.where

    @property
    def group(self) -> tuple[str, Size]:
        """What is measured interleaved: a size of a study."""
        return self.study, self.size


def case_of(record: CaseRecord, kind: str) -> Case:
    """The case that a record is of; `kind` is that of its strategy."""
    return Case(
        Strategy(record["strategy"], record["variant"]),
        kind,
        size_of(record),
        record["threads"],
        record.get("study", LADDER),
        record.get("series"),
        tuple(record.get("parameters", {}).items()),
        record.get("precision", "fp32"),
        record.get("where"),
    )


def size_of(record: CaseRecord | PeakRecord) -> Size:
    """The size of a record."""
    return Size(record["M"], record["N"], record["K"])


def build_cases(
    strategies: Sequence[Strategy],
    cards: Sequence[Card],
    sizes: Sequence[Size],
    threads: Sequence[int] | None,
    all_cpus: int,
) -> list[Case]:
    """Every case of a study, size by size, in course order.

    Without `threads`, a strategy runs on one thread, and the cooperating ones also on all CPUs. With it, every
    strategy that honours a thread count gets each of them; the interpreted ones know only one thread.
    """
    kinds = {card.name: card.kind for card in cards}
    cases = []
    for size in sizes:
        for strategy in strategies:
            kind = kinds[strategy.name]
            if kind == SINGLE_THREADED:
                counts = [1] if threads is None or 1 in threads else []
            elif threads is not None:
                counts = list(threads)
            else:
                counts = sorted({1, all_cpus}) if kind in COOPERATING else [1]
            cases += [Case(strategy, kind, size, count) for count in counts]
    if not cases:
        raise RequestError(
            f"--threads: {', '.join(str(s) for s in strategies)} can only run on 1 thread; "
            f"{', '.join(map(str, threads or []))} was asked for"
        )
    return cases
