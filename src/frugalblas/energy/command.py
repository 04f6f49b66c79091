"""Joules of another program: runs it inside a region, and stays out of its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from .meter import Meter
from .reading import Reading

NOT_EXECUTABLE, NOT_FOUND, SIGNALLED = 126, 127, 128  # as shells report them
FORWARDED = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT")


class CommandError(RuntimeError):
    """The program could not be started; ``status`` is what a shell would return."""

    def __init__(self, message: str, status: int) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status


def run_command(command: Sequence[str], meter: Meter) -> tuple[int, Reading]:
    """Run `command` to its end in a region of `meter`; its exit status (128 + n if signal n ended it), and the reading.

    Standard input, output and error are passed on. Signals that reach this process meanwhile are passed on too; those
    of the keyboard reach the child by themselves. What the zones measure is the whole machine, not this program alone.
    Raises CommandError if it cannot be started.
    """
    child: list[subprocess.Popen[bytes]] = []
    with _forwarding(child), meter.region(command[0]) as reading:
        try:
            child.append(subprocess.Popen(command))
        except FileNotFoundError as error:
            raise CommandError(f"{command[0]}: not found", NOT_FOUND) from error
        except OSError as error:
            raise CommandError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from error
        status = child[0].wait()
    return (status if status >= 0 else SIGNALLED - status), reading


@contextmanager
def _forwarding(child: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    def forward(number: int, _frame: FrameType | None) -> None:
        keyboard = signal.Signals(number).name in FROM_THE_KEYBOARD and _in_foreground()
        if child and not keyboard:
            child[0].send_signal(number)

    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process group, and so to the child as well."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except (OSError, ValueError):
        return False
