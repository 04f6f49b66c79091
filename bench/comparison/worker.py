"""One library in one process: takes commands from a pipe, and sleeps in between.

python -m comparison.worker LIBRARY THREADS READ_FD WRITE_FD
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Connection

import numpy as np

from .data import operands, sample
from .libraries import LIBRARIES, Call, Missing
from .shapes import Shape


def timed(call: Call, calls: int) -> float:
    """Seconds of `calls` calls in a row."""
    repeat = range(calls)
    start = time.perf_counter_ns()
    for _ in repeat:
        call()
    return (time.perf_counter_ns() - start) / 1e9


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.library = LIBRARIES[name](threads)
        self.call: Call | None = None

    def hello(self) -> dict[str, object]:
        library = self.library
        return {"version": library.version, "threads": library.threads, "kernel": library.kernel}

    def shape(self, M: int, N: int, K: int, layout: str) -> dict[str, object]:
        """Bind a product and run it once on a C of NaN: returns what the driver checks."""
        shape = Shape(M, N, K)
        self.arrays = None  # the last shape's memory goes before the next is taken
        A, B = operands(shape, layout)
        C = np.full((M, N), np.nan, np.float32)
        self.arrays = A, B, C
        self.call = self.library.bind(shape, layout, A, B, C)
        self.call()
        samples = sample(C)
        timed(self.call, 1)
        return {"samples": samples, "seconds": min(timed(self.call, 1) for _ in range(2))}

    def round(self, calls: int, warm: bool) -> float:
        if warm:
            self.call()
        return timed(self.call, calls)


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
        except Exception as error:  # the driver reports it and goes on without this cell
            reply["error"] = f"{type(error).__name__}: {error}"
        reply["cpu"] = time.process_time()
        replies.send(reply)


if __name__ == "__main__":
    read_fd, write_fd = int(sys.argv[3]), int(sys.argv[4])
    os.set_inheritable(read_fd, False)
    serve(sys.argv[1], int(sys.argv[2]), Connection(read_fd, writable=False), Connection(write_fd, readable=False))
