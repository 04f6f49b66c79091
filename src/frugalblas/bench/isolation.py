"""Each strategy in a process of its own: one that crashes takes none of the others' results with it."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np

from .cases import Case
from .check import Float32
from .engine import LocalEngine

STDERR = 2
CHILD = (sys.executable, "-m", "frugalblas.bench.child")


class StrategyDied(RuntimeError):
    """The process of a strategy ended without an answer."""


class SharedArrays:
    """Arrays in anonymous shared memory, and where a slice of one lies."""

    def __init__(self) -> None:
        """None yet."""
        self._known: list[tuple[int, Float32]] = []  # file descriptor, array

    def empty(self, shape: tuple[int, int]) -> Float32:
        """A new one. Memory of arrays that nobody holds any more is given back."""
        self._drop_unused()
        size = max(4 * shape[0] * shape[1], 1)
        fd = os.memfd_create("frugalblas bench")
        os.ftruncate(fd, size)
        array: Float32 = np.frombuffer(mmap.mmap(fd, size), dtype=np.float32).reshape(shape)
        self._known.append((fd, array))
        return array

    def place(self, array: Float32) -> tuple[str, int, tuple[int, ...]]:
        """Path of the memory, first element, shape: of a whole array or of some of its first rows."""
        for fd, whole in self._known:
            offset = array.ctypes.data - whole.ctypes.data
            if 0 <= offset < max(whole.nbytes, 1):
                return f"/proc/{os.getpid()}/fd/{fd}", offset // 4, array.shape
        raise ValueError("the array was not made by empty()")

    def _drop_unused(self) -> None:
        kept = []
        for fd, array in self._known:
            # The list, the loop's own name and getrefcount's argument.
            if sys.getrefcount(array) > 3:
                kept.append((fd, array))
            else:
                os.close(fd)
        self._known = kept

    def close(self) -> None:
        """Give back the file descriptors; arrays in use keep their memory."""
        for fd, _ in self._known:
            os.close(fd)
        self._known = []


class _Worker:
    """The process of one strategy."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # What a strategy prints must not mix with the table or the JSON: it goes to stderr. Ctrl-C reaches only us.
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=STDERR,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())

    def ask(self, *question: Any) -> Any:
        """The answer; what the strategy raised there is raised here, StrategyDied if it can raise nothing any more."""
        try:
            self._connection.send(question)
            kind, answer = self._connection.recv()
        except (EOFError, OSError):
            raise StrategyDied(f"its process ended{self._how()}") from None
        if kind == "raised":
            raise RuntimeError(answer)
        return answer

    def _how(self) -> str:
        code = self._process.wait()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f" by {signal.Signals(-code).name}"
        return f" with status {code}"

    def close(self) -> None:
        self._connection.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()


class _RemoteCall:
    """One product in the process of its strategy, timed there."""

    def __init__(self, engine: IsolatedEngine, case: Case, multiple: int, places: tuple[Any, ...]) -> None:
        self._engine, self._case, self._places, self.multiple = engine, case, places, multiple

    def __call__(self) -> None:
        self.timed(1)

    def timed(self, calls: int) -> tuple[int, float]:
        began_ns, seconds = self._engine.ask(self._case, "time", self._case, self._places, calls)
        return int(began_ns), float(seconds)


class IsolatedEngine(LocalEngine):
    """This machine, each strategy in a process of its own, for as long as that lives. The FMA peak runs in this one.

    Operands lie in shared memory and calls are timed where they run, by the clock all processes have in common.
    """

    def __init__(self, command: Sequence[str] = CHILD) -> None:
        """`command` starts a process that serves as `child` does; it gets a socket's number as its last argument."""
        super().__init__()
        self._command = command
        self._arrays = SharedArrays()
        self._workers: dict[str, _Worker] = {}

    def __enter__(self) -> IsolatedEngine:
        """Processes start when they are needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them all."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._arrays.close()

    def empty(self, shape: tuple[int, int]) -> Float32:
        """Where the processes can reach it."""
        return self._arrays.empty(shape)

    def bind(self, case: Case, A: Float32, B: Float32, out: Float32) -> _RemoteCall:
        """The arrays must be of `empty`."""
        multiple = int(dict(case.parameters).get("batch", 1))
        return _RemoteCall(self, case, multiple, tuple(self._arrays.place(array) for array in (A, B, out)))

    def ask(self, case: Case, *question: Any) -> Any:
        """Put a question to the process of a case's strategy; one that has died is started again the next time."""
        name = str(case.strategy)
        worker = self._workers.get(name) or _Worker(self._command)
        self._workers[name] = worker
        try:
            return worker.ask(*question)
        except StrategyDied:
            worker.close()
            del self._workers[name]
            raise
