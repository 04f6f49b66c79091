"""A test plan that lets every value of every factor meet every value of every other factor, in few cases."""

import itertools
import random
from collections.abc import Sequence
from typing import Any


def all_pairs(factors: dict[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Cases, one value per factor, such that each pair of values of two factors is in at least one of them.

    Greedy: each case starts from a pair not yet covered and adds, factor by factor, the value that covers most. The
    order is fixed by a seed, so a plan is the same in every run.
    """
    names = list(factors)
    sizes = [len(factors[name]) for name in names]
    rng = random.Random(0)
    missing = {
        (f, i, g, j)
        for f, g in itertools.combinations(range(len(names)), 2)
        for i in range(sizes[f])
        for j in range(sizes[g])
    }
    queue = sorted(missing)
    rng.shuffle(queue)
    cases = []
    for start in queue:
        if start not in missing:
            continue
        f, i, g, j = start
        case = {f: i, g: j}
        for h in sorted(set(range(len(names))) - {f, g}, key=lambda h: -sizes[h]):
            values = list(range(sizes[h]))
            rng.shuffle(values)
            case[h] = max(values, key=lambda v: sum(_pair(h, v, k, w) in missing for k, w in case.items()))
        missing -= {_pair(a, case[a], b, case[b]) for a, b in itertools.combinations(case, 2)}
        cases.append({name: factors[name][case[h]] for h, name in enumerate(names)})
    return cases


def _pair(f: int, i: int, g: int, j: int) -> tuple[int, int, int, int]:
    return (f, i, g, j) if f < g else (g, j, f, i)
