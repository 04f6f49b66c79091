"""The options of ``frugalblas bench`` that make pages and figures, and the command ``frugalblas compare``."""

from __future__ import annotations

import argparse
from typing import Any

COMPARE_EPILOG = """\
examples:
  frugalblas compare laptop.json server.json             two machines, from files of frugalblas bench --json
  frugalblas compare before.json after.json --report difference.html
  frugalblas compare run.json run.json --country FRA,POL  the same joules on two grids

A ratio comes with an interval; one that contains 1 is called no difference. The interval covers the scatter of the
samples within each run, not what changed between the runs: repeat both to see that.

exit status: 0 compared, whatever the outcome; 1 the page could not be written; 2 a file cannot be read or used
"""


def add_options(bench: argparse.ArgumentParser) -> None:
    """Those of ``frugalblas bench``."""
    shown = bench.add_argument_group("pages and figures, also with --from")
    shown.add_argument("--report", metavar="FILE", help="write one HTML page with charts; nothing in it is downloaded")
    shown.add_argument("--plots", metavar="DIR", help="write every chart as PNG and SVG into DIR")
    shown.add_argument("--country", metavar="NAMES", help="on the page: CO2e on the grids of FRA,POL,... by commas")
    shown.add_argument("--per-year", metavar="CALLS", help="on the page: joules of a year at so many calls a second")


def add_commands(commands: Any) -> None:
    """``frugalblas compare``."""
    compare = commands.add_parser(
        "compare",
        help="two kept runs side by side: machines, commits or countries",
        epilog=COMPARE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Sets the cases of two kept runs side by side: what differs, and by how much.",
    )
    compare.add_argument("a", metavar="A.json", help="the run that is compared with")
    compare.add_argument("b", metavar="B.json", help="the run whose speed and joules are given as ratios to A")
    compare.add_argument("--report", metavar="FILE", help="write one HTML page with charts")
    compare.add_argument("--country", metavar="NAMES", help="CO2e on this grid, or A's and B's by a comma: FRA,POL")
    compare.set_defaults(run=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """``frugalblas compare``."""
    from frugalblas.bench.compare.command import run

    return run(options)
