"""Writes the tables of docs/gpu.md from bench/results/gpu-*.json, "not measured yet" where there is none.

Usage: python docs/make_gpu.py [--check]      (--check: exit 1 if the file is not what would be written)
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- tables: written by docs/make_gpu.py -->\n", "<!-- end of tables -->\n"
# What each kernel is written for: the ratio to cuBLAS of the same precision on an H100, and for how much more.
TARGETS = [("cuda_naive", "fp32", 0.08, None), ("cuda_tiled", "fp32", 0.75, 1.0), ("cuda_wmma", "bf16", 0.22, 0.55)]
NOT_MEASURED = "not measured yet"


def _ratio(results: list[dict[str, Any]], algo: str, precision: str, n: int) -> str:
    found = [
        f"{case['ratio']:.2f} ({result['device']['name']})"
        for result in results
        for case in result["cases"]
        if (case["algo"], case["precision"], case["M"], case["N"], case["K"]) == (algo, precision, n, n, n)
    ]
    return ", ".join(found) or NOT_MEASURED


def tables(results: list[dict[str, Any]]) -> str:
    """The targets with what was measured, then every case of every device."""
    lines = ["| kernel | precision | must | goal | at 4096 | at 8192 |", "|---|---|---|---|---|---|"]
    for algo, precision, must, goal in TARGETS:
        measured = " | ".join(_ratio(results, algo, precision, n) for n in (4096, 8192))
        lines.append(f"| `{algo}` | {precision} | {must} | {goal or '–'} | {measured} |")
    for result in results:
        lines += [f"\n### {result['device']['name']}, driver {result['device']['driver_version']}\n"]
        lines += ["| kernel | precision | M x N x K | TFLOP/s | cuBLAS | ratio | J per call | cuBLAS |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for c in result["cases"]:
            speed, joules = c["tflops"], c["joules_per_call"]
            lines.append(
                f"| `{c['algo']}` | {c['precision']} | {c['M']} x {c['N']} x {c['K']} | {speed[c['algo']]:.1f} | "
                f"{speed['cublas']:.1f} | {c['ratio']:.2f} | {joules[c['algo']]:.3g} | {joules['cublas']:.3g} |"
            )
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
