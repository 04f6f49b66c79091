"""A program that is run for somebody else: streams, signals and exit status pass through.

The program waits for what is imported here, so that is little: `subprocess` alone would take ten milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # what the module typing defines, without importing it
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType, TracebackType
    from typing import Any

NOT_EXECUTABLE, NOT_FOUND, SIGNALLED = 126, 127, 128  # as shells report them
FORWARDED = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT")


class CommandError(RuntimeError):
    """The program could not be started; ``status`` is what a shell would return."""

    def __init__(self, message: str, status: int) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status


class Child:
    """A program from its start to its end, and signals that we get meanwhile are sent on to it.

    A context manager: signals are sent on within the block, and `start` and `wait` belong into it.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._pid: int | None = None
        self._before: dict[int, Any] = {}

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start `command`, in our environment if none is given. CommandError if that fails."""
        # Python ignores these; a program expects them as they are by default.
        as_usual = [signal.SIGPIPE, signal.SIGXFSZ]
        try:
            self._pid = os.posix_spawnp(command[0], list(command), environment or os.environ, setsigdef=as_usual)
        except FileNotFoundError as error:
            raise CommandError(f"{command[0]}: not found", NOT_FOUND) from error
        except OSError as error:
            raise CommandError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from error

    def wait(self) -> int:
        """Its exit status at its end, or minus the signal that ended it."""
        assert self._pid is not None
        pid = self._pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self._pid = None  # before its number may become another's
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        keyboard = signal.Signals(number).name in FROM_THE_KEYBOARD and _in_foreground()
        if self._pid is not None and not keyboard:
            os.kill(self._pid, number)

    def __enter__(self) -> Child:
        """From here on signals are sent on. Those of the keyboard reach a child in the foreground by themselves."""
        numbers = [getattr(signal, name) for name in FORWARDED]
        # What nohup or a shell's "&" has made us ignore, the child must go on ignoring: our handler would undo that.
        numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._forward) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Signals are ours again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


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


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process group, and so to the child as well."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except (OSError, ValueError):
        return False
