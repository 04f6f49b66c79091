"""Machines that do not exist, one per test."""

import itertools

import pytest

from frugalblas.energy.testing import FakePowercap


@pytest.fixture
def fake_machine(tmp_path):
    """Make a FakePowercap: ``fake_machine("intel-1s")``."""
    number = itertools.count()
    return lambda layout="intel-1s", clock=None: FakePowercap(tmp_path / f"sys{next(number)}", layout, clock)
