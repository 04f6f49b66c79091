"""The table of seeded faults fits the source. `python tests/mutants.py` builds them and runs the tests on each."""

import pytest
from mutants import MUTANTS, SUBSET
from tree import ROOT, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_fault_fits_the_source(mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.source) == 1
    assert mutant.fault != mutant.source
    assert mutant.killer.partition("::")[0] in SUBSET


def test_names_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10
