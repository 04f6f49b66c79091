"""Out of memory is a MemoryError, and `out` keeps its old content."""

import numpy as np
import pytest
from children import output_of, start
from registry import COMPILED, RUNGS

import frugalblas

# 2**20 x 2**20 elements that are one element of memory: a working copy would take 4 TiB.
SIDE = 2**20


def repeated(rows, cols):
    return np.broadcast_to(np.float32(1), (rows, cols))


# Sets the address-space limit to what the process uses already; lift() takes it back.
LIMIT = """
import resource
def limit():
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
import sys
import numpy as np, frugalblas
"""

COPYING = [s for s in COMPILED if s.algo.startswith("transposed")]


@pytest.mark.parametrize("strategy", COPYING, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_copy_that_does_not_fit(strategy, threads):
    backing = np.arange(2 * SIDE, dtype=np.float32)
    out = backing[::2].reshape(1, SIDE)
    with pytest.raises(MemoryError, match=r"not enough memory .* out is unchanged"):
        frugalblas.sgemm(
            repeated(1, SIDE), repeated(SIDE, SIDE), out=out, beta=0.5, algo=strategy.algo, threads=threads
        )
    assert (backing == np.arange(2 * SIDE)).all()


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_a_result_that_does_not_fit(strategy):
    with pytest.raises(MemoryError):
        frugalblas.sgemm(repeated(2**23, 1), repeated(1, 2**23), algo=strategy.algo)


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_a_temporary_result_that_does_not_fit(strategy):
    """`out` overlaps A in a way that needs a copy of it, for which there is no address space."""
    code = """
A = np.ones((1600, 1600), np.float32)
limit()
try:
    frugalblas.sgemm(A, A, out=A, algo=sys.argv[1], threads=1)
except MemoryError:
    lift()
    print("MemoryError", (A == 1).all())
"""
    assert output_of(LIMIT + code, strategy.algo) == "MemoryError True"


@pytest.mark.parametrize("strategy", [s for s in RUNGS if not s.interpreted], ids=str)
def test_under_an_address_space_limit(strategy):
    """Nothing is left for blocks or copies: each rung either refuses and leaves `out` alone, or needs no memory."""
    code = """
M, N, K = 4096, 70, 768
A = (np.ones((M, 1), np.float32) * np.arange(K, dtype=np.float32)).repeat(2, axis=1)[:, ::2]  # has to be packed
B = np.broadcast_to(np.ones((K, 1), np.float32), (K, N))
out = np.full((M, N), 3, np.float32)
small = np.ones((2, 2), np.float32)
frugalblas.sgemm(small, small, algo=sys.argv[1], threads=1)
frugalblas.free_workspace()
limit()
try:
    frugalblas.sgemm(A, B, out=out, beta=1, algo=sys.argv[1], threads=1)
except MemoryError as error:
    lift()
    print("refused", (out == 3).all(), "out is unchanged" in str(error))
else:
    lift()
    print("done", (out == 3 + K * (K - 1) / 2).all(), True)
"""
    verdict, right, explained = output_of(LIMIT + code, strategy.algo).split()
    assert (right, explained) == ("True", "True")
    endless = repeated(SIDE, SIDE)
    blocks = frugalblas.explain(endless, endless, algo=strategy.algo)["blocks"]
    if "MC" in blocks:
        assert verdict == "refused", f"{strategy.algo} packs blocks, so the limit should have hit it"


def test_memory_is_kept_bounded_and_given_back():
    """A thread keeps at most 32 MiB between calls, and free_workspace() returns that."""
    code = """
    import resource
    import numpy as np, frugalblas
    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    A, B = np.ones((8, 4096), np.float32), np.ones((4096, 4096), np.float32)
    out = np.empty((8, 4096), np.float32)
    frugalblas.sgemm(A[:, :8], B[:8], out=out, algo="transposed", threads=1)
    frugalblas.free_workspace()
    before = resident()
    frugalblas.sgemm(A, B, out=out, algo="transposed", threads=1)  # a copy of 64 MiB
    assert resident() - before < 33 << 20, resident() - before
    frugalblas.free_workspace()
    assert resident() - before < 4 << 20, resident() - before
    """
    child = start(code)
    assert child.returncode == 0, child.stderr
