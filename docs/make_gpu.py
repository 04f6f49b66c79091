"""Writes the tables of docs/gpu.md from bench/results/gpu-*.json, "not measured yet" where there is none.

Usage: python docs/make_gpu.py [--check]      (--check: exit 1 if the file is not what would be written)
"""

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- tables: written by docs/make_gpu.py -->\n", "<!-- end of tables -->\n"
# What each kernel is written for: the ratio to cuBLAS of the same precision on an H100, and for how much more.
TARGETS = [("cuda_naive", "fp32", 0.08, None), ("cuda_tiled", "fp32", 0.75, 1.0), ("cuda_wmma", "bf16", 0.22, 0.55)]
RUNGS = ("cuda_tiled", "cublas", "cuda_wmma")  # measured with host arrays; the last in bf16
NOT_MEASURED = "not measured yet"
Result = dict[str, Any]


def _measured(results: list[Result], kind: str, key: dict[str, Any], value: Callable[[Result], float]) -> str:
    found = [
        f"{value(entry):.2f} ({result['device']['name']})"
        for result in results
        for entry in result[kind]
        if all(entry[name] == wanted for name, wanted in key.items())
    ]
    return ", ".join(found) or NOT_MEASURED


def _targets(results: list[Result]) -> list[str]:
    """Each target with what was measured; a ratio to cuBLAS, or for host arrays to the time of the bytes alone."""
    lines = ["| kernel | precision | must | goal | at 4096 | at 8192 |", "|---|---|---|---|---|---|"]

    def row(name: str, precision: str, must: object, goal: object, kind: str, key: Any, value: Any) -> None:
        measured = " | ".join(_measured(results, kind, key(n), value) for n in (4096, 8192))
        lines.append(f"| {name} | {precision} | {must} | {goal} | {measured} |")

    for algo, precision, must, goal in TARGETS:
        case = {"algo": algo, "precision": precision}
        row(f"`{algo}`", precision, must, goal or "–", "cases", lambda n, c=case: {**c, "M": n, "N": n, "K": n}, _ratio)
    row("`cublas`, of direct calls", "fp32", "1.00 ± 0.01", "–", "passthrough", lambda n: {"n": n}, _ratio)
    row("`cuda_tiled`, host arrays", "fp32", "0.85 of the bus", "overlapped", "host", lambda n: {"n": n}, _of_bound)
    return lines


def _ratio(entry: Result) -> float:
    return float(entry["ratio"])


def _of_bound(entry: Result) -> float:
    return float(entry["of_bound"]["cuda_tiled"])


def _case(c: Result) -> str:
    """One row: the kernel alone and a call on arrays of the GPU, beside cuBLAS."""
    flops = 2 * c["M"] * c["N"] * c["K"]
    resident = {name: flops / statistics.median(ms) / 1e9 for name, ms in c["resident_ms"].items()}
    cells = [f"`{c['algo']}`", c["precision"], f"{c['M']} x {c['N']} x {c['K']}"]
    for speed in (c["tflops"], resident):
        cells += [f"{speed[c['algo']]:.1f}", f"{speed['cublas']:.1f}"]
    cells += [f"{c['ratio']:.2f}", *(f"{c['joules_per_call'][name]:.3g}" for name in (c["algo"], "cublas"))]
    cells.append(f"{c['error_u'][c['algo']]:.3g}")
    return f"| {' | '.join(cells)} |"


def tables(results: list[Result]) -> str:
    """The targets with what was measured, then every case of every device."""
    if any(result.get("rehearsal") for result in results):
        raise ValueError("a rehearsal is no measurement: these results are of run_all.py --dry-run")
    lines = _targets(results)
    for result in results:
        lines += [f"\n### {result['device']['name']}, driver {result['device']['driver_version']}\n"]
        lines += [
            "| kernel | precision | M x N x K | TFLOP/s, kernel | cuBLAS | TFLOP/s, call | cuBLAS | ratio of kernels "
        ]
        lines[-1] += "| J per call | cuBLAS | largest error, u |"
        lines += ["|" + "---|" * 11, *map(_case, result["cases"])]
        lines += [
            "\n| host arrays, n x n x n | TFLOP/s, `cuda_tiled` | `cublas` | `cuda_wmma`, bf16 "
            "| of the bus, `cuda_tiled` | `cublas` | `cuda_wmma`, bf16 |",
            "|" + "---|" * 7,
        ]
        lines += [
            f"| {h['n']} | " + " | ".join(f"{h[what][a]:.2f}" for what in ("tflops", "of_bound") for a in RUNGS) + " |"
            for h in result["host"]
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    paths = sorted((ROOT / "bench/results").glob("gpu-*.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    old = PAGE.read_text(encoding="utf-8")
    new = old[: old.index(BEGIN) + len(BEGIN)] + tables(results) + old[old.index(END) :]
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if old == new:
        return 0
    print("docs/gpu.md is out of date: run python docs/make_gpu.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
