"""Passthroughs borrow a library whose thread count belongs to the whole process: it must come back as it was."""

import numpy as np
import pytest
from children import output_of
from registry import RUNGS

import frugalblas

PATH = frugalblas.info()["openblas"].get("path")
pytestmark = pytest.mark.skipif(PATH is None, reason=f"no OpenBLAS: {frugalblas.info()['openblas'].get('reason')}")
BORROWING = [s for s in RUNGS if s.kind == "passthrough" or s.algo == "numpy"]


def openblas_threads():
    pools = pytest.importorskip("threadpoolctl").ThreadpoolController().info()
    return [pool["num_threads"] for pool in pools if pool["internal_api"] == "openblas"]


@pytest.mark.parametrize("strategy", BORROWING, ids=str)
@pytest.mark.parametrize("before", [1, 2, 3])
def test_thread_count_is_restored(strategy, before):
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl reads OpenBLAS's thread count")
    A = np.ones((60, 60), np.float32)
    with threadpoolctl.threadpool_limits(before, user_api="blas"):
        assert set(openblas_threads()) == {before}
        for threads in strategy.threads:
            frugalblas.sgemm(A, A, algo=strategy.algo, threads=threads)
            assert set(openblas_threads()) == {before}
        with pytest.raises(ValueError, match="threads"):
            frugalblas.sgemm(A, A, algo=strategy.algo, threads=0)
        assert set(openblas_threads()) == {before}


def test_thread_count_is_restored_after_calls_at_once():
    code = """
import sys, threading
import numpy as np, frugalblas
from threadpoolctl import ThreadpoolController
def count():
    return [p["num_threads"] for p in ThreadpoolController().info() if p["internal_api"] == "openblas"]
A = np.ones((150, 160), np.float32)
small = np.ones((4, 4), np.float32)
before = count()
def work(algo, threads):
    for _ in range(50):
        assert (frugalblas.sgemm(A, A.T, algo=algo, threads=threads) == 160).all()
        assert (frugalblas.sgemm(small, small, algo=algo, threads=1) == 4).all()
workers = [threading.Thread(target=work, args=(a, t), daemon=True)
           for a, t in [("openblas", 1), ("openblas", 2), ("numpy", 1), ("numpy", 1), ("openblas", 3)]]
for worker in workers: worker.start()
for worker in workers: worker.join(timeout=60)
assert not any(worker.is_alive() for worker in workers), "a call never returned"
assert count() == before
"""
    pytest.importorskip("threadpoolctl", reason="threadpoolctl reads OpenBLAS's thread count")
    output_of(code)


def test_a_wrong_path_makes_it_unavailable():
    code = """
    import numpy as np, frugalblas
    A = np.ones((3, 3), np.float32)
    rung = next(r for r in frugalblas.algorithms() if r.name == "openblas")
    assert not rung.available and "FRUGALBLAS_OPENBLAS=/nowhere.so" in rung.reason
    try:
        frugalblas.sgemm(A, None, algo="openblas", threads="wrong")  # judged before anything else
    except frugalblas.AlgorithmUnavailable as error:
        print(rung.reason in str(error))
    assert (frugalblas.sgemm(A, A, algo="numpy") == 3).all()
    """
    assert output_of(code, FRUGALBLAS_OPENBLAS="/nowhere.so") == "True"


def test_a_given_path_is_used():
    assert (
        output_of("import frugalblas; print(frugalblas.info()['openblas']['path'])", FRUGALBLAS_OPENBLAS=PATH) == PATH
    )
