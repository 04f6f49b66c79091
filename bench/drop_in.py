"""Is a patched NumPy ever slower? `A @ B` patched and unpatched, interleaved; and what a call of `matmul` costs.

    python bench/drop_in.py [--rounds N] [--threads N] [--json FILE] [--sizes 1,2,...]

Each round times both sides back to back in random order, as many calls per sample as fill a few milliseconds, and gives
one ratio, unpatched over patched seconds (above 1: frugalblas is faster). The table shows the median, the quartiles and
the GFLOP/s of the medians. Both sides have the same number of threads. Exit code 1 if the worst median is below 0.95,
or if `frugalblas.matmul` at 4x4 costs more than 1.1 of `np.matmul`.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import frugalblas
from frugalblas import _core

SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096)
SAMPLE_SECONDS = 3e-3
LEAST_RATIO, MOST_COST = 0.95, 1.1


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


def interleave(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Samples of each side, in seconds per call; the order within a round is random."""
    calls = max(calls_that_fill_a_sample(side) for side in sides.values())
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name in random.sample(list(sides), len(sides)):
            samples[name].append(seconds_per_call(sides[name], calls))
    return samples


def square(n: int, rounds: int) -> dict[str, object]:
    """One size: unpatched against patched `A @ B`."""
    rng = np.random.default_rng(n)
    A, B = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    with frugalblas.patch_numpy():
        np.testing.assert_allclose(A @ B, frugalblas.sgemm(A, B), rtol=1e-3, atol=1e-2)
    calls = calls_that_fill_a_sample(lambda: A @ B)
    unpatched, patched = [], []
    for _ in range(rounds):
        first = random.random() < 0.5
        for turn in (first, not first):
            if turn:
                unpatched.append(seconds_per_call(lambda: A @ B, calls))
            else:
                with frugalblas.patch_numpy():  # outside the time: a patched program pays it once
                    A @ B
                    patched.append(seconds_per_call(lambda: A @ B, calls))
    return summary(n, unpatched, patched)


def summary(n: int, reference: list[float], ours: list[float]) -> dict[str, object]:
    """Median ratio, quartiles and all samples."""
    ratios = sorted(r / o for r, o in zip(reference, ours, strict=True))
    low, median, high = statistics.quantiles(ratios, n=4)
    return {
        "n": n,
        "ratio": median,
        "quartiles": [low, high],
        "gflops": [2e-9 * n**3 / statistics.median(s) for s in (reference, ours)],
        "reference_seconds": reference,
        "ours_seconds": ours,
    }


def call_cost(rounds: int) -> dict[str, object]:
    """`frugalblas.matmul` against `np.matmul` where nothing but the call costs anything."""
    A, B = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    sides = {"numpy": lambda: np.matmul(A, B), "frugalblas": lambda: frugalblas.matmul(A, B)}
    samples = interleave(sides, rounds)
    return summary(4, samples["frugalblas"], samples["numpy"])  # cost: ours over NumPy's


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="samples of each side per size (default 9)")
    parser.add_argument("--threads", type=int, help="of both sides (default: each side's own)")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    random.seed(0)
    if options.threads:
        frugalblas.set_num_threads(options.threads)
        if "path" in _core.openblas():
            _core.openblas_release_threads(_core.openblas_hold_threads(1) and options.threads)
    # A variable that sends OpenBLAS to another core's kernels makes a comparison with nobody's NumPy.
    steering = {
        name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_", "FRUGALBLAS_"))
    }
    if steering:
        print(f"the environment steers what is compared: {steering}")
    cost = call_cost(max(options.rounds, 31))
    print(f"matmul at 4x4 costs {cost['ratio']:.3f} of np.matmul (at most {MOST_COST})")
    print(f"{'n':>6} {'unpatched/patched':>18} {'quartiles':>15} {'GFLOP/s NumPy':>14} {'frugalblas':>11}")
    rows = []
    for n in map(int, options.sizes.split(",")):
        row = square(n, options.rounds)
        rows.append(row)
        low, high = row["quartiles"]
        before, after = row["gflops"]
        print(f"{n:6} {row['ratio']:18.3f} {low:7.3f} {high:7.3f} {before:14.3f} {after:11.3f}", flush=True)
    worst = min(row["ratio"] for row in rows)
    print(f"worst: {worst:.3f} (at least {LEAST_RATIO})")
    if options.json:
        report = {
            "schema": 1,
            "machine": frugalblas.info(),
            "environment": steering,
            "call_cost": cost,
            "squares": rows,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if worst >= LEAST_RATIO and cost["ratio"] <= MOST_COST else 1


if __name__ == "__main__":
    sys.exit(main())
