"""Compares frugalblas with every CPU library that can be installed.

    python bench/peers.py                                              everything (hours)
    python bench/peers.py --quick                                      a part of every group (minutes)
    python bench/peers.py --shapes 16x4096x4096,2048 --threads 1 --layouts NN

Each library runs in a process of its own; for each product they take turns, round by round, in rotating order, and every
result is checked against float64 before it is timed. Operands are warm as far as they fit into the caches.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from comparison import report
from comparison.libraries import FORCED_ISA, LIBRARIES, OURS
from comparison.session import Team, WorkerError
from comparison.shapes import GROUPS, LAYOUTS, QUICK, parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--groups", help=f"of {','.join(GROUPS)} (default: all)")
    parser.add_argument("--shapes", help="products instead of groups: a side, or MxNxK, separated by commas")
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="of NN,NT,TN,TT (default: all)")
    parser.add_argument(
        "--threads", default=",".join(map(str, dict.fromkeys((1, cpus)))), help="(default: %(default)s)"
    )
    parser.add_argument("--peers", help=f"of {','.join(n for n in LIBRARIES if n != OURS)} (default: all)")
    parser.add_argument("--forced", action="store_true", help="hold ours, OpenBLAS and oneDNN to AVX2")
    parser.add_argument("--quick", action="store_true", help="a few shapes of every group, NN and TN")
    parser.add_argument("--seconds", type=float, default=0.25, help="per library and cell (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="at most, per cell (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    table = QUICK if options.quick else GROUPS
    layouts = options.layouts.split(",")
    if options.quick and options.layouts == ",".join(LAYOUTS):
        layouts = ["NN", "TN"]
    groups = {name: table[name] for name in (options.groups or ",".join(table)).split(",")}
    if options.shapes:
        groups = {"forced" if options.forced else "shapes": parse(options.shapes)}
    names = [OURS] + (options.peers or ",".join(n for n in LIBRARIES if n != OURS)).split(",")
    cells = []
    started = time.perf_counter()
    for threads in map(int, options.threads.split(",")):
        for forced in (False, True):
            wanted = {name: shapes for name, shapes in groups.items() if (name == "forced") == forced}
            if not wanted:
                continue
            members = [name for name in names if name in FORCED_ISA] if forced else names
            with Team(members, threads, FORCED_ISA if forced else None) as team:
                for name, why in team.missing.items():
                    print(f"{name}: skipped: {why}")
                present = report.order(set(team.workers))
                print(
                    f"\n{threads} thread(s), GFLOP/s: "
                    + ", ".join(f"{n} {team.hello[n]['version']} {team.hello[n]['kernel']}".strip() for n in present)
                )
                print(report.header(present))
                for group, shapes in wanted.items():
                    for shape in shapes:
                        for layout in layouts:
                            try:
                                cell = team.cell(shape, layout, options.seconds, options.rounds)
                            except WorkerError as error:
                                print(f"{shape} {layout}: {error}")
                                continue
                            cells.append({"group": group, **cell})
                            print(report.line(cell, present), flush=True)
                idle = {name: round(share, 4) for name, share in team.idle_shares().items() if share > 0.01}
                if idle:
                    print(f"CPU used between turns: {idle}")
    print()
    for group in groups:
        print(report.group_line(group, [cell for cell in cells if cell["group"] == group]))
    print(f"{len(cells)} cells in {time.perf_counter() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps({"schema": "frugalblas-peers/0", "cells": cells}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
