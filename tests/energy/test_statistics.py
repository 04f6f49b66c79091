"""Quantiles against published tables, and the estimators against values computed by hand."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest

from frugalblas.energy.statistics import Interval, combine_u, mean_interval, t_quantile, theil_sen

# Critical values of Student's t as every table prints them, to three decimals.
TABLE = [
    (0.90, 1, 3.078), (0.95, 1, 6.314), (0.975, 1, 12.706), (0.99, 1, 31.821), (0.995, 1, 63.657), (0.999, 1, 318.309),
    (0.90, 2, 1.886), (0.975, 2, 4.303), (0.999, 2, 22.327), (0.975, 3, 3.182), (0.975, 4, 2.776), (0.975, 5, 2.571),
    (0.95, 6, 1.943), (0.975, 6, 2.447), (0.995, 6, 3.707), (0.975, 10, 2.228), (0.999, 10, 4.144), (0.975, 30, 2.042),
    (0.975, 100, 1.984), (0.999, 100, 3.174), (0.975, math.inf, 1.960),
]  # fmt: skip


@pytest.mark.parametrize(("p", "dof", "expected"), TABLE)
def test_t_quantile_agrees_with_the_published_table(p, dof, expected):
    assert t_quantile(p, dof) == pytest.approx(expected, abs=0.00051)


@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.9999])
def test_t_quantile_agrees_with_the_closed_forms(p):
    assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-10)
    centred = 2 * p - 1
    assert t_quantile(p, 2) == pytest.approx(centred * math.sqrt(2 / (1 - centred**2)), rel=1e-10)
    assert t_quantile(p, math.inf) == NormalDist().inv_cdf(p)


def test_t_quantile_is_odd_and_falls_with_dof_towards_the_normal():
    assert t_quantile(0.025, 7) == -t_quantile(0.975, 7)
    assert t_quantile(0.5, 3) == 0.0
    quantiles = [t_quantile(0.975, dof) for dof in (1, 1.5, 2, 5, 6.5, 50, 1e3, 1e5, 9.9e5, 1.1e6, 1e9, math.inf)]
    assert all(a > b for a, b in pairwise(quantiles))
    assert t_quantile(0.975, 9.9e5) == pytest.approx(t_quantile(0.975, 1.01e6), rel=1e-7)


@pytest.mark.parametrize(("p", "dof"), [(0.0, 5), (1.0, 5), (0.5, 0), (0.5, -1), (math.nan, 5), (0.9, math.nan)])
def test_t_quantile_refuses_what_has_no_quantile(p, dof):
    with pytest.raises(ValueError, match="t_quantile"):
        t_quantile(p, dof)


def test_mean_interval_by_hand():
    interval = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert interval.mean == 2.5
    assert interval.dof == 3
    assert interval.u == pytest.approx(math.sqrt(5 / 3) / 2)
    assert interval.half_width == pytest.approx(3.182 * interval.u, rel=2e-4)
    assert (interval.low + interval.high) / 2 == pytest.approx(2.5)


def test_blocks_that_agree_by_luck_keep_the_uncertainty_of_the_instrument():
    interval = mean_interval([5.0, 5.0, 5.0], floor_u=0.1)
    assert (interval.u, interval.dof) == (0.1, math.inf)
    assert interval.high == pytest.approx(5.196, abs=1e-3)


def test_one_block_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 blocks"):
        mean_interval([1.0])


def test_an_exact_value_has_a_width_of_zero():
    assert Interval(1.0, 0.0, math.inf).half_width == 0.0


def test_welch_satterthwaite_by_hand():
    u, dof = combine_u((3.0, 6.0), (4.0, 4.0))
    assert u == 5.0
    assert dof == pytest.approx(625 / (81 / 6 + 256 / 4))
    assert combine_u((3.0, math.inf), (4.0, math.inf)) == (5.0, math.inf)
    assert combine_u((0.0, 3.0)) == (0.0, math.inf)


def test_theil_sen_ignores_one_wild_point():
    slope = theil_sen(range(9), [0, 2, 4, 6, 800, 10, 12, 14, 16])
    assert slope.value == 2.0
    assert not slope.contains_zero


def test_theil_sen_at_five_points_spans_all_slopes():
    slope = theil_sen([0, 1, 2, 3, 4], [0.0, 1.0, 1.5, 3.5, 3.0])
    assert (slope.low, slope.high) == (-0.5, 2.0)
    assert slope.contains_zero


@pytest.mark.parametrize(("x", "y"), [([0, 1], [0, 1]), ([1, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 1])])
def test_theil_sen_refuses_what_has_no_trend(x, y):
    with pytest.raises((ValueError, IndexError)):
        theil_sen(x, y)
