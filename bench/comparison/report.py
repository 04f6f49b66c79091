"""A run as text: one line per cell, one per group, and the table of targets."""

from __future__ import annotations

from .figures import Result, Row, rows, summary
from .libraries import LIBRARIES, OURS
from .targets import Verdict, verdicts

SHORT = {OURS: "ours"}
DISTURBED = 0.1  # CPUs taken by other programs, from which on a figure is not to be trusted


def columns(names: set[str]) -> list[str]:
    """Libraries in the order of their list, ours first."""
    return [name for name in LIBRARIES if name in names] + sorted(names - set(LIBRARIES))


def header(names: list[str]) -> str:
    titles = "".join(f"{SHORT.get(name, name):>10}" for name in names)
    return f"{'shape':>24}{titles}   ratio  best/best  of peak  of read  best peer"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def line(row: Row, names: list[str]) -> str:
    text = f"{row.name:>24}"
    text += "".join(f"{row.gflops[name]:10.1f}" if name in row.gflops else f"{'-':>10}" for name in names)
    if row.ratio is not None:
        text += f"  {row.ratio:6.3f}     {row.ratio_of_best:6.3f}"
        text += f"  {percent(row.peak_share):>7}  {percent(row.read_share):>7}  {row.best_peer}"
    if row.bystander_cpus > DISTURBED:
        text += f"  (disturbed: other programs used {row.bystander_cpus:.1f} CPUs)"
    return text + "".join(f"\n{'':>26}{name}: {error}" for name, error in row.errors.items())


def group_lines(all_rows: list[Row]) -> list[str]:
    lines = []
    for group, threads in dict.fromkeys((row.group, row.threads) for row in all_rows):
        found = summary(row for row in all_rows if (row.group, row.threads) == (group, threads))
        title = f"{group}, {threads} thread(s)"
        if found is None:
            lines.append(f"{title}: nothing to compare")
            continue
        lines.append(
            f"{title}: geometric mean {found.geomean:.3f}, minimum {found.worst:.3f} ({found.worst_name}), "
            f"{found.cells} cells"
        )
    return lines


def answer(met: bool | None) -> str:
    return {None: "-", True: "yes", False: "NO"}[met]


def verdict_lines(table: list[Verdict]) -> list[str]:
    width = max(len(verdict.title) for verdict in table)
    return [f"{'':{width}}  must         met  goal         met  measured"] + [
        f"{v.title:{width}}  {v.must:11}  {answer(v.met):3}  {v.goal:11}  {answer(v.goal_met):3}  {v.measured}"
        for v in table
    ]


def summary_lines(runs: list[Result]) -> list[str]:
    """Groups and targets, without the cells."""
    disturbed = sum(row.bystander_cpus > DISTURBED for row in rows(runs))
    warning = [f"Measure again: other programs took CPU time in {disturbed} cells."] if disturbed else []
    measured = [verdict for verdict in verdicts(runs) if verdict.measured != "not measured"]
    return [*group_lines(rows(runs)), "", *(verdict_lines(measured) if measured else []), *warning]


def full(runs: list[Result]) -> str:
    """Everything of one or several runs."""
    all_rows = rows(runs)
    lines = []
    for threads in sorted({row.threads for row in all_rows}):
        for names in dict.fromkeys(tuple(columns(set(r.gflops))) for r in all_rows if r.threads == threads):
            lines.append(header(list(names)))
            same = (r for r in all_rows if r.threads == threads and tuple(columns(set(r.gflops))) == names)
            lines += [line(row, list(names)) for row in same]
    return "\n".join([*lines, "", *summary_lines(runs)])
