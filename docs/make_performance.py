"""Writes docs/performance.md and its plots from what bench/peers.py measured.

Usage: python docs/make_performance.py [RESULT.json ...]      (default: bench/results/peers_*.json; needs matplotlib)
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from comparison import figures, report, results, targets  # noqa: E402
from comparison.figures import Result, Row  # noqa: E402
from comparison.libraries import OURS  # noqa: E402

PAGE, PLOTS = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance"
COLORS = {
    OURS: "#d62728", "openblas": "#1f77b4", "mkl": "#17becf", "aocl": "#ff7f0e", "onednn": "#2ca02c",
    "blis": "#9467bd", "torch": "#8c564b",
}  # fmt: skip

INTRO = """\
<!-- Written by docs/make_performance.py from bench/results/. Measure again, then run it; do not edit. -->

# Against every CPU library

`bench/peers.py` compares frugalblas with every library that can be installed and multiplies float32 matrices on the
CPU: OpenBLAS (the build in the wheel `scipy-openblas32`), Intel MKL, AMD AOCL-BLAS (from the wheel `aoclda`),
oneDNN and BLIS (Debian's packages) and PyTorch. A ratio is **ours / best peer** in speed, so that above 1 we are
faster, and the best peer is whichever was fastest on that very product. Where we lose, the table says so.

How it is measured:

* Each library runs in a process of its own; for each product they take turns, round by round, in rotating order. A
  ratio is the median over rounds of the two times in that round; with several runs, the median of the runs' ratios.
* All get the same N(0,1) operands from one seed, in memory allocated the same way, and the same number of threads,
  read back from the library. One thread is pinned to one CPU. The next turn begins when all threads of the last one
  sleep, and a round in which a team was kept on fewer CPUs than it has threads is repeated, whoever it happens to.
  Settings in the caller's environment that would slow a peer are dropped; BLIS, which does not know the newest
  CPUs, is told to use its AVX-512 kernels.
* Every result is checked against float64 with the error bound of a float32 product before anything is timed.
* BLAS functions are called from a compiled loop. Ours is called the same way where the build has `cblas_sgemm`,
  else, like torch, from Python, which small products then pay for. The groups *small* and *batches* are calls from
  Python for all.
* The operands of a product stay the same from call to call: what fits into the caches is warm, what does not is
  cold.
* *of peak* is the share of the FMA rate measured in the same rounds; *of read*, for products with a vector, is the
  bytes of the operands over the time, against NumPy's dot product reading the larger operand.
"""


def machine_lines(runs: list[Result]) -> list[str]:
    """Where, with what and when it was measured."""
    first = runs[0]
    machine, source = first["machine"], first["source"]
    commit = (source["commit"] or "unknown")[:12] + (" with changes" if source["modified"] else "")
    versions: dict[str, str] = {}
    for hello in first["libraries"].values():
        for name, said in hello.items():
            versions.setdefault(name, f"{name} {said['version']}" + (f" ({said['kernel']})" if said["kernel"] else ""))
    times = ", ".join(run["started"] for run in runs)
    lines = [
        f"\nMeasured on: {machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, {machine['compiler']}, "
        f"Python {machine['python']}, NumPy {first['numpy']}, commit {commit}; {len(runs)} run(s): {times}.",
        f"\nLibraries: {'; '.join(versions.values())}.",
    ]
    place = first.get("operands_behind_page")
    lines.append(
        "\nOperands lay where each process's malloc put them, which makes up to 10 % of difference to libraries that "
        "care whether rows straddle cache lines."
        if place is None
        else f"\nOperands began {place} bytes behind a page boundary in every process, but for *small* and *batches*."
    )
    if missing := {name: why for run in runs for name, why in run["missing"].items()}:
        lines.append("\nMissing: " + "; ".join(f"{name}: {why}" for name, why in missing.items()) + ".")
    busy = [share for run in runs for shares in run["idle_shares"].values() for share in shares.values()]
    if busy:
        lines.append(f"\nThe busiest library between its turns used {100 * max(busy):.1f} % of a CPU.")
    disturbed = sum(row.bystander_cpus > report.DISTURBED for row in figures.rows(runs))
    if disturbed:
        lines.append(f"\n**Other programs took CPU time while {disturbed} products were measured.**")
    return lines


def target_lines(runs: list[Result]) -> list[str]:
    """The table of targets, every answer in words."""
    lines = [
        "\n## What must hold, and what is aimed at\n",
        "Ratios are geometric mean / worst cell.\n",
        "| | must | met | goal | met | measured |",
        "|---|---|---|---|---|---|",
    ]
    for v in targets.verdicts(runs):
        met, goal_met = (f"**{text}**" if text == "NO" else text for text in map(report.answer, (v.met, v.goal_met)))
        lines.append(f"| {v.title} | {v.must} | {met} | {v.goal} | {goal_met} | {v.measured} |")
    return lines


def group_table(rows: list[Row]) -> list[str]:
    """Speeds and ratio of every product of a group; a loss in bold."""
    names = report.columns({name for row in rows for name in row.gflops})
    shown = [report.SHORT.get(name, name) for name in names]
    lines = [
        f"| GFLOP/s | {' | '.join(shown)} | ratio | best peer | of peak | of read |",
        "|---|" + "---:|" * (len(names) + 1) + "---|---:|---:|",
    ]
    for row in rows:
        speeds = " | ".join(f"{row.gflops[name]:.1f}" if name in row.gflops else "-" for name in names)
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio >= 1 else f"**{row.ratio:.2f}**"
        shares = f"{report.percent(row.peak_share)} | {report.percent(row.read_share)}"
        lines.append(f"| {row.name} | {speeds} | {ratio} | {row.best_peer or '-'} | {shares} |")
    return lines


def new_axes(title: str, ylabel: str):
    """An empty plot in the style of all."""
    import matplotlib

    matplotlib.use("svg")
    # The same input gives the same file, without a date in it; text stays text, which keeps the files small.
    matplotlib.rcParams.update({"svg.hashsalt": "frugalblas", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    axes.set(title=title, ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure, name: str) -> str:
    """Write an SVG; its path as the page links it."""
    from matplotlib import pyplot

    PLOTS.mkdir(exist_ok=True)
    figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
    return f"performance/{name}.svg"


def plot_squares(rows: list[Row], threads: int) -> str | None:
    """GFLOP/s over the side of a square, one line a library."""
    squares = sorted(
        (r for r in rows if (r.group, r.layout, r.threads) == ("squares", "NN", threads)), key=lambda r: r.shape
    )
    if len(squares) < 2:
        return None
    figure, axes = new_axes(f"Squares, NN, {threads} thread(s)", "GFLOP/s")
    for name in report.columns({name for row in squares for name in row.gflops}):
        points = [(row.shape[0], row.gflops[name]) for row in squares if name in row.gflops]
        ours = name == OURS
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name, color=COLORS.get(name),
                  linewidth=2.2 if ours else 1.1, zorder=3 if ours else 2)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("M = N = K")
    axes.legend(fontsize=8, ncols=2)
    return save(figure, f"squares_{threads}t")


def plot_ratios(rows: list[Row]) -> str | None:
    """Every cell's ratio as a dot, one column a group: the losers are the dots below the line."""
    groups = list(dict.fromkeys(row.group for row in rows))
    found = [[row.ratio for row in rows if row.group == group and row.ratio is not None] for group in groups]
    shown = [(group, ratios) for group, ratios in zip(groups, found, strict=True) if ratios]
    if not shown:
        return None
    figure, axes = new_axes("Every cell: ours / best peer", "ratio (above 1: ours is faster)")
    for column, (_, ratios) in enumerate(shown):
        step = 0.6 / max(1, len(ratios) - 1)
        xs = [column - 0.3 + step * index for index in range(len(ratios))]
        colors = ["#2ca02c" if ratio >= 1 else "#d62728" for ratio in sorted(ratios)]
        axes.scatter(xs, sorted(ratios), s=7, c=colors)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(range(len(shown)), [group for group, _ in shown], rotation=20)
    return save(figure, "ratios")


def page(runs: list[Result]) -> str:
    """The whole page; writes the plots beside it."""
    rows = figures.rows(runs)
    lines = [INTRO.rstrip(), *machine_lines(runs), *target_lines(runs), "\n## In pictures\n"]
    plots = [plot_ratios(rows), *(plot_squares(rows, threads) for threads in sorted({row.threads for row in rows}))]
    lines += [f"![{Path(plot).stem}]({plot})\n" for plot in plots if plot]
    lines += ["## Groups\n", *(f"* {line}" for line in report.group_lines(rows))]
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        errors = sorted({f"{name}: {text}" for row in members for name, text in row.errors.items()})
        lines += [f"\n### {group}\n", "A ratio in bold is a loss.\n", *group_table(members)]
        lines += ["", *(f"* {error}" for error in errors)] if errors else []
    return "\n".join(lines) + "\n"


def main() -> int:
    """Exit status: 1 when there is nothing to write from."""
    files = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "bench" / "results").glob("peers_*.json"))
    if not files:
        print(
            "no bench/results/peers_*.json: run python bench/peers.py --json bench/results/peers_1.json first",
            file=sys.stderr,
        )
        return 1
    PAGE.write_text(page(results.load_runs(files)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
