"""The plan and the placement that other tests rely on."""

import itertools

import numpy as np
import pytest
from layouts import CANARY, LAYOUTS, OUT_LAYOUTS, place
from pairs import all_pairs

FACTORS = {"a": range(7), "b": range(5), "c": "xyz", "d": [True, False]}


def test_a_plan_has_every_pair():
    cases = all_pairs(FACTORS)
    for f, g in itertools.combinations(FACTORS, 2):
        met = {(case[f], case[g]) for case in cases}
        assert met == set(itertools.product(FACTORS[f], FACTORS[g]))


def test_a_plan_is_short_and_always_the_same():
    fewest = len(FACTORS["a"]) * len(FACTORS["b"])  # these two alone need as many
    assert fewest <= len(all_pairs(FACTORS)) < 2 * fewest
    assert all_pairs(FACTORS) == all_pairs(FACTORS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_placed_matrix_holds_its_values(layout):
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    placed = place(values, layout)
    assert placed.view.shape == (5, 7)
    assert placed.stray_writes() == 0
    assert np.isnan(placed.memory[placed.outside]).all()
    if layout in OUT_LAYOUTS:
        assert (placed.view == values).all()
        assert np.count_nonzero(~placed.outside) == values.size


@pytest.mark.parametrize("layout", OUT_LAYOUTS)
@pytest.mark.parametrize("value", [0.0, np.nan], ids=str)
def test_every_stray_write_is_seen(layout, value):
    placed = place(np.ones((3, 4), np.float32), layout)
    for n in np.flatnonzero(placed.outside):
        placed.memory[n] = value
        assert placed.stray_writes() == 1
        placed.memory[n] = CANARY
