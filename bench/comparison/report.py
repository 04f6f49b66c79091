"""A run as text: one line per cell, then one per group."""

from __future__ import annotations

from typing import Any

from .figures import cell_name, standing, summary
from .libraries import LIBRARIES, OURS

SHORT = {OURS: "ours"}


def header(names: list[str]) -> str:
    return f"{'shape':>22}  " + "".join(f"{SHORT.get(name, name):>10}" for name in names) + "   ratio  best/best  peer"


def line(cell: dict[str, Any], names: list[str]) -> str:
    found = standing(cell)
    gflops = found.gflops if found else {}
    text = f"{cell_name(cell):>22}  " + "".join(f"{gflops[n]:10.1f}" if n in gflops else f"{'-':>10}" for n in names)
    if found:
        text += f"  {found.ratio:6.3f}     {found.ratio_of_best:6.3f}  {found.best_peer}"
    return text + "".join(f"\n{'':>24}{name}: {error}" for name, error in cell["errors"].items())


def group_line(name: str, cells: list[dict[str, Any]]) -> str:
    found = summary((cell_name(cell), s.ratio) for cell in cells if (s := standing(cell)))
    if found is None:
        return f"{name}: nothing to compare"
    text = f"{name}: geometric mean {found.geomean:.3f}, minimum {found.worst:.3f} ({found.worst_cell}), {found.cells} cells"
    return text


def order(names: set[str]) -> list[str]:
    return [name for name in LIBRARIES if name in names]
