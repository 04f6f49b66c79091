"""A program that is run for somebody else: streams, signals and exit status pass through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

NOT_EXECUTABLE, NOT_FOUND, SIGNALLED = 126, 127, 128  # as shells report them
FORWARDED = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT")


class CommandError(RuntimeError):
    """The program could not be started; ``status`` is what a shell would return."""

    def __init__(self, message: str, status: int) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status


def start(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `command`, in our environment if none is given. CommandError if that fails."""
    try:
        return subprocess.Popen(command, env=environment)
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]}: not found", NOT_FOUND) from error
    except OSError as error:
        raise CommandError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from error


def exit_status(returncode: int) -> int:
    """What a shell reports: 128 + n if signal n ended the program."""
    return returncode if returncode >= 0 else SIGNALLED - returncode


def end_like(returncode: int) -> int:
    """Our own exit status after a child's; if a signal ended it, we end by the same, and do not return."""
    if returncode < 0:
        import resource

        sys.stdout.flush()
        sys.stderr.flush()
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # one core is enough
        if -returncode not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -returncode)
    return exit_status(returncode)


@contextmanager
def forwarding_signals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """While in it, signals go to the first of the processes that are put into the list.

    Those of the keyboard reach a child in the foreground by themselves.
    """
    children: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        keyboard = signal.Signals(number).name in FROM_THE_KEYBOARD and _in_foreground()
        if children and not keyboard:
            children[0].send_signal(number)

    numbers = [getattr(signal, name) for name in FORWARDED]
    # What nohup or a shell's "&" has made us ignore, the child must go on ignoring: a handler of ours would undo that.
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process group, and so to the child as well."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except (OSError, ValueError):
        return False
