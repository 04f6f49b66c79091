"""What the runner needs of the world: a clock, the strategies, the FMA peak. Tests put a fake in its place."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .calls import BatchCall, DeviceCall
from .cases import Case
from .check import Float32

Call = Callable[[], object]
LEAST_SWEEP_BYTES, MOST_SWEEP_BYTES = 128 << 20, 1 << 30  # of an array: far more than caches, and no more than needed


@runtime_checkable
class SelfTimed(Protocol):
    """A call that runs elsewhere, or several products at once."""

    multiple: int  # of products that it runs at a time

    def timed(self, calls: int) -> tuple[int, float]:
        """When `calls` calls, rounded up to a multiple, began (ns of the engine's clock), and the seconds of each."""


class Engine(Protocol):
    """A machine on which cases run."""

    def now_ns(self) -> int:
        """A monotonic clock in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Leave the CPUs alone."""

    def empty(self, shape: tuple[int, int]) -> Float32:
        """An array where the strategies can reach it."""

    def bind(self, case: Case, A: Float32, B: Float32, out: Float32) -> Call:
        """One multiplication, ready to be called again and again."""

    def burst(self, threads: int, steps: int) -> float:
        """Run `steps` steps of register-only FMAs on each of `threads` threads; flops done."""

    def sweep(self, what: str, threads: int) -> float:
        """Stream through main memory on as many threads, "read" or "triad"; bytes read and written."""


class LocalEngine:
    """This machine, through the public API."""

    def __init__(self) -> None:
        """Load the compiled core."""
        # Deferred: parsing a command line or rendering a file needs no compiled core.
        from frugalblas import _core, matmul, sgemm

        self._core, self._sgemm, self._matmul = _core, sgemm, matmul
        self._fma_burst = _core.fma_burst
        self._streams: list[Float32] = []
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def now_ns(self) -> int:
        """``time.perf_counter_ns``."""
        return time.perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    def empty(self, shape: tuple[int, int]) -> Float32:
        """Of NumPy."""
        return np.empty(shape, dtype=np.float32)

    def bind(self, case: Case, A: Float32, B: Float32, out: Float32) -> Call:
        """``sgemm`` as a user calls it: its own call overhead is part of what is timed."""
        parameters: dict[str, Any] = dict(case.parameters)
        if "batch" in parameters:
            ours = functools.partial(self._matmul, algo=str(case.strategy), threads=case.threads)
            matmul = np.matmul if case.strategy.name == "numpy" else ours
            return BatchCall(matmul, A, B, out, parameters["batch"])
        if parameters:
            study_gemm: Callable[..., object] = self._core.study_gemm
            return functools.partial(study_gemm, A, B, out, threads=case.threads, **parameters)
        sgemm = functools.partial(self._sgemm, algo=str(case.strategy), threads=case.threads, precision=case.precision)
        if case.where in ("kernel", "device"):
            return DeviceCall(sgemm, A, B, out, queued=case.where == "kernel")
        return functools.partial(sgemm, A, B, out=out)

    def burst(self, threads: int, steps: int) -> float:
        """Bursts release the GIL, so Python threads run them side by side."""
        if threads == 1:
            return self._fma_burst(steps)
        if threads not in self._pools:
            self._pools[threads] = ThreadPoolExecutor(threads)
        return sum(self._pools[threads].map(self._fma_burst, [steps] * threads))

    def sweep(self, what: str, threads: int) -> float:
        """A triad a = b + 3c moves three arrays, not counting that a line is read before it is written."""
        if not self._streams:
            size = min(max(4 * self._core.cpu()["cache_bytes"]["l3"], LEAST_SWEEP_BYTES), MOST_SWEEP_BYTES)
            self._streams = [np.ones(size // 4, dtype=np.float32) for _ in range(3)]
        a, b, c = self._streams
        if what == "read":
            return self._core.memory_sweep(a, threads=threads)
        return self._core.memory_sweep(a, threads=threads, b=b, c=c)
