"""One table for each study but the ladder: a function of that study's part of a result and of the page's width."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence

from . import figures, roof, text
from .fit import evenly
from .records import CaseRecord, PeakRecord, Result
from .text import NONE

GAP = "  "
BEST = "*"


def of(result: Result, axis: str, width: int) -> list[str]:
    """The lines of the table; one line that says so where nothing was measured."""
    if not any(record["status"] == "ok" for record in result["cases"]):
        return ["Nothing was measured."]
    tables: dict[str, Callable[[Result, int], list[str]]] = {
        "threads": by_threads,
        "variant": by_variant,
        "blocks": by_blocks,
        "precision": by_precision,
        "time": by_power,
        "intensity": by_intensity,
    }
    return tables.get(axis, by_size)(result, width)


def speed(record: CaseRecord | None) -> str:
    """GFLOP/s, or why there are none."""
    if record is None:
        return NONE
    if record["status"] in ("wrong", "failed"):
        return record["status"].upper()
    return text.number(figures.gflops(record)) if record["status"] == "ok" else NONE


def timed(result: Result) -> list[CaseRecord]:
    """The cases that were measured."""
    return [record for record in result["cases"] if record["status"] == "ok"]


def by_size(result: Result, width: int, *, every: bool = False) -> list[str]:
    """GFLOP/s of every curve at as many of the sizes as fit, evenly spread; at `every` size in several tables."""
    records = {(figures.describe(r), r["threads"], figures.size_of(r)): r for r in result["cases"]}
    sizes = list(dict.fromkeys(figures.size_of(record) for record in timed(result)))
    curves = list(dict.fromkeys((label, threads) for label, threads, _ in records))
    curves = [curve for curve in curves if any(speed(records.get((*curve, size))) != NONE for size in sizes)]
    names = [f"{label}, {threads} threads" if threads > 1 else label for label, threads in curves]
    room = width - max(len(name) for name in (*names, "GFLOP/s at"))
    at_once = max(1, room // (max(9 if every else 7, *(len(str(size)) for size in sizes)) + len(GAP)))
    parts = [sizes[i : i + at_once] for i in range(0, len(sizes), at_once)] if every else [evenly(sizes, at_once)]
    lines: list[str] = []
    for some in parts:
        body = [
            [name, *(speed(records.get((*curve, size))) for size in some)]
            for name, curve in zip(names, curves, strict=True)
        ]
        lines += ["", *text.table([["GFLOP/s at", *map(str, some)]], body, left=1)]
    if not every and len(sizes) > at_once:
        lines.append(f"({at_once} of the {len(sizes)} sizes measured; all are in the JSON and on the page)")
    return lines[1:]


def by_threads(result: Result, width: int) -> list[str]:
    """GFLOP/s by curve and thread count, the best count, and what it gains."""
    lines: list[str] = []
    for size in figures.sizes(result):
        at_size = [record for record in timed(result) if figures.size_of(record) == size]
        counts = sorted({record["threads"] for record in at_size})
        serial = next((r for r in at_size if r["threads"] == 1 and not r.get("series")), None)
        some = evenly(counts, max(2, (width - 54) // 8))
        head = [
            ["GFLOP/s", *[""] * len(some), "best", "x 1", "x"],
            [f"{size}, on", *map(str, some), "on", "thread", "serial"],
        ]
        body = []
        for label in dict.fromkeys(figures.describe(record) for record in at_size):
            curve = {r["threads"]: r for r in at_size if figures.describe(r) == label}
            best = max(curve.values(), key=figures.gflops)
            gains = [ratio(best, curve.get(1)), ratio(best, serial)]
            cells = [speed(curve.get(count)) for count in some]
            body.append([label, *cells, str(best["threads"]) if len(curve) > 1 else NONE, *gains])
        lines += text.table(head, body, left=1)
        if serial is not None:
            lines.append(f"serial: {figures.describe(serial)} on one thread")
        lines += _frugal(at_size)
    return lines


def _frugal(records: Sequence[CaseRecord]) -> list[str]:
    """The thread count with the most flops per joule, where joules exist."""
    per_joule = {record["threads"]: rate for record in records if (rate := gflop_per_joule(record)) is not None}
    if not per_joule:
        return []
    best = max(per_joule, key=lambda count: per_joule[count])
    return [f"most frugal: {text.number(per_joule[best])} GFLOP/s per W on {text.count(best, 'thread', 'threads')}"]


def by_variant(result: Result, width: int) -> list[str]:
    """GFLOP/s by build variant and strategy, in several tables where the strategies do not fit side by side."""
    lines: list[str] = []
    for size in figures.sizes(result):
        records = {(r["strategy"], r["variant"]): r for r in result["cases"] if figures.size_of(r) == size}
        strategies = list(dict.fromkeys(name for name, _ in records))
        variants = list(dict.fromkeys(variant for _, variant in records))
        first = [f"GFLOP/s at {size}", *map(str, variants)]
        columns = [[name, *(speed(records.get((name, v))) for v in variants)] for name in strategies]
        while columns:
            gap, count = _fitting(first, columns, width)
            head, *body = zip(first, *columns[:count], strict=True)
            lines += text.table([head], body, left=1, gap=gap)
            columns = columns[count:]
    return lines


def _fitting(first: Sequence[str], columns: Sequence[Sequence[str]], width: int) -> tuple[str, int]:
    """The widest gap with which all columns fit beside the first one; else the narrowest, and how many do."""
    room = width - max(map(len, first))
    for gap in (GAP, " "):
        ends = itertools.accumulate(len(gap) + max(map(len, column)) for column in columns)
        count = sum(end <= room for end in ends)
        if count == len(columns):
            break
    return gap, max(1, count)


def by_blocks(result: Result, width: int) -> list[str]:
    """A map of GFLOP/s for each pair of parameters, the best marked."""
    lines: list[str] = []
    for size in figures.sizes(result):
        at_size = [record for record in timed(result) if figures.size_of(record) == size]
        own = next((record for record in at_size if not record.get("parameters")), None)
        if own is not None:
            lines.append(f"{size}: {figures.describe(own)} with its own blocks: {speed(own)} GFLOP/s")
        for series in dict.fromkeys(record.get("series") for record in at_size):
            if series is not None and " x " in series:
                lines += ["", *_map([r for r in at_size if r.get("series") == series], series, width)]
    return lines


def _map(records: list[CaseRecord], series: str, width: int) -> list[str]:
    down, across = series.split(" x ")
    cells = {(r["parameters"][down], r["parameters"][across]): r for r in records}
    best = max(cells, key=lambda place: figures.gflops(cells[place]))
    rows, columns = (sorted({place[i] for place in cells}) for i in (0, 1))
    columns = evenly(columns, (width - 14) // 8)

    def cell(place: tuple[int, int]) -> str:
        return speed(cells.get(place)) + (BEST if place == best else " ")

    body = [[str(row), *(cell((row, column)) for column in columns)] for row in rows]
    others = {name: value for name, value in cells[best]["parameters"].items() if name not in (down, across)}
    fixed = ", ".join(f"{name} {value}" for name, value in others.items())
    head = [[f"{down} \\ {across}", *(f"{column} " for column in columns)]]
    title = f"GFLOP/s by {down} and {across}; {fixed}; best: {best[0]} and {best[1]} ({BEST})"
    return [*text.paragraph(title, width), *text.table(head, body, left=1)]


def by_precision(result: Result, _: int) -> list[str]:
    """Speed, error and joules; those that no other beats in speed and error are marked."""
    body = []
    for size in figures.sizes(result):
        records = [record for record in timed(result) if figures.size_of(record) == size]
        ahead = figures.unbeaten(records)
        for record in records:
            body.append(
                [
                    figures.describe(record) + (f" {BEST}" if any(record is best for best in ahead) else ""),
                    str(size),
                    str(record["threads"]),
                    speed(record),
                    text.optional(record["error_u"]),
                    text.optional(record["joules_per_call"]),
                ]
            )
    head = [["", "", "", "", "error", "J per"], ["strategy", "size", "threads", "GFLOP/s", "in u", "call"]]
    return [*text.table(head, body, left=1), f"{BEST} no other is both faster and as accurate, or as fast and more so"]


def by_power(result: Result, width: int) -> list[str]:
    """Speed, power and joules of each case, and the mean power of each stretch of the trace."""
    body = []
    for record in timed(result):
        energy = record.get("energy")
        body.append(
            [
                figures.describe(record),
                str(figures.size_of(record)),
                str(record["threads"]),
                speed(record),
                text.optional(energy["watts"] if energy else None),
                text.optional(record["joules_per_call"]),
            ]
        )
    head = [["", "", "", "", "", "J per"], ["strategy", "size", "threads", "GFLOP/s", "W", "call"]]
    lines = text.table(head, body, left=1)
    for trace in result.get("traces", []):
        points = list(zip(trace["seconds"], trace["watts"], strict=True))
        for mark in trace["marks"]:
            watts = [w for at, w in points if mark["begin_seconds"] <= at <= mark["end_seconds"]]
            seconds = mark["end_seconds"] - mark["begin_seconds"]
            lines += text.paragraph(
                f"{mark['name']}: {text.number(statistics.fmean(watts))} W for {seconds:.1f} s", width
            )
    return lines


def by_intensity(result: Result, width: int) -> list[str]:
    """Each case under its roof: the FMA peak, or what memory delivers at its flops per byte."""
    body = []
    for record in timed(result):
        size = figures.size_of(record)
        top = roof.roof(result, record)
        body.append(
            [
                figures.describe(record),
                str(size),
                str(record["threads"]),
                text.number(roof.intensity(size)),
                speed(record),
                text.optional(top[0] if top else None),
                NONE if top is None else text.percent(figures.gflops(record) / top[0]),
            ]
        )
    head = [
        ["", "", "", "flop per", "", "", "of the"],
        ["strategy", "size", "threads", "byte", "GFLOP/s", "roof", "roof"],
    ]
    bandwidths = sorted(roof.bandwidths(result).items())
    measured = ", ".join(f"{what} {text.number(gb)} GB/s on {n}" for (n, what), gb in bandwidths)
    peaks = {p["threads"]: text.number(figures.peak_gflops(p)) for p in result["peaks"] if p["seconds"]}
    peak_text = ", ".join(f"{gflops} GFLOP/s on {n}" for n, gflops in peaks.items())
    return [
        *text.paragraph(f"FMA peak {peak_text}; memory by threads: {measured}", width),
        *text.table(head, body, left=1),
    ]


def gflop_per_joule(record: CaseRecord) -> float | None:
    """10^9 flops per joule, which is GFLOP/s per watt."""
    if not record["joules_per_call"]:
        return None
    return figures.size_of(record).flops / 1e9 / record["joules_per_call"]


def ratio(record: CaseRecord, other: CaseRecord | PeakRecord | None) -> str:
    """How many times as fast, from interleaved samples."""
    return NONE if other is None else text.times(figures.interleaved_ratio(record, other, figures.flops_rate))
