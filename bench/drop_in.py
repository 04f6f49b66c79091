"""What dropping frugalblas into a program costs, and whether a patched NumPy is ever slower. About 3 minutes:

    python bench/drop_in.py [--json FILE] [--rounds N] [--threads 1,2] [--sizes 1,2,...] [--only WORD,...]

  call     frugalblas.matmul at 4x4 over np.matmul: at most 1.1
  squares  A @ B unpatched over patched, at each size and thread count: the worst median at least 0.95
  start    what preloading adds to the start of Python: at most 50 ms; and `frugalblas run` to its program's first line
  observe  what counting and timing adds to a BLAS call: at most 0.2 us

Everything is interleaved, in processes with a clean environment: no variable that steers a BLAS is inherited
(OPENBLAS_CORETYPE, OMP_NUM_THREADS, ...), both sides have the same number of threads and CPUs. Ratios and differences
are of one round; the median of all rounds counts. A line ends with the CPUs that other programs used meanwhile where
that is more than a twentieth of one: such a line is no measurement of anything but a busy machine. Exit code 1 if a
limit is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from comparison.results import new
from comparison.session import Bystanders, cpus_of, environment

from frugalblas.run import libraries

SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096)
PARTS = ("call", "squares", "start", "observe")
LEAST_RATIO, MOST_COST, MOST_START_MS, MOST_OBSERVED_US = 0.95, 1.1, 50.0, 0.2
DISTURBED = 0.05
START_ROUNDS = 31
RESULTS = Path(__file__).resolve().parent / "results" / "drop_in.json"
FIRST_LINE = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)\n"


class Others(Bystanders):
    """Programs other than this one and the processes that it has started and waited for."""

    def _foreign(self) -> float:
        return super()._foreign() - sum(os.times()[2:4])


def worker(threads: int, *words: object, **extra: str) -> list[Any]:
    """What a process of comparison/drop_in.py prints, on the last CPUs of this machine."""
    command = [sys.executable, "-m", "comparison.drop_in", *map(str, words)]
    done = subprocess.run(
        command,
        env=environment(threads, extra),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus_of(threads)),
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The median between its quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return low, median, high


def ratio(row: dict[str, Any], over: str, under: str) -> dict[str, Any]:
    """`row` with the ratio of its rounds: median and quartiles."""
    pairs = zip(row["seconds"][over], row["seconds"][under], strict=True)
    low, median, high = quartiles([a / b for a, b in pairs])
    return {**row, "ratio": median, "quartiles": [low, high]}


def busy(row: dict[str, Any]) -> str:
    cpus = row["bystander_cpus"]
    return f"  disturbed: other programs used {cpus:.1f} CPUs" if cpus > DISTURBED else ""


def call_cost(threads: int, rounds: int) -> dict[str, Any]:
    row = ratio(worker(threads, "call", max(rounds, 31))[0], "frugalblas", "numpy")
    print(f"matmul at 4x4 costs {row['ratio']:.3f} of np.matmul (at most {MOST_COST}){busy(row)}", flush=True)
    return {**row, "met": row["ratio"] <= MOST_COST}


def squares(threads: int, rounds: int, sizes: list[int]) -> dict[str, Any]:
    """All sizes with one thread count."""
    print(f"A @ B, {threads} thread{'s' if threads > 1 else ''} on both sides")
    print(f"{'n':>6} {'unpatched/patched':>18} {'quartiles':>15} {'GFLOP/s NumPy':>14} {'frugalblas':>11}")
    rows = []
    for n in sizes:
        row = ratio(worker(threads, "squares", rounds, n)[0], "numpy", "frugalblas")
        speeds = [2e-9 * n**3 / statistics.median(row["seconds"][side]) for side in ("numpy", "frugalblas")]
        rows.append({**row, "gflops": speeds})
        low, high = row["quartiles"]
        print(
            f"{n:6} {row['ratio']:18.3f} {low:7.3f} {high:7.3f} {speeds[0]:14.3f} {speeds[1]:11.3f}{busy(row)}",
            flush=True,
        )
    worst = min(row["ratio"] for row in rows)
    print(f"worst: {worst:.3f} (at least {LEAST_RATIO})", flush=True)
    return {"threads": threads, "rows": rows, "worst": worst, "met": worst >= LEAST_RATIO}


def seconds_to_end(command: list[str], variables: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=variables, check=True)
    return time.perf_counter() - start


def seconds_to_first_line(command: list[str], variables: dict[str, str]) -> float:
    start = time.clock_gettime(time.CLOCK_MONOTONIC)
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(done.stdout) - start


def start(rounds: int) -> dict[str, Any]:
    """Milliseconds: Python from its start to its end with and without the library, and to a script's first line."""
    clean = environment(1)
    bare = [sys.executable, "-S", "-c", "pass"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(FIRST_LINE)
        library = libraries.path(libraries.OBSERVE)
        preloaded = {**clean, "LD_PRELOAD": library, "FRUGALBLAS_PROFILE": folder, "FRUGALBLAS_OBSERVE": "0"}
        by_run = [str(Path(sys.executable).parent / "frugalblas"), "run", str(script)]
        measures = {
            "bare": lambda: seconds_to_end(bare, clean),
            "preloaded": lambda: seconds_to_end(bare, preloaded),
            "script": lambda: seconds_to_first_line([sys.executable, str(script)], clean),
            "run": lambda: seconds_to_first_line(by_run, clean),
        }
        samples: dict[str, list[float]] = {name: [] for name in measures}
        for measure in measures.values():
            measure()  # files into the page cache
        others = Others([])
        for _ in range(rounds):
            for name, measure in measures.items():
                samples[name].append(1e3 * measure())
    row = {"milliseconds": samples, "bystander_cpus": others.cpus()}
    added = {
        name: statistics.median(b - a for a, b in zip(samples[before], samples[name], strict=True))
        for before, name in (("bare", "preloaded"), ("script", "run"))
    }
    middle = {name: statistics.median(values) for name, values in samples.items()}
    print(
        f"preloading adds {added['preloaded']:.1f} ms to the start of a program (at most {MOST_START_MS:.0f}); "
        f"`frugalblas run` reaches a script's first line after {middle['run']:.0f} ms, Python after "
        f"{middle['script']:.0f} ms{busy(row)}",
        flush=True,
    )
    return {**row, "added_ms": added, "median_ms": middle, "met": added["preloaded"] <= MOST_START_MS}


def observe(rounds: int) -> dict[str, Any]:
    """Microseconds of a tiny BLAS call with and without being counted."""
    samples: dict[str, list[float]] = {"blas": [], "observe": []}
    others = Others([])
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, library in (("blas", libraries.BLAS), ("observe", libraries.OBSERVE)):
                extra = {"LD_PRELOAD": libraries.path(library), "FRUGALBLAS_PROFILE": folder}
                samples[name] += [1e6 * seconds for seconds in worker(1, "products", **extra)]
    low, added, high = quartiles([b - a for a, b in zip(samples["blas"], samples["observe"], strict=True)])
    row = {"microseconds": samples, "added_us": added, "quartiles": [low, high], "bystander_cpus": others.cpus()}
    print(
        f"counting adds {added:.3f} us to a BLAS call of {statistics.median(samples['blas']):.3f} us "
        f"(at most {MOST_OBSERVED_US}){busy(row)}",
        flush=True,
    )
    return {**row, "met": added <= MOST_OBSERVED_US}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each measurement, at least (default 9)")
    parser.add_argument("--threads", default=f"1,{cpus}" if cpus > 1 else "1", help="thread counts, by commas")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--only", default=",".join(PARTS), help="of call, squares, start, observe; by commas")
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"(default {RESULTS})")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if options.rounds < 2 or not set(wanted) <= set(PARTS):
        parser.error(f"--rounds is {options.rounds}, expected at least 2; --only is {options.only}, of {PARTS}")
    counts = [int(count) for count in options.threads.split(",")]
    result = {**new(), "schema": "frugalblas.drop_in/1", "rounds": options.rounds}
    for unused in ("libraries", "missing", "idle_shares", "cells"):
        del result[unused]
    if "call" in wanted:
        result["call_cost"] = call_cost(1, options.rounds)
    if "squares" in wanted:
        sizes = [int(n) for n in options.sizes.split(",")]
        result["squares"] = [squares(count, options.rounds, sizes) for count in counts]
    if "start" in wanted:
        result["start"] = start(max(options.rounds, START_ROUNDS))
    if "observe" in wanted:
        result["observe"] = observe(options.rounds)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.json}")
    parts = [
        *result.get("squares", []),
        *(result[part] for part in ("call_cost", "start", "observe") if result.get(part)),
    ]
    return 0 if all(part["met"] for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
