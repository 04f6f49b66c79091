"""What the comparison must show, and what it is aimed at; each line answered with the measured figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from .figures import Result, Row, efficiency, rows, summary
from .libraries import OURS


class Target(NamedTuple):
    """Geometric mean and worst ratio of a group's rows."""

    title: str
    group: str
    must: tuple[float, float]
    goal: tuple[float, float]
    counts: Callable[[Row], bool] = lambda row: True


LARGE, THIN = ((1.00, 0.94), (1.02, 0.98)), ((1.05, 0.92), (1.30, 1.00))
TARGETS = [
    Target("squares from 256", "squares", *LARGE, lambda row: min(row.shape) >= 256),
    Target("layers", "layers", *LARGE),
    Target("odd sizes", "odd", *LARGE),
    Target("skinny in M", "skinny_m", *THIN),
    Target("skinny in N", "skinny_n", *THIN),
    Target("skinny in K", "skinny_k", *THIN),
    Target("deep", "deep", *THIN),
    Target("small, Python call included", "small", (1.5, 1.0), (3.0, 1.3)),
    Target("batches", "batches", (1.3, 1.0), (2.0, 1.3)),
    # Weights packed once; the peers, which have to pack or stream B each time, get it as it is.
    Target("packed B, M to 64", "packed", (1.00, 1.00), (1.30, 1.00)),
    Target("AVX2 path", "forced", (1.00, 0.94), (1.03, 0.98)),
]
EFFICIENCY, PEAK_SHARE = 0.95, 0.98
# sgemm's seconds over those of `a @ b`, by side: plain, and with algo= and threads= given.
CALL_COST = {"sgemm(a, b)": {4: 0.4, 16: 0.6, 32: 1.0, 48: 1.0, 64: 1.0, 96: 1.0}, "algo=, threads=": {4: 0.6}}


class Verdict(NamedTuple):
    title: str
    measured: str
    must: str
    met: bool | None  # None: not measured
    goal: str = ""
    goal_met: bool | None = None


def judge(target: Target, all_rows: list[Row]) -> Verdict:
    """A group that holds a wrong or missing result of ours has not met anything."""
    counted = [row for row in all_rows if row.group == target.group and target.counts(row)]
    must, goal = (f"{mean:.2f} / {worst:.2f}" for mean, worst in (target.must, target.goal))
    if not counted:
        return Verdict(target.title, "not measured", must, None, goal)
    broken = [row for row in counted if row.ratio is None]
    found = summary(counted)
    if found is None:
        reason = next(iter({text for row in counted for text in row.errors.values()}), "no result")
        return Verdict(target.title, f"nothing to compare: {reason}", must, False, goal, False)
    text = f"{found.geomean:.3f} / {found.worst:.3f} ({found.worst_name}; {found.cells} cells)"
    if broken:
        text += f"; {len(broken)} cells without a result, {broken[0].name} the first"

    def reached(bound: tuple[float, float]) -> bool:
        return not broken and found.geomean >= bound[0] and found.worst >= bound[1]

    return Verdict(target.title, text, must, reached(target.must), goal, reached(target.goal))


def call_cost(runs: list[Result]) -> dict[tuple[str, int], float]:
    """Median over runs of the median per-round ratio of sgemm's seconds to those of `a @ b`."""
    ratios: dict[tuple[str, int], list[float]] = {}
    for entry in (entry for run in runs for entry in run.get("call_cost", [])):
        for form in CALL_COST:
            pairs = zip(entry["seconds"][form], entry["seconds"]["a @ b"], strict=True)
            ratios.setdefault((form, entry["side"]), []).append(
                statistics.median(ours / numpy for ours, numpy in pairs)
            )
    return {key: statistics.median(values) for key, values in ratios.items()}


def verdicts(runs: list[Result]) -> list[Verdict]:
    """The whole table, in the order of TARGETS, then efficiency, peak share and call cost."""
    all_rows = rows(runs)
    table = [judge(target, all_rows) for target in TARGETS]
    parallel = efficiency(all_rows)
    ours = parallel.get(OURS)
    others = ", ".join(f"{name} {share:.3f}" for name, share in parallel.items() if name != OURS)
    measured = "not measured" if ours is None else f"{ours:.3f} ({others})"
    met = None if ours is None else ours >= EFFICIENCY
    table.append(Verdict("parallel efficiency at 2048", measured, f"{EFFICIENCY}", met))
    peak: list[Any] = [
        r.peak_share for r in all_rows if (r.group, r.shape[0], r.layout, r.threads) == ("squares", 2048, "NN", 1)
    ]
    share = peak[0] if peak else None
    measured = "not measured" if share is None else f"{share:.3f}"
    table.append(Verdict("share of FMA peak at 2048, 1 thread", measured, "", None, f"{PEAK_SHARE}",
                         None if share is None else share >= PEAK_SHARE))  # fmt: skip
    costs = call_cost(runs)
    for form, bounds in CALL_COST.items():
        for side, bound in bounds.items():
            cost = costs.get((form, side))
            measured = "not measured" if cost is None else f"{cost:.2f}"
            title = f"{form} over a @ b at {side}x{side}"
            table.append(Verdict(title, measured, f"<= {bound}", None if cost is None else cost <= bound))
    return table
