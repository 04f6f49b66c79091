"""The finished log of an external wattmeter: joules between two moments, by the trapezoid rule on its time stamps."""

from __future__ import annotations

import bisect
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from .quantity import Provenance, Quantity
from .wattrows import LogFormat, Row, RowParser, WattLogError, read_rows

GAP_PERIODS = 3.0  # readings further apart than so many usual periods leave a gap that nothing is known about

Moment = datetime | float  # with an offset from UTC, or seconds since 1970


@dataclass(frozen=True)
class ClockPair:
    """The same moment on the system's clock, as logs have it, and on the monotonic clock of regions (both ns)."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> ClockPair:
        """Read both; good to a microsecond or so."""
        return cls(time.time_ns(), time.perf_counter_ns())

    def to_wall_ns(self, monotonic_ns: int) -> int:
        """System time of a moment on the monotonic clock, if the system's clock was not set in between."""
        return self.wall_ns + monotonic_ns - self.monotonic_ns

    def moved_s(self, later: ClockPair) -> float:
        """How far the system's clock moved against the monotonic one since (s): steps, and a little drift."""
        return (later.wall_ns - self.to_wall_ns(later.monotonic_ns)) / 1e9


@dataclass(frozen=True)
class WattLog:
    """A complete log, in order. ``flags`` say what had to be mended: see docs/energy.md."""

    name: str
    rows: tuple[Row, ...]
    flags: frozenset[str]
    max_gap_s: float
    rel_u: float | None  # the meter's own standard uncertainty, as a share; None: not declared

    def energy(self, began: Moment, ended: Moment, *, clock_u_s: float | None = None) -> Quantity:
        """Joules between two moments, `derived` from the log.

        u = sum of |dP| dt / 2 over the segments touched (what the power may have done between two readings), and
        independent of it `clock_u_s` x the range of power (the two clocks' disagreement; default: the usual period
        / sqrt(12), for a stamp may mark any part of its period) and `rel_u` of the result. Raises WattLogError if the
        log does not cover the time or has a gap in it.
        """
        return self.energy_ns(_to_ns(began), _to_ns(ended), clock_u_s=clock_u_s)

    def energy_ns(self, began_ns: int, ended_ns: int, *, clock_u_s: float | None = None) -> Quantity:
        """Like :meth:`energy`, for nanoseconds since 1970; `ClockPair.to_wall_ns` makes them of a region's times."""
        if ended_ns <= began_ns:
            raise WattLogError("the end is not after the beginning")
        first = bisect.bisect_right(self.rows, began_ns, key=lambda row: row.t_ns) - 1
        last = bisect.bisect_left(self.rows, ended_ns, key=lambda row: row.t_ns)
        if first < 0 or last >= len(self.rows):
            raise WattLogError(
                f"{self.name} covers {iso(self.rows[0].t_ns)} to {iso(self.rows[-1].t_ns)}, not all of "
                f"{iso(began_ns)} to {iso(ended_ns)}: wrong file, or wrong time zone?"
            )
        touched = self.rows[first : last + 1]
        joules, spread = trapezoid(touched, began_ns, ended_ns, self.max_gap_s, self.name)
        watts = [row.watts for row in touched]
        clock_u_s = period_s(self.rows) / math.sqrt(12.0) if clock_u_s is None else clock_u_s
        u = math.hypot(spread, clock_u_s * (max(watts) - min(watts)), (self.rel_u or 0.0) * joules)
        return Quantity(joules, u, "J", Provenance.DERIVED, (f"wattmeter:{self.name}",))


def trapezoid(rows: Sequence[Row], began_ns: int, ended_ns: int, max_gap_s: float, name: str) -> tuple[float, float]:
    """Joules between two times and sum |dP| dt / 2, the first and last segment being cut by interpolation."""
    joules = spread = 0.0
    for left, right in pairwise(rows):
        seconds = (right.t_ns - left.t_ns) / 1e9
        if seconds > max_gap_s:
            raise WattLogError(
                f"{name} has no reading for {seconds:.1f} s from {iso(left.t_ns)}: the energy of that time is unknown"
            )
        slope = (right.watts - left.watts) / (right.t_ns - left.t_ns)
        begin, end = max(left.t_ns, began_ns), min(right.t_ns, ended_ns)
        middle_watts = left.watts + slope * ((begin + end) / 2 - left.t_ns)
        joules += middle_watts * (end - begin) / 1e9
        spread += abs(right.watts - left.watts) * seconds / 2
    return joules, spread


def read_watt_log(
    path: str | os.PathLike[str],
    *,
    format: LogFormat | None = None,
    max_gap_s: float | None = None,
    rel_u: float | None = None,
) -> WattLog:
    """Read a finished log: CSV or JSON lines of (time, watts).

    Times are seconds since 1970 or ISO 8601; those without an offset from UTC need `format.timezone`. Readings more
    than `max_gap_s` apart (default: 3 usual periods) leave a gap. `rel_u` is the meter's accuracy from its data sheet,
    as a standard uncertainty relative to the reading. Raises WattLogError naming the line, OSError if there is no file.
    """
    parser = RowParser(format or LogFormat())
    text = decoded(Path(path).read_bytes(), str(path))
    if text and not text.endswith("\n"):
        parser.flags.add("unfinished-last-line")
    try:
        rows = read_rows(text[: text.rfind("\n") + 1].splitlines(), parser)
    except WattLogError as error:
        raise WattLogError(f"{path}: {error}") from None
    if rel_u is None:
        parser.flags.add("accuracy-undeclared")
    gap_s = GAP_PERIODS * period_s(rows) if max_gap_s is None else max_gap_s
    if any(b.t_ns - a.t_ns > gap_s * 1e9 for a, b in pairwise(rows)):
        parser.flags.add("gaps")
    return WattLog(Path(path).name, tuple(rows), frozenset(parser.flags), gap_s, rel_u)


def period_s(rows: Sequence[Row]) -> float:
    """The usual time between two readings (s)."""
    return median(b.t_ns - a.t_ns for a, b in pairwise(rows)) / 1e9


def _to_ns(moment: Moment) -> int:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise WattLogError(f"{moment} has no offset from UTC: use datetime.now().astimezone()")
        return round(moment.timestamp() * 1e9)
    return round(moment * 1e9)


def iso(t_ns: int) -> str:
    """A time since 1970 (ns) as messages show it, in the local zone."""
    return datetime.fromtimestamp(t_ns / 1e9).astimezone().isoformat(timespec="seconds")


def decoded(data: bytes, name: str) -> str:
    """UTF-8 text; WattLogError for anything else."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise WattLogError(f"{name} is not UTF-8 text") from None
