"""What is to be measured: strategies, sizes and thread counts, as declared by the caller.

A study is a list of :class:`Case`; nothing here runs or times anything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

# From where Python itself can follow to the course's headline size. Multiples of 48 like the course's, from the second
# on, and no powers of two: there the columns of B share a few cache sets, and the loops without blocks fall far behind.
LADDER_EDGES = (128, 480, 960, 1920)
SINGLE_THREADED = "interpreted"  # the kind whose rungs refuse more than one thread
COOPERATING = ("team", "passthrough")  # kinds worth a second row on all CPUs even if nobody asked


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
    """One strategy, at one size, on one number of threads."""

    strategy: Strategy
    kind: str
    size: Size
    threads: int

    def __str__(self) -> str:
        """For messages."""
        threads = "" if self.threads == 1 else f" on {self.threads} threads"
        return f"{self.strategy}{threads} at {self.size}"

    @property
    def rung(self) -> tuple[str, int]:
        """What stays the same from size to size."""
        return str(self.strategy), self.threads


def parse_sizes(text: str) -> list[Size]:
    """``128,512`` or ``16x4096x4096`` (M x N x K), smallest product first, each once."""
    sizes = set()
    for token in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:x([0-9]+)x([0-9]+))?", token.strip())
        numbers = [int(n) for n in match.groups() if n] if match else []
        if not numbers or min(numbers) < 1:
            raise RequestError(
                f"--sizes: {token.strip()!r} is not a size; expected N or MxNxK, 1 or more each, "
                "for example 128,512,16x4096x4096"
            )
        sizes.add(Size(*numbers) if len(numbers) == 3 else Size(numbers[0], numbers[0], numbers[0]))
    return sorted(sizes, key=lambda size: (size.flops, size.M, size.N))


def parse_threads(text: str) -> list[int]:
    """``1,2,4``, ascending, each once."""
    counts = set()
    for token in text.split(","):
        if not re.fullmatch(r"[0-9]+", token.strip()) or int(token) < 1:
            raise RequestError(
                f"--threads: {token.strip()!r} is not a thread count; expected whole numbers from 1, for example 1,2,4"
            )
        counts.add(int(token))
    return sorted(counts)


def parse_strategies(text: str | None, cards: Sequence[Card]) -> list[Strategy]:
    """``naive,blocked@v3`` in course order; ``all``: every strategy available here; None: those of the ladder.

    A strategy asked for by name that cannot run here is refused; under ``all`` it is left out. Strategies for special
    shapes have no rung on the ladder, whose products are square.
    """
    if text is None:
        return [Strategy(card.name) for card in cards if card.available and card.course]
    if text.strip() == "all":
        return [Strategy(card.name) for card in cards if card.available]
    order = {card.name: position for position, card in enumerate(cards)}
    asked = dict.fromkeys(_parse_strategy(token.strip(), cards) for token in text.split(","))
    return sorted(asked, key=lambda strategy: order[strategy.name])


def _parse_strategy(token: str, cards: Sequence[Card]) -> Strategy:
    name, at, variant = token.partition("@")
    card = next((card for card in cards if card.name == name), None)
    if card is None:
        names = [card.name for card in cards]
        raise RequestError(
            f"--algo: no strategy is called {name!r}{_nearest(name, names)}; expected all or some of {', '.join(names)}"
        )
    if not card.available:
        raise RequestError(f"--algo: {name} cannot run here: {card.reason}")
    if not at:
        return Strategy(name)
    if variant not in card.variants:
        known = f"its variants are {', '.join(card.variants)}" if card.variants else "it has no variants"
        raise RequestError(f"--algo: {name} has no variant {variant!r}{_nearest(variant, card.variants)}; {known}")
    return Strategy(name, variant)


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


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
