"""A Source that follows the growing log of an external wattmeter.

What a plug measures is everything behind it: power supply, fans, disks and whatever else runs. Its zone is ``wall``,
which contains all others and is never added to one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .quantity import Provenance, Reason
from .wattlog import GAP_PERIODS, ClockPair, decoded, iso, period_s, trapezoid
from .wattrows import LogFormat, Row, RowParser, WattLogError, read_rows
from .zones import Sample, Zone

CLOCK_STEP_S = 0.5  # the system's clock was set if it moved so much against the monotonic one
STALE_PERIODS = 10.0  # a followed log that stands still for so long has stopped


class Wattmeter:
    """A Source that follows a growing log, for a Meter with scope "platform".

    Its energy starts at 0 with the first reading found, and its uncertainty is that of the trapezoid rule. Every fault
    is an OSError of the read that meets it: a malformed line, a time that went back, a gap, a log that stands still, a
    system clock that was set. `clock` returns both clocks; tests inject it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: LogFormat | None = None,
        max_gap_s: float | None = None,
        clock: Callable[[], ClockPair] = ClockPair.now,
    ) -> None:
        """Read what is there already: at least two lines, to learn the period. Raises like :func:`read_watt_log`."""
        self._path, self._clock = Path(path), clock
        self.name = f"wattmeter:{self._path.name}"
        self.reason, self.hint = Reason.OK, ""
        self._parser = RowParser(format or LogFormat())
        self._pair = clock()
        self._offset, self._lines = 0, 0
        try:
            rows = read_rows([line for _, line in self._new_lines()], self._parser)
        except WattLogError as error:
            raise WattLogError(f"{path}: {error}") from None
        self._period_s = period_s(rows)
        self._max_gap_s = GAP_PERIODS * self._period_s if max_gap_s is None else max_gap_s
        self._last, self._joules, self._u = rows[-1], 0.0, 0.0
        self.zones: Sequence[Zone] = (
            Zone(
                id=self.name,
                domain="wall",
                socket=None,
                backend="wattmeter",
                modulus_uj=None,
                lsb_uj=1.0,
                name=self._path.name,
                tick_s=self._period_s,
                max_power_w=1e6,
                provenance=Provenance.DERIVED,
            ),
        )

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """The energy at the newest reading, and the monotonic time of that reading."""
        if ids is not None and self.name not in ids:
            return {}
        try:
            return {self.name: self._advance()}
        except (OSError, WattLogError) as error:
            return {self.name: OSError(f"{self._path}: {error}")}

    def close(self) -> None:
        """Nothing is kept open."""

    def _advance(self) -> Sample:
        now = self._clock()
        moved_s = self._pair.moved_s(now)
        if abs(moved_s) > CLOCK_STEP_S:
            self._pair = now
            raise OSError(f"the system's clock was set by {moved_s:+.1f} s: the log's times no longer fit")
        faults = []
        for number, line in self._new_lines():  # all of them, so that one fault spoils one read
            try:
                self._add(self._parser.parse(line, number))
            except WattLogError as error:
                faults.append(str(error))
        if faults:
            raise OSError("; ".join(faults))
        age_s = (now.wall_ns - self._last.t_ns) / 1e9
        if age_s > STALE_PERIODS * self._period_s:
            raise OSError(f"no reading for {age_s:.1f} s: the log has stopped, or is in another time zone")
        t_ns = self._pair.monotonic_ns + self._last.t_ns - self._pair.wall_ns
        return Sample(t_ns, round(self._joules * 1e6), self._u * 1e6)

    def _add(self, row: Row | None) -> None:
        if row is None or row == self._last:
            return
        if row.t_ns <= self._last.t_ns:
            raise WattLogError(f"the reading of {iso(row.t_ns)} is not after the one before it")
        before, self._last = self._last, row
        joules, u = trapezoid((before, row), before.t_ns, row.t_ns, self._max_gap_s, self.name)
        self._joules, self._u = self._joules + joules, self._u + u

    def _new_lines(self) -> list[tuple[int, str]]:
        """Lines completed since the last call, with their numbers."""
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                self._offset = 0
                raise OSError("the log was cut off or replaced")
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        lines = decoded(data, self.name).splitlines()
        self._lines += len(lines)
        return list(enumerate(lines, self._lines - len(lines) + 1))
