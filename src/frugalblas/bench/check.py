"""Inputs of one size, their product in float64, and the verdict on a float32 result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..bounds import INPUT_ROUNDOFF, SUM_ROUNDOFF, U, bound_u
from .cases import Size

# What can be checked: sums in half precision have no bound from 2048 products on, and hardly one below.
PRECISIONS = tuple(precision for precision in INPUT_ROUNDOFF if precision not in SUM_ROUNDOFF)
ROWS_AT_ONCE = 256  # float64 temporaries of a check stay small beside the matrices

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """`error_u`: max |C − C64| / (|A||B|) in units of u, None unless finite. `fault`: what is wrong, if anything."""

    error_u: float | None
    fault: str | None


def _empty(shape: tuple[int, int]) -> Float32:
    return np.empty(shape, dtype=np.float32)


class Problem:
    """A and B of one size, N(0,1) from a seed, with the float64 product that results are checked against."""

    def __init__(self, size: Size, seed: int, empty: Callable[[tuple[int, int]], Float32] = _empty) -> None:
        """Draw A and B, and fill the result with NaN. `empty` makes arrays where the strategies can reach them."""
        # The shape is part of the seed: a size has the same data whichever other sizes are asked for.
        generator = np.random.default_rng([seed, size.M, size.N, size.K])
        self.size, self.is_solved = size, False
        self.A, self.B, self.out = empty((size.M, size.K)), empty((size.K, size.N)), empty((size.M, size.N))
        for operand in (self.A, self.B):
            generator.standard_normal(operand.shape, dtype=np.float32, out=operand)
        self.spoil()

    def solve(self) -> None:
        """Compute A·B and |A|·|B| in float64; their own error, K·2^-53, is far below what is looked for."""
        A, B = self.A.astype(np.float64), self.B.astype(np.float64)
        self.exact: Float64 = A @ B
        np.abs(A, out=A)
        np.abs(B, out=B)
        self.scale: Float64 = A @ B
        self.is_solved = True

    def spoil(self) -> None:
        """Fill the result with NaN, so that an element nobody writes cannot pass."""
        self.out.fill(np.nan)

    def verdict(self, precision: str = "fp32") -> Verdict:
        """Check `out`: every |C − C64| must be at most γ_K·(|A||B|), or a bit more where operands are rounded first."""
        worst, most = 0.0, bound_u(precision, self.size.K) * U
        for first in range(0, self.size.M, ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(self.out[rows] - self.exact[rows]) / self.scale[rows]
            good = error <= most  # False for NaN
            if not good.all():
                i, j = (int(index) for index in np.unravel_index(int(np.argmin(good)), good.shape))
                return self._wrong(first + i, j, error, most)
            worst = max(worst, float(error.max()))
        return Verdict(worst / U, None)

    def _wrong(self, i: int, j: int, error: Float64, most: float) -> Verdict:
        got, expected = float(self.out[i, j]), float(self.exact[i, j])
        allowed = most * float(self.scale[i, j])
        worst = float(error.max())  # NaN if any element is
        return Verdict(
            worst / U if np.isfinite(worst) else None,
            f"C[{i},{j}] is {got:.7g}, expected {expected:.7g} within {allowed:.1e}",
        )


def bytes_needed(size: Size) -> int:
    """Memory of a :class:`Problem` while it is solved: A, B, C in float32, A and B again and two results in float64."""
    M, N, K = size.M, size.N, size.K
    return 4 * (M * K + K * N + M * N) + 8 * (M * K + K * N + 2 * M * N)
