"""From seconds to ratios, groups and the table of what must hold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from .libraries import OURS


class Standing(NamedTuple):
    """One cell: how fast we are, who the best peer is, and the ratio ours / best peer (above 1: we are faster)."""

    gflops: dict[str, float]  # by library, from the median round
    best_peer: str
    ratio: float  # median over rounds of (best peer's seconds / ours) in that round
    ratio_of_best: float  # fastest round of the fastest peer / our fastest round


def standing(cell: dict[str, Any]) -> Standing | None:
    """None where we, or all the peers, have no valid result."""
    seconds = {name: samples for name, samples in cell["seconds"].items() if samples}
    peers = {name: samples for name, samples in seconds.items() if name != OURS}
    if OURS not in seconds or not peers:
        return None
    M, N, K = cell["shape"]
    flops = 2 * M * N * K * cell.get("batch", 1)
    medians = {name: statistics.median(samples) for name, samples in seconds.items()}
    best = min(peers, key=medians.__getitem__)
    ratio = statistics.median(theirs / ours for theirs, ours in zip(peers[best], seconds[OURS], strict=True))
    fastest = min(min(samples) for samples in peers.values()) / min(seconds[OURS])
    return Standing({name: flops / t / 1e9 for name, t in medians.items()}, best, ratio, fastest)


class Summary(NamedTuple):
    geomean: float
    worst: float
    worst_cell: str
    cells: int


def cell_name(cell: dict[str, Any]) -> str:
    batch = f"{cell['batch']}x" if "batch" in cell else ""
    return f"{batch}{'x'.join(map(str, cell['shape']))} {cell['layout']} {cell['threads']}t"


def summary(ratios: Iterable[tuple[str, float]]) -> Summary | None:
    """Geometric mean and minimum of named ratios."""
    named = list(ratios)
    if not named:
        return None
    worst_cell, worst = min(named, key=lambda pair: pair[1])
    return Summary(math.exp(statistics.fmean(math.log(ratio) for _, ratio in named)), worst, worst_cell, len(named))
