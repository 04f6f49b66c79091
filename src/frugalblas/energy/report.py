"""A comparison as a text table, JSON or CSV. What has no figure has an empty cell and a line saying why."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .carbon import ATTRIBUTION, co2e, intensity
from .quantity import Quantity
from .results import SCHEMA, BenchResult, Comparison, Estimate

NO_FIGURE = "–"
COLUMNS = ("case", "ms", "W", "net J/call", "gross J/call", "GFLOP/s/W", "pJ/flop")


def plus_minus(figure: Estimate | None, factor: float = 1.0) -> str:
    """Mean ± half of the 95 % interval, to its two leading digits; a dash where there is no figure."""
    if figure is None:
        return NO_FIGURE
    mean, half = figure.value * factor, (figure.ci()[1] - figure.value) * factor
    if half <= 0.0:
        return f"{mean:.4g}"
    digits = 1 - math.floor(math.log10(half))
    if abs(mean) >= 1e-3 and digits <= 7:
        return f"{mean:.{max(0, digits)}f} ± {half:.{max(0, digits)}f}"
    exponent = math.floor(math.log10(abs(mean) or half))
    shown = max(0, digits + exponent)
    return f"({mean / 10**exponent:.{shown}f} ± {half / 10**exponent:.{shown}f})e{exponent:+03d}"


def table(comparison: Comparison, *, country: str | None = None, pue: float = 1.0) -> str:
    """One line per case, then idle power, front, flags and reasons. With `country`, g CO2e per million calls too."""
    carbon = [] if country is None else [f"gCO2e/1e6 calls ({country.upper()})"]
    lines = [[*COLUMNS, *carbon]]
    for result in comparison.results.values():
        lines.append(_cells(result) + ([] if country is None else [_grams(result, country, pue)]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        text.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]))
    text.insert(1, "-" * len(text[0]))
    return "\n".join([*(line.rstrip() for line in text), "", *_notes(comparison, country, pue)]) + "\n"


def _cells(result: BenchResult) -> list[str]:
    cells = [result.name, plus_minus(result.time, 1e3), plus_minus(result.power)]
    if result.net is None and result.below is not None:
        cells.append(f"< {result.below.upper_bound_j:.2g}")
    else:
        cells.append(plus_minus(result.net))
    cells.append(plus_minus(result.gross))
    if result.net is None or result.flops is None:
        return [*cells, NO_FIGURE, NO_FIGURE]
    return [*cells, plus_minus(result.gflops_per_watt()), plus_minus(result.pj_per_flop())]


def _grams(result: BenchResult, country: str, pue: float) -> str:
    return NO_FIGURE if result.gross is None else f"{co2e(result.gross, country, pue=pue).value * 1e6:.3g}"


def _notes(comparison: Comparison, country: str | None, pue: float) -> list[str]:
    settings = comparison.settings
    notes = [
        f"{settings.state}, up to {settings.blocks} blocks; ± is the 95 % t-interval; net = gross - idle power x time"
    ]
    if comparison.reason:
        notes.append(f"no joules: {comparison.reason}")
    else:
        zones = ", ".join(f"{zone['id']} ({zone['domain']})" for zone in comparison.zones)
        notes.append(f"scope {comparison.scope}: {zones}")
    if comparison.idle is not None:
        notes.append(f"idle: {plus_minus(comparison.idle)} W ({comparison.idle.provenance.name.lower()})")
    if comparison.cost is not None:
        notes.append(f"measuring took {comparison.seconds:.1f} s and {comparison.cost.value:.3g} J")
    front = comparison.pareto()
    if len(comparison.results) > 1 and front:
        notes.append(f"no other case is better in time and joules than: {', '.join(front)}")
    for result in comparison.results.values():
        kinds = {q.provenance for q in (result.net, result.gross) if q is not None and not q.provenance.is_measured}
        if kinds:
            notes.append(f"{result.name}: {', '.join(sorted(kind.name.lower() for kind in kinds))}, not measured")
        if result.problem and result.problem != comparison.reason:
            notes.append(f"{result.name}: {result.problem}")
        own = result.flags - comparison.flags
        if own:
            notes.append(f"{result.name}: {', '.join(sorted(own))}")
    if comparison.flags:
        notes.append(f"flags: {', '.join(sorted(comparison.flags))}")
    if country is not None:
        kind = "estimated" if pue == 1.0 else "assumed"
        notes.append(f"CO2e ({kind}): of the gross joules, mean grid of {intensity(country).year}, PUE {pue:g}")
        notes.append(ATTRIBUTION)
    return notes


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything, ready for JSON. Infinities become None."""
    origin_ns = comparison.began.monotonic_ns

    def one(result: BenchResult) -> dict[str, Any]:
        return {
            **{name: _dict(getattr(result, name)) for name in ("time", "power", "gross", "net", "amortised")},
            "gflops_per_watt": _dict(result.gflops_per_watt()) if result.net and result.flops else None,
            "pj_per_flop": _dict(result.pj_per_flop()) if result.net and result.flops else None,
            "flops": result.flops,
            "calls": result.calls,
            "flags": sorted(result.flags),
            "problem": result.problem or None,
            "upper_bound_j": result.below.upper_bound_j if result.below else None,
            "needed_s": _finite(result.below.needed_s) if result.below else None,
            "blocks": [block.as_dict(origin_ns) for block in result.blocks],
        }

    return {
        "schema": SCHEMA,
        "settings": asdict(comparison.settings),
        "began_unix_s": comparison.began.wall_ns / 1e9,
        "seconds": comparison.seconds,
        "scope": comparison.scope,
        "zones": list(comparison.zones),
        "flags": sorted(comparison.flags),
        "reason": comparison.reason or None,
        "cost": _dict(comparison.cost),
        "idle": _dict(comparison.idle),
        "idle_blocks": [block.as_dict(origin_ns) for block in comparison.idle_blocks],
        "warmup": [asdict(block) for block in comparison.warmup],
        "results": {name: one(result) for name, result in comparison.results.items()},
        "pareto": comparison.pareto(),
        "trace": {name: [[p.t_s, p.watts] for p in points] for name, points in comparison.trace.items()},
    }


def to_json(comparison: Comparison) -> str:
    """:func:`to_dict` as text."""
    return json.dumps(to_dict(comparison), indent=1, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """One line per case, SI units, standard uncertainties; empty where there is no figure."""
    figures = (("time", "s"), ("power", "W"), ("net", "J"), ("gross", "J"), ("amortised", "J"))
    head = ["case", "flops", "calls"]
    head += [column for name, unit in figures for column in (f"{name}_{unit}", f"u_{name}_{unit}")]
    rows: list[Sequence[Any]] = [[*head, "upper_bound_J", "provenance", "source", "flags", "problem"]]
    for result in comparison.results.values():
        found = [getattr(result, name) for name, _ in figures]
        cells = [value for figure in found for value in (("", "") if figure is None else (figure.value, figure.u))]
        headline = result.net or result.gross
        rows.append(
            [
                result.name,
                "" if result.flops is None else result.flops,
                result.calls,
                *cells,
                result.below.upper_bound_j if result.below else "",
                headline.provenance.name.lower() if headline else "",
                " ".join(headline.source) if headline else "",
                " ".join(sorted(result.flags)),
                result.problem,
            ]
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _dict(figure: Quantity | None) -> Mapping[str, Any] | None:
    return None if figure is None else figure.as_dict()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
