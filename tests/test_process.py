"""What frugalblas may not do to the process it is in: change the floating-point state, print, signal or exit."""

import os
import signal
import threading

import numpy as np
import pytest
from children import output_of
from registry import STRATEGIES

import frugalblas

# 1e-40 is a denormal: with flush-to-zero or denormals-are-zero set, the product is 0.
DENORMALS = "assert np.float32(1e-40) * np.float32(1) != 0, 'denormals are flushed'"
# Vectorised and threaded arithmetic has its own copies of the control register.
EVERYWHERE = """
assert (np.full(1000, 1e-40, np.float32) * np.float32(1)).all(), 'denormals are flushed in arrays'
"""


def test_import_leaves_denormals_alone():
    output_of(f"import numpy as np; {DENORMALS}; import frugalblas\n{DENORMALS}\n{EVERYWHERE}")


def test_every_strategy_leaves_denormals_alone():
    """The -ffast-math variants included: only objects are built with it, no link."""
    calls = [(strategy.algo, strategy.threads) for strategy in STRATEGIES]
    code = f"""
import threading
import numpy as np, frugalblas
A, B = np.ones((20, 30), np.float32), np.ones((30, 40), np.float32)
def check():
    {DENORMALS}
for algo, team_sizes in {calls!r}:
    for threads in team_sizes:
        frugalblas.sgemm(A, B, algo=algo, threads=threads)
        check()
thread = threading.Thread(target=check)
thread.start()
thread.join()
{EVERYWHERE}
print('reached the end')
"""
    assert output_of(code) == "reached the end"


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s.keeps_nan], ids=str)
def test_denormal_operands_count(strategy):
    tiny = np.float32(1e-40)
    C = frugalblas.sgemm(np.full((9, 1), tiny), np.full((1, 17), 2**20, np.float32), algo=strategy.algo)
    assert (tiny * np.float32(2**20) == C).all()


def wrong_calls(A, B):
    return [
        lambda: frugalblas.sgemm(A, None),
        lambda: frugalblas.sgemm(A, A),
        lambda: frugalblas.sgemm(A, B, algo="nonsense"),
        lambda: frugalblas.sgemm(A, B, threads=10**6),
        lambda: frugalblas.sgemm(A, B, beta=1),
        lambda: frugalblas.sgemm(A.astype(float), B),
        lambda: frugalblas.set_num_threads(-1),
        lambda: frugalblas.explain(A, B, precision="fp8"),
    ]


def test_nothing_is_printed(capfd):
    A, B = np.ones((5, 6), np.float32), np.ones((6, 7), np.float32)
    A[0, 0], B[0, 0], B[1, 1] = np.nan, np.inf, 3e38
    for strategy in STRATEGIES:
        for threads in strategy.threads:
            frugalblas.sgemm(A, B, algo=strategy.algo, threads=threads)
    for call in wrong_calls(A, B):
        with pytest.raises((TypeError, ValueError)):
            call()
    frugalblas.algorithms(), frugalblas.info(), frugalblas.explain(A, B)
    assert capfd.readouterr() == ("", "")


def test_import_prints_nothing_and_starts_no_thread():
    code = """
    import os, sys
    import numpy
    before, environment = len(os.listdir("/proc/self/task")), dict(os.environ)
    import frugalblas
    print(len(os.listdir("/proc/self/task")) - before, environment == dict(os.environ), "numba" in sys.modules)
    """
    assert output_of(code) == "0 True False"


def test_signals_stay_with_the_caller():
    """Ctrl-C during a call becomes KeyboardInterrupt after it, and handlers are nobody else's."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    A = np.ones((300, 300), np.float32)
    main = threading.main_thread().ident
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may arrive in any of the calls
        sender = threading.Timer(0, signal.pthread_kill, (main, signal.SIGINT))
        sender.start()
        while True:
            frugalblas.sgemm(A, A, threads=2)
    sender.join()
    assert (frugalblas.sgemm(A, A) == 300).all()
    assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}


def test_only_frugalblas_names_become_global():
    """Loading us must not give the process another sgemm_ or cblas_sgemm."""
    code = """
    import ctypes
    import numpy, frugalblas
    process = ctypes.CDLL(None)
    print([name for name in ("sgemm_", "cblas_sgemm", "frugalblas_run") if hasattr(process, name)])
    """
    assert output_of(code) == "[]"


def test_environment_is_left_alone():
    before = dict(os.environ)
    frugalblas.sgemm(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), threads=3)
    with frugalblas.num_threads(2):
        frugalblas.set_num_threads(None)
    assert dict(os.environ) == before


def test_threads_may_run_where_they_might_before():
    """On their way out of sleep they are kept off their caller's CPU, and no longer than that."""
    code = """
    import os, time
    import numpy as np, frugalblas
    A = np.ones((300, 300), np.float32)
    for algo in ("openmp", "naive", "blocked", "skinny", "openmp"):
        frugalblas.sgemm(A, A, algo=algo, threads=3)
        time.sleep(0.01)
    allowed = {frozenset(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")}
    print(allowed == {frozenset(os.sched_getaffinity(0))})
    """
    assert output_of(code) == "True"
