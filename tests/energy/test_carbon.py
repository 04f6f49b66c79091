"""CO2e: acceptance values, provenance, and everything that must be refused."""

import csv
import importlib.util
from pathlib import Path

import pytest

from frugalblas.energy import carbon
from frugalblas.energy.quantity import Provenance, Quantity

ONE_KWH = Quantity(3.6e6, 3.6e4, "J", Provenance.MEASURED, ("powercap:package-0",))
HOUR = Quantity(3600.0, 0.0, "s", Provenance.MEASURED, ("clock",))


@pytest.mark.parametrize(
    ("code", "grams"),
    [("FRA", 56.039), ("DEU", 380.95), ("GBR", 237.589), ("POL", 661.926), ("SWE", 40.695), ("USA", 369.473)],
)
def test_one_kwh_in_a_country(code, grams):
    result = carbon.co2e(ONE_KWH, code)
    assert result.value == pytest.approx(grams, rel=1e-12)
    assert result.u == pytest.approx(grams / 100)
    assert result.unit == "gCO2e"
    assert carbon.intensity(code).year == 2023


def test_a_yearly_mean_makes_it_an_estimate_and_names_its_source():
    result = carbon.co2e(ONE_KWH, "FRA")
    assert result.provenance is Provenance.ESTIMATED
    assert result.source == ("powercap:package-0", "carbon:FRA-2023 (OWID/Ember, CC BY 4.0)")


def test_assumed_joules_stay_assumed():
    assumed = Quantity(1.0, 0.0, "J", Provenance.ASSUMED, ())
    assert carbon.co2e(ONE_KWH + assumed, "FRA").provenance is Provenance.ASSUMED


def test_a_declared_pue_multiplies_and_is_assumed():
    result = carbon.co2e(ONE_KWH, "France", pue=1.5)
    assert result.value == pytest.approx(84.0585)
    assert result.provenance is Provenance.ASSUMED
    assert "declared PUE 1.5" in result.source


@pytest.mark.parametrize("pue", [0.9, 0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_pue_is_refused(pue):
    with pytest.raises(ValueError, match="PUE"):
        carbon.co2e(ONE_KWH, "FRA", pue=pue)


def test_only_joules_have_co2e():
    with pytest.raises(ValueError, match="joules"):
        carbon.co2e(HOUR, "FRA")


@pytest.mark.parametrize(
    ("country", "nearest"),
    [("FRN", "FRA"), ("Frence", "France"), ("Untied Kingdom", "United Kingdom"), ("world", None), ("", None)],
)
def test_an_unknown_country_is_a_key_error_naming_the_nearest(country, nearest):
    with pytest.raises(KeyError) as caught:
        carbon.co2e(ONE_KWH, country)
    if nearest is not None:
        assert nearest in str(caught.value)


def test_there_is_no_default_country():
    with pytest.raises(TypeError):
        carbon.co2e(ONE_KWH)


def test_names_and_codes_in_any_case():
    assert carbon.intensity("fra") == carbon.intensity("FRANCE") == carbon.intensity(" France ")


def test_the_table_is_complete_and_plausible():
    rows = carbon.countries()
    assert len(rows) > 200
    assert all(len(row.iso3) == 3 and row.iso3.isupper() for row in rows)
    assert all(0 < row.g_per_kwh < 1500 and row.year >= 2020 for row in rows)
    assert rows == sorted(rows, key=lambda row: row.country)


def test_the_embodied_share_is_a_line_of_its_own():
    result = carbon.footprint(ONE_KWH, "FRA", time=HOUR, embodied_kg=876.6, lifetime_years=4.0)
    assert result.operational == carbon.co2e(ONE_KWH, "FRA")
    assert result.embodied.value == pytest.approx(876_600 / (4 * 8766))  # 25 g for an hour
    assert result.embodied.provenance is Provenance.ASSUMED
    assert not hasattr(result, "total")


def test_without_a_declaration_there_is_no_embodied_share():
    assert carbon.footprint(ONE_KWH, "FRA").embodied is None


@pytest.mark.parametrize(
    "declared",
    [
        {"embodied_kg": 100.0},
        {"lifetime_years": 4.0},
        {"embodied_kg": 100.0, "lifetime_years": 4.0},
        {"embodied_kg": 100.0, "lifetime_years": 0.0, "time": HOUR},
        {"embodied_kg": -1.0, "lifetime_years": 4.0, "time": HOUR},
        {"embodied_kg": 100.0, "lifetime_years": 4.0, "time": ONE_KWH},
    ],
)
def test_half_a_declaration_is_refused(declared):
    with pytest.raises(ValueError, match="embodied"):
        carbon.footprint(ONE_KWH, "FRA", **declared)


REFRESH = Path(__file__).resolve().parents[2] / "docs" / "refresh_carbon.py"


@pytest.mark.skipif(not REFRESH.exists(), reason="the docs are not beside the tests")
class TestRefresh:
    @pytest.fixture
    def refresh(self):
        spec = importlib.util.spec_from_file_location("refresh_carbon", REFRESH)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @pytest.fixture
    def source(self, tmp_path):
        def make(extra=(), count=160):
            path = tmp_path / "owid-energy-data.csv"
            codes = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}X" for i in range(count)]
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["country", "year", "iso_code", "carbon_intensity_elec", "population"])
                writer.writerows(["Somewhere", 2023, code, "100.5", 1] for code in codes)
                writer.writerows(extra)
            return path

        return make

    def test_keeps_the_newest_figure_of_each_country(self, refresh, source, tmp_path):
        path = source([
            ["France", 2023, "FRA", "56.039", 1], ["France", 2024, "FRA", "44.2", 1], ["France", 2025, "FRA", "", 1],
            ["World", 2024, "OWID_WRL", "480", 1], ["Europe", 2024, "", "300", 1],
            ["Zeroland", 2024, "ZER", "0.0", 1], ["Oldland", 2009, "OLD", "600", 1],
        ])  # fmt: skip
        output = tmp_path / "table.csv"
        assert refresh.main([str(path), "--output", str(output)]) == 0
        text = output.read_text()
        assert "FRA,France,2024,44.2\n" in text
        assert all(word not in text for word in ("OWID_WRL", "Europe", "Zeroland", "Oldland", "56.039"))
        assert "CC BY 4.0" in text
        assert "Ember" in text

    def test_refuses_another_file_or_half_a_file(self, refresh, source, tmp_path, capsys):
        other = tmp_path / "other.csv"
        other.write_text("a,b\n1,2\n")
        assert refresh.main([str(other), "--output", str(tmp_path / "t.csv")]) == 1
        assert "no column iso_code" in capsys.readouterr().err
        assert refresh.main([str(source(count=20)), "--output", str(tmp_path / "t.csv")]) == 1
        assert "cut off" in capsys.readouterr().err
        assert refresh.main([str(tmp_path / "none.csv")]) == 1
        assert not (tmp_path / "t.csv").exists()
