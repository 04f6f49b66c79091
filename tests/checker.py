"""The judge of a product: is every element within the rounding error that float32 arithmetic may make?

Let u = 2**-24 be float32's unit roundoff, v = 2**-53 float64's, and gamma_n(u) = n*u / (1 - n*u). A term A_ik*B_kj is
rounded at most K times on its way into the sum (once as a product, at most K - 1 times as a summand, in any order, with
or without FMA), once more if alpha is not 1, and once more if beta*C0 is added. A term beta*C0 is rounded once as a
product and at most once per block of K that is added to it, so no more often. Hence, with n = K + [alpha != 1] +
[beta != 0] (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, sections 3.1 and 3.5),

    |C - C64| <= (gamma_n(u) + gamma_n(v)) * (|alpha| |A||B| + |beta| |C0|) + n * max(|alpha|, 1) * eta

gamma_n(v) pays for the roundings of the float64 reference C64 itself, and eta = 2**-149 for each product that
underflows. The formula holds for any order of the sum, so also for code built with -ffast-math. Where C64 is NaN or
infinite, so must C be; a NaN or an infinity anywhere else is a failure.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

U32, U64 = 2.0**-24, 2.0**-53
SMALLEST = 2.0**-149  # the smallest positive float32


def gamma(n: int, u: float) -> float:
    return n * u / (1 - n * u)


@dataclass(frozen=True)
class Expected:
    C64: Any
    """The product in float64, shape (M, N)."""
    bound: Any
    """How far an element may be from it; NaN where C64 is not finite."""
    magnitude: Any
    """|alpha| |A||B| + |beta| |C0|."""


def expect(A, B, C0=None, *, alpha=1.0, beta=0.0, trans_a=False, trans_b=False) -> Expected:
    """What alpha * op(A)·op(B) + beta * C0 should be. `C0` is copied, so it may be overwritten afterwards."""
    A64 = np.asarray(A.T if trans_a else A, dtype=np.float64)
    B64 = np.asarray(B.T if trans_b else B, dtype=np.float64)
    alpha, beta = float(np.float32(alpha)), float(np.float32(beta))  # as BLAS takes them
    M, N, K = A64.shape[0], B64.shape[1], A64.shape[1]
    with np.errstate(all="ignore"):
        # BLAS: a factor of zero means that what it multiplies is not read, whatever it holds.
        reads_product = alpha != 0 and K > 0
        C64 = alpha * (A64 @ B64) if reads_product else np.zeros((M, N))
        magnitude = abs(alpha) * (np.abs(A64) @ np.abs(B64)) if reads_product else np.zeros((M, N))
        if beta != 0:
            C64 = C64 + beta * np.asarray(C0, dtype=np.float64)
            magnitude = magnitude + np.abs(beta * np.asarray(C0, dtype=np.float64))
        n = K + (alpha != 1) + (beta != 0)
        bound = (gamma(n, U32) + gamma(n, U64)) * magnitude + n * max(abs(alpha), 1.0) * SMALLEST
    return Expected(C64, np.where(np.isfinite(C64), bound, np.nan), magnitude)


def first_error(C, expected: Expected) -> str | None:
    """What is wrong with `C`: its first element out of bounds; None if all is well."""
    C64, bound = expected.C64, expected.bound
    if C.shape != C64.shape:
        return f"the result has shape {C.shape}, should have {C64.shape}"
    with np.errstate(invalid="ignore"):
        close = np.abs(C - C64) <= bound
    right = np.where(np.isfinite(C64), close, (C == C64) | (np.isnan(C) & np.isnan(C64)))
    if right.all():
        return None
    i, j = (int(x) for x in np.argwhere(~right)[0])
    return (
        f"C[{i}, {j}] is {C[i, j]!r}, should be {C64[i, j]:.9g} +- {bound[i, j]:.2g} "
        f"({np.count_nonzero(~right)} of {right.size} elements are wrong)"
    )


def check(C, A, B, C0=None, **scale) -> None:
    """Fails unless `C` is the product; `scale` are the arguments of `expect`."""
    error = first_error(C, expect(A, B, C0, **scale))
    assert error is None, error
