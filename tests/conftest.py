"""Settings of the whole suite."""

import os
import signal

# A job in the background of a shell script starts with SIGINT ignored, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before the OpenMP runtime is loaded: threads that wait sleep instead of spinning, or a busy machine would spend its
# time in barriers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# NumPy's products in float64, which ours are compared with, on one thread: those of OpenBLAS wait by spinning, and with
# two workers of this suite on two CPUs took three times as long. Where its threads are tested, they are asked for.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import frugalblas

# No deadline: the first call of a rung may compile it.
settings.register_profile("suite", deadline=None, max_examples=300, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _fresh_workspace():
    """Scratch memory kept from the test before may hold just the panels that a broken rung forgets to pack."""
    frugalblas.free_workspace()
