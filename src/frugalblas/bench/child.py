"""The process of one strategy: ``python -m frugalblas.bench.child SOCKET`` serves `isolation.IsolatedEngine`."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from .cases import Case
from .check import Float32
from .engine import Call, LocalEngine
from .sampling import timed

Place = tuple[str, int, tuple[int, ...]]


class Server:
    """Binds and times calls; keeps the last one, and maps memory once."""

    def __init__(self) -> None:
        """Nothing bound yet."""
        self._engine = LocalEngine()
        self._bound: tuple[Any, Call] | None = None

    def time(self, case: Case, places: tuple[Place, Place, Place], calls: int) -> tuple[int, float]:
        """When `calls` calls of a case began, and the seconds of each."""
        if self._bound is None or self._bound[0] != (case, places):
            self._bound = None
            self._bound = (case, places), self._engine.bind(case, *map(_array, places))
        return timed(self._engine, self._bound[1], calls)


def _array(place: Place) -> Float32:
    path, first, shape = place
    fd = os.open(path, os.O_RDWR)
    try:
        memory = mmap.mmap(fd, 0)
    finally:
        os.close(fd)
    count = int(np.prod(shape))
    array: Float32 = np.frombuffer(memory, dtype=np.float32, offset=4 * first, count=count).reshape(shape)
    return array


def main(socket: str) -> None:
    """Answer until the other side hangs up. Ctrl-C is for the other side."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    server = Server()
    connection = Connection(int(socket))
    while True:
        try:
            _, *question = connection.recv()
        except EOFError:
            return
        try:
            connection.send(("done", server.time(*question)))
        except Exception as error:
            connection.send(("raised", f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main(sys.argv[1])
