"""The operands, the same in every process, and the float64 reference their product is checked against."""

from __future__ import annotations

import functools

import numpy as np

from .shapes import Shape

SEED = 20260
POOL = (1 << 22) + 15  # values drawn once per process and repeated; odd, so that rows of a power of two do not repeat
UNIT_ROUNDOFF = 2.0**-24
PAGE = 4096
# Bytes behind a page boundary at which every operand starts, in every process. Left to malloc it hangs on what a
# process did before, and whether rows of B straddle cache lines is worth up to 10 % to some libraries.
NUMPYS, ALIGNED = 16, 0  # NumPy's large arrays lie 16 bytes behind a page: glibc's header for mapped memory


@functools.lru_cache(maxsize=1)
def _pool() -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal(POOL, dtype=np.float32)


def _fill(array: np.ndarray, offset: int) -> np.ndarray:
    flat, pool = array.reshape(-1), _pool()
    done = 0
    while done < flat.size:
        start = (offset + done) % POOL
        step = min(flat.size - done, POOL - start)
        flat[done : done + step] = pool[start : start + step]
        done += step
    return array


def placed(rows: int, columns: int, offset: int) -> np.ndarray:
    """A matrix in C order that starts `offset` bytes behind a page boundary."""
    size = 4 * rows * columns
    block = np.empty(size + PAGE + offset, np.uint8)
    start = -block.ctypes.data % PAGE + offset
    return block[start : start + size].view(np.float32).reshape(rows, columns)


def operands(shape: Shape, layout: str, offset: int = NUMPYS) -> tuple[np.ndarray, np.ndarray]:
    """A and B as they lie in memory: a transposed operand is stored transposed, both in C order."""
    M, N, K = shape
    A = placed(*((M, K) if layout[0] == "N" else (K, M)), offset)
    B = placed(*((K, N) if layout[1] == "N" else (N, K)), offset)
    return _fill(A, 0), _fill(B, POOL // 2)


def sampled(length: int) -> np.ndarray:
    """Which rows (or columns) of a result are checked: all of a small one, else ends and middle."""
    if length <= 128:
        return np.arange(length)
    return np.unique(np.array([0, 1, length // 3, length // 2 + 1, length - 2, length - 1]))


def sample(C: np.ndarray) -> dict[str, np.ndarray | bool]:
    """What a worker sends back of its result: whole rows, whole columns, and whether a NaN was left anywhere."""
    rows, columns = sampled(C.shape[0]), sampled(C.shape[1])
    return {"rows": C[rows].copy(), "columns": C[:, columns].copy(), "nan": bool(np.isnan(C).any())}


class Reference:
    """The sampled rows and columns of A·B in float64, with the error bound of a float32 product."""

    def __init__(self, shape: Shape, layout: str) -> None:
        A, B = operands(shape, layout)
        A = A if layout[0] == "N" else A.T
        B = B if layout[1] == "N" else B.T
        rows, columns = A[sampled(shape.M)].astype(np.float64), B[:, sampled(shape.N)].astype(np.float64)
        ku = shape.K * UNIT_ROUNDOFF
        self.gamma = ku / (1 - ku)
        self.rows = self._product(rows, B)
        self.columns = tuple(part.T for part in self._product(columns.T, A.T))

    def _product(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """left · right and |left| · |right|, in slices that keep the float64 copies small."""
        exact = np.empty((left.shape[0], right.shape[1]))
        size = np.empty_like(exact)
        magnitude = abs(left)
        step = max(1, (1 << 22) // right.shape[0])
        for start in range(0, right.shape[1], step):
            part = right[:, start : start + step].astype(np.float64)
            exact[:, start : start + step] = left @ part
            size[:, start : start + step] = magnitude @ abs(part)
        return exact, self.gamma * size

    def error(self, samples: dict[str, np.ndarray | bool]) -> str | None:
        """What is wrong with a result, None for a right one."""
        if samples["nan"]:
            return "a NaN was left in the result"
        for name, (exact, bound) in (("rows", self.rows), ("columns", self.columns)):
            difference = abs(samples[name] - exact)
            if not (difference <= bound).all():
                worst = float((difference / bound).max())
                return f"sampled {name} differ from float64 by {worst:.3g} times the error bound"
        return None
