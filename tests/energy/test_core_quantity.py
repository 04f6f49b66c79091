"""Quantities: uncertainty, units and provenance."""

import json
import math

import pytest

from frugalblas.energy import Provenance, Quantity, Reason
from frugalblas.energy.quantity import total

MEASURED, DERIVED, ESTIMATED, ASSUMED = Provenance


def joules(value, u=0.0, provenance=MEASURED, source="a"):
    return Quantity(value, u, "J", provenance, (source,))


def test_sum_adds_variances_and_sources():
    both = joules(3.0, 0.3) + joules(4.0, 0.4, source="b")
    assert (both.value, both.u, both.unit, both.provenance, both.source) == (7.0, 0.5, "J", MEASURED, ("a", "b"))
    less = joules(3.0, 0.3) - joules(4.0, 0.4)
    assert (less.value, less.u, less.source) == (-1.0, 0.5, ("a",))


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        (MEASURED, MEASURED, MEASURED),
        (MEASURED, DERIVED, DERIVED),
        (ESTIMATED, DERIVED, ESTIMATED),
        (MEASURED, ASSUMED, ASSUMED),
        (ASSUMED, ESTIMATED, ASSUMED),
    ],
)
def test_vector_12_the_weakest_provenance_is_kept(one, other, result):
    assert (joules(1.0, provenance=one) + joules(1.0, provenance=other)).provenance is result
    assert (joules(1.0, provenance=other) - joules(1.0, provenance=one)).provenance is result
    ratio = joules(1.0, provenance=one) / joules(1.0, provenance=other)
    assert ratio.provenance is (result if result is not MEASURED else DERIVED)


def test_product_and_quotient():
    power = Quantity(50.0, 1.0, "W", DERIVED)
    time = Quantity(2.0, 0.1, "s", MEASURED)
    energy = power * time
    assert (energy.value, energy.unit, energy.provenance) == (100.0, "J", DERIVED)
    assert energy.u == pytest.approx(math.hypot(1.0 * 2.0, 50.0 * 0.1))
    back = energy / time
    assert (back.value, back.unit) == (50.0, "W")
    assert back.u == pytest.approx(50.0 * math.hypot(energy.relative_u, time.relative_u))
    assert (joules(1.0) / joules(2.0)).unit == "1"
    assert (2 * joules(1.5, 0.1)).value == 3.0
    assert (joules(1.5, 0.1) / -2).u == pytest.approx(0.05)
    assert (joules(1.5, 0.1) * 2).provenance is MEASURED  # an exact number weakens nothing


def test_a_quotient_by_zero_is_an_error():
    with pytest.raises(ZeroDivisionError):
        joules(1.0) / joules(0.0)


def test_units_do_not_mix():
    with pytest.raises(ValueError, match="cannot add s to J"):
        joules(1.0) + Quantity(1.0, 0.0, "s", MEASURED)
    with pytest.raises(TypeError):
        joules(1.0) + 1.0


@pytest.mark.parametrize(("value", "u"), [(math.nan, 0.0), (math.inf, 0.0), (1.0, -1.0), (1.0, math.nan)])
def test_what_is_no_number_is_refused(value, u):
    with pytest.raises(ValueError, match="must be finite"):
        Quantity(value, u, "J", MEASURED)


def test_interval():
    low, high = joules(10.0, 1.0).ci()
    assert (low, high) == pytest.approx((10 - 1.959964, 10 + 1.959964))
    assert joules(10.0, 1.0).ci(0.6826894921)[1] == pytest.approx(11.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        joules(1.0).ci(95)


def test_an_empty_sum_is_not_zero_joules():
    with pytest.raises(ValueError, match="nothing measured is not zero"):
        total([])
    assert total([joules(1.0), joules(2.0)]).value == 3.0


def test_text_and_json():
    assert str(joules(12.3456, 0.0521)) == "12.346 ± 0.052 J (measured)"
    assert str(joules(1234.5, 120.0)) == "1234 ± 120 J (measured)"
    assert str(joules(2.0)) == "2 J (measured)"
    assert json.loads(json.dumps(joules(1.0, 0.1).as_dict())) == {
        "value": 1.0,
        "u": 0.1,
        "unit": "J",
        "provenance": "measured",
        "source": ["a"],
    }


def test_codes_of_reasons_never_change():
    assert [reason.code for reason in Reason] == [
        "ok",
        "no-permission",
        "container-masked",
        "vm-no-rapl",
        "driver-missing",
        "dead",
        "mirrored",
        "not-supported",
        "inconsistent",
    ]
