"""What a patched NumPy, a call of `matmul` and an observed BLAS call take: a process of bench/drop_in.py.

python -m comparison.drop_in squares ROUNDS N [N ...]     a line of JSON for each size
python -m comparison.drop_in call ROUNDS
python -m comparison.drop_in products                     seconds for one of many tiny products
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable

import numpy as np

from .session import SETTLE_SECONDS, TEAM_WARM_SECONDS, Bystanders

SAMPLE_SECONDS = 3e-3
CHEAP, CHEAP_ROUNDS = 256, 31  # up to this size a round takes so little that more of them are worth it
TINY, PRODUCTS = 2, 20000


def seconds_per_call(function: Callable[[], object], calls: int) -> float:
    """Seconds of one call, of `calls` in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_that_fill_a_sample(function: Callable[[], object]) -> int:
    """How many calls take about SAMPLE_SECONDS; one for anything slower."""
    function()
    once = min(seconds_per_call(function, 1) for _ in range(3))
    return max(1, int(SAMPLE_SECONDS / max(once, 1e-7)))


def squares(rounds: int, sizes: list[int]) -> None:
    """`A @ B`, unpatched and patched."""
    import frugalblas

    for n in sizes:
        rng = np.random.default_rng(n)
        A, B = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
        with frugalblas.patch_numpy():
            np.testing.assert_array_equal(A @ B, frugalblas.matmul(A, B))
            patched_calls = calls_that_fill_a_sample(lambda A=A, B=B: A @ B)
        calls = max(patched_calls, calls_that_fill_a_sample(lambda A=A, B=B: A @ B))
        samples: dict[str, list[float]] = {"numpy": [], "frugalblas": []}
        others = Bystanders([])
        for _ in range(max(rounds, CHEAP_ROUNDS if n <= CHEAP else 0)):
            for side in random.sample(list(samples), 2):
                samples[side].append(one_square(A, B, calls, patched=side == "frugalblas"))
        print(json.dumps({"n": n, "calls": calls, "seconds": samples, "bystander_cpus": others.cpus()}), flush=True)


def one_square(A: np.ndarray, B: np.ndarray, calls: int, *, patched: bool) -> float:
    """One sample. Putting a patch in place is outside the time: a program pays for it once."""
    import frugalblas

    def product() -> object:
        return A @ B

    patch = frugalblas.patch_numpy() if patched else None
    try:
        time.sleep(SETTLE_SECONDS / 8)  # the other side's threads spin for a while after their last call
        if calls > 1:  # as in a program of its own: caches filled, team awake. A single long call wakes it itself
            until = time.perf_counter() + TEAM_WARM_SECONDS
            while time.perf_counter() < until:
                product()
        return seconds_per_call(product, calls)
    finally:
        if patch:
            patch.undo()


def call(rounds: int) -> None:
    """`frugalblas.matmul` against `np.matmul` where nothing but the call costs anything."""
    import frugalblas

    A, B = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    sides = {"numpy": lambda: np.matmul(A, B), "frugalblas": lambda: frugalblas.matmul(A, B)}
    calls = max(calls_that_fill_a_sample(side) for side in sides.values())
    samples: dict[str, list[float]] = {name: [] for name in sides}
    others = Bystanders([])
    for _ in range(rounds):
        for name in random.sample(list(sides), 2):
            samples[name].append(seconds_per_call(sides[name], calls))
    print(json.dumps({"n": 4, "calls": calls, "seconds": samples, "bystander_cpus": others.cpus()}))


def products() -> None:
    """Many tiny products that NumPy hands to BLAS one by one, from C: the time of one is that of the call."""
    A, B = np.ones((PRODUCTS, TINY, TINY), np.float32), np.ones((TINY, TINY), np.float32)
    out = np.empty_like(A)
    best = min(seconds_per_call(lambda: np.matmul(A, B, out=out), 1) for _ in range(25))
    print(json.dumps(best / PRODUCTS))


def main(words: list[str]) -> None:
    random.seed(0)
    what, *numbers = words
    if what == "squares":
        squares(int(numbers[0]), [int(n) for n in numbers[1:]])
    elif what == "call":
        call(int(numbers[0]))
    else:
        products()


if __name__ == "__main__":
    main(sys.argv[1:])
