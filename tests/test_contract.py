"""What BLAS promises about values: NaN, Inf, zero factors, empty products, and which array is returned."""

import numpy as np
import pytest
from checker import check
from layouts import OUT_LAYOUTS, place, place_blank
from registry import RUNGS, STRATEGIES, blocks

import frugalblas


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape, dtype=np.float32)


def edge_shape(algo):
    """More than one register tile each way, with remainders; small enough for an interpreted rung."""
    b = blocks(algo)
    return b["MR"] + 2, b["NR"] + 3, 11


# ---- NaN and Inf -----------------------------------------------------------------------------------------------------

# Variants built with -ffast-math are left out here, by their flags: that option lets the compiler assume that there is
# no NaN and no infinity, which is what those rungs of the course's study are about.
KEEP_NAN = [s for s in STRATEGIES if s.keeps_nan]
EXEMPT = [s for s in STRATEGIES if not s.keeps_nan]


def test_only_fast_math_variants_are_exempt():
    assert all("-ffast-math" in s.flags for s in EXEMPT)
    assert {s.algo.partition("@")[0] for s in EXEMPT} <= {s.algo.partition("@")[0] for s in KEEP_NAN}


@pytest.mark.parametrize("strategy", KEEP_NAN, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("where", ["A", "B", "A and B", "C"])
def test_nan_and_inf_reach_exactly_their_elements(strategy, value, where):
    M, N, K = edge_shape(strategy.algo)
    for corner in (0, -1):  # in a whole tile, and in the remainder
        A, B, C0 = normal(M, K), normal(K, N), normal(M, N)
        if "A" in where:
            A[corner, K // 2] = value
        if "B" in where:
            B[K // 2 + 1, corner] = value
        if where == "C":
            C0[corner, corner] = value
        for beta in (1, -2.5) if where == "C" else (0, 1):
            out = C0.copy()
            frugalblas.sgemm(A, B, out=out, beta=beta, algo=strategy.algo)
            check(out, A, B, C0, beta=beta)
            assert not np.isfinite(out).all()


@pytest.mark.parametrize("strategy", KEEP_NAN, ids=str)
def test_zero_times_infinity_is_nan(strategy):
    M, N, K = edge_shape(strategy.algo)
    A, B = np.zeros((M, K), np.float32), np.ones((K, N), np.float32)
    B[K - 1, N - 1] = np.inf
    C = frugalblas.sgemm(A, B, algo=strategy.algo)
    assert np.isnan(C[:, -1]).all()
    assert (C[:, :-1] == 0).all()


@pytest.mark.parametrize("strategy", KEEP_NAN, ids=str)
def test_nan_factors_spread(strategy):
    M, N, K = edge_shape(strategy.algo)
    A, B = normal(M, K), normal(K, N)
    assert np.isnan(frugalblas.sgemm(A, B, alpha=np.nan, algo=strategy.algo)).all()
    assert np.isnan(frugalblas.sgemm(A, B, out=normal(M, N), beta=np.nan, algo=strategy.algo)).all()


# ---- zero factors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 3e38], ids=str)
def test_beta_zero_never_reads_out(strategy, garbage):
    M, N, K = edge_shape(strategy.algo)
    for beta in (0, 0.0, -0.0, np.float32(0)):
        out = np.full((M, N), garbage, np.float32)
        frugalblas.sgemm(normal(M, K), normal(K, N), out=out, alpha=-2, beta=beta, algo=strategy.algo)
        check(out, normal(M, K), normal(K, N), alpha=-2)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("beta", [0, 1, -0.5])
def test_alpha_zero_never_reads_the_operands(strategy, beta):
    M, N, K = edge_shape(strategy.algo)
    for A, B in [(np.nan, 1), (1, np.nan), (np.inf, np.inf)]:
        out = place(normal(M, N), "every second column") if beta else place_blank(M, N, "every second column")
        A, B = np.full((M, K), A, np.float32), np.full((K, N), B, np.float32)
        frugalblas.sgemm(A, B, out=out.view, alpha=0, beta=beta, algo=strategy.algo)
        assert (out.view == np.float32(beta) * normal(M, N)).all()
        assert out.stray_writes() == 0


def test_alpha_zero_without_out_gives_zeros():
    assert (frugalblas.sgemm(np.full((2, 3), np.nan, np.float32), normal(3, 4), alpha=0) == np.zeros((2, 4))).all()


# ---- empty products --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_without_terms_the_result_is_beta_times_out(strategy):
    A, B, C0 = np.empty((5, 0), np.float32), np.empty((0, 7), np.float32), normal(5, 7)
    assert (frugalblas.sgemm(A, B, algo=strategy.algo) == np.zeros((5, 7))).all()
    for beta in (0, 1, -0.5):
        for layout in OUT_LAYOUTS:
            out = place(C0, layout) if beta else place_blank(5, 7, layout)
            assert frugalblas.sgemm(A, B, out=out.view, beta=beta, algo=strategy.algo) is out.view
            assert (out.view == np.float32(beta) * C0).all()
            assert out.stray_writes() == 0


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize(
    ("M", "N", "K"), [(0, 3, 2), (3, 0, 2), (0, 0, 2), (0, 3, 0), (0, 0, 0), (0, 30, 100), (30, 0, 100)]
)
def test_results_of_size_zero(strategy, M, N, K):
    for trans_a, trans_b in [(False, False), (True, True)]:
        A = np.empty((K, M) if trans_a else (M, K), np.float32)
        B = np.empty((N, K) if trans_b else (K, N), np.float32)
        C = frugalblas.sgemm(A, B, trans_a=trans_a, trans_b=trans_b, algo=strategy.algo)
        assert C.shape == (M, N)
        assert C.dtype == np.float32
        out = np.empty((M, N), np.float32)
        assert frugalblas.sgemm(A, B, out=out, beta=1, trans_a=trans_a, trans_b=trans_b, algo=strategy.algo) is out


# ---- the array that comes back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_result_is_a_new_c_ordered_array(strategy):
    A, B = normal(9, 4), normal(4, 6)
    C = frugalblas.sgemm(np.asfortranarray(A), np.asfortranarray(B), algo=strategy.algo)
    assert type(C) is np.ndarray
    assert C.dtype == np.float32
    assert C.flags.c_contiguous
    assert C.flags.owndata
    assert C is not frugalblas.sgemm(A, B, algo=strategy.algo)


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
@pytest.mark.parametrize("layout", OUT_LAYOUTS)
def test_out_is_written_in_place_and_returned(strategy, layout):
    A, B = normal(9, 4), normal(4, 6)
    out = place_blank(9, 6, layout)
    address, strides = out.view.ctypes.data, out.view.strides
    assert frugalblas.sgemm(A, B, out=out.view, algo=strategy.algo) is out.view
    assert (out.view.ctypes.data, out.view.strides) == (address, strides)
    check(out.view, A, B)


@pytest.mark.parametrize("strategy", RUNGS, ids=str)
def test_operands_are_left_alone(strategy):
    A, B = normal(9, 4), normal(4, 6)
    A.flags.writeable = B.flags.writeable = False
    before = A.tobytes(), B.tobytes()
    frugalblas.sgemm(A, B, out=np.zeros((9, 6), np.float32), alpha=2, beta=3, algo=strategy.algo)
    assert (A.tobytes(), B.tobytes()) == before


def test_subclasses_and_scalars_are_taken():
    class Tagged(np.ndarray):
        pass

    A = normal(3, 3).view(Tagged)
    check(np.asarray(frugalblas.sgemm(A, A, alpha=np.float32(2))), np.asarray(A), np.asarray(A), alpha=2)
    C0 = normal(3, 3)
    out = C0.copy()
    frugalblas.sgemm(A, A, out=out, alpha=np.int64(2), beta=True, trans_a=np.True_, trans_b=1, threads=np.int32(1))
    check(out, np.asarray(A), np.asarray(A), C0, alpha=2, beta=1, trans_a=True, trans_b=True)
