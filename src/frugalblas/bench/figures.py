"""The numbers of the table, each derived from the samples of a result and from nothing else."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .cases import Size, Strategy
from .cases import size_of as size_of  # used from here all over
from .records import LADDER, CaseRecord, Mark, PeakRecord, Result, StudyRecord, TraceRecord
from .schema import study_of

REFERENCE_NAME = "openblas"
LADDERS = {"interpreted": "interpreted", "scalar": "compiled", "vector": "compiled", "team": "compiled"}


@dataclass(frozen=True)
class Row:
    """One line of the table. None where a figure does not exist; shares are fractions of 1."""

    record: CaseRecord
    strategy: str
    course: str
    threads: int
    seconds: float  # per call, median
    gflops: float  # median
    spread: float | None  # interquartile range over the median
    peak_share: float | None
    openblas_share: float | None
    step: float | None  # how many times as fast as `step_over`
    step_over: str | None
    error_u: float | None
    joules_per_call: float | None


def studies(result: Result) -> list[StudyRecord]:
    """The studies of a result; the ladder for a file from before there were others."""
    ladder: StudyRecord = {
        "name": LADDER,
        "title": "The ladder",
        "question": "",
        "course": "",
        "axis": "strategy",
        "notes": [],
    }
    return result.get("studies") or [ladder]


def of_study(result: Result, name: str) -> Result:
    """The same run with the cases, peaks and traces of one study alone; its records are those of `result`."""
    only = result.copy()
    only["cases"] = [case for case in result["cases"] if study_of(case) == name]
    only["peaks"] = [peak for peak in result["peaks"] if study_of(peak) == name]
    only["traces"] = [trace for trace in result.get("traces", []) if trace["study"] == name]
    only["studies"] = [study for study in studies(result) if study["name"] == name]
    return only


def why_no_joules(result: Result) -> str | None:
    """The reason alone, without what earlier versions put before it."""
    reason = result["energy"]["reason"]
    return reason and reason.removeprefix("none. ").removeprefix("no joules: ")


def readings(trace: TraceRecord, mark: Mark) -> list[tuple[float, float]]:
    """Seconds and watts of a marked stretch of a trace."""
    begin, end = mark["begin_seconds"], mark["end_seconds"]
    return [(at, w) for at, w in zip(trace["seconds"], trace["watts"], strict=True) if begin <= at <= end]


def describe(record: CaseRecord) -> str:
    """``openmp, over M, dynamic``: the strategy and what tells this curve from others of it."""
    precision = record.get("precision", "fp32")
    more = (record.get("series"), None if precision == "fp32" else precision, record.get("where"))
    return ", ".join([label_of(record), *filter(None, more)])


def full_label(record: CaseRecord) -> str:
    """One of its own for each case of a study and a size; what a trace calls the stretch in which it ran."""
    blocks = ", ".join(f"{name} {value}" for name, value in record.get("parameters", {}).items())
    return f"{describe(record)}{f' ({blocks})' if blocks else ''} on {record['threads']}"


def label_of(record: CaseRecord) -> str:
    """``blocked`` or ``blocked@v3``."""
    return str(Strategy(record["strategy"], record["variant"]))


def sizes(result: Result) -> list[Size]:
    """The sizes of a result, in its order."""
    return list(dict.fromkeys(size_of(record) for record in result["cases"]))


def main_size(result: Result) -> Size | None:
    """The largest size at which as many compiled strategies were timed as at any: where the ladder is whole."""
    kinds = {card["name"]: card["kind"] for card in result["strategies"]}
    timed = [record for record in result["cases"] if record["status"] == "ok"]

    def rank(size: Size) -> tuple[int, int]:
        compiled = [r for r in timed if size_of(r) == size and kinds[r["strategy"]] != "interpreted"]
        return len(compiled), size.flops

    return max((size_of(record) for record in timed), key=rank, default=None)


def gflops(record: CaseRecord) -> float:
    """10^9 of 2·M·N·K flops per second, at the median sample."""
    return size_of(record).flops / statistics.median(record["seconds"]) / 1e9


def peak_gflops(peak: PeakRecord) -> float:
    """10^9 flops per second of FMAs in registers, at the median sample."""
    return peak["flops_per_sample"] / statistics.median(peak["seconds"]) / 1e9


def peak_of(result: Result, record: CaseRecord) -> PeakRecord | None:
    """The FMA peak that was sampled among the cases of a record's size and study, on as many threads."""
    kinds = {card["name"]: card["kind"] for card in result["strategies"]}
    if kinds[record["strategy"]].startswith("cuda"):
        return None
    of_record = (size_of(record), record["threads"], study_of(record))
    peaks = (p for p in result["peaks"] if (size_of(p), p["threads"], study_of(p)) == of_record and p["seconds"])
    return next(peaks, None)


def front(points: Iterable[tuple[float, float]], *, less_is_better: bool = False) -> list[tuple[float, float]]:
    """Those points (error, worth) that no other beats in one and matches in the other, by error."""
    found: list[tuple[float, float]] = []
    for error, worth in sorted(points, key=lambda point: (point[0], point[1] if less_is_better else -point[1])):
        if not found or (worth < found[-1][1] if less_is_better else worth > found[-1][1]):
            found.append((error, worth))
    return found


def unbeaten(records: Sequence[CaseRecord]) -> list[CaseRecord]:
    """The cases on the front of error and speed."""
    points = [(record["error_u"], gflops(record)) for record in records]
    ahead = set(front((error, speed) for error, speed in points if error is not None))
    return [record for record, point in zip(records, points, strict=True) if point in ahead]


def spread(seconds: list[float]) -> float | None:
    """Interquartile range over the median; None for a single sample."""
    if len(seconds) < 2:
        return None
    first, _, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return (third - first) / statistics.median(seconds)


def interleaved_ratio(
    record: CaseRecord | PeakRecord,
    other: CaseRecord | PeakRecord,
    rate: Callable[[CaseRecord | PeakRecord, float], float],
) -> float | None:
    """Median over the samples of `record` of its rate over that of the sample of `other` nearest in time.

    `rate` gives the rate of one sample from its seconds. Taking ratios first, and the median of them last, cancels
    what slows both down at the same time.
    """
    if not record["seconds"] or not other["seconds"]:
        return None
    by_time = sorted(zip(other["started_seconds"], other["seconds"], strict=True))
    starts = [start for start, _ in by_time]
    ratios = []
    for start, seconds in zip(record["started_seconds"], record["seconds"], strict=True):
        right = bisect.bisect_left(starts, start)
        near = min((i for i in (right - 1, right) if 0 <= i < len(starts)), key=lambda i: abs(starts[i] - start))
        ratios.append(rate(record, seconds) / rate(other, by_time[near][1]))
    return statistics.median(ratios)


def flops_rate(record: CaseRecord | PeakRecord, seconds: float) -> float:
    """Flops per second of one sample of a case or of the FMA peak."""
    if "flops_per_sample" in record:
        return float(record["flops_per_sample"]) / seconds
    return size_of(record).flops / seconds


def rows(result: Result, size: Size) -> list[Row]:
    """The cases of one size that were timed, in the order of the ladder."""
    timed = [record for record in result["cases"] if size_of(record) == size and record["status"] == "ok"]
    cards = {card["name"]: card for card in result["strategies"]}
    found = []
    for i, record in enumerate(timed):
        before = _rung_before(record, timed[:i], {name: card["kind"] for name, card in cards.items()})
        peak = peak_of(result, record)
        vendor = _first(r for r in timed if r["strategy"] == REFERENCE_NAME and r["threads"] == record["threads"])
        found.append(
            Row(
                record=record,
                strategy=label_of(record),
                course=cards[record["strategy"]]["course"],
                threads=record["threads"],
                seconds=statistics.median(record["seconds"]),
                gflops=gflops(record),
                spread=spread(record["seconds"]),
                peak_share=interleaved_ratio(record, peak, flops_rate) if peak else None,
                openblas_share=interleaved_ratio(record, vendor, flops_rate) if vendor else None,
                step=interleaved_ratio(record, before, flops_rate) if before else None,
                step_over=f"{label_of(before)} on {before['threads']}" if before else None,
                error_u=record["error_u"],
                joules_per_call=record["joules_per_call"],
            )
        )
    return found


def _rung_before(record: CaseRecord, above: list[CaseRecord], kinds: dict[str, str]) -> CaseRecord | None:
    """The nearest strategy above on the same ladder, in the same variant and on as many threads if it has been timed.

    There are two ladders, interpreted and compiled; the passthroughs are references and stand on neither.
    """
    ladder = LADDERS.get(kinds[record["strategy"]])
    if ladder is None:
        return None
    below = [r for r in above if LADDERS.get(kinds[r["strategy"]]) == ladder and r["strategy"] != record["strategy"]]
    if not below:
        return None
    rung = [r for r in below if r["strategy"] == below[-1]["strategy"]]

    def likeness(other: CaseRecord) -> tuple[bool, bool, int]:
        return other["threads"] == record["threads"], other["variant"] == record["variant"], -other["threads"]

    return max(rung, key=likeness)


def _first(records: Iterable[CaseRecord]) -> CaseRecord | None:
    return next(iter(records), None)
