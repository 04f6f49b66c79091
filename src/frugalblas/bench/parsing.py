"""The options of a request, from text: every bad value is refused with what is expected and the nearest match."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from .cases import Card, RequestError, Size, Strategy


def parse_sizes(text: str) -> list[Size]:
    """``128,512``, ``16x4096x4096`` (M x N x K) or ``128:1920:128``, smallest product first, each once."""
    sizes = set()
    for token in text.split(","):
        if (found := re.fullmatch(r"([0-9]+):([0-9]+):([0-9]+)", token.strip())) is not None:
            first, last, step = map(int, found.groups())
            if 1 <= first <= last and step >= 1:
                sizes |= {Size(n, n, n) for n in range(first, last + 1, step)}
                continue
        match = re.fullmatch(r"([0-9]+)(?:x([0-9]+)x([0-9]+))?", token.strip())
        numbers = [int(n) for n in match.groups() if n] if match else []
        if not numbers or min(numbers) < 1:
            raise RequestError(
                f"--sizes: {token.strip()!r} is not a size; expected N or MxNxK, 1 or more each, or FIRST:LAST:STEP, "
                "for example 128,512,16x4096x4096 or 128:1920:128"
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
            f"--algo: no strategy is called {name!r}{nearest(name, names)}; expected all or some of {', '.join(names)}"
        )
    if not card.available:
        raise RequestError(f"--algo: {name} cannot run here: {card.reason}")
    if not at:
        return Strategy(name)
    if variant not in card.variants:
        known = f"its variants are {', '.join(card.variants)}" if card.variants else "it has no variants"
        raise RequestError(f"--algo: {name} has no variant {variant!r}{nearest(variant, card.variants)}; {known}")
    return Strategy(name, variant)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was probably meant; empty if none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
