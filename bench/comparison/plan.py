"""A whole run: which processes live when, and in which order the cells come."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from . import report, results
from .figures import Cell, Result, row
from .libraries import FORCED_ISA, FORCED_KERNEL, OURS
from .session import Bystanders, Process, Team, WorkerError
from .shapes import BATCH_COUNTS, CALL_SIDES, Shape

IN_ONE_PROCESS = ("small", "batches")
ROUNDS_OF_CALLS = 15


class Options(NamedTuple):
    groups: dict[str, list[Shape]]
    layouts: list[str]
    threads: list[int]
    peers: list[str]
    seconds: float
    rounds: int
    offset: int  # of every operand behind a page boundary, in bytes
    calls: bool = True  # measure what a call costs, too


def run(options: Options) -> Result:
    """Measure everything asked for, printing each cell as it comes and the whole table at the end."""
    started = time.perf_counter()
    # Without this field, as in earlier runs, it was left to malloc, process by process.
    result = {**results.new(), "operands_behind_page": options.offset}
    kinds = {
        name: "calls" if name in IN_ONE_PROCESS else "forced" if name == "forced" else "raw" for name in options.groups
    }
    for threads in options.threads:
        for kind, forced in (("raw", False), ("forced", True)):
            groups = {name: shapes for name, shapes in options.groups.items() if kinds[name] == kind}
            if groups:
                _libraries(options, groups, threads, forced, result)
        groups = {name: shapes for name, shapes in options.groups.items() if kinds[name] == "calls"}
        if groups:
            _calls(options, groups, threads, result)
    print("\n" + "\n".join(report.summary_lines([result])))
    print(f"\n{len(result['cells'])} cells in {time.perf_counter() - started:.0f} s")
    return result


def _add(result: Result, cell: Cell, names: list[str]) -> None:
    result["cells"].append(cell)
    print(report.line(row([cell]), names), flush=True)


def _libraries(options: Options, groups: dict[str, list[Shape]], threads: int, forced: bool, result: Result) -> None:
    """Cells in which every library is called in its own process."""
    members = [OURS, *options.peers]
    if forced:
        members = [name for name in members if name in FORCED_ISA]
    label = f"{'forced, ' if forced else ''}{threads}t"
    with Team(members, threads, FORCED_ISA if forced else None) as team:
        result["missing"].update(team.missing)
        result["libraries"][label] = team.hello
        for name, why in team.missing.items():
            print(f"{name}: skipped: {why}")
        if forced:
            for name, kernel in FORCED_KERNEL.items():
                if name in team.hello and not team.hello[name]["kernel"].startswith(kernel):
                    raise WorkerError(f"{name} runs {team.hello[name]['kernel']!r} after being held to {kernel!r}")
        names = report.columns(set(team.workers))
        found = (f"{name} {team.hello[name]['version']} {team.hello[name]['kernel']}".strip() for name in names)
        print(f"\n{label}, GFLOP/s: {', '.join(found)}\n{report.header(names)}")
        for group, shapes in groups.items():
            for shape in shapes:
                for layout in options.layouts:
                    packed = group == "packed"
                    cell = team.cell(shape, layout, options.seconds, options.rounds, options.offset, packed)
                    _add(result, {"group": group, **cell}, names)
        result["idle_shares"][label] = team.idle_shares()
        if busy := {name: round(share, 3) for name, share in team.idle_shares().items() if share > 0.01}:
            print(f"CPU used between turns: {busy}")


def _calls(options: Options, groups: dict[str, list[Shape]], threads: int, result: Result) -> None:
    """Cells in which frugalblas, NumPy and torch are called from Python in one process."""
    process = Process("calls", threads)
    try:
        result["libraries"][f"calls, {threads}t"] = {"calls": process.receive()}
        process.settle()
        for group, shapes in groups.items():
            names = ["a @ b", "np.dot", "torch.mm"] if group == "small" else ["np.matmul", "torch.bmm"]
            print(f"\n{threads}t, Python calls, GFLOP/s\n{report.header([OURS, *names])}")
            for shape in shapes:
                for batch in BATCH_COUNTS if group == "batches" else (None,):
                    for layout in options.layouts:
                        arguments: dict[str, Any] = {**shape._asdict(), "layout": layout, "rounds": ROUNDS_OF_CALLS}
                        place = {"group": group, "shape": list(shape), "layout": layout, "threads": threads}
                        if batch is not None:
                            arguments["batch"] = place["batch"] = batch
                        bystanders = Bystanders([process.process.pid])
                        measured = process.ask(group, **arguments)
                        cell = {**place, **measured, "bystander_cpus": bystanders.cpus()}
                        _add(result, cell, [OURS, *names])
        if options.calls and threads == 1:
            for side in CALL_SIDES:
                result["call_cost"].append(
                    {"side": side, **process.ask("call_forms", side=side, rounds=ROUNDS_OF_CALLS)}
                )
    finally:
        process.close()
