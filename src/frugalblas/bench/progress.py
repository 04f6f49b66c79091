"""What a person sees on stderr while a run goes on."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

REDRAW_SECONDS = 0.2


class Progress(Protocol):
    """Told by the runner what it does."""

    def whole(self, seconds: float) -> None:
        """The whole run is expected to take `seconds` more."""

    def begin(self, phase: str, seconds: float) -> None:
        """A new phase, expected to take about `seconds`."""

    def advance(self, what: str, seconds: float) -> None:
        """`what` is about to run, expected to take `seconds` of the phase."""

    def close(self) -> None:
        """Nothing more will come."""


class SilentProgress:
    """Says nothing."""

    def whole(self, seconds: float) -> None:
        """Say nothing."""

    def begin(self, phase: str, seconds: float) -> None:
        """Say nothing."""

    def advance(self, what: str, seconds: float) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class PlainProgress(SilentProgress):
    """One line per phase, for logs and for terminals without rich."""

    def __init__(self, stream: TextIO) -> None:
        """Print to `stream`."""
        self._stream = stream
        self._left = ""

    def whole(self, seconds: float) -> None:
        """For the next phase."""
        self._left = f"; at most {seconds:.0f} s left in all"

    def begin(self, phase: str, seconds: float) -> None:
        """Print the phase, with its length if it is worth waiting for."""
        about = f", about {seconds:.0f} s" if seconds >= 1 else ""
        about, self._left = about + self._left, ""
        print(f"{phase}{about}", file=self._stream, flush=True)


class RichProgress:
    """A bar with the time left in the phase and what is running now; it clears itself at the end."""

    def __init__(self, stream: TextIO) -> None:
        """Raise ImportError without rich."""
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=20),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[left]}", markup=False),
            progress.TextColumn("{task.fields[what]}", markup=False),
        )
        # No refreshing thread: it would take its time from the strategies being measured.
        self._bar = progress.Progress(*columns, console=Console(file=stream), transient=True, auto_refresh=False)
        self._task = self._bar.add_task("", total=None, what="", left="")
        self._running_seconds = 0.0
        self._drawn = 0.0
        self._left = ""
        self._bar.start()

    def whole(self, seconds: float) -> None:
        """Beside the bar."""
        minutes, rest = divmod(round(seconds), 60)
        self._left = f"(all: {minutes}:{rest:02})"

    def begin(self, phase: str, seconds: float) -> None:
        """Start the bar anew."""
        self._running_seconds = 0.0
        self._bar.reset(self._task, total=max(seconds, 1e-9), description=phase, what="", left=self._left)
        self._bar.refresh()

    def advance(self, what: str, seconds: float) -> None:
        """The step before is done; this one runs now."""
        self._bar.update(self._task, advance=self._running_seconds, what=what)
        self._running_seconds = seconds
        if time.monotonic() - self._drawn > REDRAW_SECONDS or seconds > REDRAW_SECONDS:
            self._bar.refresh()
            self._drawn = time.monotonic()

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.stop()


def for_stream(stream: TextIO | None = None) -> Progress:
    """A bar on a terminal with rich, plain lines everywhere else."""
    stream = sys.stderr if stream is None else stream
    if stream.isatty():
        try:
            return RichProgress(stream)
        except ImportError:
            pass
    return PlainProgress(stream)
