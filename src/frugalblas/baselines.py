"""The interpreted rungs: where the course starts, and what everything else is compared with.

Each function computes C = alpha * A·B + beta * C in place, on float32 arrays of shapes (M, K), (K, N) and (M, N), all
sizes at least 1. Like the compiled rungs it never reads C when beta is 0. Its docstring's first line is its summary.
Adding one: a function here with `@_rung`, and a line in cpp/algorithms.def.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core

Matrix = npt.NDArray[np.float32]
Function = Callable[[Matrix, Matrix, Matrix, float, float], None]


def _always_available() -> str | None:
    return None


def _numba_missing() -> str | None:
    try:
        importlib.import_module("numba")
    except ImportError as error:
        return f"Numba cannot be imported ({error}); install it with: pip install 'frugalblas[numba]'"
    return None


_rungs: dict[str, tuple[Function, Callable[[], str | None]]] = {}


def _rung(unavailable: Callable[[], str | None] = _always_available) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        _rungs[function.__name__] = (function, unavailable)
        return function

    return register


def card(name: str) -> dict[str, Any]:
    """Summary, course name and reason for being unavailable (None if it is not) of one rung."""
    function, unavailable = _rungs[name]
    summary = (function.__doc__ or "").splitlines()[0].rstrip(".")
    return {"summary": summary[0].lower() + summary[1:], "course": "Python", "reason": unavailable()}


def functions(unavailable_error: type[Exception]) -> dict[str, Function]:
    """The rungs by name, each raising `unavailable_error` with its reason where it cannot run."""

    def guarded(name: str, function: Function, unavailable: Callable[[], str | None]) -> Function:
        def run(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
            reason = unavailable()
            if reason is not None:
                raise unavailable_error(f"{name!r} cannot run here: {reason}")
            # A NaN or an overflow shows in the result, as it does on every rung; NumPy would warn besides.
            with np.errstate(all="ignore"):
                function(A, B, C, alpha, beta)

        return run

    return {name: guarded(name, *rung) for name, rung in _rungs.items()}


def _finish(C: Matrix, product: Matrix, alpha: float, beta: float) -> None:
    """C = alpha * product + beta * C."""
    scaled = np.float32(alpha) * product
    C[...] = scaled if beta == 0 else scaled + np.float32(beta) * C


def _triple_loop(A: Matrix, B: Matrix, product: Matrix) -> None:
    M, N, K = A.shape[0], B.shape[1], A.shape[1]
    for i in range(M):
        for j in range(N):
            for k in range(K):
                product[i, j] += A[i, k] * B[k, j]


def _row_sums(A: Matrix, B: Matrix, product: Matrix) -> None:
    M, N = A.shape[0], B.shape[1]
    for i in range(M):
        for j in range(N):
            product[i, j] = np.sum(A[i, :] * B[:, j])


@functools.cache
def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """The same function through Numba, compiled on its first call; no fast-math, as in the course."""
    numba_module = importlib.import_module("numba")
    compiled: Callable[..., None] = numba_module.njit(function)
    return compiled


def _run(loop: Callable[..., None], A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    product = np.zeros(C.shape, dtype=np.float32)
    loop(A, B, product)
    _finish(C, product, alpha, beta)


@_rung()
def python(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    """Three interpreted loops: every multiply-add goes through the Python interpreter.

    Where the course starts. A multiply-add takes the processor less than a nanosecond; finding the two elements, making
    Python objects of them, looking up what `*` and `+` mean for those and storing the result takes hundreds. Nearly all
    the joules go into the interpreter. `numpy_rowsum` hands it whole rows, `numba` removes it.
    """
    _run(_triple_loop, A, B, C, alpha, beta)


@_rung()
def numpy_rowsum(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    """Two interpreted loops around NumPy's product and sum of a row and a column.

    The inner loop runs in compiled code, so the interpreter is asked M*N times instead of M*N*K. Still wasted: each of
    those calls allocates an array for the products, and walks down a column of B.
    """
    _run(_row_sums, A, B, C, alpha, beta)


@_rung(_numba_missing)
def numba(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    """The three loops of `python`, compiled just in time by Numba.

    The same source becomes machine code on its first call, much like `naive`. From here on the order of memory accesses
    decides, not the language.
    """
    _run(_compiled(_triple_loop), A, B, C, alpha, beta)


@_rung(_numba_missing)
def numba_rowsum(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    """The loops of `numpy_rowsum`, compiled just in time by Numba.

    What helped the interpreter need not help a compiler: the temporary array of products is still made M*N times.
    """
    _run(_compiled(_row_sums), A, B, C, alpha, beta)


@_rung()
def numpy(A: Matrix, B: Matrix, C: Matrix, alpha: float, beta: float) -> None:
    """np.matmul itself, on one thread: what `A @ B` does.

    NumPy passes the product on to the BLAS it was built with, usually OpenBLAS (see `openblas`).
    """
    # Interpreted rungs promise one thread; NumPy's OpenBLAS takes as many as its process-wide setting says.
    held = "path" in _core.openblas()
    previous = _core.openblas_hold_threads(1) if held else 0
    try:
        # OpenBLAS's small AVX-512 kernels (0.3.31) count 32 bits between elements of C, and crash beyond.
        far = any(abs(stride) // C.itemsize * size >= 2**31 for stride, size in zip(C.strides, C.shape, strict=True))
        if alpha == 1 and beta == 0 and not far:
            np.matmul(A, B, out=C)
        else:
            _finish(C, np.matmul(A, B), alpha, beta)
    finally:
        if held:
            _core.openblas_release_threads(previous)
