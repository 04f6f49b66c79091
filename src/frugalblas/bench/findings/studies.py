"""What each study but the ladder found, in words: a function of that study's part of a result."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from .. import figures, roof, text
from ..cases import Size
from ..charts.points import joules_of, name_of
from ..charts.roofline import fits
from ..charts.special import parameters
from ..charts.speed import timed
from ..records import CaseRecord, Result
from ..studies.gpu import WHERE

WORTH_SAYING = 1.1  # a smaller ratio may be noise
Key = TypeVar("Key", bound=Hashable)


def _grouped(records: Iterable[CaseRecord], key: Callable[[CaseRecord], Key]) -> dict[Key, list[CaseRecord]]:
    groups: dict[Key, list[CaseRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _fastest(records: Iterable[CaseRecord]) -> CaseRecord | None:
    return max(records, key=figures.gflops, default=None)


def _ratio(a: CaseRecord, b: CaseRecord) -> str:
    return text.times(figures.interleaved_ratio(a, b, figures.flops_rate))


def _speed(record: CaseRecord) -> str:
    return f"{text.number(figures.gflops(record))} GFLOP/s"


def _percent(share: float | None) -> str:
    return text.percent(share).replace("%", " %")


def sizes(part: Result) -> list[str]:
    """Which strategy leads from small to large, and which loses most on the way."""
    curves = _grouped(timed(part), name_of)
    at = sorted({figures.size_of(record) for record in timed(part)}, key=lambda size: size.flops)
    best = _fastest(timed(part))
    if len(at) < 2 or best is None:
        return []
    leads = [_fastest(record for record in timed(part) if figures.size_of(record) == size) for size in at]
    names = [name_of(record) for record in leads if record is not None]
    leader = max(dict.fromkeys(names), key=names.count)
    said = [
        f"From {at[0]} to {at[-1]}, {leader} is fastest at {names.count(leader)} of {len(at)} sizes; the most is "
        f"{_speed(best)}, {name_of(best)} at {figures.size_of(best)}."
    ]
    falls = []
    for name, records in curves.items():
        top, last = _fastest(records), max(records, key=lambda record: figures.size_of(record).flops)
        if top is not None and top is not last:
            falls.append((figures.gflops(top) / figures.gflops(last), name, top, last))
    loss, name, top, last = max(falls, key=lambda fall: fall[0], default=(1.0, "", best, best))
    if loss > WORTH_SAYING:
        said.append(
            f"{name} loses most as matrices grow: {_speed(top)} at {figures.size_of(top)}, "
            f"{_speed(last)} at {figures.size_of(last)}."
        )
    return said


def threads(part: Result) -> list[str]:
    """Where each strategy is fastest, and where a joule buys most; of the schedules only the best."""
    said = []
    for size in figures.sizes(part):
        at_size = [record for record in timed(part) if figures.size_of(record) == size]
        plain = (record for record in at_size if not record.get("series"))
        for name, records in _grouped(plain, figures.describe).items():
            said += _curve(f"At {size}, {name}", name, records)
        best = _fastest(record for record in at_size if record.get("series"))
        if best is not None:
            said.append(
                f"At {size}, the fastest schedule of a shared loop is {best.get('series')}, "
                f"on {text.count(best['threads'], 'thread', 'threads')}: {_speed(best)}."
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


def flags(part: Result) -> list[str]:
    """What flags are worth to the strategy they matter most to, and to the one they matter least to."""
    gains = []
    groups = _grouped(timed(part), lambda r: (r["strategy"], r["threads"], figures.size_of(r)))
    for (name, _, size), records in groups.items():
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


def blocks(part: Result) -> list[str]:
    """The best block sizes of each strategy, and what the worst cost."""
    said = []
    swept = (record for record in timed(part) if parameters(record))
    for (name, size), records in _grouped(swept, lambda r: (figures.label_of(r), figures.size_of(r))).items():
        if len(records) > 1:
            best, worst = max(records, key=figures.gflops), min(records, key=figures.gflops)
            found = ", ".join(f"{key} {value}" for key, value in parameters(best).items())
            said.append(
                f"The best blocks of {name} at {size} are {found}: {_speed(best)}, "
                f"{_ratio(best, worst)} the worst of {len(records)} choices."
            )
    return said


def shapes(part: Result) -> list[str]:
    """The fastest strategy at each shape."""
    said = []
    for size in figures.sizes(part):
        best = _fastest(r for r in timed(part) if figures.size_of(r) == size)
        if best is not None:
            said.append(f"At {size}, {name_of(best)} is fastest: {_speed(best)}.")
    return said


def gpu(part: Result) -> list[str]:
    """The fastest at each size, and what the way to the GPU and back leaves of it at the largest."""
    kernel, _, host = WHERE
    ways: dict[tuple[str, Size], dict[str, CaseRecord]] = {}
    for record in timed(part):
        ways.setdefault((figures.label_of(record), figures.size_of(record)), {})[record.get("where", "")] = record
    both = [way for way in ways.values() if kernel in way and host in way]
    if not both:
        return shapes(part)
    way = max(both, key=lambda way: (figures.size_of(way[kernel]).flops, figures.gflops(way[kernel])))
    share = figures.interleaved_ratio(way[host], way[kernel], figures.flops_rate)
    return [
        *shapes(part),
        f"At {figures.size_of(way[kernel])}, {figures.label_of(way[kernel])} with operands and result on the host "
        f"reaches {_percent(share)} of what its kernel does.",
    ]


def precision(part: Result) -> list[str]:
    """What each precision gains over float32 in speed and loses in accuracy; what no other beats in both."""
    said = []
    for size in figures.sizes(part):
        records = [r for r in timed(part) if figures.size_of(r) == size and r["error_u"]]
        full = _fastest(r for r in records if r.get("precision", "fp32") == "fp32")
        for name in dict.fromkeys(r.get("precision", "fp32") for r in records):
            best = _fastest(r for r in records if r.get("precision", "fp32") == name)
            if full is not None and best is not None and best is not full and best["error_u"] and full["error_u"]:
                loss = text.number(best["error_u"] / full["error_u"])
                said.append(
                    f"At {size}, {name_of(best)} is {_ratio(best, full)} {name_of(full)}, with {loss}x its error."
                )
        ahead = [f"{name_of(r)} ({_speed(r)}, {text.optional(r['error_u'])} u)" for r in figures.unbeaten(records)]
        if len(ahead) > 1:
            said.append(f"At {size}, nothing beats these in both speed and accuracy: {text.listed(ahead)}.")
    return said


def power(part: Result) -> list[str]:
    """What the machine draws at rest, and what each strategy adds to it."""
    said = []
    for trace in part.get("traces", []):
        watts: dict[str, list[float]] = {}
        for mark in trace["marks"]:
            watts.setdefault(mark["name"], []).extend(w for _, w in figures.readings(trace, mark))
        means = {name: statistics.fmean(values) for name, values in watts.items() if values}
        idle = means.pop("idle", None)
        if idle is None or not means:
            continue
        most, least = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
        said.append(
            f"At rest the counters show {text.number(idle)} W; {most} adds {text.number(means[most] - idle)} W"
            + ("." if most == least else f", {least} {text.number(means[least] - idle)} W.")
        )
    return said


def roofline(part: Result) -> list[str]:
    """How near the fastest comes to the roof, where memory sets it and where arithmetic does; joules of both."""
    said = []
    found = sorted(
        {figures.size_of(record) for record in timed(part)}, key=lambda size: (roof.intensity(size), size.flops)
    )
    for size in found[:1] + found[1:][-1:]:
        best = _fastest(r for r in timed(part) if figures.size_of(r) == size and roof.roof(part, r) is not None)
        top = best and roof.roof(part, best)
        if best is None or top is None:
            continue
        limit, by_memory = top
        said.append(
            f"At {size}, {text.number(roof.intensity(size))} flop/byte, "
            f"{'memory' if by_memory else 'arithmetic'} sets the roof; {name_of(best)} reaches "
            f"{_percent(figures.gflops(best) / limit)} of it."
        )
    for name, line in fits(part).items():
        said.append(f"{name} spends {line} (95 % intervals).")
    return said
