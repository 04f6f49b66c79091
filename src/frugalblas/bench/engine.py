"""What the runner needs of the world: a clock, the strategies, the FMA peak. Tests put a fake in its place."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .cases import Case
from .check import Float32

Call = Callable[[], object]


class Engine(Protocol):
    """A machine on which cases run."""

    def now_ns(self) -> int:
        """A monotonic clock in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Leave the CPUs alone."""

    def bind(self, case: Case, A: Float32, B: Float32, out: Float32) -> Call:
        """One multiplication, ready to be called again and again."""

    def burst(self, threads: int, steps: int) -> float:
        """Run `steps` steps of register-only FMAs on each of `threads` threads; flops done."""


class LocalEngine:
    """This machine, through the public API."""

    def __init__(self) -> None:
        """Load the compiled core."""
        # Deferred: parsing a command line or rendering a file needs no compiled core.
        from frugalblas import _core, sgemm

        self._sgemm = sgemm
        self._fma_burst = _core.fma_burst
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def now_ns(self) -> int:
        """``time.perf_counter_ns``."""
        return time.perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    def bind(self, case: Case, A: Float32, B: Float32, out: Float32) -> Call:
        """``sgemm`` as a user calls it: its own call overhead is part of what is timed."""
        return functools.partial(self._sgemm, A, B, out=out, algo=str(case.strategy), threads=case.threads)

    def burst(self, threads: int, steps: int) -> float:
        """Bursts release the GIL, so Python threads run them side by side."""
        if threads == 1:
            return self._fma_burst(steps)
        if threads not in self._pools:
            self._pools[threads] = ThreadPoolExecutor(threads)
        return sum(self._pools[threads].map(self._fma_burst, [steps] * threads))
