"""Random ticks, wraps, failures and regions against an oracle that sees the registers unwrapped.

A sequence is drawn as bytes, which Hypothesis makes and shrinks a hundred times faster than lists of tuples.
"""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from frugalblas.energy import CounterFault, Meter, Sample, Zone
from frugalblas.energy.counter import Counter
from frugalblas.energy.testing import FakeClock, FakeSource

LSB = 61
RANGES = (1 << 10, 1 << 12, 1 << 16)  # steps; small, so that they wrap often
MAX_W = 10.0

# ---- a counter, driven by raw samples


KINDS = ("good",) * 11 + ("error", "garbage", "back", "late", "jump")


def _raw_actions(data):
    """Kind, time (µs, up to 1 s) and power (W, up to 1000) of each sample: four bytes."""
    for kind, time, fine, power in zip(*[iter(data)] * 4, strict=False):
        yield KINDS[kind % 16], 1 + (time << 8 | fine) * 15, round(power * 1000 / 255)


@settings(max_examples=5000)
@given(st.sampled_from([262143328911, 65532611002, 1 << 20, None]), st.integers(0, 1 << 40), st.binary(max_size=64))
def test_counter_adds_exactly_what_was_used(modulus, exact, data):
    """Each raw sample is wrapped from an exact total; a step may be claimed only if it can be known."""
    zone = Zone("z", "package", 0, "fake", modulus, 1.0, tick_s=1e-3, max_power_w=1000.0)
    counter, t_us = Counter(zone), 0
    total, faults, known = 0, 0, None  # `known`: the exact total at the last good sample
    shown_before = t_before = 0
    for kind, dt_us, watts in _raw_actions(data):
        if kind == "late" and modulus:
            dt_us += modulus // 1000  # long enough for a whole turn at 1000 W
        t_us += dt_us if kind != "back" else -1
        exact += dt_us * watts
        if kind == "jump":
            exact += 10**9
        if kind == "error":
            counter.update(OSError("EIO"))
            faults, known = faults + 1, None
        elif kind == "garbage":
            counter.update(Sample(t_us * 1000, -1 if modulus is None else modulus))
            faults, known = faults + 1, None
        else:
            shown = exact if modulus is None else exact % modulus
            counter.update(Sample(t_us * 1000, shown))
            if known is not None:
                dt = t_us - t_before
                claim = shown - shown_before + (modulus if modulus and shown < shown_before else 0)
                possible = dt >= 0 and 0 <= claim <= 1000 * (dt + 2000) + 2
                if possible and not (modulus and dt * 1000 >= modulus):
                    assert claim == exact - known or kind == "jump"  # a jump may hide in a whole turn
                    total += claim
                else:
                    faults += 1
            known, shown_before, t_before = exact, shown, t_us
        assert (counter.total_uj, counter.faults) == (total, faults)


# ---- a meter with regions, driven by a simulated machine


class _Recorder(FakeSource):
    """Remembers every read: its time, whether it was good, and the unwrapped registers."""

    def __init__(self, clock, zones):
        super().__init__(clock, zones)
        self.log = {zone.id: [] for zone in zones}

    def read(self, ids=None):
        samples = super().read(ids)
        for id, sample in samples.items():
            self.log[id].append((self.clock(), isinstance(sample, Sample), self.counters[id].shown))
        return samples


def _expected_uj(zone, log, first, last):
    """The exact energy between two reads (µJ), or None if it cannot be known."""
    window = log[first : last + 1]
    if not all(good for _, good, _ in window):
        return None
    for (before, _, _), (after, _, _) in pairwise(window):
        if zone.modulus_uj and (after - before) * 1e-9 * zone.max_power_w * 1e6 >= zone.modulus_uj:
            return None
    return (window[-1][2] - window[0][2]) * LSB


def _actions(data):
    """Advance (ms and W of both zones), enter, exit, fail or mend: three bytes each; at last all regions end."""
    for action, time, power in zip(*[iter(data)] * 3, strict=False):
        match action % 8:
            case 0 | 1 | 2:
                yield "advance", time * 2, power % 11, power // 11 % 11
            case 3 | 4:
                yield ("enter",)
            case 5:
                yield "exit", time % 3
            case kind:
                yield "fail" if kind == 6 and time % 2 else "mend", power % 2
    for _ in data:
        yield "exit", 0


@settings(max_examples=7000)
@given(st.sampled_from(RANGES), st.integers(0, 1 << 16), st.booleans(), st.binary(max_size=60))
def test_regions_give_the_exact_energy_or_none(steps, offset, kept, data):
    """Two zones, one of which may wrap between any two reads; regions open and close in any order."""
    clock = FakeClock()
    zones = [
        Zone("a", "package", 0, "fake", steps * LSB, LSB, tick_s=1e-3, max_power_w=MAX_W),
        Zone("b", "dram", 0, "fake", 16 * steps * LSB, LSB, tick_s=2e-3, max_power_w=MAX_W),
    ]
    source = _Recorder(clock, zones)
    for counter in source.counters.values():
        counter.set_steps(offset)
    every = clock.every if kept else lambda seconds, call: lambda: None
    meter = Meter(sources=[source], clock=clock, every=every)
    open_regions, done = [], []
    for action, *values in _actions(data):
        if action == "advance":
            milliseconds, watts_a, watts_b = values
            source.advance(milliseconds / 1000, {"a": watts_a, "b": watts_b})
        elif action == "enter":
            context = meter.region("r")
            reading = context.__enter__()
            open_regions.append((context, reading, {id: len(log) - 1 for id, log in source.log.items()}))
        elif action == "fail":
            source.failing["ab"[values[0]]] = OSError("EIO")
        elif action == "mend":
            source.failing.pop("ab"[values[0]], None)
        elif open_regions:
            context, reading, first = open_regions.pop(-1 - values[0] % len(open_regions))
            context.__exit__(None, None, None)
            done.append((reading, first, {id: len(log) - 1 for id, log in source.log.items()}))
    meter.close()
    assert meter.readings == [reading for reading, _, _ in done]
    assert clock.timers == 0
    for reading, first, last in done:
        _compare(zones, source.log, reading, first, last)


def _compare(zones, logs, reading, first, last):
    energies = [_expected_uj(zone, logs[zone.id], first[zone.id], last[zone.id]) for zone in zones]
    for zone, energy in zip(zones, energies, strict=True):
        if energy:
            assert reading.per_zone[zone.id].value == energy / 1e6
            assert reading.per_zone[zone.id].u > 0
        else:  # unknown, or not a single tick: never a number, and never 0.0
            assert zone.id not in reading.per_zone
            assert zone.id in reading.faults
    if None in energies:
        assert isinstance(reading.problem, CounterFault)
    if reading.problem is None:
        assert abs(reading.gross.value - sum(energies) * 1e-6) < 1e-9
        assert reading.gross.value >= 2 * reading.gross.u
