"""The protocol on simulated machines: what it measures, in which order, and what it does when something is wrong."""

import dataclasses
import itertools
import json
import math
import time

import pytest
from simulated import World

from frugalblas.energy import BelowResolution, EnergyUnavailable, Provenance, model
from frugalblas.energy.plan import IDLE
from frugalblas.energy.protocol import bench, compare, measure_idle, measure_joules
from frugalblas.energy.testing import FakePowercap
from frugalblas.energy.wattlog import read_watt_log

QUICK = {"probe_s": 0.0, "trace": False}


@pytest.fixture
def world():
    return World()


def holds(figure, truth):
    """The 99.9 % interval: seeds are fixed, so a pass today is a pass tomorrow."""
    low, high = figure.ci(0.999)
    return low <= truth <= high


def test_gross_net_and_amortised_joules_of_two_cases(world):
    with world.meter() as meter:
        result = compare(
            {"fast": world.work(100.0, 0.01), "slow": world.work(60.0, 0.02)},
            meter=meter, machine=world, flops={"fast": 1e9}, idle_share=0.25, **QUICK,
        )  # fmt: skip
    fast, slow = result["fast"], result["slow"]
    assert holds(result.idle, 20.0)
    assert holds(fast.gross, 1.0)
    assert holds(fast.net, 0.8)
    assert holds(slow.gross, 1.2)
    assert holds(slow.net, 0.8)
    assert fast.amortised.value == pytest.approx(fast.net.value + 0.25 * 20.0 * 0.01, rel=1e-3)
    assert holds(fast.power, 100.0)
    assert fast.time.value == pytest.approx(0.01)
    assert fast.gflops_per_watt().value == pytest.approx(1.0 / 0.8, rel=0.01)
    assert fast.gflops_per_watt("gross").value == pytest.approx(1.0, rel=0.01)
    assert fast.pj_per_flop().value == pytest.approx(800.0, rel=0.01)
    assert fast.gross.provenance is Provenance.MEASURED
    assert fast.net.provenance is Provenance.DERIVED
    with pytest.raises(ValueError, match="flops of 'slow' are not known"):
        slow.gflops_per_watt()


def test_the_counters_tick_alone_gives_the_stated_uncertainty():
    """Over many seeds, u(gross) must be what the means really scatter by, within its own sampling error."""
    means, claimed = [], []
    for seed in range(30):
        world = World(tick_s=0.02)
        with world.meter() as meter:
            found = bench(world.work(100.0, 0.0101), meter=meter, machine=world, seed=seed, max_seconds=60, **QUICK)
        means.append(found.gross.value)
        claimed.append(found.gross.u)
    centre = sum(means) / len(means)
    scatter = math.sqrt(sum((m - centre) ** 2 for m in means) / (len(means) - 1))
    assert centre == pytest.approx(1.01, rel=2e-3)
    assert scatter < 1.5 * max(claimed)
    assert min(claimed) < 3 * scatter


def test_windows_of_a_few_ticks_are_not_biased_either():
    """A lead-in of a tenth of such a window would leave idle power in the tick that the window begins in."""
    means = []
    for seed in range(40):
        world = World(tick_s=0.1)
        with world.meter() as meter:
            found = bench(world.work(100.0, 0.0101), meter=meter, machine=world, seed=seed, max_seconds=37.1, **QUICK)
        assert found.blocks[0].seconds < 0.4
        assert "target-missed" in found.flags
        means.append(found.gross.value)
    assert sum(means) / 40 == pytest.approx(1.01, rel=0.03)


@pytest.mark.parametrize("state", ["hot", "cold"])
def test_reading_the_state_of_the_machine_is_in_no_window(state):
    """It draws 500 W for 5 ms before each: half of that would show in a counter that ticks every 20 ms."""
    grosses, nets = [], []
    for seed in range(8):
        world = World(tick_s=0.02)
        world.looking_w = 500.0
        with world.meter() as meter:
            result = compare(
                {"a": world.work(100.0, 0.203)}, meter=meter, machine=world, seed=seed, state=state, max_seconds=200,
                blocks=20, **QUICK,
            )  # fmt: skip
        assert result.idle.value == pytest.approx(20.0, abs=0.05)
        grosses.append(result["a"].gross.value)
        nets.append(result["a"].net.value)
    assert sum(grosses) / 8 == pytest.approx(20.3, rel=0.003)
    assert sum(nets) / 8 == pytest.approx(16.24, rel=0.004)


def test_acceptance_10_idle_is_subtracted_with_its_uncertainty(tmp_path):
    """20 W idle, 100 W busy, 1 s a call: 80 J net, and u holds the idle term."""
    machine = FakePowercap(tmp_path / "sys", "intel-1s")
    world = World()
    world.clock = machine.clock
    world.power = lambda watts: machine.advance(0.0, {"package-0": watts})
    with machine.meter("cpu") as meter:
        found = bench(world.work(100.0, 1.0), meter=meter, machine=world, max_seconds=60, **QUICK)
    assert holds(found.net, 80.0)
    assert found.net.value == pytest.approx(80.0, abs=0.2)
    assert found.gross.value == pytest.approx(100.0, abs=0.2)
    assert found.net.u > found.gross.u > 0.0
    assert "intel-rapl:0" in found.net.source[0]


def test_acceptance_10_net_below_twice_its_uncertainty_is_no_number(world):
    with world.meter() as meter:
        found = bench(world.work(20.001, 0.01), meter=meter, machine=world, flops=1e9, **QUICK)
    assert found.net is None
    assert found.amortised is None
    assert holds(found.gross, 0.20001)
    assert "below-resolution" in found.flags
    with pytest.raises(BelowResolution) as caught:
        found.joules()
    assert 0.00001 < caught.value.upper_bound_j < 0.01
    with pytest.raises(BelowResolution):
        found.gflops_per_watt()
    assert found.gflops_per_watt("gross").value == pytest.approx(1.0 / 0.20001, rel=0.01)


def test_acceptance_2_a_window_without_a_tick_is_a_bound_not_zero():
    """Cold calls of half a step (1 J, as psys has on some servers): some windows see none; they are not dropped."""
    world = World(lsb_uj=10**6)
    with world.meter() as meter:
        found = bench(world.work(100.0, 0.005), meter=meter, machine=world, state="cold", max_seconds=300, **QUICK)
    assert any(block.energy is None and block.bound_j is not None for block in found.blocks)
    assert found.gross is found.net is found.amortised is None
    assert "below-resolution" in found.flags
    with pytest.raises(BelowResolution, match="did not tick") as caught:
        found.joules("gross")
    assert caught.value.upper_bound_j > 0.5


def test_a_cold_call_shorter_than_a_tick_is_whole_thanks_to_the_rest_after_it():
    world = World(tick_s=0.5)
    with world.meter() as meter:
        found = bench(
            world.work(1000.0, 0.1), meter=meter, machine=world, state="cold", max_seconds=3000, blocks=40, **QUICK
        )
    assert found.time.value == pytest.approx(0.1)
    assert all(block.rest_s == 1.0 for block in found.blocks)
    assert holds(found.gross, 100.0)
    assert holds(found.net, 98.0)
    assert found.net.relative_u < 0.05
    assert "not-cold" not in found.flags


def test_acceptance_14_a_long_run_wraps_and_is_kept():
    """400 W on a range of 65 532 J, ten minutes: three wraps, none lost."""
    world = World(lsb_uj=15.258)
    assert 60_000 < world.source.zones[0].modulus_uj * 1e-6 < 70_000
    with world.meter() as meter:
        found = bench(
            world.work(400.0, 60.0), meter=meter, machine=world, max_seconds=700, idle_s=1.0, blocks=10,
            max_warmup_s=0, **QUICK,
        )  # fmt: skip
    assert sum(block.energy.value for block in found.blocks) == pytest.approx(240_000.0, rel=1e-5)
    assert "faults" not in found.flags


def test_idle_and_cases_are_interleaved_in_a_random_order_fixed_by_the_seed():
    def run(seed):
        world = World()
        with world.meter() as meter:
            result = compare(
                {"a": world.work(50.0, 0.1), "b": world.work(60.0, 0.1)}, meter=meter, machine=world, seed=seed, **QUICK
            )
        blocks = [*result.idle_blocks, *result["a"].blocks, *result["b"].blocks]
        return [block.name for block in sorted(blocks, key=lambda block: block.started_ns)]

    first = run(1)
    assert first == run(1)
    assert first != run(2)
    rounds = [first[i : i + 3] for i in range(0, len(first), 3)]
    assert len(rounds) == 7
    assert all(sorted(names) == sorted(["a", "b", IDLE]) for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1


def test_drift_hits_all_cases_alike():
    """Power that creeps up by 10 % must not rank two equal cases."""
    world = World()
    creeping = {name: world.work(lambda t: 100.0 + 0.5 * t, 0.01) for name in ("first", "second")}
    with world.meter() as meter:
        result = compare(creeping, meter=meter, machine=world, **QUICK)
    first, second = result["first"].net, result["second"].net
    assert abs(first.value - second.value) < 2 * math.hypot(first.u, second.u)
    assert first.u > 0.003  # the drift is in the interval
    assert result.pareto() == sorted(["first", "second"], key=lambda name: result[name].time.value)


def test_warms_up_until_power_is_steady(world):
    def heating(t):
        return 100.0 - 30.0 * math.exp(-t / 3.0)

    with world.meter() as meter:
        result = compare({"a": world.work(heating, 0.01)}, meter=meter, machine=world, **QUICK)
    watts = [block.watts for block in result.warmup]
    assert "not-steady" not in result.flags
    assert watts[-1] - watts[-5] < 1.0
    assert len(watts) > 30
    assert holds(result["a"].gross, 1.0) or result["a"].gross.value == pytest.approx(1.0, rel=0.01)


def test_a_temperature_that_still_rises_is_not_steady(world):
    world.celsius = 40.0
    call = world.work(100.0, 0.01)

    def heating():
        call()
        world.celsius = min(world.celsius + 0.02, 70.0)

    with world.meter() as meter:
        result = compare({"a": heating}, meter=meter, machine=world, **QUICK)
    assert result.warmup[-1].temperature_c > 69.0
    assert "not-steady" not in result.flags


@pytest.mark.parametrize(("limit", "reaches"), [({"max_warmup_s": 2.0}, 2.0), ({"max_joules": 1000.0}, 2.5)])
def test_warm_up_is_capped_in_seconds_and_joules(world, limit, reaches):
    with world.meter() as meter:
        result = compare(
            {"a": world.work(lambda t: 100.0 + 20 * t, 0.01)}, meter=meter, machine=world, **QUICK, **limit
        )
    assert "not-steady" in result.flags
    assert "not-steady" in result["a"].flags
    assert 0.5 * reaches < result.warmup[-1].t_s < 1.5 * reaches


def test_without_power_or_temperature_time_decides():
    world = World()
    lengths = iter([0.02] * 3 + [0.02 * (1 + math.exp(-i / 20)) for i in range(200)] + [0.02] * 10_000)
    meter = world.meter("gpu", on_missing="none")

    def speeding_up():
        world.work(50.0, next(lengths))()

    with meter:
        result = compare({"a": speeding_up}, meter=meter, machine=world, **QUICK)
    assert "not-steady" not in result.flags
    assert all(block.watts is None for block in result.warmup)
    assert len(result.warmup) > 6


def test_windows_are_sized_from_the_probed_tick():
    world = World(tick_s=0.1)
    world.source.zones[0] = dataclasses.replace(world.source.zones[0], tick_s=0.001)  # what the source believes
    with world.meter() as meter:
        result = compare(
            {"a": world.work(100.0, 0.01)},
            meter=meter,
            machine=world,
            rel_u=0.01,
            max_seconds=500,
            probe_s=2.0,
            trace=False,
        )
    assert result.zones[0]["tick_s"] == pytest.approx(0.1, rel=0.05)
    block = result["a"].blocks[0]
    assert block.seconds >= 5.0  # 50 ticks, and 0.41 x 0.1 s / 1 %
    assert block.energy.relative_u <= 0.0105


def test_cold_rests_before_every_single_call(world):
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.5)}, meter=meter, machine=world, state="cold", **QUICK)
    found = result["a"]
    assert [block.calls for block in found.blocks] == [1] * 7
    assert world.flushes == 7
    works = [i for i, (kind, _) in enumerate(world.log) if kind == "work"]
    assert all(world.log[i - 1][0] == "sleep" for i in works[-7:])
    assert "not-cold" not in result.flags
    assert holds(found.net, 40.0)


def test_a_machine_that_does_not_cool_is_flagged(world):
    call = world.work(100.0, 0.5)
    world.celsius = 40.0

    def heats():
        call()
        world.celsius = 60.0

    with world.meter() as meter:
        result = compare(
            {"a": heats}, meter=meter, machine=world, state="cold", max_warmup_s=3.0, max_seconds=60.0, **QUICK
        )
    assert "not-cold" in result.flags


def test_idle_blocks_start_only_after_the_team_sleeps(world):
    world.spin_s = 0.2
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.05)}, meter=meter, machine=world, **QUICK)
    assert holds(result.idle, 20.0)
    assert result.idle.value == pytest.approx(20.0, rel=0.01)
    assert "team-awake" not in result.flags


def test_a_team_that_never_sleeps_is_flagged(world):
    world.spin_s = 1e6
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.05)}, meter=meter, machine=world, **QUICK)
    assert "team-awake" in result.flags


def test_foreign_load_and_throttling_are_recorded_and_flagged(world):
    world.others = 1.0
    call = world.work(100.0, 0.01)

    def throttles():
        call()
        world.throttled += 1

    with world.meter() as meter:
        result = compare({"a": throttles}, meter=meter, machine=world, **QUICK)
    assert {"foreign-load", "throttled"} <= result["a"].flags
    block = result["a"].blocks[0]
    assert block.foreign_share == pytest.approx(0.25, rel=0.05)
    assert block.state.governor == "performance"


def test_joules_stay_below_their_limit(world):
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.1)}, meter=meter, machine=world, max_joules=400.0, **QUICK)
    assert "joules-capped" in result.flags
    assert result.cost.value < 450.0
    assert len(result["a"].blocks) < 7
    assert result["a"].gross is not None  # what was measured before is kept


def test_the_measurements_own_cost_is_reported(world):
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.1)}, meter=meter, machine=world, **QUICK)
    register = world.source.registers["sim:package"]
    assert result.cost.value == pytest.approx(float(register.energy_uj) * 1e-6, rel=1e-3)


def test_a_failed_read_spoils_its_block_only(world):
    calls = []
    call = world.work(100.0, 0.5)

    def flaky():
        call()
        calls.append(None)
        if len(calls) == 20:
            world.source.errors["sim:package"] = 1

    with world.meter() as meter:
        result = compare({"a": flaky}, meter=meter, machine=world, **QUICK)
    found = result["a"]
    bad = [block for block in found.blocks if block.energy is None]
    assert len(bad) == 1
    assert "Input/output error" in bad[0].problem
    assert "faults" in found.flags
    assert holds(found.gross, 50.0)


def test_a_counter_that_dies_gives_no_joules_but_keeps_the_times(world):
    call = world.work(100.0, 0.5)

    def dies():
        call()
        world.source.errors["sim:package"] = 10**9

    with world.meter() as meter:
        result = compare({"a": dies}, meter=meter, machine=world, **QUICK)
    found = result["a"]
    assert found.gross is found.net is found.power is result.idle is None
    assert "Input/output error" in found.problem
    assert "Input/output error" in result.reason
    assert found.time.value == pytest.approx(0.5)


def test_a_case_that_raises_is_recorded_and_the_others_go_on(world):
    calls = []

    def breaks():
        calls.append(None)
        if len(calls) > 200:
            raise RuntimeError("out of luck")
        world.work(50.0, 0.01)()

    def never():
        raise ZeroDivisionError("at once")

    with world.meter() as meter:
        result = compare(
            {"good": world.work(100.0, 0.01), "breaks": breaks, "never": never}, meter=meter, machine=world, **QUICK
        )
    assert holds(result["good"].gross, 1.0)
    assert result["never"].problem == "ZeroDivisionError: at once"
    assert result["breaks"].problem == "RuntimeError: out of luck"
    assert "failed" in result["breaks"].flags
    assert meter.readings
    with world.meter() as meter, pytest.raises(ZeroDivisionError, match="at once"):
        bench(never, meter=meter, machine=world, **QUICK)


def test_the_trace_shows_power_against_time_at_the_sources_tick():
    world = World(tick_s=0.01)
    with world.meter() as meter:
        result = compare({"a": world.work(100.0, 0.05)}, meter=meter, machine=world, probe_s=0.0)
    idle, busy = result.trace[IDLE], result.trace["a"]
    assert len(busy) > 90
    assert [point.watts for point in busy[5:]] == pytest.approx([100.0] * (len(busy) - 5), rel=0.02)
    assert [point.watts for point in idle[5:]] == pytest.approx([20.0] * (len(idle) - 5), rel=0.02)
    gaps = {round(b.t_s - a.t_s, 6) for a, b in itertools.pairwise(busy)}
    assert gaps == {0.01}
    assert result["a"].trace == tuple(busy)
    assert world.clock.timers <= 1  # the sampler is gone; the meter's keeper may still run


def test_a_machine_without_counters_says_why_and_gives_no_joules(world):
    world.source.zones, world.source.reason = [], world.source.reason
    with pytest.raises(EnergyUnavailable):
        compare({"a": lambda: None}, meter=world.meter(), machine=world, **QUICK)
    meter = world.meter(on_missing="none")
    result = compare({"a": world.work(100.0, 0.01)}, meter=meter, machine=world, **QUICK)
    found = result["a"]
    assert found.time.value == pytest.approx(0.01)
    assert found.gross is found.net is found.amortised is found.power is result.idle is result.cost is None
    assert "unmeasured" in result.flags
    assert "no source has a zone" in result.reason
    assert "0.0" not in result.to_csv().splitlines()[1].split(",")[5:]
    with pytest.raises(ValueError, match="no counter"):
        compare({"a": lambda: None}, meter=meter, machine=world, max_joules=5.0, **QUICK)


def test_a_declared_power_stays_assumed_and_has_no_net(world):
    source = model.ModelSource(model.constant_power(30.0, u_w=3.0), clock=world.clock)
    world.source = source
    world.power = lambda watts: None
    with world.meter() as meter:
        found = bench(world.work(0.0, 0.1), meter=meter, machine=world, **QUICK)
    assert found.gross.value == pytest.approx(3.0)
    assert found.gross.provenance is Provenance.ASSUMED
    assert found.gross.u == pytest.approx(0.3, rel=0.01)
    assert found.net is None
    assert "declared power" in found.problem


def test_joules_from_a_wattmeters_log_read_after_the_run(tmp_path):
    world = World(idle_w=60.0)
    lines = ["time,watts"]
    with world.meter("gpu", on_missing="none") as meter:
        began_ns = world.clock()
        seen = []
        world.clock.every(
            0.05, lambda: seen.append((world.clock(), float(world.source.registers["sim:package"].watts)))
        )
        result = compare(
            {"a": world.work(160.0, 0.5)}, meter=meter, machine=world, max_seconds=100, idle_s=3.0, **QUICK
        )
    lines += [f"{(result.began.wall_ns + t - began_ns) / 1e9:.6f},{w}" for t, w in seen]
    path = tmp_path / "plug.csv"
    path.write_text("\n".join(lines) + "\n")
    filled = result.with_watt_log(read_watt_log(path, rel_u=0.01))
    found = filled["a"]
    assert found.gross.value == pytest.approx(80.0, rel=0.05)
    assert found.net.value == pytest.approx(50.0, rel=0.05)
    assert found.net.provenance is Provenance.DERIVED
    assert found.gross.u >= 0.01 * found.gross.value  # the meter's own error does not average out
    assert filled.idle.value == pytest.approx(60.0, rel=0.01)
    assert result["a"].gross is None
    other_zone = tmp_path / "late.csv"
    other_zone.write_text("time,watts\n" + "".join(f"{result.began.wall_ns / 1e9 + 3600 + i},60\n" for i in range(9)))
    late = result.with_watt_log(read_watt_log(other_zone, rel_u=0.01))
    assert late["a"].gross is None
    assert "wrong time zone" in late.reason


def test_idle_power_for_a_meter(world):
    with world.meter() as meter:
        idle = measure_idle(meter, seconds=2.0, blocks=5, machine=world)
        meter.idle = idle
        with meter.region("work") as reading:
            world.work(100.0, 1.0)()
    assert holds(idle.power, 20.0)
    assert (idle.seconds, idle.blocks, idle.zones) == (2.0, 5, ("sim:package",))
    assert reading.net.value == pytest.approx(80.0, rel=0.01)
    with world.meter() as meter:
        with pytest.raises(ValueError, match="at least 3"):
            measure_idle(meter, blocks=2, machine=world)
        world.source.errors["sim:package"] = 10**9
        with pytest.raises(EnergyUnavailable, match="Input/output error"):
            measure_idle(meter, machine=world)


def test_measure_joules_gives_figures_or_the_reason(world):
    with world.meter() as meter:
        found = measure_joules({"a": world.work(100.0, 0.01)}, meter=meter, machine=world, **QUICK)
    assert found.joules_per_call["a"] == pytest.approx(0.8, rel=0.01)
    assert found.reason is None
    assert "sim:package" in found.source


def test_measure_joules_where_nothing_can_be_measured(world):
    world.source.zones = []
    found = measure_joules(
        {"a": world.work(1.0, 0.01)}, meter=world.meter(on_missing="none"), machine=world, max_warmup_s=0.0, **QUICK
    )
    assert found.joules_per_call == {"a": None}
    assert found.source is None
    assert "no source" in found.reason


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"state": "warm"}, "state"), ({"rel_u": 0.0}, "rel_u"), ({"blocks": 2}, "blocks"),
        ({"flops": {"b": 1.0}}, "no case"),
        ({"idle_share": 2.0}, "share"),
        ({"max_seconds": 0.0}, "max_seconds"), ({"max_joules": -1.0}, "max_joules"), ({"idle_s": math.nan}, "idle_s"),
        ({"max_warmup_s": -1.0}, "max_warmup_s"), ({"max_seconds": 2.0}, "3 blocks"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(world, bad, word):
    with world.meter() as meter, pytest.raises(ValueError, match=word):
        compare({"a": world.work(100.0, 0.01)}, meter=meter, machine=world, **{**QUICK, **bad})


def test_a_gpus_queue_is_waited_for_inside_the_window(world):
    queue = []
    launch = world.work(100.0, 0.01)

    def sync():
        while queue:
            queue.pop()()

    with world.meter() as meter:
        found = bench(lambda: queue.append(launch), meter=meter, machine=world, sync=sync, **QUICK)
    assert not queue
    assert found.time.value == pytest.approx(0.01)
    assert holds(found.gross, 1.0)


@pytest.mark.parametrize("cases", [{}, {IDLE: lambda: None}, {"": lambda: None}, {3: lambda: None}])
def test_cases_need_names(world, cases):
    with world.meter() as meter, pytest.raises(ValueError, match="cases"):
        compare(cases, meter=meter, machine=world)
    with world.meter() as meter, pytest.raises(TypeError):
        compare({"a": lambda: None}, meter=meter, machine=world, no_such_setting=1)


def test_text_json_and_csv(world):
    with world.meter() as meter:
        result = compare(
            {"good": world.work(100.0, 0.01), "tiny": world.work(20.001, 0.01)},
            meter=meter, machine=world, flops=1e9, **QUICK,
        )  # fmt: skip
    text = result.table()
    assert "good" in text
    assert " < " in text  # the bound stands where the joules would
    document = json.loads(result.to_json())
    assert document["schema"] == "frugalblas.energy/1"
    assert document["results"]["tiny"]["net"] is None
    assert document["results"]["tiny"]["upper_bound_j"] > 0
    assert document["results"]["good"]["net"]["ci95"][0] < 0.8 < document["results"]["good"]["net"]["ci95"][1] * 1.01
    head, good, tiny = (line.split(",") for line in result.to_csv().splitlines())
    assert float(good[head.index("net_J")]) == result["good"].net.value
    assert tiny[head.index("net_J")] == ""


def test_nothing_here_sleeps(world, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("slept"))
    with world.meter() as meter:
        bench(world.work(100.0, 0.01), meter=meter, machine=world, probe_s=0.05)
