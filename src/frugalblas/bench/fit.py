"""What of a study is measured when its budget is too small for all of it. No clock is read here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .budget import CHECK_CALLS, least_seconds, share_of_size
from .cases import Case, RequestError, Size
from .studies import Study

Item = TypeVar("Item")
USUAL_SAMPLES = 5  # of a case, where there is a choice between more cases and more samples
CURVE = 7  # sizes at least, if need be without the largest ones
AFFORDABLE = 0.25  # of the time for a size: a strategy slower than that is no reason to leave out sizes


@dataclass(frozen=True)
class Costs:
    """Predictions, in seconds."""

    call: Callable[[Case], float]
    reference: Callable[[Size], float]

    def cheapest(self, cases: Sequence[Case]) -> float:
        """The least that one size takes: the reference and the fastest of the cases."""
        fastest = min((least_seconds(self.call(case)) for case in cases), default=0.0)
        return self.reference(cases[0].size) + fastest if cases else 0.0

    def usual(self, cases: Sequence[Case]) -> float:
        """One size with all these cases and enough samples of each."""
        return self.reference(cases[0].size) + sum((CHECK_CALLS + USUAL_SAMPLES) * self.call(case) for case in cases)


def fit(study: Study, cases: Sequence[Case], seconds: float, costs: Costs) -> tuple[list[Case], list[str]]:
    """The cases that `seconds` allow, and notes on what was left out. RequestError if that is nothing at all."""
    by_size: dict[Size, list[Case]] = {}
    for case in cases:
        by_size.setdefault(case.size, []).append(case)
    if study.fit == "size":
        return _one_size(study, by_size, seconds, costs)
    if study.fit == "thin":
        kept, notes = _from_smallest(by_size, seconds, costs)
        few = _thin_sizes(kept, seconds, costs)
        if len(few) < len(kept):
            needed = sum(costs.usual(_affordable(kept[size], seconds, costs)) for size in kept)
            notes.append(
                f"{study.name}: {len(few)} of {len(kept)} sizes, evenly spread, to fit {seconds:.0f} s; all of them "
                f"would take about {needed:.0f} s (--seconds)"
            )
        kept = {size: kept[size] for size in few}
    else:
        kept, notes = _without_largest(by_size, seconds, costs)
    return [case for some in kept.values() for case in some], notes


def too_little(seconds: float, needed: float, sizes: Sequence[Size], tried_seconds: float) -> RequestError:
    """The budget does not even reach for the fastest."""
    return RequestError(
        f"--seconds: {seconds:g} is too little. Trying every strategy on small matrices took {tried_seconds:.1f} s; "
        f"checking and timing even the fastest at {', '.join(map(str, sizes))} needs about {needed:.1f} s"
    )


def _without_largest(
    by_size: dict[Size, list[Case]], seconds: float, costs: Costs
) -> tuple[dict[Size, list[Case]], list[str]]:
    """Without the largest sizes, as long as the fastest strategies at all sizes do not fit."""
    sizes, notes = list(by_size), []
    while len(sizes) > 1 and sum(costs.cheapest(by_size[size]) for size in sizes) > seconds:
        notes.append(
            f"{sizes[-1]} left out: even the fastest strategy needs about {costs.cheapest(by_size[sizes[-1]]):.1f} s "
            f"there; the budget is {seconds:.3g} s"
        )
        sizes.pop()
    return {size: by_size[size] for size in sizes}, notes


def _from_smallest(
    by_size: dict[Size, list[Case]], seconds: float, costs: Costs
) -> tuple[dict[Size, list[Case]], list[str]]:
    """Up to the largest size for which there is time beside the smallest."""
    sizes, notes = list(by_size), []
    while len(sizes) > 1 and costs.cheapest(by_size[sizes[0]]) + costs.cheapest(by_size[sizes[-1]]) > seconds:
        dropped = sizes.pop()
        notes = [
            f"{dropped} and larger left out: even the fastest strategy needs about "
            f"{costs.cheapest(by_size[dropped]):.1f} s there; the budget is {seconds:.3g} s"
        ]
    return {size: by_size[size] for size in sizes}, notes


def _affordable(cases: Sequence[Case], seconds: float, costs: Costs) -> list[Case]:
    """Those that are not slow for a size that has `seconds`; the fastest in any case."""
    affordable = [case for case in cases if least_seconds(costs.call(case)) <= AFFORDABLE * seconds]
    return affordable or [min(cases, key=costs.call)]


def _thin_sizes(by_size: dict[Size, list[Case]], seconds: float, costs: Costs) -> list[Size]:
    """As many sizes, evenly spread, as leave each the time for whatever is not slow there.

    Where the largest leave no time for a curve, it ends earlier.
    """
    sizes = list(by_size)
    best: list[Size] = []
    while len(sizes) >= 2:
        for count in range(len(sizes), len(best), -1):
            some = evenly(sizes, count)
            shares = {size: seconds * share_of_size(size, some) for size in some}
            if all(costs.usual(_affordable(by_size[size], share, costs)) <= share for size, share in shares.items()):
                best = some
                break
        if len(best) >= CURVE:
            return best
        sizes = sizes[: min(len(sizes) - 1, round(0.85 * len(sizes)))]
    return best or sizes


def _one_size(
    study: Study, by_size: dict[Size, list[Case]], seconds: float, costs: Costs
) -> tuple[list[Case], list[str]]:
    """The largest size at which everything compiled fits; at the smallest one, every so many points of the axis."""
    sizes = list(by_size)
    for size in reversed(sizes):
        compiled = [case for case in by_size[size] if case.kind != "interpreted"] or by_size[size]
        needed = costs.usual(compiled)
        if needed <= seconds:
            break
        largest_needs = costs.usual([case for case in by_size[sizes[-1]] if case.kind != "interpreted"])
    else:
        return _thin_points(study, by_size[sizes[0]], seconds, costs)
    if size == sizes[-1]:
        return by_size[size], []
    return by_size[size], [
        f"{study.name}: at {size} instead of {sizes[-1]}, to fit {seconds:.0f} s; that would take about "
        f"{largest_needs:.0f} s (--seconds)"
    ]


def _thin_points(study: Study, cases: list[Case], seconds: float, costs: Costs) -> tuple[list[Case], list[str]]:
    compiled = [case for case in cases if case.kind != "interpreted"] or cases  # or a slow loop would decide
    points = list(dict.fromkeys(point(case, study.axis) for case in compiled))

    def usual(some: Sequence[Hashable]) -> float:
        return costs.usual([case for case in compiled if point(case, study.axis) in some])

    for count in range(len(points), 0, -1):
        some = evenly(points, count) if count > 1 else [min(points, key=lambda one: usual([one]))]
        if usual(some) <= seconds:
            break
    kept = [case for case in compiled if point(case, study.axis) in some]
    notes = []
    if count < len(points):
        notes = [
            f"{study.name}: {count} of {len(points)} points, evenly spread, to fit {seconds:.0f} s; all of them would "
            f"take about {usual(points):.0f} s (--seconds)"
        ]
    return kept, notes


def point(case: Case, axis: str) -> Hashable:
    """Where a case stands on the axis of its study."""
    if axis == "threads":
        return case.threads
    if axis == "blocks":
        return case.series, case.parameters
    return str(case.strategy), case.precision, case.where


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, the first and, from two on, the last among them."""
    if count >= len(items):
        return list(items)
    last = max(count - 1, 1)
    return [items[round(i * (len(items) - 1) / last)] for i in range(count)]
