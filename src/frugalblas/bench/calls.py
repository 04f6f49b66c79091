"""Calls that time themselves: many small products at once, and products of operands on a GPU."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .check import Float32


class BatchCall:
    """``matmul`` of `count` equal products side by side in memory; one product counts as one call."""

    def __init__(self, matmul: Callable[..., object], A: Float32, B: Float32, out: Float32, count: int) -> None:
        """`matmul` takes the stacked A and B and ``out=``."""
        self.multiple = count
        self._matmul = matmul
        self._A, self._B = np.stack([A] * count), np.stack([B] * count)
        self._C = np.empty((count, *out.shape), dtype=np.float32)
        self._out = out

    def __call__(self) -> None:
        """All products, once."""
        self.timed(1)

    def timed(self, calls: int) -> tuple[int, float]:
        """When they began, and the seconds of a product; ValueError if not all of them are the same."""
        rounds = math.ceil(calls / self.multiple)
        self._C.fill(np.nan)
        began_ns = time.perf_counter_ns()
        for _ in range(rounds):
            self._matmul(self._A, self._B, out=self._C)
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
        self._out[...] = self._C[0]
        different = np.flatnonzero((self._C[0] != self._C).any(axis=(1, 2)))
        if different.size:
            raise ValueError(f"product {different[0]} of the batch differs from product 0, which has the same operands")
        return began_ns, max(seconds, 1e-9) / (rounds * self.multiple)


class DeviceCall:
    """A product of operands in a GPU's memory.

    "device": each call is waited for, as a program does that needs the result. "kernel": calls are queued and waited
    for together, so that only the kernels remain to be timed where they take longer than to be queued.
    """

    multiple = 1

    def __init__(self, sgemm: Callable[..., object], A: Float32, B: Float32, out: Float32, queued: bool) -> None:
        """Copy the operands there. `sgemm` takes A, B and ``out=`` of the library that `arrays` finds."""
        library = arrays()
        if library is None:
            raise RuntimeError(NO_ARRAYS)
        self._library, self._sgemm, self._queued = library, sgemm, queued
        self._A, self._B, self._C = library.put(A), library.put(B), library.put(out)
        self._out = out

    def __call__(self) -> None:
        """Once."""
        self.timed(1)

    def timed(self, calls: int) -> tuple[int, float]:
        """When they began, and the seconds of each. The result goes to the host if that was spoiled, untimed."""
        spoiled = bool(np.isnan(self._out[0, 0]))
        if spoiled:
            self._library.fill(self._C, np.nan)
        self._library.wait()
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            self._sgemm(self._A, self._B, out=self._C)
            if not self._queued:
                self._library.wait()
        self._library.wait()
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
        if spoiled:
            self._out[...] = self._library.get(self._C)
        return began_ns, max(seconds, 1e-9) / calls


NO_ARRAYS = "arrays in a GPU's memory come from CuPy or PyTorch; install one of them (pip install cupy-cuda12x)"


class _Torch:
    def __init__(self) -> None:
        torch: Any = importlib.import_module("torch")
        if not torch.cuda.is_available():
            raise ImportError("this PyTorch sees no GPU")
        self._torch = torch
        self.wait = torch.cuda.synchronize

    def put(self, array: Float32) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array)).cuda()

    def get(self, array: Any) -> Any:
        return array.cpu().numpy()

    def fill(self, array: Any, value: float) -> None:
        array.fill_(value)


class _CuPy:
    def __init__(self) -> None:
        cupy: Any = importlib.import_module("cupy")
        self._cupy = cupy
        self.wait = cupy.cuda.get_current_stream().synchronize

    def put(self, array: Float32) -> Any:
        return self._cupy.asarray(array)

    def get(self, array: Any) -> Any:
        return self._cupy.asnumpy(array)

    def fill(self, array: Any, value: float) -> None:
        array.fill(value)


def arrays() -> _Torch | _CuPy | None:
    """The library that holds arrays in a GPU's memory; None if there is none."""
    for library in (_CuPy, _Torch):
        try:
            return library()
        except Exception:  # not installed, or installed for another GPU: whatever it raises, it is of no use
            continue
    return None
