"""Windows, blocks, order and steadiness: arithmetic only."""

import math

import pytest

from frugalblas.energy.plan import (
    IDLE,
    Settings,
    Warmth,
    is_steady,
    least_window_s,
    order,
    schedule,
    warm,
)


@pytest.mark.parametrize(
    ("tick_s", "rel_u", "seconds"),
    [
        (1e-3, 0.01, 0.2), (1e-3, 1e-3, 0.408), (0.02, 0.01, 1.0), (0.02, 1e-3, 8.165), (0.1, 0.01, 5.0),
        (0.1, 1e-3, 40.8),
    ],
)  # fmt: skip
def test_windows_for_a_target_uncertainty(tick_s, rel_u, seconds):
    assert least_window_s(tick_s, rel_u) == pytest.approx(seconds, rel=1e-3)


def test_calls_fill_the_window_and_long_calls_stand_alone():
    plan = schedule({"short": 0.03, "long": 2.0}, 1e-3, Settings(max_seconds=60))
    assert plan.calls == {"short": 7, "long": 1}
    assert (plan.blocks, plan.flags) == (7, frozenset())


def test_windows_shrink_before_blocks_are_dropped():
    tight = schedule({"a": 0.01}, 0.02, Settings(max_seconds=10.5))
    assert tight.blocks == 7
    assert tight.flags == {"target-missed"}
    assert 7 * (tight.calls["a"] * 0.01 + tight.idle_s) == pytest.approx(10.5, rel=0.02)
    tighter = schedule({"a": 2.0}, 1e-3, Settings(max_seconds=13.0))
    assert (tighter.calls, tighter.blocks) == ({"a": 1}, 4)
    assert "fewer-blocks" in tighter.flags
    with pytest.raises(ValueError, match="3 blocks of one call each and of idle take 9 s"):
        schedule({"a": 2.0}, 1e-3, Settings(max_seconds=8.0))


def test_cold_windows_hold_one_call():
    plan = schedule({"a": 0.01}, 1e-3, Settings(state="cold"))
    assert plan.calls == {"a": 1}
    assert plan.flags == {"target-missed"}


def test_every_round_holds_everything_once():
    names = order(["a", "b"], 50, seed=3)
    rounds = [names[i : i + 3] for i in range(0, 150, 3)]
    assert all(sorted(r) == sorted(["a", "b", IDLE]) for r in rounds)
    assert {r[0] for r in rounds} == {"a", "b", IDLE}
    assert names == order(["a", "b"], 50, seed=3) != order(["a", "b"], 50, seed=4)


def test_steady_means_no_trend_that_matters():
    t = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert is_steady(t, [100.0, 100.3, 99.9, 100.2, 100.1], tolerance=1.0)
    assert not is_steady(t, [100.0, 101.0, 102.0, 103.0, 104.0], tolerance=1.0)
    assert not is_steady(t, [100.0, 100.1, 100.2, 100.3, 100.5], tolerance=1.0)  # small, but without doubt rising
    assert is_steady(t, [100.00, 100.01, 100.02, 100.03, 100.05], tolerance=1.0)  # too small to matter
    assert not is_steady(t[:4], [100.0] * 4, tolerance=1.0)
    assert is_steady([*range(10)], [0.0, 50.0, 80.0, 95.0, 99.0, 100.0, 100.1, 99.9, 100.0, 100.1], tolerance=1.0)


def test_warm_needs_power_and_temperature_where_both_are_known():
    def history(watts, celsius, call_s):
        return [Warmth(float(i), w, c, s) for i, (w, c, s) in enumerate(zip(watts, celsius, call_s, strict=True))]

    flat, none, rising = [100.0] * 5, [None] * 5, [40.0, 45.0, 50.0, 55.0, 60.0]
    assert warm(history(flat, flat, rising))
    assert not warm(history(flat, rising, flat))
    assert not warm(history(rising, flat, flat))
    assert warm(history(flat, none, rising))
    assert warm(history(none, none, flat))
    assert not warm(history(none, none, rising))
    assert not warm(history(flat, flat, flat)[:4])


def test_settings_hold_their_defaults():
    settings = Settings()
    assert (settings.state, settings.blocks, settings.seed, settings.max_joules) == ("hot", 7, 0, None)
    with pytest.raises(ValueError, match="max_seconds"):
        Settings(max_seconds=math.inf)
