"""The table of a run: a function of the result and of the width of the page, and of nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from . import figures, text
from .cases import Size
from .figures import Row
from .findings import findings
from .schema import CaseRecord, Result

NONE = "–"
NARROW, WIDE = 80, 120
NOISY = 0.1  # spread; an idle machine stays at a few percent
WIDE_GAP = "  "
LONGEST_LABEL = 13  # numpy_rowsum fits; a longer name@variant gets a line of its own

COLUMNS_EXPLAINED = (
    "spread: interquartile range of the samples. Shares and speed-ups: medians of interleaved ratios. Peak (FMAs "
    "in registers, timed in between) and OpenBLAS: on as many threads as the row. error: largest |C - C64| / (|A||B|), "
    "u = 2^-24."
)

Column = tuple[str, str, Callable[[Row], str]]  # two lines of head, and the cell


def render(result: Result, width: int = NARROW) -> str:
    """Everything a run says: machine, table of the size with the whole ladder, GFLOP/s by size, notes, findings.

    No line is longer than max(80, width); at 120 and more there are more columns.
    """
    width = max(width, NARROW)
    sizes = figures.sizes(result)
    timed = [size for size in sizes if figures.rows(result, size)]
    blocks = [_heading(result, width)]
    main = figures.main_size(result)
    if main is not None:
        blocks.append(_main_table(result, main, width))
        if len(timed) > 1:
            blocks.append(_by_size(result, timed, width))
    elif result["interrupted"]:
        blocks.append(["Interrupted before the first measurement."])
    blocks.append(_notes(result, width))
    blocks.append([line for sentence in findings(result) for line in text.paragraph(sentence, width)])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _heading(result: Result, width: int) -> list[str]:
    machine = result["machine"]
    cpu: dict[str, Any] = machine.get("cpu", {})
    openblas: dict[str, Any] = machine.get("openblas", {})
    commit, modified = result["source"]["commit"], result["source"]["modified"]
    facts = [
        f"{cpu.get('model', 'unknown CPU')}, {cpu.get('cpus', '?')} CPUs",
        f"instruction set level {machine.get('variant', '?')}",
        f"frugalblas {machine.get('version', '?')}"
        + (f" ({commit[:10]}{', modified' if modified else ''})" if commit else ""),
        f"NumPy {machine.get('numpy', '?')}",
        " ".join(openblas.get("config", "no OpenBLAS").split()[:2]),  # its name and version
        f"Python {machine.get('python', '?')}",
        f"seed {result['request']['seed']}",
        result["started"],
    ]
    return text.paragraph("; ".join(facts), width)


def columns(wide: bool) -> list[Column]:
    """The columns of the table; at 120 characters and more there are more."""
    found: list[Column] = [
        ("", "strategy", lambda row: row.strategy),
        ("", "course", lambda row: row.course or NONE),
        ("", "threads", lambda row: str(row.threads)),
        ("median", "GFLOP/s", lambda row: text.number(row.gflops)),
        ("", "spread", lambda row: percent(row.spread)),
        ("of FMA", "peak", lambda row: percent(row.peak_share)),
        ("Open-", "BLAS", lambda row: percent(row.openblas_share)),
        ("x rung", "before", lambda row: times(row.step)),
        ("error", "in u", lambda row: optional(row.error_u)),
        ("J per", "call", lambda row: optional(row.joules_per_call)),
    ]
    if wide:
        found += [
            ("GFLOP", "per J", _gflop_per_joule),
            ("s per", "call", lambda row: text.number(row.seconds)),
            ("", "samples", lambda row: str(len(row.record["seconds"]))),
        ]
    return found


def _main_table(result: Result, size: Size, width: int) -> list[str]:
    shown = columns(width >= WIDE)
    body = []
    for row in figures.rows(result, size):
        cells = [cell(row) for _, _, cell in shown]
        if len(cells[0]) > LONGEST_LABEL:
            body.append([cells[0]])
            cells[0] = ""
        body.append(cells)
    peaks = [
        f"{text.number(figures.peak_gflops(peak))} GFLOP/s on {peak['threads']}"
        for peak in result["peaks"]
        if figures.size_of(peak) == size and peak["seconds"]
    ]
    title = f"M x N x K = {size.M} x {size.N} x {size.K}"
    if peaks:
        title += f"; FMA peak by threads: {', '.join(peaks)}"
    head = [[first for first, _, _ in shown], [second for _, second, _ in shown]]
    return [*text.paragraph(title, width), *text.table(head, body, left=2, gap=WIDE_GAP if width >= WIDE else " ")]


def _by_size(result: Result, sizes: list[Size], width: int) -> list[str]:
    """GFLOP/s of every strategy at every size, in as many columns as fit at a time."""
    records = {(figures.label_of(r), r["threads"], figures.size_of(r)): r for r in result["cases"]}
    rungs = list(dict.fromkeys((label, threads) for label, threads, _ in records))
    rungs = [rung for rung in rungs if any(_speed(records.get((*rung, size))) != NONE for size in sizes)]
    names = [f"{label}, {threads} threads" if threads > 1 else label for label, threads in rungs]
    room = width - max(len(name) for name in names)
    at_once = max(1, room // (max(9, *(len(str(size)) for size in sizes)) + len(WIDE_GAP)))
    lines: list[str] = []
    for first in range(0, len(sizes), at_once):
        some = sizes[first : first + at_once]
        body = [
            [name, *(_speed(records.get((*rung, size))) for size in some)]
            for name, rung in zip(names, rungs, strict=True)
        ]
        lines += ["", *text.table([["GFLOP/s at", *map(str, some)]], body, left=1)]
    return lines[1:]


def _speed(record: CaseRecord | None) -> str:
    if record is None:
        return NONE
    if record["status"] in ("wrong", "failed"):
        return record["status"].upper()
    return text.number(figures.gflops(record)) if record["status"] == "ok" else NONE


def _notes(result: Result, width: int) -> list[str]:
    return [line for note in (*notes(result), COLUMNS_EXPLAINED) for line in text.paragraph(note, width)]


def notes(result: Result) -> list[str]:
    """Why something is missing, and what to be careful with: one sentence each."""
    lines = []
    for record in result["cases"]:
        if record["status"] in ("wrong", "failed"):
            threads = f" on {record['threads']} threads" if record["threads"] > 1 else ""
            where = f"{figures.label_of(record)}{threads} at {figures.size_of(record)}"
            lines.append(f"{record['status'].upper()}: {where}: {record['note']}")
    lines += _skipped(result)
    lines += [f"not here: {card['name']}: {card['reason']}" for card in result["strategies"] if not card["available"]]
    lines += result["notes"]
    lines += _noise(result)
    if result["interrupted"]:
        missing = sum(record["status"] == "not reached" for record in result["cases"])
        lines.append(f"interrupted: {missing} of {len(result['cases'])} cases were not reached")
    if result["energy"]["reason"] is not None:
        lines.append(f"joules: {result['energy']['reason']}")
    return lines


def _noise(result: Result) -> list[str]:
    """A warning when the samples themselves say that the machine was busy with something else."""
    cases = [s for r in result["cases"] if (s := figures.spread(r["seconds"])) is not None]
    peaks = [s for r in result["peaks"] if r["threads"] == 1 and (s := figures.spread(r["seconds"])) is not None]
    noise = max((statistics.median(spreads) for spreads in (cases, peaks) if spreads), default=0.0)
    if noise < NOISY:
        return []
    load = "".join(f"; load average at the start: {load:.1f}" for load in result["load_average"])
    return [
        f"noisy: samples spread by {percent(noise)}{load}. The machine was doing "
        "something else as well: trust no small difference, and run again when it is idle"
    ]


def _skipped(result: Result) -> list[str]:
    """One line for all the sizes at which a strategy was skipped."""
    sizes = figures.sizes(result)
    found: dict[str, list[CaseRecord]] = {}
    for record in result["cases"]:
        if record["status"] == "skipped":
            threads = f" on {record['threads']} threads" if record["threads"] > 1 else ""
            found.setdefault(figures.label_of(record) + threads, []).append(record)
    lines = []
    for label, records in found.items():
        at = [figures.size_of(record) for record in records]
        if len(at) > 1 and at == sizes[-len(at) :]:
            lines.append(f"skipped, too long: {label} from {at[0]} on ({records[0]['note']} there)")
        else:
            each = ", ".join(f"{size} ({record['note']})" for size, record in zip(at, records, strict=True))
            lines.append(f"skipped, too long: {label} at {each}")
    return lines


def optional(value: float | None) -> str:
    """A number, or a dash for what does not exist."""
    return NONE if value is None else text.number(value)


def percent(share: float | None) -> str:
    """A share of 1 in percent: no digit after the point from 10 %, two below 1 %."""
    if share is None:
        return NONE
    digits = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{share * 100:.{digits}f}%"


def times(ratio: float | None) -> str:
    """A ratio as a speed-up."""
    return NONE if ratio is None else f"{text.number(ratio)}x"


def _gflop_per_joule(row: Row) -> str:
    if not row.joules_per_call:
        return NONE
    return text.number(figures.size_of(row.record).flops / 1e9 / row.joules_per_call)
