"""What every study of a run found, in words: each sentence follows from the samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from .. import figures, text
from ..charts.points import joules_of, name_of
from ..charts.roofline import intensity
from ..charts.special import parameters
from ..charts.speed import timed
from ..findings import findings as of_the_ladder
from ..records import CaseRecord, Result


def findings(result: Result, study: str) -> list[str]:
    """Sentences about one study."""
    return SAY.get(study, of_the_ladder)(figures.of_study(result, study))


def _fastest(records: Iterable[CaseRecord]) -> CaseRecord | None:
    return max(records, key=figures.gflops, default=None)


def _ratio(a: CaseRecord, b: CaseRecord) -> str:
    ratio = figures.interleaved_ratio(a, b, figures.flops_rate) or 1.0
    return f"{text.number(ratio)}x"


def of_threads(part: Result) -> list[str]:
    """Where each strategy is fastest, and where a joule buys most; of the schedules only the best."""
    said = []
    for size in figures.sizes(part):
        at_size = [record for record in timed(part) if figures.size_of(record) == size]
        curves: dict[str, list[CaseRecord]] = {}
        for record in at_size:
            if not record.get("series"):
                curves.setdefault(figures.describe(record), []).append(record)
        for name, records in curves.items():
            said += _curve(f"At {size}, {name}", name, records)
        best = _fastest(record for record in at_size if record.get("series"))
        if best is not None:
            said.append(
                f"At {size}, the fastest schedule of a shared loop is {best.get('series')}, "
                f"on {text.count(best['threads'], 'thread', 'threads')}: {text.number(figures.gflops(best))} GFLOP/s."
            )
    return said


def _curve(start: str, name: str, records: list[CaseRecord]) -> list[str]:
    best, one = _fastest(records), next((r for r in records if r["threads"] == 1), None)
    if best is None or one is None or len(records) < 2:
        return []
    where = f"{start} is fastest on {text.count(best['threads'], 'thread', 'threads')}"
    said = [where + ("." if best is one else f": {_ratio(best, one)} one thread.")]
    frugal = [(joules[0], i) for i, r in enumerate(records) if (joules := joules_of(r)) is not None]
    if len(frugal) > 1:
        least = records[min(frugal)[1]]
        same = least is best
        rest = ", where it is also fastest." if same else f", not on the {best['threads']} where it is fastest."
        said.append(f"A joule buys {name} most on {text.count(least['threads'], 'thread', 'threads')}{rest}")
    return said


def of_flags(part: Result) -> list[str]:
    """What flags are worth to the strategy they matter most to, and to the one they matter least to."""
    gains = []
    key = lambda r: (r["strategy"], r["threads"], str(figures.size_of(r)))  # noqa: E731
    for (name, _, size), group in itertools.groupby(sorted(timed(part), key=key), key):
        records = list(group)
        best, worst = _fastest(records), min(records, key=figures.gflops)
        if best is not None and best is not worst:
            gains.append((figures.gflops(best) / figures.gflops(worst), name, size, best, worst))
    if not gains:
        return []
    most, least = max(gains, key=lambda g: g[0]), min(gains, key=lambda g: g[0])
    said = [
        f"Flags matter most to {most[1]}: at {most[2]}, {_variant(most[3])} is {_ratio(most[3], most[4])} "
        f"{_variant(most[4])}."
    ]
    if least is not most:
        said.append(f"They matter least to {least[1]}: {_ratio(least[3], least[4])} at {least[2]}.")
    return said


def _variant(record: CaseRecord) -> str:
    return record["variant"] or "the default build"


def of_blocks(part: Result) -> list[str]:
    """The best block sizes of each strategy, and what the worst cost."""
    said = []
    for (name, size), group in itertools.groupby(timed(part), lambda r: (figures.label_of(r), figures.size_of(r))):
        records = [r for r in group if parameters(r)]
        if len(records) > 1:
            best, worst = max(records, key=figures.gflops), min(records, key=figures.gflops)
            sizes = ", ".join(f"{key} {value}" for key, value in parameters(best).items())
            said.append(
                f"The best blocks of {name} at {size} are {sizes}: {text.number(figures.gflops(best))} GFLOP/s, "
                f"{_ratio(best, worst)} the worst of {len(records)} choices."
            )
    return said


def of_shapes(part: Result) -> list[str]:
    """The fastest strategy at each shape."""
    said = []
    for size in figures.sizes(part):
        best = _fastest(r for r in timed(part) if figures.size_of(r) == size)
        if best is not None:
            said.append(f"At {size}, {name_of(best)} is fastest: {text.number(figures.gflops(best))} GFLOP/s.")
    return said


def of_precision(part: Result) -> list[str]:
    """What each precision gains over float32 in speed and loses in accuracy."""
    said = []
    for size in figures.sizes(part):
        records = [r for r in timed(part) if figures.size_of(r) == size]
        full = _fastest(r for r in records if r.get("precision", "fp32") == "fp32")
        for precision in dict.fromkeys(r.get("precision", "fp32") for r in records):
            best = _fastest(r for r in records if r.get("precision", "fp32") == precision)
            if full is not None and best is not None and best is not full and best["error_u"] and full["error_u"]:
                loss = text.number(best["error_u"] / full["error_u"])
                said.append(
                    f"At {size}, {name_of(best)} is {_ratio(best, full)} {name_of(full)}, with {loss}x its error."
                )
    return said


def of_roofline(part: Result) -> list[str]:
    """How near the fastest comes to the roof at the largest intensity."""
    best = _fastest(timed(part))
    peak = next((p for p in part["peaks"] if best and p["threads"] == best["threads"] and p["seconds"]), None)
    if best is None or peak is None:
        return []
    share = figures.gflops(best) / figures.peak_gflops(peak)
    return [f"At {intensity(best):.0f} flop/byte, {name_of(best)} reaches {share * 100:.0f} % of the roof."]


def nothing(part: Result) -> list[str]:
    """Of studies that are to be looked at."""
    return []


SAY: dict[str, Callable[[Result], list[str]]] = {
    "threads": of_threads,
    "flags": of_flags,
    "blocks": of_blocks,
    "shapes": of_shapes,
    "gpu": of_shapes,
    "precision": of_precision,
    "roofline": of_roofline,
    "power": nothing,
}
