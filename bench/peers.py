"""Compares frugalblas with every CPU library that can be installed.

    python bench/peers.py --json run1.json                             everything: about an hour
    python bench/peers.py --quick                                      a part of every group: minutes
    python bench/peers.py --shapes 16x4096x4096,2048 --threads 1 --layouts NN
    python bench/peers.py --merge run1.json run2.json run3.json        medians of several runs

Each library runs in a process of its own; for each product they take turns, round by round, in rotating order. Every
result is checked against float64 before it is timed. A ratio is ours / best peer in speed: above 1 we are faster. The
operands are the same in every round, so they are as warm as the caches can hold them, and lie in the same place of a
page in every process. Small products and batches are calls from Python, in turn in one process, on arrays as NumPy
allocates them, against NumPy and torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from comparison import report
from comparison.data import ALIGNED, NUMPYS
from comparison.libraries import LIBRARIES, OURS
from comparison.plan import Options, run
from comparison.results import load_runs, save
from comparison.shapes import GROUPS, LAYOUTS, QUICK, parse


def choice(allowed: list[str]):
    """A parser for a comma-separated list out of some names."""

    def parse_choice(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r}: choose from {', '.join(allowed)}")
        return names

    return parse_choice


def threads_list(text: str) -> list[int]:
    cpus = len(os.sched_getaffinity(0))
    counts = [int(part) if part.isdigit() else 0 for part in text.split(",")]
    if not all(1 <= count <= cpus for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers from 1 to {cpus}, the CPUs of this process")
    return counts


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cpus = len(os.sched_getaffinity(0))
    peers = [name for name in LIBRARIES if name != OURS]
    parser.add_argument("--groups", type=choice(list(GROUPS)), help=f"of {','.join(GROUPS)} (default: all)")
    parser.add_argument("--shapes", help="products instead of groups: a side, or MxNxK, separated by commas")
    parser.add_argument("--layouts", type=choice(list(LAYOUTS)), help="of NN,NT,TN,TT (default: all)")
    parser.add_argument(
        "--threads", type=threads_list, default=list(dict.fromkeys((1, cpus))), help="(default: 1 and all)"
    )
    parser.add_argument("--peers", type=choice(peers), default=peers, help=f"of {','.join(peers)} (default: all)")
    parser.add_argument("--forced", action="store_true", help="with --shapes: hold ours, OpenBLAS and oneDNN to AVX2")
    parser.add_argument("--packed", action="store_true", help="with --shapes: ours with B packed beforehand")
    parser.add_argument(
        "--aligned",
        action="store_const",
        const=ALIGNED,
        default=NUMPYS,
        dest="offset",
        help="operands start at a page, not 16 bytes behind one as NumPy's large arrays do; not of small and batches",
    )
    parser.add_argument("--quick", action="store_true", help="a few shapes of every group, in NN and TN")
    parser.add_argument("--seconds", type=float, default=0.2, help="per library and cell (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="at most, per cell (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--merge", type=Path, nargs="+", help="measure nothing: show the medians of these files")
    options = parser.parse_args(argv)
    try:
        options.parsed = parse(options.shapes) if options.shapes else []
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> int:
    options = arguments()
    if options.merge:
        try:
            runs = load_runs(options.merge)
        except ValueError as error:
            sys.exit(f"--merge: {error}")
        print(report.full(runs))
        return 0
    table = QUICK if options.quick else GROUPS
    groups = {name: table[name] for name in (options.groups or table)}
    if options.parsed:
        groups = {"forced" if options.forced else "packed" if options.packed else "shapes": options.parsed}
    layouts = options.layouts or (["NN", "TN"] if options.quick else list(LAYOUTS))
    measured = (options.peers, options.seconds, options.rounds, options.offset)
    result = run(Options(groups, layouts, options.threads, *measured, not options.parsed))
    if options.json:
        save(result, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
