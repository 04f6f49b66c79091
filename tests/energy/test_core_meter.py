"""Regions, readings, the keeper, threads and forks."""

import json
import math
import os
import signal
import threading
import traceback

import pytest

from frugalblas.energy import (
    BelowResolution,
    CounterFault,
    EnergyUnavailable,
    Idle,
    Meter,
    Provenance,
    Quantity,
    Sample,
    Zone,
    measure,
)
from frugalblas.energy.keeper import in_background
from frugalblas.energy.testing import FakeClock, FakeSource


def package(**changes):
    values = {"modulus_uj": 10**10, "lsb_uj": 1.0, "tick_s": 1e-3, "max_power_w": 1000.0} | changes
    return Zone("z", "package", 0, "fake", **values)


@pytest.fixture
def source():
    return FakeSource(FakeClock(), [package()])


@pytest.fixture
def meter(source):
    with Meter("cpu", sources=[source], clock=source.clock, every=source.clock.every) as made:
        yield made


def watts(value, u=0.0):
    return Idle(Quantity(value, u, "W", Provenance.DERIVED, ("idle",)), ("z",))


# ---- readings


def test_a_reading(meter, source):
    with meter.region("product", flops=4e9) as r:
        assert not r.ended
        with pytest.raises(RuntimeError, match="has not ended"):
            r.gross  # noqa: B018
        assert r.flags == frozenset()
        source.advance(2.0, {"z": 100.0})
    assert r.time.value == 2.0
    assert r.ended_ns - r.started_ns == 2 * 10**9
    assert r.gross.value == pytest.approx(200.0, abs=2e-6)
    assert r.gross.u == pytest.approx(100 * 1e-3 / math.sqrt(6), rel=1e-3)
    assert r.gross.source == ("fake:z",)
    assert (r.power.value, r.power.unit, r.power.provenance) == (pytest.approx(100.0), "W", Provenance.DERIVED)
    assert r.gflops_per_watt().value == pytest.approx(4 / 200)
    assert r.gflops_per_watt().relative_u == pytest.approx(r.gross.relative_u)
    assert r.net is None  # the meter knows no idle power
    assert r.problem is None
    assert json.loads(json.dumps(r.as_dict()))["gross"]["unit"] == "J"


def test_flops_are_not_made_up(meter, source):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
    with pytest.raises(ValueError, match="no flops"):
        r.gflops_per_watt()


def test_vector_10_net_of_idle(meter, source):
    meter.idle = watts(20.0, 0.5)
    with meter.region("r", flops=80e9) as r:
        source.advance(1.0, {"z": 100.0})
    assert r.net.value == pytest.approx(80.0, abs=1e-5)
    assert r.net.u == pytest.approx(math.hypot(r.gross.u, 0.5 * 1.0, 20.0 * r.time.u))
    assert r.net.u > 0.5
    assert r.net.provenance is Provenance.DERIVED
    assert r.gross.provenance is Provenance.MEASURED
    assert r.gflops_per_watt().value == pytest.approx(1.0)  # of the net energy


def test_vector_10_net_below_resolution_raises(meter, source):
    meter.idle = watts(20.0, 1.0)
    with meter.region("r") as r:
        source.advance(1.0, {"z": 21.5})
    assert r.gross.value == pytest.approx(21.5, abs=1e-5)
    with pytest.raises(BelowResolution, match="no longer window would help") as caught:
        r.net  # noqa: B018
    assert caught.value.upper_bound_j == pytest.approx(1.5 + 2 * math.hypot(1.0, r.gross.u), rel=1e-3)
    assert caught.value.needed_s == math.inf
    assert r.flags == {"below-resolution"}


def test_needed_window_is_enough():
    """At the power seen, a window of ``needed_s`` does resolve the net energy."""
    source = FakeSource(FakeClock(), [package(tick_s=0.1)])
    meter = Meter("cpu", sources=[source], clock=source.clock, every=source.clock.every, idle=watts(90.0, 1.0))
    with meter.region("short") as short:
        source.advance(0.5, {"z": 100.0})
    with pytest.raises(BelowResolution) as caught:
        short.net  # noqa: B018
    needed = caught.value.needed_s
    assert 0.5 < needed < 2.0
    with meter.region("long") as long:
        source.advance(math.ceil(needed * 10) / 10)  # whole ticks, so that the fake shows the mean power
    assert long.net.value == pytest.approx(10.0 * long.time.value, rel=1e-3)
    assert long.net.u == pytest.approx(long.net.value / 2, rel=0.1)  # only just
    meter.close()


def test_idle_of_other_zones_is_refused(meter):
    with pytest.raises(ValueError, match="idle power is that of y"):
        meter.idle = Idle(Quantity(1.0, 0.0, "W", Provenance.DERIVED), ("y",))


def test_vector_12_an_assumed_power_taints_the_sum():
    clock = FakeClock()
    zones = [package(), Zone("d", "dram", 0, "model", None, 1.0, provenance=Provenance.ASSUMED)]
    source = FakeSource(clock, zones)
    with Meter(sources=[source], clock=clock, every=clock.every) as meter, meter.region("r") as r:
        source.advance(1.0, {"z": 50.0, "d": 5.0})
    assert r.gross.provenance is Provenance.ASSUMED
    assert r.per_zone["z"].provenance is Provenance.MEASURED


def test_probed_ticks_count_for_regions_that_start_later(meter, source):
    with meter.region("before") as before:
        meter.set_ticks({"z": 0.01, "other": 5.0})
        source.advance(1.0, {"z": 100.0})
    with meter.region("after") as after:
        source.advance(1.0)
    assert after.gross.u == pytest.approx(10 * before.gross.u, rel=1e-3)
    assert meter.tick_s == 0.01
    with pytest.raises(ValueError, match="positive"):
        meter.set_ticks({"z": 0.0})


# ---- what is missing


def test_nothing_measurable_raises_at_once():
    with pytest.raises(EnergyUnavailable, match="no number is made up"):
        Meter(sources=[])


def test_nothing_measurable_on_request():
    with Meter(sources=[], on_missing="none") as meter, meter.region("r", flops=1.0) as r:
        pass
    assert (r.gross, r.net, r.power, r.problem, r.per_zone, r.flags) == (None, None, None, None, {}, {"unmeasured"})
    assert r.time.value >= 0
    assert r.as_dict()["gross"] is None
    with pytest.raises(ValueError, match="no energy"):
        r.gflops_per_watt()


def test_missing_figures_are_none_on_request(source):
    options = {"clock": source.clock, "every": source.clock.every, "on_missing": "none"}
    with Meter("cpu", sources=[source], **options) as meter, meter.region("r") as r:
        source.advance(1e-4)
    assert r.gross is None
    assert isinstance(r.problem, BelowResolution)


def test_a_source_given_twice_is_refused(source):
    with pytest.raises(ValueError, match="more than one source has the zone z"):
        Meter("cpu", sources=[source, FakeSource(source.clock, [package()])])


@pytest.mark.parametrize("bad", [{"scope": "cpus"}, {"on_missing": "zero"}])
def test_bad_arguments(bad, source):
    with pytest.raises(ValueError, match="must be"):
        Meter(sources=[source], **bad)


def test_a_source_that_raises_anything_is_a_fault_not_a_crash(meter, source):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
        source.failing["z"] = KeyError("bug")
    with pytest.raises(CounterFault, match="KeyError"):
        r.gross  # noqa: B018


def test_a_source_that_forgets_a_zone_is_a_fault(meter, source):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
        source.read = lambda ids=None: {}
    with pytest.raises(CounterFault, match="gave no reading"):
        r.gross  # noqa: B018


@pytest.mark.parametrize("garbage", [(1, 2), "12", Sample(2 * 10**9, math.nan), Sample(2 * 10**9, 1.5)])
def test_a_source_that_gives_no_sample_is_a_fault(meter, source, garbage):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
        source.read = lambda ids=None: {"z": garbage}
    with pytest.raises(CounterFault, match="no Sample"):
        r.gross  # noqa: B018


def test_the_clock_goes_back(meter, source):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
        source.clock.jump(-5.0)
    with pytest.raises(CounterFault, match="clock went back"):
        r.gross  # noqa: B018


# ---- regions


def test_regions_nest(meter, source):
    with meter.region("outer") as outer:
        source.advance(1.0, {"z": 10.0})
        with meter.region("inner") as inner:
            source.advance(1.0, {"z": 100.0})
        source.advance(1.0, {"z": 10.0})
    assert (outer.gross.value, inner.gross.value) == pytest.approx((120.0, 100.0), abs=1e-5)
    assert (outer.path, inner.path) == (("outer",), ("outer", "inner"))
    assert outer.flags == inner.flags == frozenset()
    assert meter.readings == [inner, outer]


def test_regions_that_do_not_nest_are_flagged(meter, source):
    one, other = meter.region("one"), meter.region("other")
    a = one.__enter__()
    b = other.__enter__()
    source.advance(1.0, {"z": 100.0})
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert a.flags == b.flags == {"overlap"}
    assert a.gross.value == pytest.approx(100.0, abs=1e-5)


def test_a_region_is_entered_once(meter):
    region = meter.region("r")
    with region:
        pass
    with pytest.raises(RuntimeError, match="entered before"):
        region.__enter__()


def test_decorator(meter, source):
    @meter
    def work(x, *, y):
        """What it does."""
        source.advance(1.0, {"z": 100.0})
        return x + y

    assert work(1, y=2) == 3
    assert work.__doc__ == "What it does."
    assert meter.readings[0].name.endswith("work")
    assert meter.readings[0].gross.value == pytest.approx(100.0, abs=1e-5)


def test_decorator_refuses_what_returns_before_it_works(meter):
    async def coroutine():
        pass

    def generator():
        yield

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="use region"):
            meter(function)


def test_measure_in_one_line(fake_machine):
    machine = fake_machine()
    options = {"scope": "cpu", "sources": machine.sources(), "clock": machine.clock, "every": machine.clock.every}
    with measure(flops=1e9, **options) as r:
        machine.advance(1.0, {"package-0": 50.0})
    assert r.gross.value == pytest.approx(50.0, abs=2e-4)
    assert machine.clock.timers == 0


def test_vector_13_an_exception_is_recorded_and_goes_on(meter, source):
    def work():
        source.advance(1.0, {"z": 100.0})
        return 1 / 0

    region = meter.region("r")
    with pytest.raises(ZeroDivisionError), region:
        work()
    r = region.reading
    assert r.flags == {"failed"}
    assert r.error == "ZeroDivisionError: division by zero"
    assert meter.readings == [r]
    assert r.gross.value == pytest.approx(100.0, abs=1e-5)  # what it cost until then


def test_a_sync_that_fails_is_recorded_too(meter, source):
    def sync():
        if source.clock() > 1.5e9:
            raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"), meter.region("r", sync=sync) as r:
        source.advance(1.0, {"z": 100.0})
    assert r.flags == {"failed"}
    assert meter.readings == [r]


def test_an_exception_in_an_inner_region_marks_both(meter, source):
    with pytest.raises(KeyError), meter.region("outer"), meter.region("inner"):
        raise KeyError("k")
    assert [reading.flags >= {"failed"} for reading in meter.readings] == [True, True]


# ---- the keeper


def test_vector_14_the_keeper_sees_every_wrap(fake_machine):
    machine = fake_machine("amd-1s")
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(600.0, {"package-0": 400.0})  # 3.7 times round 65 532 J
    assert r.gross.value == pytest.approx(240_000.0, abs=5 * 16e-6)
    assert r.gross.u < 0.5


def test_without_a_keeper_wraps_are_refused_not_guessed(fake_machine):
    machine = fake_machine("amd-1s")
    meter = Meter("cpu", sources=machine.sources(), clock=machine.clock, every=lambda seconds, call: lambda: None)
    with meter, meter.region("r") as r:
        machine.advance(600.0, {"package-0": 400.0})
    with pytest.raises(CounterFault, match="wrapped more than once"):
        r.gross  # noqa: B018


def test_the_keeper_reads_only_while_and_what_it_must():
    clock = FakeClock()
    zones = [package(), Zone("g", "dram", 0, "fake", None, 1.0)]  # 10 kJ at 1 kW, half of it: every 5 s; and never
    source, reads = FakeSource(clock, zones), []
    read = source.read
    source.read = lambda ids=None: (reads.append(list(ids)), read(ids))[1]
    with Meter(sources=[source], clock=clock, every=clock.every) as meter:
        clock.advance(100.0)
        assert clock.timers == 0  # no region yet: no keeper
        with meter.region("r"):
            clock.advance(12.0)
        assert reads == [["z", "g"], ["z"], ["z"], ["z", "g"]]
        clock.advance(100.0)
        assert len(reads) == 4
        with meter.region("later") as later:  # the gap between regions is nobody's
            source.advance(1.0, {"z": 10.0, "g": 10.0})
    assert later.gross.value == pytest.approx(20.0, abs=1e-5)
    assert clock.timers == 0


def test_a_slower_zone_is_read_less_often():
    clock = FakeClock()
    zones = [package(), Zone("d", "dram", 0, "fake", 24 * 10**9, 1.0)]  # every 5 s, every 12 s
    source, reads = FakeSource(clock, zones), []
    read = source.read
    source.read = lambda ids=None: (reads.append(list(ids)), read(ids))[1]
    with Meter(sources=[source], clock=clock, every=clock.every) as meter, meter.region("r"):
        clock.advance(21.0)
    assert reads == [["z", "d"], ["z"], ["z", "d"], ["z"], ["z", "d"], ["z", "d"]]


def test_no_keeper_where_nothing_wraps():
    clock = FakeClock()
    source = FakeSource(clock, [package(modulus_uj=None)])
    with Meter("cpu", sources=[source], clock=clock, every=clock.every) as meter, meter.region("r"):
        assert clock.timers == 0


def keepers():
    return [thread for thread in threading.enumerate() if thread.name == "frugalblas-energy-keeper"]


def test_a_real_keeper_calls_until_it_is_stopped():
    class Called:
        event = threading.Event()

        def call(self):
            self.event.set()

    called = Called()
    cancel = in_background(1e-4, called.call)
    assert called.event.wait(30)
    cancel()
    assert keepers() == []
    cancel()


def test_a_real_keeper_ends_with_its_object():
    class Called:
        def call(self):
            pass

    called = Called()
    in_background(1000.0, called.call)
    (thread,) = keepers()
    del called
    thread.join(30)
    assert not thread.is_alive()


def test_vector_13_close_twice_leaves_no_thread(source):
    meter = Meter("cpu", sources=[source], clock=source.clock)
    with meter.region("r"):
        assert len(keepers()) == 1
        assert keepers()[0].daemon
    meter.close()
    meter.close()
    assert keepers() == []
    assert source.closed == 0  # it was not the meter's own
    with pytest.raises(RuntimeError, match="closed"), meter.region("r"):
        pass


def test_close_inside_a_region(meter, source):
    with meter.region("r") as r:
        source.advance(1.0, {"z": 100.0})
        meter.close()
    assert r.flags == {"failed", "fault"}
    with pytest.raises(CounterFault, match="closed inside"):
        r.gross  # noqa: B018
    assert meter.readings == [r]


def test_a_meter_closes_what_it_found_itself(monkeypatch, source):
    monkeypatch.setattr("frugalblas.energy.meter.discover", lambda clock: [source])
    with Meter("cpu"):
        assert source.closed == 0
    assert source.closed == 1
    with pytest.raises(EnergyUnavailable):
        Meter("gpu")
    assert source.closed == 2


# ---- threads and processes


def test_regions_in_two_threads_are_flagged(meter, source):
    inside, done = threading.Barrier(2), threading.Event()

    def other():
        with meter.region("other"):
            inside.wait(30)
            done.wait(30)

    thread = threading.Thread(target=other)
    with meter.region("alone"):
        source.advance(1.0, {"z": 100.0})
    thread.start()
    inside.wait(30)
    with meter.region("main"):
        source.advance(1.0)
    done.set()
    thread.join(30)
    assert {r.name: r.flags for r in meter.readings} == {
        "alone": frozenset(),
        "main": {"overlap"},
        "other": {"overlap"},
    }


def test_many_threads_lose_nothing(meter, source):
    source.counters["z"].watts = 100
    ready = threading.Barrier(8)

    def work():
        ready.wait(30)
        for _ in range(50):
            with meter.region("r"), meter.region("inner"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(meter.readings) == 8 * 50 * 2
    assert meter._open == []
    assert all(len(r.path) == (2 if r.name == "inner" else 1) for r in meter.readings)


def test_two_meters_at_once(source):
    options = {"clock": source.clock, "every": source.clock.every}
    one, other = (Meter("cpu", sources=[source], **options) for _ in range(2))
    with one, other, one.region("a") as a:
        source.advance(1.0, {"z": 100.0})
        with other.region("b") as b:
            source.advance(1.0)
    assert (a.gross.value, b.gross.value) == pytest.approx((200.0, 100.0), abs=1e-5)
    assert a.flags == b.flags == frozenset()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # other tests' threads: OpenMP's sleep
def test_vector_13_fork_inside_a_region(source):
    """The child's region fails, its meter works on, and it has no keeper; the parent notices nothing."""
    meter = Meter("cpu", sources=[source], clock=source.clock)  # with a real keeper
    region = meter.region("r")
    reading = region.__enter__()
    source.advance(1.0, {"z": 100.0})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            region.__exit__(None, None, None)
            assert reading.flags == {"forked", "failed", "fault"}, reading.flags
            assert "forked" in str(reading.problem)
            assert meter.readings == [reading]
            assert keepers() == []
            with meter.region("child") as own:
                assert len(keepers()) == 1  # one of the child's own
                source.advance(1.0)
            assert abs(own.gross.value - 100.0) < 1e-5
            meter.close()
            assert keepers() == []
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    source.advance(1.0)
    region.__exit__(None, None, None)
    assert reading.gross.value == pytest.approx(200.0, abs=1e-5)
    assert reading.flags == frozenset()
    meter.close()
    assert keepers() == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_another_thread_reads_the_counters(source):
    """The child must not wait for a lock whose holder does not exist there."""
    meter = Meter("cpu", sources=[source], clock=source.clock, every=source.clock.every)
    with meter._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a deadlock becomes a failure
            with meter.region("r") as r:
                source.advance(1.0, {"z": 100.0})
            os._exit(0 if abs(r.gross.value - 100.0) < 1e-5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_reads_files_of_its_own(fake_machine):
    machine = fake_machine()
    source = machine.sources()[0]
    source.read()
    inherited = dict(source._files)
    child = os.fork()
    if child == 0:
        samples = source.read()
        fresh = all(source._files[id] is not inherited[id] for id in inherited)
        os._exit(0 if fresh and all(hasattr(sample, "energy_uj") for sample in samples.values()) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert source._files == inherited
