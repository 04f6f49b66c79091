"""One library in one process: takes commands from a pipe, and sleeps in between.

python -m comparison.worker LIBRARY THREADS READ_FD WRITE_FD
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import numpy as np

from . import calls
from .data import operands, placed, sample
from .libraries import LIBRARIES, Call, Missing, Repeated
from .shapes import Shape

ATTEMPTS = 3
TOGETHER = 0.75  # of the CPUs: two threads on one CPU use a half

LOADERS = {**LIBRARIES, "calls": calls.load_calls}


def timed(call: Call, calls: int) -> float:
    """Seconds of `calls` calls in a row."""
    if isinstance(call, Repeated):
        start = time.perf_counter_ns()
        call.repeat(calls)
        return (time.perf_counter_ns() - start) / 1e9
    repeat = range(calls)
    start = time.perf_counter_ns()
    for _ in repeat:
        call()
    return (time.perf_counter_ns() - start) / 1e9


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.library = LOADERS[name](threads)
        self.threads = threads
        self.call: Call | None = None
        self.arrays: tuple[np.ndarray, ...] | None = None
        self.pool: ThreadPoolExecutor | None = None

    def hello(self) -> dict[str, object]:
        library = self.library
        return {"version": library.version, "threads": library.threads, "kernel": library.kernel}

    def shape(self, M: int, N: int, K: int, layout: str, offset: int, packed: bool = False) -> dict[str, object]:
        """Bind a product and run it once on a C of NaN: returns what the driver checks."""
        shape = Shape(M, N, K)
        self.arrays = None  # the last shape's memory goes before the next is taken
        A, B = operands(shape, layout, offset)
        C = placed(M, N, offset)
        C.fill(np.nan)
        self.arrays = A, B, C
        bind = self.library.bind_packed if packed and self.library.bind_packed else self.library.bind
        self.call = bind(shape, layout, A, B, C)
        self.call()
        samples = sample(C)
        timed(self.call, 1)
        return {"samples": samples, "seconds": min(timed(self.call, 1) for _ in range(3))}

    def round(self, calls: int, warm: int) -> float:
        """Seconds of `calls` calls, after `warm` calls that wake the team and fill the caches again.

        A woken team may stay on one CPU for many milliseconds, spinning against itself; such a round measures the
        scheduler. It shows in the CPU time, and is repeated, whoever it happens to. So is, to no effect, that of a
        library which leaves CPUs idle.
        """
        for _ in range(ATTEMPTS if self.threads > 1 else 1):
            timed(self.call, warm)
            cpu = time.process_time()
            seconds = timed(self.call, calls)
            if time.process_time() - cpu > TOGETHER * self.threads * seconds:
                break
        return seconds

    def peak(self) -> float:
        """Flops per second of register-only FMAs on every thread."""
        from frugalblas import _core

        steps, rates = 600_000, []  # about 2 ms
        if self.pool is None:
            # Each thread on a CPU of its own: the scheduler may take longer than a burst to part two woken on one.
            cpus = sorted(os.sched_getaffinity(0))
            self.pool = ThreadPoolExecutor(self.threads, initializer=lambda: os.sched_setaffinity(0, {cpus.pop()}))
        for _ in range(2):  # the first wakes the threads
            start = time.perf_counter_ns()
            done = sum(self.pool.map(_core.fma_burst, [steps] * self.threads))
            rates.append(done / (time.perf_counter_ns() - start) * 1e9)
        return max(rates)

    def read(self) -> float:
        """Bytes per second at which the larger operand is read: NumPy's dot product of it with itself."""
        flat = max(self.arrays[:2], key=np.size).reshape(-1)
        np.dot(flat, flat)
        repeat = max(1, (1 << 24) // flat.nbytes)
        start = time.perf_counter_ns()
        for _ in range(repeat):
            np.dot(flat, flat)
        return repeat * flat.nbytes / (time.perf_counter_ns() - start) * 1e9

    def small(self, M: int, N: int, K: int, layout: str, rounds: int) -> dict[str, object]:
        return self._interleave(calls.small(M, N, K, layout), calls.pair(M, N, K, layout), rounds)

    def batches(self, batch: int, M: int, N: int, K: int, layout: str, rounds: int) -> dict[str, object]:
        forms = calls.batches(batch, M, N, K, layout)
        a, b = forms["np.matmul"].args
        result = self._interleave(forms, (a, b), rounds)
        if calls.OURS not in forms:
            result["errors"][calls.OURS] = "not available: this build has no frugalblas.matmul"
        return result

    def call_forms(self, side: int, rounds: int) -> dict[str, object]:
        return self._interleave(calls.call_forms(side), calls.pair(side, side, side, "NN"), rounds)

    def _interleave(
        self, forms: calls.Calls, operands: tuple[np.ndarray, np.ndarray], rounds: int
    ) -> dict[str, object]:
        errors = calls.wrong(forms, operands)
        forms = {name: call for name, call in forms.items() if name not in errors}
        return {"seconds": calls.interleaved(forms, rounds, self.threads, timed), "errors": errors}


def serve(name: str, threads: int, commands: Connection, replies: Connection) -> None:
    try:
        worker = Worker(name, threads)
    except Missing as missing:
        replies.send({"missing": str(missing)})
        return
    replies.send({"done": worker.hello(), "cpu": time.process_time()})
    while True:
        try:
            operation, arguments = commands.recv()
        except EOFError:
            return
        # CPU time burnt while nobody asked for anything: a team that spins shows here.
        woken = time.process_time()
        reply: dict[str, object] = {"woken_cpu": woken}
        try:
            reply["done"] = getattr(worker, operation)(**arguments)
        except Missing as missing:
            reply["error"] = str(missing)
        except Exception as error:  # the driver reports it and goes on without this cell
            reply["error"] = f"{type(error).__name__}: {error}"
        reply["cpu"] = time.process_time()
        replies.send(reply)


if __name__ == "__main__":
    read_fd, write_fd = int(sys.argv[3]), int(sys.argv[4])
    serve(sys.argv[1], int(sys.argv[2]), Connection(read_fd, writable=False), Connection(write_fd, readable=False))
