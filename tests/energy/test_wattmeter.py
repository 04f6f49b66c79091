"""Logs of an external wattmeter: what they may look like, and every way they may be broken."""

import itertools
import math
from datetime import datetime, timedelta, timezone
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalblas.energy.quantity import Provenance
from frugalblas.energy.wattlog import ClockPair, read_watt_log
from frugalblas.energy.wattmeter import Wattmeter
from frugalblas.energy.wattrows import LogFormat, WattLogError

needs_paris = pytest.mark.skipif("Europe/Paris" not in available_timezones(), reason="no time zone database here")
T0 = 1_760_000_000  # 2025-10-09T08:53:20Z


@pytest.fixture
def log(tmp_path):
    """Writes a log and reads it back."""

    def make(text, **options):
        path = tmp_path / "plug.log"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_watt_log(path, **{"rel_u": 0.01, **options})

    return make


def rows(*watts, step=1):
    return "".join(f"{T0 + i * step},{w}\n" for i, w in enumerate(watts))


INDIA = timezone(timedelta(hours=5, minutes=30))
UTC = datetime.fromtimestamp(T0, timezone.utc)
DIALECTS = {
    "csv with a header": f"time,watts\n{T0},10\n{T0 + 1},20\n{T0 + 2},30\n",
    "csv without": rows(10, 20, 30),
    "other columns": f"voltage,timestamp,power\n230,{T0},10\n231,{T0 + 1},20\n230,{T0 + 2},30\n",
    "semicolons and decimal commas": f"time;watts\n{T0};10,0\n{T0 + 1};20,0\n{T0 + 2};30,0\n",
    "quoted decimal commas": f'time,watts\n{T0},"10,0"\n{T0 + 1},"20,0"\n{T0 + 2},"30,0"\n',
    "tabs, a byte order mark, carriage returns": f"\ufefftime\twatts\r\n{T0}\t10\r\n{T0 + 1}\t20\r\n{T0 + 2}\t30\r\n",
    "comments, blank lines and units": f"# a plug\n\n{T0},10 W\n{T0 + 1},20 W\n\n{T0 + 2},30W\n",
    "json lines": "".join(f'{{"ts": {T0 + i}, "power": {10 * i + 10}, "id": 7}}\n' for i in range(3)),
    "json lines with text": "".join(f'{{"time": "{T0 + i}", "state": "{10 * i + 10}.0"}}\n' for i in range(3)),
    "iso, UTC": "".join(f"{UTC + timedelta(seconds=i):%Y-%m-%dT%H:%M:%SZ},{10 * i + 10}\n" for i in range(3)),
    "iso, another zone, fractions": "".join(
        f"{(UTC + timedelta(seconds=i)).astimezone(INDIA).isoformat(' ', 'microseconds')},{10 * i + 10}\n"
        for i in range(3)
    ),
}


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_gives_the_same_joules(log, text):
    energy = log(text).energy(T0, T0 + 2)
    assert energy.value == pytest.approx(40.0)
    assert energy.unit == "J"
    assert energy.provenance is Provenance.DERIVED
    assert energy.source == ("wattmeter:plug.log",)


@needs_paris
def test_a_local_time_needs_its_zone(log):
    text = "2025-10-09T10:53:20,10\n2025-10-09T10:53:21,20\n2025-10-09T10:53:22,30\n"
    with pytest.raises(WattLogError, match=r"line 1: .* has no offset from UTC: pass timezone="):
        log(text)
    assert log(text, format=LogFormat(timezone="Europe/Paris")).energy(T0, T0 + 2).value == pytest.approx(40.0)
    assert log(text, format=LogFormat(timezone=timezone(timedelta(hours=2)))).rows[0].t_ns == T0 * 10**9


@needs_paris
def test_an_hour_that_happens_twice_is_refused(log):
    text = "2025-10-26T02:30:00,10\n2025-10-26T02:30:01,20\n"
    with pytest.raises(WattLogError, match="clocks change: log UTC"):
        log(text, format=LogFormat(timezone="Europe/Paris"))


def test_a_log_of_another_time_zone_does_not_cover_the_run(log):
    shifted = log(rows(10, 20, 30))
    with pytest.raises(WattLogError, match=r"covers .* not all of .* wrong time zone"):
        shifted.energy(T0 + 3600, T0 + 3601)


BROKEN = {
    "a locale comma": (f"{T0},12,5\n{T0 + 1},13,5\n", "line 1: 3 columns where 2 .* decimal mark is a comma"),
    "a locale comma further down": (f"time,watts\n{T0},12\n{T0 + 1},13,5\n", "line 3: 3 columns"),
    "thousands": (f"{T0};1.234,5\n{T0 + 1};1.234,5\n", "line 1: '1.234,5' is not a power"),
    "words": (f"{T0},10\n{T0 + 1},off\n", "line 2: 'off' is not a power in watts"),
    "negative": (f"{T0},10\n{T0 + 1},-3\n", "line 2: -3 W is negative"),
    "milliseconds": (f"{T0}000,10\n{T0}900,20\n", "line 1: .* pass time_unit="),
    "relative times": ("0.0,10\n1.0,20\n", "line 1: .* cannot be aligned by clock"),
    "no such column": ("volts,amperes\n230,1\n", "line 1: no column time or timestamp"),
    "broken json": ('{"time": 1, \n', "line 1: not JSON"),
    "nested json": ('{"time": [1], "watts": 3}\n', "line 1: time and watts must be"),
    "one column": ("12\n13\n", "line 1: expected columns separated"),
    "empty": ("", "0 readings"),
    "one reading": (f"{T0},10\n", "1 readings"),
    "conflict": (f"{T0},10\n{T0},20\n{T0 + 1},20\n", "10 W and 20 W at the same time"),
    "not text": (b"\xff\xfe\x00\x01\n", "not UTF-8"),
    "no date": ("yesterday at 5,10\n2025-10-09T10:53:21Z,20\n", "line 1: 'yesterday at 5' is no time"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_what_can_be_read_in_two_ways_or_none_is_refused_with_its_line(log, text, message):
    with pytest.raises(WattLogError, match=message):
        log(text)


def test_unknown_units_and_zones_are_refused(log):
    with pytest.raises(WattLogError, match="time_unit is 'min'"):
        log(rows(1, 2), format=LogFormat(time_unit="min"))
    with pytest.raises(WattLogError, match="unknown time zone 'Europe/Nowhere'"):
        log(rows(1, 2), format=LogFormat(timezone="Europe/Nowhere"))


def test_rows_out_of_order_are_sorted_and_flagged(log):
    lines = rows(10, 20, 30, 40).splitlines(keepends=True)
    mixed = log("".join([lines[1], lines[0], lines[3], lines[2]]))
    assert mixed.flags == {"out-of-order"}
    assert mixed.energy(T0, T0 + 3).value == pytest.approx(75.0)


def test_duplicates_are_counted_once_and_flagged(log):
    twice = log("".join(line * 2 for line in rows(10, 20, 30).splitlines(keepends=True)))
    assert twice.flags == {"duplicates"}
    assert twice.energy(T0, T0 + 2).value == pytest.approx(40.0)


def test_a_gap_is_flagged_and_its_energy_is_unknown(log):
    gappy = log(rows(10, 10, 10) + "".join(f"{T0 + 60 + i},10\n" for i in range(3)))
    assert gappy.flags == {"gaps"}
    assert gappy.energy(T0, T0 + 2).value == pytest.approx(20.0)
    for began, ended in ((T0 + 1, T0 + 61), (T0 + 30, T0 + 31), (T0 + 2.5, T0 + 61)):
        with pytest.raises(WattLogError, match=r"no reading for 58\.0 s"):
            gappy.energy(began, ended)


def test_the_allowed_gap_can_be_declared(log):
    text = rows(10, 10, 10) + "".join(f"{T0 + 60 + i},10\n" for i in range(3))
    assert log(text, max_gap_s=60).energy(T0, T0 + 62).value == pytest.approx(620.0)


def test_missing_readings_are_flagged_and_never_zero(log):
    holes = log(f"{T0},10\n{T0 + 1},unavailable\n{T0 + 2},NaN\n{T0 + 3},10\n{T0 + 4},\n{T0 + 5},10\n", max_gap_s=4)
    assert holes.flags == {"missing-readings"}
    assert holes.energy(T0, T0 + 5).value == pytest.approx(50.0)


def test_a_last_line_still_being_written_is_left_out(log):
    cut = log(rows(10, 20, 30) + f"{T0 + 3},4")
    assert cut.flags == {"unfinished-last-line"}
    assert len(cut.rows) == 3


def test_the_accuracy_of_the_meter_must_be_declared_or_is_flagged(log):
    assert log(rows(10, 10), rel_u=None).flags == {"accuracy-undeclared"}
    assert log(rows(10, 10, 10), rel_u=0.02).energy(T0, T0 + 2).u == pytest.approx(0.4)


def test_uncertainty_of_a_step(log):
    # 20 W up to T0 + 2, 100 W from T0 + 3 on: nobody knows when in that second it rose.
    step = log(rows(20, 20, 20, 100, 100, 100, 100), rel_u=0.0)
    energy = step.energy(T0, T0 + 6, clock_u_s=0.0)
    assert energy.value == pytest.approx(20 * 2 + 60 + 100 * 3)
    assert energy.u == pytest.approx(40.0)
    clocks_apart = step.energy(T0, T0 + 6, clock_u_s=0.5)
    assert clocks_apart.u == pytest.approx(math.hypot(40.0, 40.0))
    assert step.energy(T0, T0 + 2, clock_u_s=1.0).u == 0.0


def test_ends_between_two_readings_are_interpolated(log):
    ramp = log(rows(0, 10, 20, 30))
    began = datetime.fromtimestamp(T0 + 0.5, timezone.utc)
    assert ramp.energy(began, began + timedelta(seconds=2)).value == pytest.approx(30.0)


@pytest.mark.parametrize(("began", "ended"), [(T0 + 1, T0 + 1), (T0 + 2, T0 + 1)])
def test_a_window_without_length_is_refused(log, began, ended):
    with pytest.raises(WattLogError, match="not after"):
        log(rows(1, 2, 3)).energy(began, ended)


def test_a_moment_without_a_zone_is_refused(log):
    with pytest.raises(WattLogError, match="no offset"):
        log(rows(1, 2, 3)).energy(datetime(2025, 10, 9), T0 + 1)


@given(
    watts=st.lists(st.integers(0, 500), min_size=3, max_size=20),
    cuts=st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True),
)
def test_a_window_cut_in_pieces_has_the_same_joules(tmp_path_factory, watts, cuts):
    path = tmp_path_factory.mktemp("log") / "plug.csv"
    path.write_text(rows(*watts))
    whole = read_watt_log(path, rel_u=0.0)
    length = len(watts) - 1
    ends = [0.0, *(length * cut / 100 for cut in sorted(cuts)), float(length)]
    parts = [whole.energy(T0 + a, T0 + b).value for a, b in itertools.pairwise(ends)]
    # Each end of a piece is a time of the epoch, kept to the spacing of float64 there.
    rounding = len(ends) * max(watts) * math.ulp(T0)
    assert math.fsum(parts) == pytest.approx(
        math.fsum((a + b) / 2 for a, b in itertools.pairwise(watts)), rel=1e-12, abs=rounding
    )


def test_clock_pair_translates_and_sees_a_clock_that_was_set():
    pair = ClockPair(wall_ns=1_000, monotonic_ns=50)
    assert pair.to_wall_ns(60) == 1_010
    assert pair.moved_s(ClockPair(wall_ns=1_000 + 5 * 10**9, monotonic_ns=50 + 3 * 10**9)) == 2.0
    now = ClockPair.now()
    assert abs(now.moved_s(ClockPair.now())) < 1.0


class Follow:
    """A growing log and the two clocks."""

    def __init__(self, path):
        self.path = path
        self.seconds = 0.0
        self.wall_step_s = 0.0
        self.path.write_text("time,watts\n")

    def clock(self):
        return ClockPair(round((T0 + self.seconds + self.wall_step_s) * 1e9), round((1000 + self.seconds) * 1e9))

    def append(self, *watts, step=1.0):
        with self.path.open("a") as file:
            for w in watts:
                file.write(f"{T0 + self.seconds},{w}\n")
                self.seconds += step

    def write(self, text):
        with self.path.open("a") as file:
            file.write(text)


@pytest.fixture
def follow(tmp_path):
    return Follow(tmp_path / "live.csv")


def read(source):
    return source.read()[source.zones[0].id]


def test_following_a_log_counts_its_joules_at_its_own_times(follow):
    follow.append(10, 10)
    source = Wattmeter(follow.path, clock=follow.clock)
    zone = source.zones[0]
    assert (zone.domain, zone.tick_s, zone.provenance) == ("wall", 1.0, Provenance.DERIVED)
    start = read(source)
    follow.append(10, 30)
    end = read(source)
    assert end.energy_uj - start.energy_uj == 30_000_000  # one second at 10 W, one from 10 to 30 W
    assert end.t_ns == (1000 + 3) * 10**9
    assert end.u_uj - start.u_uj == pytest.approx(10_000_000)
    assert source.read(["another"]) == {}
    source.close()
    source.close()


def test_a_line_is_read_once_it_is_complete(follow):
    follow.append(10, 10)
    source = Wattmeter(follow.path, clock=follow.clock)
    follow.write(f"{T0 + 2},1")
    before = read(source)
    follow.write("0\n")
    assert read(source).energy_uj - before.energy_uj == 10_000_000


FAULTS = {
    "malformed": (lambda f: f.write("garbage\n"), "line 4: 1 columns"),
    "went back": (lambda f: f.write(f"{T0 - 5},10\n"), "not after the one before it"),
    "gap": (lambda f: (setattr(f, "seconds", 60.0), f.append(10)), r"no reading for 59\.0 s"),
    "stopped": (lambda f: setattr(f, "seconds", 60.0), "the log has stopped"),
    "clock set": (lambda f: setattr(f, "wall_step_s", 3600.0), r"set by \+3600\.0 s"),
    "truncated": (lambda f: f.path.write_text("time,watts\n"), "cut off or replaced"),
    "gone": (lambda f: f.path.unlink(), "No such file"),
}


@pytest.mark.parametrize(("harm", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_followed_log_is_an_error_of_that_read(follow, harm, message):
    follow.append(10, 10)
    source = Wattmeter(follow.path, clock=follow.clock)
    assert read(source).energy_uj == 0
    harm(follow)
    error = read(source)
    assert isinstance(error, OSError)
    with pytest.raises(OSError, match=message):
        raise error


def test_after_a_fault_later_readings_count_again(follow):
    follow.append(10, 10)
    source = Wattmeter(follow.path, clock=follow.clock)
    follow.write("garbage\n")
    follow.append(10)
    assert isinstance(read(source), OSError)
    before = read(source)
    follow.append(10)
    assert read(source).energy_uj - before.energy_uj == 10_000_000


def test_a_log_too_short_to_know_its_period_cannot_be_followed(follow):
    with pytest.raises(WattLogError, match="0 readings"):
        Wattmeter(follow.path, clock=follow.clock)
    with pytest.raises(FileNotFoundError):
        Wattmeter(follow.path.with_name("none"), clock=follow.clock)
