"""Charts against the number of threads: speed, schedules, speed-ups, energy, power."""

from __future__ import annotations

from collections.abc import Callable

from .. import figures
from ..records import CaseRecord, Result
from .model import Axis, Chart, Point, Reference, Series
from .palette import style_number
from .points import HOVER, gflop_per_joule, joules, series_of, speed, watts
from .speed import GFLOPS, INTERVAL, QUARTILES, Drawn, lines, peaks, slug, timed

NEAREST = "Median of ratios to the sample of it that is nearest in time."
Group = Callable[[CaseRecord], str]


def count(record: CaseRecord) -> float:
    """The place on the axis."""
    return float(record["threads"])


def threads(result: Result, study: str) -> list[Chart]:
    """The strategies, then the schedules of the shared loop, then what both gain and cost."""
    records = timed(result)
    several = len({figures.size_of(record) for record in records}) > 1

    def group(record: CaseRecord) -> str:
        return figures.describe(record) + (f" at {figures.size_of(record)}" if several else "")

    cpus = result["machine"].get("cpu", {}).get("cpus")
    mark = (Reference("x", float(cpus), f"{cpus} CPUs"),) if isinstance(cpus, int) else ()
    axis = Axis("threads", may_switch=max((r["threads"] for r in records), default=1) > 8)
    plain: Result = {**result, "cases": [r for r in records if not r.get("series")]}
    shared: Result = {**result, "cases": [r for r in records if r.get("series")]}
    across = mark + tuple(peaks(result))
    y, caption = Axis(GFLOPS, may_switch=True), f"Median. {QUARTILES}"
    charts = lines(plain, study, "threads", axis, count, group, [(speed, y, "Speed against threads", caption, across)])
    schedules: Drawn = (speed, y, "The schedule of a shared loop", caption, mark)
    charts += lines(shared, study, "schedule", axis, count, group, [schedules])
    alone = {group(r): r for r in records if r["threads"] == 1}
    serial = next(iter(alone[group(r)] for r in plain["cases"] if r["threads"] == 1), None)
    charts += speed_up(result, study, "one thread", axis, mark, group, alone.get)
    if serial is not None:
        charts += speed_up(result, study, f"{group(serial)} on one thread", axis, mark, group, lambda _: serial)
    best = mark + sweet_spot(records, group)
    drawn: list[Drawn] = [
        (joules, Axis("energy per call (J)"), "Energy against threads", INTERVAL, mark),
        (watts, Axis("power (W)"), "Power against threads", "Mean power while it runs, idle included.", mark),
        (
            gflop_per_joule,
            Axis("GFLOP/s per watt (GFLOP/J)"),
            "What a joule buys, against threads",
            INTERVAL,
            best,
        ),
    ]
    return charts + lines(result, study, "threads", axis, count, group, drawn)


def sweet_spot(records: list[CaseRecord], group: Group) -> tuple[Reference, ...]:
    """Where a joule buys most."""
    rates = [(rate[0], count(record), group(record)) for record in records if (rate := gflop_per_joule(record))]
    return tuple(Reference("x", at, f"sweet spot: {name}") for _, at, name in [max(rates)]) if rates else ()


def speed_up(
    result: Result,
    study: str,
    over: str,
    axis: Axis,
    marks: tuple[Reference, ...],
    group: Group,
    base: Callable[[str], CaseRecord | None],
) -> list[Chart]:
    """How many times as fast as the `base` of each curve, beside the ideal; none if nothing ran on more threads."""
    records = timed(result)
    top = max((record["threads"] for record in records), default=1)

    def ratio(record: CaseRecord) -> tuple[float, float | None, float | None] | None:
        one = base(group(record))
        found = one and figures.interleaved_ratio(record, one, figures.flops_rate)
        return (found, None, None) if found else None

    series = [s for s in series_of(result, records, count, ratio, group) if len(s.points) > 1]
    if not series or top == 1:
        return []
    ideal = Series("ideal", style_number(6), (Point(1.0, 1.0), Point(float(top), float(top))), curve=True)
    shown = tuple(
        Series(s.name, s.style, tuple(Point(p.x, p.y, hover=(f"{p.y:.3g}", *p.hover)) for p in s.points))
        for s in series
    )
    title, hover = f"Speed-up over {over}", ("speed-up", *HOVER)
    ident = slug(study, "speed_up", over)
    y = Axis("speed-up (times)")
    return [Chart(ident, study, title, NEAREST, "lines", axis, y, (*shown, ideal), marks, hover)]
