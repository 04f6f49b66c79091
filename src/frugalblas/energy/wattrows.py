"""Logs of an external wattmeter: rows of (time, watts), as CSV or JSON lines, checked and put in order.

Smart plugs and bench meters write these in many dialects. What can be read in one way only is read, with a flag where
it was not as it should be; what could be read in two ways is refused with the line and the fix.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TIME_COLUMNS = ("time", "timestamp", "datetime", "date", "ts", "t", "last_changed")
WATTS_COLUMNS = ("watts", "power", "power_w", "watt", "w", "active_power", "apower", "state")
MISSING = frozenset({"", "nan", "null", "none", "unavailable", "unknown", "n/a", "na", "-"})
_UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_FIRST_NS, _LAST_NS = 946_684_800 * 10**9, 4_102_444_800 * 10**9  # the years 2000 to 2100


class WattLogError(ValueError):
    """A log that cannot be read in one way only, or not for the time asked for; the message says where and why."""


class Row(NamedTuple):
    """One reading."""

    t_ns: int  # since 1970, UTC
    watts: float


@dataclass(frozen=True)
class LogFormat:
    """What a log does not say itself."""

    time_column: str | None = None  # its name in the header; None: one of TIME_COLUMNS
    watts_column: str | None = None
    time_unit: str = "s"  # of numeric times since 1970: s, ms, us, ns
    timezone: tzinfo | str | None = None  # of times without an offset, e.g. "Europe/Paris"


@dataclass
class RowParser:
    """Parses a log line by line; keeps what the first lines taught."""

    format: LogFormat = field(default_factory=LogFormat)
    flags: set[str] = field(default_factory=set)
    _delimiter: str = ""
    _fields: int = 0
    _time: int = 0
    _watts: int = 1

    def __post_init__(self) -> None:
        """Check the format."""
        if self.format.time_unit not in _UNITS_NS:
            raise WattLogError(f"time_unit is {self.format.time_unit!r}; expected one of {', '.join(_UNITS_NS)}")
        zone = self.format.timezone
        try:
            self._zone = ZoneInfo(zone) if isinstance(zone, str) else zone
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise WattLogError(f"unknown time zone {zone!r}: {error}") from None

    def parse(self, line: str, number: int) -> Row | None:
        """The reading on line `number`; None for a header, a comment, or a reading the meter did not have."""
        line = line.strip().lstrip("\ufeff")
        if not line or line.startswith("#"):
            return None
        try:
            texts = self._from_json(line) if line.startswith("{") else self._from_csv(line)
            if texts is None:
                return None
            watts = self._parse_watts(texts[1])
            return None if watts is None else Row(self._parse_time(texts[0]), watts)
        except WattLogError as error:
            raise WattLogError(f"line {number}: {error}") from None

    def _from_json(self, line: str) -> tuple[str, str]:
        try:
            record = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except json.JSONDecodeError as error:
            raise WattLogError(f"not JSON: {error}") from None
        time, watts = (record[name] for name in self._columns(list(record)))
        if isinstance(time, (bool, dict, list)) or isinstance(watts, (bool, dict, list)):
            raise WattLogError(f"time and watts must be numbers or text, not {time!r} and {watts!r}")
        return str(time), "null" if watts is None else str(watts)

    def _columns(self, names: list[str]) -> tuple[str, str]:
        found = []
        for wanted, known in (
            (self.format.time_column, TIME_COLUMNS),
            (self.format.watts_column, WATTS_COLUMNS),
        ):
            candidates = known if wanted is None else (wanted,)
            match = next((n for c in candidates for n in names if n.strip().casefold() == c.casefold()), None)
            if match is None:
                raise WattLogError(
                    f"no column {' or '.join(candidates)} among {', '.join(names)}: pass time_column= and watts_column="
                )
            found.append(match)
        return found[0], found[1]

    def _from_csv(self, line: str) -> tuple[str, str] | None:
        if not self._delimiter:
            self._delimiter = next((mark for mark in (";", "\t", ",") if mark in line), "")
            if not self._delimiter:
                raise WattLogError(f"expected columns separated by ',', ';' or a tab, got {line!r}")
            names = self._cells(line)
            self._fields = len(names)
            if not any(character.isdigit() for character in names[0]):  # a header: no time is without a digit
                self._time, self._watts = (names.index(name) for name in self._columns(names))
                return None
            self._fields = 2  # without a header, only time and watts can be told apart
        cells = self._cells(line)
        if len(cells) != self._fields:
            raise WattLogError(
                f"{len(cells)} columns where {self._fields} are expected. If the decimal mark is a comma, write a "
                "point, or separate the columns by ';'"
            )
        return cells[self._time], cells[self._watts]

    def _cells(self, line: str) -> list[str]:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=self._delimiter))]

    def _parse_watts(self, text: str) -> float | None:
        text = text.removesuffix("W").strip()
        if text.casefold() in MISSING:
            self.flags.add("missing-readings")
            return None
        if re.fullmatch(r"[+-]?\d+,\d+", text):
            self.flags.add("decimal-comma")
            text = text.replace(",", ".")
        try:
            watts = float(text)
        except ValueError:
            raise WattLogError(f"{text!r} is not a power in watts") from None
        if not math.isfinite(watts):
            self.flags.add("missing-readings")
            return None
        if watts < 0.0:
            raise WattLogError(f"{watts:g} W is negative: is the meter's current clamp reversed?")
        return watts

    def _parse_time(self, text: str) -> int:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return self._parse_date(text)
        t_ns = int(number * _UNITS_NS[self.format.time_unit]) if number.is_finite() else -1
        if not _FIRST_NS <= t_ns < _LAST_NS:
            raise WattLogError(
                f"{text} is no time in {self.format.time_unit} since 1970 between the years 2000 and 2100: pass "
                "time_unit= if it is another unit; times since the start of a log cannot be aligned by clock"
            )
        return t_ns

    def _parse_date(self, text: str) -> int:
        plain = re.sub(r"[Zz]$", "+00:00", text)
        fraction = re.search(r"\.(\d+)", plain)
        nanoseconds = int((fraction.group(1) + "0" * 9)[:9]) if fraction else 0
        try:
            moment = datetime.fromisoformat(re.sub(r"\.\d+", "", plain))
        except ValueError:
            raise WattLogError(f"{text!r} is no time: expected seconds since 1970 or ISO 8601") from None
        if moment.tzinfo is None:
            if self._zone is None:
                raise WattLogError(f"{text!r} has no offset from UTC: pass timezone=, e.g. timezone='Europe/Paris'")
            moment = moment.replace(tzinfo=self._zone)
            if moment.utcoffset() != moment.replace(fold=1).utcoffset():
                raise WattLogError(f"{text!r} is twice or never in {self._zone}, where the clocks change: log UTC")
        return int(moment.timestamp()) * 10**9 + nanoseconds


def read_rows(lines: Iterable[str], parser: RowParser) -> list[Row]:
    """All readings, in order of time, each time once. WattLogError if there are fewer than two, or two in conflict.

    Adds to `parser.flags`: "out-of-order", "duplicates".
    """
    rows = [row for number, line in enumerate(lines, 1) if (row := parser.parse(line, number)) is not None]
    if any(later.t_ns < earlier.t_ns for earlier, later in pairwise(rows)):
        parser.flags.add("out-of-order")
        rows.sort()
    kept: list[Row] = []
    for row in rows:
        if kept and row.t_ns == kept[-1].t_ns:
            if row.watts != kept[-1].watts:
                moment = datetime.fromtimestamp(row.t_ns / 1e9).astimezone().isoformat()
                raise WattLogError(
                    f"{kept[-1].watts:g} W and {row.watts:g} W at the same time, {moment}: log finer times"
                )
            parser.flags.add("duplicates")
        else:
            kept.append(row)
    if len(kept) < 2:
        raise WattLogError(f"{len(kept)} readings: power over time needs at least 2")
    return kept
