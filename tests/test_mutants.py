"""The table of seeded faults fits the source. `python tests/mutants.py` builds them and runs the tests on each."""

import json

import pytest
from mutants import MUTANTS, SUBSET
from tree import ROOT, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_fault_fits_the_source(mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.source) == 1
    assert mutant.fault != mutant.source
    assert mutant.killer.partition("::")[0] in SUBSET


WRITE = "python tests/mutants.py --json docs/conformance/faults.json && python docs/make_conformance.py"


def test_the_page_names_the_killer_of_every_fault():
    file = ROOT / "docs" / "conformance" / "faults.json"
    if not file.exists():
        pytest.skip(f"no run has been written down; write one with {WRITE}")
    rows = json.loads(file.read_text())["faults"]
    assert [row["fault"] for row in rows] == [mutant.name for mutant in MUTANTS], f"write them down again: {WRITE}"
    assert all(row["killer"] for row in rows)


def test_names_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10
