"""How far a strategy's results are from the exact product, on inputs that are easy, biased, wide or cancelling."""

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ._core import sgemm
from .bounds import U, bound_u

Matrix = npt.NDArray[np.float32]


class Accuracy(TypedDict):
    """One family of inputs."""

    max_error_u: float
    """max |C - C64| / (|A||B|), in units of float32's unit roundoff 2**-24; NaN or inf if an element is."""
    frobenius: float
    """||C - C64|| / || |A||B| ||: relative to the products' size, for in a cancelling product C64 is nearly nothing."""
    bound_u: float | None
    """What `max_error_u` cannot exceed; None where none is promised: the inputs leave the range of fp16."""


def _families(M: int, N: int, K: int, seed: int) -> dict[str, tuple[Matrix, Matrix]]:
    random = np.random.default_rng(seed)

    def normal(rows: int, cols: int) -> Matrix:
        return random.standard_normal((rows, cols)).astype(np.float32)

    def scales(rows: int, cols: int) -> Matrix:
        return np.exp2(random.integers(-20, 21, (rows, cols))).astype(np.float32)

    half = K // 2
    left, right = normal(M, half), normal(half, N)
    nearly_opposite = (-right + normal(half, N) * np.float32(2.0**-10)).astype(np.float32)
    return {
        "normal": (normal(M, K), normal(K, N)),
        "uniform": (random.random((M, K), np.float32), random.random((K, N), np.float32)),
        "wide": (normal(M, K) * scales(M, K), normal(K, N) * scales(K, N)),
        "cancelling": (np.hstack([left, left]), np.vstack([right, nearly_opposite])),
    }


def accuracy(
    algo: str = "auto",
    precision: str = "fp32",
    *,
    M: int = 96,
    N: int = 80,
    K: int = 1024,
    seed: int = 0,
) -> dict[str, Accuracy]:
    """Errors of one strategy against the product in float64, on four families of inputs.

    "normal": N(0,1); "uniform": U(0,1), where rounding that leans one way adds up; "wide": N(0,1) times 2**-20 to
    2**20, which leaves the range of fp16; "cancelling": sums that nearly vanish. A is (M,K), B (K,N); K must be even.

    Raises what `sgemm` raises; ValueError for an odd K or a precision that is unknown.
    """
    if K % 2:
        raise ValueError(f"K is {K}, expected an even number: half of the cancelling products undo the other half")
    result: dict[str, Accuracy] = {}
    for family, (A, B) in _families(M, N, K, seed).items():
        C = sgemm(A, B, algo=algo, precision=precision)
        A64, B64 = A.astype(np.float64), B.astype(np.float64)
        magnitude = np.abs(A64) @ np.abs(B64)
        error = np.abs(C - A64 @ B64)
        in_range = not (family == "wide" and precision.startswith("fp16"))
        result[family] = {
            "max_error_u": float(np.max(error / magnitude) / U),
            "frobenius": float(np.linalg.norm(error) / np.linalg.norm(magnitude)),
            "bound_u": bound_u(precision, K) if in_range else None,
        }
    return result
