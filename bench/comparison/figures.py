"""From seconds to ratios and groups: every figure is a median over runs of what the rounds of one run say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from .libraries import OURS

Cell = dict[str, Any]
Result = dict[str, Any]


class Row(NamedTuple):
    """One cell over all runs. Ratios are ours / best peer in speed: above 1 we are faster."""

    group: str
    shape: tuple[int, int, int]
    batch: int | None
    layout: str
    threads: int
    gflops: dict[str, float]  # by library; from the median round, median of the runs
    ratio: float | None  # None: nothing valid of ours, or of any peer, in some run
    ratio_of_best: float | None  # fastest round of any peer / our fastest round
    best_peer: str | None
    peak_share: float | None  # of the FMA peak measured in the same rounds
    read_share: float | None  # bytes of the operands over the read bandwidth measured in the same rounds (gemv)
    bystander_cpus: float  # CPUs that other programs used meanwhile, of the worst run
    errors: dict[str, str]

    @property
    def name(self) -> str:
        return cell_name(self.shape, self.layout, self.threads, self.batch)


class Summary(NamedTuple):
    geomean: float
    worst: float
    worst_name: str
    cells: int


def cell_name(shape: Iterable[int], layout: str, threads: int, batch: int | None = None) -> str:
    sides = "x".join(map(str, shape))
    return f"{sides} {layout} {threads}t" if batch is None else f"{batch} of {sides} {layout} {threads}t"


def cell_key(cell: Cell) -> tuple[Any, ...]:
    return cell["group"], tuple(cell["shape"]), cell.get("batch"), cell["layout"], cell["threads"]


class Standing(NamedTuple):
    ratio: float
    ratio_of_best: float
    best_peer: str


def standing(cell: Cell) -> Standing | None:
    """How one run's cell compares with its best peer, None where we or all the peers have no valid result."""
    seconds: dict[str, list[float]] = cell["seconds"]
    peers = [name for name in seconds if name != OURS]
    if OURS not in seconds or not peers:
        return None
    best = min(peers, key=lambda name: statistics.median(seconds[name]))
    # Round by round, then the median: what slows the machine for a while slows both sides of one ratio.
    ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds[best], seconds[OURS], strict=True))
    fastest = min(min(seconds[name]) for name in peers) / min(seconds[OURS])
    return Standing(ratio, fastest, best)


def flops(cell: Cell) -> int:
    M, N, K = cell["shape"]
    return 2 * M * N * K * (cell.get("batch") or 1)


def gflops(cell: Cell) -> dict[str, float]:
    return {name: flops(cell) / statistics.median(samples) / 1e9 for name, samples in cell["seconds"].items()}


def row(cells: list[Cell]) -> Row:
    """The same cell of several runs as one row: the median of each figure."""
    group, shape, batch, layout, threads = cell_key(cells[0])
    standings = [standing(cell) for cell in cells]
    valid = [found for found in standings if found is not None]
    complete = bool(valid) and len(valid) == len(cells)
    ratio = statistics.median(found.ratio for found in valid) if complete else None
    by_library = [gflops(cell) for cell in cells]
    names = [name for name in by_library[0] if all(name in run for run in by_library)]
    shares = [
        statistics.median(peak * spent for peak, spent in zip(cell["peak_flops"], cell["seconds"][OURS], strict=True))
        for cell in cells
        if cell.get("peak_flops") and OURS in cell["seconds"]
    ]
    reads = [
        statistics.median(rate * spent for rate, spent in zip(cell["read_rate"], cell["seconds"][OURS], strict=True))
        for cell in cells
        if cell.get("read_rate") and OURS in cell["seconds"]
    ]
    M, N, K = shape
    return Row(
        group, shape, batch, layout, threads,
        {name: statistics.median(run[name] for run in by_library) for name in names},
        ratio,
        statistics.median(found.ratio_of_best for found in valid) if complete else None,
        min(valid, key=lambda found: abs(found.ratio - ratio)).best_peer if complete else None,
        flops(cells[0]) / statistics.median(shares) if shares else None,
        4 * (M * K + K * N + M * N) / statistics.median(reads) if reads else None,
        max(cell.get("bystander_cpus", 0.0) for cell in cells),
        {name: text for cell in cells for name, text in cell["errors"].items()},
    )  # fmt: skip


def rows(runs: list[Result]) -> list[Row]:
    """Every cell of the runs; a cell that only some runs have is made of those."""
    cells: dict[tuple[Any, ...], list[Cell]] = {}
    for run in runs:
        for cell in run["cells"]:
            cells.setdefault(cell_key(cell), []).append(cell)
    return [row(same) for same in cells.values()]


def summary(rows: Iterable[Row]) -> Summary | None:
    """Geometric mean and minimum of the ratios, None where there is none."""
    valid = [(row.ratio, row.name) for row in rows if row.ratio is not None]
    if not valid:
        return None
    worst, name = min(valid)
    return Summary(math.exp(statistics.fmean(math.log(ratio) for ratio, _ in valid)), worst, name, len(valid))


def efficiency(rows: list[Row], side: int = 2048) -> dict[str, float]:
    """Parallel efficiency of every library on one square: GFLOP/s on all cores over cores times GFLOP/s on one."""
    found = {r.threads: r for r in rows if r.shape == (side,) * 3 and r.layout == "NN" and r.group == "squares"}
    if len(found) < 2 or 1 not in found:
        return {}
    threads = max(found)
    alone, team = found[1].gflops, found[threads].gflops
    return {name: team[name] / (threads * alone[name]) for name in team if name in alone}
