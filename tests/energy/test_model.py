"""Declared power: assumed everywhere, never a silent fallback."""

import math

import pytest

from frugalblas.energy import model
from frugalblas.energy.quantity import Provenance, Quantity

SECONDS = Quantity(10.0, 0.0, "s", Provenance.MEASURED, ("clock",))


@pytest.mark.parametrize(
    ("declared", "watts"),
    [
        (model.constant_power(12.5, u_w=1.0), 12.5),
        (model.share_of_tdp(280.0, 0.5, u_w=1.0), 140.0),
        (model.power_of_threads(8.0, 4, 0.5, u_w=1.0), 16.0),
    ],
)
def test_joules_of_each_form_are_assumed(declared, watts):
    energy = declared.energy(SECONDS)
    assert energy.value == pytest.approx(10 * watts)
    assert energy.u == pytest.approx(10.0)
    assert energy.unit == "J"
    assert energy.provenance is Provenance.ASSUMED
    assert any(source.startswith("model:") for source in energy.source)


def test_one_assumed_joule_makes_a_sum_assumed():
    measured = Quantity(5.0, 0.1, "J", Provenance.MEASURED, ("powercap",))
    assert (measured + model.constant_power(1.0, u_w=0.1).energy(SECONDS)).provenance is Provenance.ASSUMED


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: model.constant_power(0.0, u_w=1.0), "positive"),
        (lambda: model.constant_power(-3.0, u_w=1.0), "positive"),
        (lambda: model.constant_power(math.nan, u_w=1.0), "positive"),
        (lambda: model.constant_power(3.0, u_w=-1.0), "u_w"),
        (lambda: model.constant_power(3.0, u_w=math.inf), "u_w"),
        (lambda: model.share_of_tdp(280.0, 1.5, u_w=1.0), "share"),
        (lambda: model.power_of_threads(8.0, 0, 1.0, u_w=1.0), "threads"),
        (lambda: model.power_of_threads(8.0, True, 1.0, u_w=1.0), "threads"),
    ],
)
def test_impossible_declarations_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_its_uncertainty_must_be_declared():
    with pytest.raises(TypeError):
        model.constant_power(10.0)


def test_an_expression_is_never_evaluated():
    with pytest.raises(TypeError):
        model.power_of_threads("8 * 2", 2, 1.0, u_w=1.0)


def test_as_a_source_it_counts_the_time_and_says_assumed():
    now = [10**9]
    source = model.ModelSource(model.constant_power(50.0, u_w=5.0), clock=lambda: now[0])
    zone = source.zones[0]
    assert zone.provenance is Provenance.ASSUMED
    now[0] += 2 * 10**9
    sample = source.read()[zone.id]
    assert (sample.t_ns, sample.energy_uj, sample.u_uj) == (3 * 10**9, 100_000_000, 10_000_000)
    assert source.read(["another zone"]) == {}
    source.close()
    source.close()
