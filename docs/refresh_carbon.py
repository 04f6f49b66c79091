"""Writes src/frugalblas/energy/data/carbon_intensity.csv from a copy of Our World in Data's energy data set.

Usage: python docs/refresh_carbon.py owid-energy-data.csv [--output FILE]

Download the CSV yourself from https://github.com/owid/energy-data (it is CC BY 4.0; the electricity figures are
Ember's): this script uses no network. Of each country it keeps the newest year that has a carbon intensity.
"""

import argparse
import csv
import sys
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "src/frugalblas/energy/data/carbon_intensity.csv"
NEEDED = ("iso_code", "country", "year", "carbon_intensity_elec")
OLDEST_YEAR = 2020  # a grid changes too much in longer
FEWEST_COUNTRIES = 150  # a table with fewer comes from a cut-off download

HEADER = """\
# Life-cycle greenhouse gas emissions per kWh of electricity generated, yearly mean of a country, in g CO2e/kWh.
# Source: Our World in Data, from Ember's yearly electricity data (https://ember-energy.org) and the Energy Institute,
# https://ourworldindata.org/grapher/carbon-intensity-electricity. License: CC BY 4.0. Changes: the newest year of each
# country only; countries with no figure, a figure of zero, or none since {oldest} are left out.
# Retrieved: {retrieved}
"""


def newest_rows(source: Path) -> dict[str, tuple[str, int, float]]:
    """ISO code -> country, year and g CO2e/kWh. ValueError says what is wrong with the file."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{source} has no column {', '.join(missing)}: is it owid-energy-data.csv?")
        rows: dict[str, tuple[str, int, float]] = {}
        for row in reader:
            code, text = row["iso_code"].strip(), row["carbon_intensity_elec"].strip()
            if len(code) != 3 or not code.isalpha() or not text:  # continents and OWID's own groups have longer codes
                continue
            year, intensity = int(row["year"]), float(text)
            # A zero is a rounded or missing figure: no grid is free of life-cycle emissions.
            if intensity > 0.0 and year >= OLDEST_YEAR and (code not in rows or year > rows[code][1]):
                rows[code] = (row["country"].strip(), year, intensity)
    if len(rows) < FEWEST_COUNTRIES:
        raise ValueError(f"{source} has a carbon intensity for only {len(rows)} countries: was the download cut off?")
    return rows


def write(rows: dict[str, tuple[str, int, float]], output: Path, retrieved: str) -> None:
    """The table, sorted by ISO code."""
    with output.open("w", newline="", encoding="utf-8") as file:
        file.write(HEADER.format(oldest=OLDEST_YEAR, retrieved=retrieved))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["iso3", "country", "year", "gco2e_per_kwh"])
        writer.writerows([code, *rows[code]] for code in sorted(rows))


def main(arguments: list[str] | None = None) -> int:
    """Refreshes the table; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=Path, help="owid-energy-data.csv, already downloaded")
    options.add_argument("--output", type=Path, default=TABLE, help="default: the bundled table")
    options.add_argument(
        "--retrieved", default=None, metavar="TEXT", help="when and where from; default: the file name"
    )
    chosen = options.parse_args(arguments)
    try:
        rows = newest_rows(chosen.source)
    except (OSError, ValueError) as error:
        print(f"refresh_carbon: {error}", file=sys.stderr)
        return 1
    write(rows, chosen.output, chosen.retrieved or chosen.source.name)
    years = [year for _, year, _ in rows.values()]
    print(f"{len(rows)} countries, years {min(years)} to {max(years)}, written to {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
