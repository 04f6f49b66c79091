"""How long things will take, and how a time budget is spread over them. No clock is read here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .cases import Case, Rung, Size

MIN_SAMPLES = 2  # below this there is no spread to report
MAX_SAMPLES = 15  # quartiles of more samples move less than a shared machine does
CHECK_CALLS = 1  # the call that is verified comes before the timed ones
CLAIM_SHARE = 0.005  # of the whole budget is granted to a case at a size: enough samples of whatever is fast
SMALLEST_SHARE = 0.5  # of the largest edge: the small sizes, where the ladder is whole, come first on a busy machine


class Predictor:
    """Seconds per call, from the same strategy on as many threads at the nearest smaller size measured."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._seen: dict[Rung, dict[int, float]] = {}

    def learn(self, rung: Rung, flops: int, seconds: float) -> None:
        """Remember that a call of that many flops took that long."""
        self._seen.setdefault(rung, {})[flops] = seconds

    def seconds(self, rung: Rung, flops: int) -> float:
        """Scaled in proportion to the flops; 0.0 for what has never been seen."""
        seen = self._seen.get(rung, {})
        if not seen:
            return 0.0
        nearest = max((known for known in seen if known <= flops), default=min(seen))
        return seen[nearest] * flops / nearest


def least_seconds(seconds_per_call: float) -> float:
    """What a case costs at the very least: the verified call and the fewest samples."""
    return (CHECK_CALLS + MIN_SAMPLES) * seconds_per_call


def admit(cases: Sequence[Case], seconds_per_call: Sequence[float], budget_seconds: float) -> list[bool]:
    """Which cases fit in the budget at their least cost: compiled before interpreted, then cheapest first."""
    order = sorted(range(len(cases)), key=lambda i: (cases[i].kind == "interpreted", seconds_per_call[i]))
    fits, spent = [False] * len(cases), 0.0
    for i in order:
        cost = least_seconds(seconds_per_call[i])
        if spent + cost <= budget_seconds:
            fits[i], spent = True, spent + cost
    return fits


def share_of_size(size: Size, still_to_come: Sequence[Size]) -> float:
    """This size's share of the time left; `still_to_come` includes it. In proportion to the edge, with a floor."""
    floor = SMALLEST_SHARE * max(other.edge for other in still_to_come)
    return max(size.edge, floor) / sum(max(other.edge, floor) for other in still_to_come)


def samples_per_case(seconds_per_sample: Sequence[float], budget_seconds: float, claim_seconds: float) -> list[int]:
    """How many samples each case gets, so that all together fit in the budget.

    Every case has an equal claim in seconds, of which a fast one uses only MAX_SAMPLES samples; a case whose claim
    is too small for MIN_SAMPLES gets those all the same. The claim is an equal part of the budget, or the largest
    smaller one with which everything fits, found by bisection; `claim_seconds` is granted even if nothing fits.
    """

    def counts(claim: float) -> list[int]:
        granted = max(claim, claim_seconds)
        return [min(MAX_SAMPLES, max(MIN_SAMPLES, math.floor(granted / each))) for each in seconds_per_sample]

    low, high = 0.0, 2 * max(budget_seconds, 0.0) / max(len(seconds_per_sample), 1)  # starts in the middle
    for _ in range(40):
        middle = (low + high) / 2
        spent = sum(n * each for n, each in zip(counts(middle), seconds_per_sample, strict=True))
        low, high = (middle, high) if spent <= budget_seconds else (low, middle)
    return counts(low)


def interleave(counts: Sequence[int]) -> list[int]:
    """An order of ``counts[i]`` samples of each case i, every case spread evenly over the whole run.

    With equal counts this is round-robin: a machine that slows down for a while slows every case down.
    """
    slots = [((k + 0.5) / count, i) for i, count in enumerate(counts) for k in range(count)]
    return [i for _, i in sorted(slots)]
