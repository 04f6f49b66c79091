"""Elements more than 2**31 elements apart, in memory that is reserved but never filled: only touched pages exist."""

import mmap

import numpy as np
import pytest
from checker import check
from numpy.lib.stride_tricks import as_strided
from registry import RUNGS

import frugalblas

MAP_NORESERVE = 0x4000  # Linux on x86 and ARM; not in the mmap module before Python 3.13

# Nine lines, a register tile and a rest, so that the last line begins beyond 2**31 elements.
LINES, GAP = 9, 2**28 + 5
SMALL = 5


@pytest.fixture(scope="module")
def sparse():
    """Some 10 GB of address space as float32."""
    length = 4 * ((LINES - 1) * GAP + 2 * SMALL)
    try:
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    except OSError as error:
        pytest.skip(f"this machine does not let a process reserve {length} bytes of address space: {error}")
    return np.frombuffer(memory, dtype=np.float32)


def far_rows(sparse, columns):
    return as_strided(sparse, (LINES, columns), (4 * GAP, 4))


def far_columns(sparse, rows):
    return as_strided(sparse, (rows, LINES), (4, 4 * GAP))


def reversed_rows(sparse, columns):
    return far_rows(sparse, columns)[::-1]


def normal(*shape):
    return np.random.default_rng(shape).standard_normal(shape, dtype=np.float32)


def test_the_far_end_is_far():
    assert (LINES - 1) * GAP > 2**31


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
@pytest.mark.parametrize("view", [far_rows, far_columns, reversed_rows])
def test_far_elements_of_a(strategy, view, sparse):
    A, B = view(sparse, SMALL), None
    A[...] = normal(*A.shape)
    B = normal(A.shape[1], 7)
    check(frugalblas.sgemm(A, B, algo=strategy.algo), A, B)


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
@pytest.mark.parametrize("view", [far_rows, far_columns, reversed_rows])
def test_far_elements_of_b(strategy, view, sparse):
    B = view(sparse, SMALL)
    B[...] = normal(*B.shape)
    A = normal(7, B.shape[0])
    check(frugalblas.sgemm(A, B, algo=strategy.algo), A, B)


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
@pytest.mark.parametrize("view", [far_rows, far_columns, reversed_rows])
@pytest.mark.parametrize("beta", [0, -0.5])
def test_far_elements_of_out(strategy, view, beta, sparse):
    out = view(sparse, SMALL)
    A, B, C0 = normal(out.shape[0], 6), normal(6, out.shape[1]), normal(*out.shape)
    out[...] = C0 if beta else np.nan
    frugalblas.sgemm(A, B, out=out, beta=beta, algo=strategy.algo)
    check(out, A, B, C0, beta=beta)


@pytest.mark.parametrize("beta", [0, -0.5])
def test_far_elements_of_an_empty_product(beta, sparse):
    out = far_rows(sparse, SMALL)
    C0 = normal(*out.shape)
    out[...] = C0 if beta else np.nan
    frugalblas.sgemm(np.empty((LINES, 0), np.float32), np.empty((0, SMALL), np.float32), out=out, beta=beta)
    assert (out == np.float32(beta) * C0).all()


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_overlap_is_found_across_the_whole_distance(strategy, sparse):
    """A's last row is out's first: only 64-bit arithmetic on addresses sees that they meet."""
    A = far_rows(sparse, SMALL)
    A[...] = normal(*A.shape)
    out = as_strided(sparse[(LINES - 1) * GAP :], (LINES, SMALL), (0 + 4, 4 * 1))[:1]
    before, B = A.copy(), normal(SMALL, SMALL)
    frugalblas.sgemm(A[-1:], B, out=out, algo=strategy.algo)
    check(out, before[-1:], B)
