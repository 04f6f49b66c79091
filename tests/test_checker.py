"""The checker must accept right answers and refuse every kind of wrong one."""

import numpy as np
import pytest
from checker import check, expect, first_error

M, N, K = 29, 29, 23  # square, so that a transposed result has the right shape


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    A, B, C0 = (rng.standard_normal(shape, dtype=np.float32) for shape in ((M, K), (K, N), (M, N)))
    return A, B, C0


def right_answer(A, B, C0):
    return expect(A, B, C0, alpha=-0.5, beta=2.0).C64.astype(np.float32)


def zeros(C, C0):
    C[...] = 0


def one_nan(C, C0):
    C[M - 1, N - 1] = np.nan


def one_infinity(C, C0):
    C[0, 0] = np.inf


def one_stale_tile(C, C0):
    C[6:12, 16:] = C0[6:12, 16:]


def transposed(C, C0):
    C[...] = C.T.copy()


def relative_error_of_1e_4(C, C0):
    C *= np.float32(1 + 1e-4)


def lost_last_column(C, C0):
    C[:, -1] = 0


def stale_last_column(C, C0):
    C[:, -1] = C0[:, -1]


def neighbour_rows_swapped(C, C0):
    C[[3, 4]] = C[[4, 3]]


def negated(C, C0):
    C *= -1


FAULTS = [
    zeros,
    one_nan,
    one_infinity,
    one_stale_tile,
    transposed,
    relative_error_of_1e_4,
    lost_last_column,
    stale_last_column,
    neighbour_rows_swapped,
    negated,
]


def test_accepts_the_right_answer(problem):
    check(right_answer(*problem), *problem, alpha=-0.5, beta=2.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses(problem, fault):
    C = right_answer(*problem)
    fault(C, problem[2])
    with pytest.raises(AssertionError, match=r"should be"):
        check(C, *problem, alpha=-0.5, beta=2.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha", 1.0), ("beta", 0.0), ("trans_a", True), ("trans_b", True)],
)
def test_refuses_an_ignored_argument(name, value):
    rng = np.random.default_rng(1)
    A, B, C0 = (rng.standard_normal((N, N), dtype=np.float32) for _ in range(3))
    call = {"alpha": -0.5, "beta": 2.0, "trans_a": False, "trans_b": False}
    wrong = expect(A, B, C0, **{**call, name: value}).C64.astype(np.float32)
    assert first_error(wrong, expect(A, B, C0, **call)) is not None


def test_refuses_one_dropped_step_of_k():
    rng = np.random.default_rng(2)
    A, B = rng.standard_normal((5, 257), dtype=np.float32), rng.standard_normal((257, 7), dtype=np.float32)
    with pytest.raises(AssertionError):
        check(A[:, :256] @ B[:256], A, B)


def test_refuses_a_wrong_shape(problem):
    with pytest.raises(AssertionError, match="shape"):
        check(right_answer(*problem)[:, :-1], *problem)


def test_nan_and_inf_belong_where_the_reference_has_them():
    A, B = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)
    A[0, 1], A[1, 2] = np.nan, -np.inf
    right = np.array([[np.nan, np.nan], [-np.inf, -np.inf]], np.float32)
    check(right, A, B)
    for element, wrong in [((0, 0), 3.0), ((0, 0), np.inf), ((1, 1), np.inf), ((1, 1), np.nan), ((1, 1), 3.0)]:
        C = right.copy()
        C[element] = wrong
        with pytest.raises(AssertionError):
            check(C, A, B)


def test_zero_factors_do_not_read():
    nothing = np.full((3, 3), np.nan, np.float32)
    check(np.zeros((3, 3), np.float32), nothing, nothing, nothing, alpha=0, beta=0)
    check(np.full((3, 3), 2, np.float32), nothing, nothing, np.ones((3, 3)), alpha=0, beta=2)


def test_bound_is_not_loose():
    """An error four times the bound fails, and the bound itself is a rounding error, not a percentage."""
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((8, 64), dtype=np.float32), rng.standard_normal((64, 8), dtype=np.float32)
    expected = expect(A, B)
    assert (expected.bound <= 65 * 2.0**-24 * expected.magnitude).all()
    assert first_error((expected.C64 + 4 * expected.bound).astype(np.float32), expected) is not None
