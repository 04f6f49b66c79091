"""The table of a run: a function of the result and of the width of the page, and of nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from . import figures, tables, text
from .cases import Size
from .figures import Row
from .findings import findings
from .records import LADDER, SPENT, CaseRecord, Result

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
    """Everything a run says: machine, a table for each study, notes, findings.

    No line is longer than max(80, width); at 120 and more there are more columns.
    """
    width = max(width, NARROW)
    studies = figures.studies(result)
    blocks = [_heading(result, width)]
    for study in studies:
        only = figures.of_study(result, study["name"])
        if study["name"] != LADDER or len(studies) > 1:
            blocks.append(text.paragraph(f"{study['title']}. {study['question']}", width))
        if study["name"] == LADDER:
            blocks += _ladder(only, width)
        else:
            blocks.append(tables.of(only, study["axis"], width))
            blocks.append([line for note in study["notes"] for line in text.paragraph(note, width)])
    if result["interrupted"] and not any(record["status"] == "ok" for record in result["cases"]):
        blocks.append(["Interrupted before the first measurement."])
    blocks.append(_notes(result, width))
    for study in studies:
        sentences = findings(result, study["name"])
        lines = [line for sentence in sentences for line in text.paragraph(sentence, width)]
        blocks.append([f"{study['title']}:", *lines] if lines and len(studies) > 1 else lines)
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _ladder(result: Result, width: int) -> list[list[str]]:
    """The table of the size with the whole ladder, and GFLOP/s by size."""
    main = figures.main_size(result)
    if main is None:
        return []
    blocks = [_main_table(result, main, width)]
    if sum(bool(figures.rows(result, size)) for size in figures.sizes(result)) > 1:
        blocks.append(tables.by_size(result, width, every=True))
    return blocks


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
        ("", "course", lambda row: row.course or text.NONE),
        ("", "threads", lambda row: str(row.threads)),
        ("median", "GFLOP/s", lambda row: text.number(row.gflops)),
        ("", "spread", lambda row: text.percent(row.spread)),
        ("of FMA", "peak", lambda row: text.percent(row.peak_share)),
        ("Open-", "BLAS", lambda row: text.percent(row.openblas_share)),
        ("x rung", "before", lambda row: text.times(row.step)),
        ("error", "in u", lambda row: text.optional(row.error_u)),
        ("J per", "call", lambda row: text.optional(row.joules_per_call)),
    ]
    if wide:
        found += [
            ("GFLOP", "per J", lambda row: text.optional(tables.gflop_per_joule(row.record))),
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


def _notes(result: Result, width: int) -> list[str]:
    lines = notes(result)
    if any(study["name"] == LADDER for study in figures.studies(result)):
        lines.append(COLUMNS_EXPLAINED)
    return [line for note in lines for line in text.paragraph(note, width)]


def notes(result: Result) -> list[str]:
    """Why something is missing, and what to be careful with: one sentence each."""
    lines = []
    for record in result["cases"]:
        if record["status"] in ("wrong", "failed"):
            threads = f" on {record['threads']} threads" if record["threads"] > 1 else ""
            where = f"{figures.describe(record)}{threads} at {figures.size_of(record)}"
            lines.append(f"{record['status'].upper()}: {where}: {record['note']}")
    for study in figures.studies(result):
        lines += _skipped(figures.of_study(result, study["name"]), study["name"])
    absent: dict[str, list[str]] = {}
    for card in result["strategies"]:
        if not card["available"]:
            absent.setdefault(card["reason"] or "", []).append(card["name"])
    lines += [f"not here: {', '.join(names)}: {reason}" for reason, names in absent.items()]
    lines += result["notes"]
    lines += _noise(result)
    if result["interrupted"]:
        missing = sum(record["status"] == "not reached" for record in result["cases"])
        lines.append(f"interrupted: {missing} of {len(result['cases'])} cases were not reached")
    if (reason := figures.why_no_joules(result)) is not None:
        lines.append(f"no joules: {reason}")
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
        f"noisy: samples spread by {text.percent(noise)}{load}. The machine was doing "
        "something else as well: trust no small difference, and run again when it is idle"
    ]


def _skipped(result: Result, study: str) -> list[str]:
    """One line for all the sizes at which a strategy was skipped, and one for those at which nothing was left."""
    where = "" if study == LADDER else f" in {study}"
    sizes = figures.sizes(result)
    measured = {figures.size_of(record) for record in result["cases"] if record["status"] == "ok"}
    skipped = [record for record in result["cases"] if record["status"] == "skipped"]
    spent = {figures.size_of(r) for r in skipped if (r["note"] or "").endswith(SPENT)} - measured
    found: dict[str, list[CaseRecord]] = {}
    for record in skipped:
        if figures.size_of(record) not in spent:
            threads = f" on {record['threads']} threads" if record["threads"] > 1 else ""
            found.setdefault(figures.describe(record) + threads, []).append(record)
    lines = []
    if spent:
        left_out = ", ".join(str(size) for size in sizes if size in spent)
        lines.append(f"skipped{where}, the budget was spent: everything at {left_out} (--seconds)")
    sizes = [size for size in sizes if size not in spent]
    prefix = f"skipped{where}, too long: "
    for label, records in found.items():
        at = [figures.size_of(record) for record in records]
        if len(at) > 1 and at == sizes[-len(at) :]:
            lines.append(f"{prefix}{label} from {at[0]} on ({records[0]['note']} there)")
        else:
            each = ", ".join(f"{size} ({record['note']})" for size, record in zip(at, records, strict=True))
            lines.append(f"{prefix}{label} at {each}")
    return lines
