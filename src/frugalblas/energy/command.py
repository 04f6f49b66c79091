"""Joules of another program: runs it inside a region, and stays out of its way."""

from __future__ import annotations

from collections.abc import Sequence

from ..child import Child, CommandError, exit_status
from .meter import Meter
from .reading import Reading

__all__ = ["CommandError", "run_command"]


def run_command(command: Sequence[str], meter: Meter) -> tuple[int, Reading]:
    """Run `command` to its end in a region of `meter`; its exit status (128 + n if signal n ended it), and the reading.

    Standard input, output and error are passed on. Signals that reach this process meanwhile are passed on too; those
    of the keyboard reach the child by themselves. What the zones measure is the whole machine, not this program alone.
    Raises CommandError if it cannot be started.
    """
    with Child() as child, meter.region(command[0]) as reading:
        child.start(command)
        status = child.wait()
    return exit_status(status), reading
