"""Small products and batches as Python programs call them: frugalblas, NumPy and torch in turn in one process."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .data import SEED, UNIT_ROUNDOFF
from .libraries import OURS, Call, Library

Calls = dict[str, Call]
ROUND_SECONDS = 1e-3


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def load_calls(threads: int) -> Library:
    """All three in one process, each told the same number of threads."""
    torch, frugalblas = _optional("torch"), _optional("frugalblas")
    if torch:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
    if frugalblas:
        frugalblas.set_num_threads(threads)
    versions = [f"numpy {np.__version__}"] + [f"{m.__name__} {m.__version__}" for m in (torch, frugalblas) if m]

    def bind(*_: Any) -> Call:
        raise TypeError("this process measures calls, not shapes")

    return Library(", ".join(versions), bind, torch.get_num_threads() if torch else threads)


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(SEED + len(shape)).standard_normal(shape, dtype=np.float32)


def pair(M: int, N: int, K: int, layout: str) -> tuple[np.ndarray, np.ndarray]:
    A, B = _normal(*((M, K) if layout[0] == "N" else (K, M))), _normal(*((K, N) if layout[1] == "N" else (N, K)))
    return (A if layout[0] == "N" else A.T), (B if layout[1] == "N" else B.T)


def small(M: int, N: int, K: int, layout: str) -> Calls:
    """Plain calls that allocate their result, as in a program."""
    a, b = pair(M, N, K, layout)
    calls: Calls = {"a @ b": lambda: a @ b, "np.dot": functools.partial(np.dot, a, b)}
    if frugalblas := _optional("frugalblas"):
        calls[OURS] = functools.partial(frugalblas.sgemm, a, b)
    if torch := _optional("torch"):
        calls["torch.mm"] = functools.partial(torch.mm, torch.from_numpy(a), torch.from_numpy(b))
    return calls


def batches(batch: int, M: int, N: int, K: int, layout: str) -> Calls:
    """Stacks of products; a transposed operand is a view whose last two axes are swapped."""
    A = _normal(batch, *((M, K) if layout[0] == "N" else (K, M)))
    B = _normal(batch, *((K, N) if layout[1] == "N" else (N, K)))
    a, b = A if layout[0] == "N" else A.swapaxes(1, 2), B if layout[1] == "N" else B.swapaxes(1, 2)
    calls: Calls = {"np.matmul": functools.partial(np.matmul, a, b)}
    frugalblas = _optional("frugalblas")
    if hasattr(frugalblas, "matmul"):
        calls[OURS] = functools.partial(frugalblas.matmul, a, b)
    if torch := _optional("torch"):
        calls["torch.bmm"] = functools.partial(torch.bmm, torch.from_numpy(a), torch.from_numpy(b))
    return calls


def call_forms(side: int) -> Calls:
    """`sgemm` plain and with its options, beside `a @ b`."""
    a, b = pair(side, side, side, "NN")
    calls: Calls = {"a @ b": lambda: a @ b}
    if frugalblas := _optional("frugalblas"):
        # Lambdas for all: functools.partial would hand keywords over faster than a program can write them.
        calls["sgemm(a, b)"] = lambda: frugalblas.sgemm(a, b)
        calls["algo=, threads="] = lambda: frugalblas.sgemm(a, b, algo="auto", threads=1)
    return calls


def wrong(calls: Calls, operands: tuple[np.ndarray, np.ndarray]) -> dict[str, str]:
    """The calls whose result is not within the error bound of float64, and what is wrong with them."""
    a, b = (matrix.astype(np.float64) for matrix in operands)
    ku = a.shape[-1] * UNIT_ROUNDOFF
    exact, bound = a @ b, ku / (1 - ku) * (abs(a) @ abs(b))
    errors = {}
    for name, call in calls.items():
        result = np.asarray(call())
        if result.shape != exact.shape or not (abs(result - exact) <= bound).all():
            errors[name] = "differs from float64 by more than the error bound"
    return errors


def settle() -> None:
    """Wait until no thread of this process spins."""
    for _ in range(100):
        before = time.process_time()
        time.sleep(5e-4)
        if time.process_time() - before < 1e-4:
            return


def interleaved(calls: Calls, rounds: int, threads: int, timed: Callable[[Call, int], float]) -> dict[str, list[float]]:
    """Seconds per call of each round, everybody in turn in rotating order."""
    counts = {}
    for name, call in calls.items():
        timed(call, 2)
        seconds = min(timed(call, 1), timed(call, 3) / 3)
        counts[name] = max(1, round(ROUND_SECONDS / seconds + 0.5))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if threads > 1:
                settle()
            timed(calls[name], 2)
            samples[name].append(timed(calls[name], counts[name]) / counts[name])
    return samples
