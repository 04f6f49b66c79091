"""`out` that shares memory with an operand: the right answer, as if there were copies."""

import numpy as np
import pytest
from checker import check
from registry import RUNGS, blocks

import frugalblas

SCALES = [(1, 0), (-0.5, 2), (1, 1)]


def sizes(strategy):
    """Inside one register tile, and across several; one size for interpreted loops."""
    return [12] if strategy.interpreted else [3, 8, blocks(strategy.algo)["NR"] * 2 + 5]


# Each takes one buffer of n*n and more floats and returns A, B, out, all (n,n), of which two share memory.
def out_is_a(buffer, other, n):
    A = buffer[: n * n].reshape(n, n)
    return A, other, A


def out_is_b(buffer, other, n):
    B = buffer[: n * n].reshape(n, n)
    return other, B, B


def all_three(buffer, other, n):
    A = buffer[: n * n].reshape(n, n)
    return A, A, A


def out_is_a_transposed(buffer, other, n):
    A = buffer[: n * n].reshape(n, n)
    return A, other, A.T


def out_is_b_transposed(buffer, other, n):
    B = buffer[: n * n].reshape(n, n)
    return other, B, B.T


def out_is_b_reversed(buffer, other, n):
    B = buffer[: n * n].reshape(n, n)
    return other, B, B[::-1, ::-1]


def out_one_row_below_a(buffer, other, n):
    wide = buffer[: (n + 1) * n].reshape(n + 1, n)
    return wide[:-1], other, wide[1:]


def out_one_element_before_b(buffer, other, n):
    return other, buffer[1 : n * n + 1].reshape(n, n), buffer[: n * n].reshape(n, n)


def out_and_a_share_one_element(buffer, other, n):
    return buffer[: n * n].reshape(n, n), other, buffer[n * n - 1 : 2 * n * n - 1].reshape(n, n)


def out_between_the_columns_of_a(buffer, other, n):
    """Neighbours that interleave but share no element."""
    wide = buffer[: 2 * n * n].reshape(n, 2 * n)
    return wide[:, ::2], other, wide[:, 1::2]


def a_repeats_a_row_of_out(buffer, other, n):
    out = buffer[: n * n].reshape(n, n)
    return np.broadcast_to(out[n // 2], (n, n)), other, out


ARRANGEMENTS = [
    out_is_a,
    out_is_b,
    all_three,
    out_is_a_transposed,
    out_is_b_transposed,
    out_is_b_reversed,
    out_one_row_below_a,
    out_one_element_before_b,
    out_and_a_share_one_element,
    out_between_the_columns_of_a,
    a_repeats_a_row_of_out,
]


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_overlap_gives_the_right_answer(strategy, arrangement):
    for n in sizes(strategy):
        for alpha, beta in SCALES:
            rng = np.random.default_rng(n)
            buffer = rng.standard_normal(2 * n * n + 2, dtype=np.float32)
            A, B, out = arrangement(buffer, rng.standard_normal((n, n), dtype=np.float32), n)
            before = A.copy(), B.copy(), out.copy()
            rest = np.ones(buffer.shape, bool)
            np.lib.stride_tricks.as_strided(
                rest[(out.ctypes.data - buffer.ctypes.data) // 4 :], out.shape, tuple(s // 4 for s in out.strides)
            )[...] = False
            untouched = buffer[rest].copy()
            assert frugalblas.sgemm(A, B, out=out, alpha=alpha, beta=beta, algo=strategy.algo) is out
            check(out, *before, alpha=alpha, beta=beta)
            assert (buffer[rest] == untouched).all(), "wrote outside out"


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_transposed_operands_may_alias_too(strategy):
    n = sizes(strategy)[-1]
    A = np.random.default_rng(n).standard_normal((n, n), dtype=np.float32)
    before = A.copy()
    frugalblas.sgemm(A, A, out=A, trans_a=True, beta=-1, algo=strategy.algo)
    check(A, before, before, before, trans_a=True, beta=-1)
