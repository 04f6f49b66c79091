"""Runs a program with our BLAS preloaded, and collects what its processes wrote about their products."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import child
from . import found, libraries

if TYPE_CHECKING:
    from ..energy import Meter, Reading
    from .report import Profile

LABEL = "of the whole machine during the run, not of the products alone"


def run(command: Sequence[str], *, observe: bool, scope: str, sysfs_root: str) -> Profile:
    """Run `command` to its end. Refused or CommandError if it cannot be.

    observe: leave its products where they were, and only count them. scope and sysfs_root: see `frugalblas energy`.
    """
    library = libraries.library(libraries.OBSERVE)
    program = found.executable(command[0])
    found.refuse_program(program)
    folder = Path(tempfile.mkdtemp(prefix="frugalblas-run-"))
    try:
        environment = {
            **os.environ,
            "LD_PRELOAD": libraries.preload_value(library, os.environ.get("LD_PRELOAD")),
            "FRUGALBLAS_PROFILE": str(folder),
            "FRUGALBLAS_OBSERVE": "1" if observe else "0",
        }
        with _energy(scope, sysfs_root) as energy, child.forwarding_signals() as children:
            started = time.perf_counter()
            children.append(child.start(command, environment))
            returncode = children[0].wait()
            seconds = time.perf_counter() - started
        from . import records  # what is needed after the program loads after it
        from .report import Profile

        read = records.read(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    profile = Profile(command, observe, returncode, seconds, read, energy)
    if not profile.total.calls:
        profile.notes += found.explain(read.processes, program)
    elif observe and not all(product.forwarded for product in read.products):
        profile.notes.append("some products had no other BLAS to go to, and ran on frugalblas")
    if read.lost_calls:
        profile.notes.append(f"{read.lost_calls} calls are missing: a thread's table was full")
    return profile


@contextmanager
def _energy(scope: str, sysfs_root: str) -> Iterator[dict[str, Any]]:
    """Yields a dict that is filled at the end: the energy meanwhile, or the reason why it is not known.

    The program must not wait for modules that only find out that there is no counter: they are loaded after it.
    """
    result: dict[str, Any] = {}
    if not _counters_may_exist(sysfs_root):
        yield result
        with _meter(scope, sysfs_root) as meter:
            result["reason"] = _reason(meter) or "the machine got a counter during the run"
        return
    with _meter(scope, sysfs_root) as meter:
        with meter.region("run") as reading:
            yield result
        result.update(_figures(meter, reading))


@contextmanager
def _meter(scope: Any, sysfs_root: str) -> Iterator[Meter]:
    from ..energy import Meter, discover

    sources = discover(sysfs_root=sysfs_root)
    try:
        with Meter(scope, sources=sources, on_missing="none") as meter:
            yield meter
    finally:
        for source in sources:
            source.close()


def _figures(meter: Meter, reading: Reading) -> dict[str, Any]:
    what = {"reading": reading.as_dict(), "scope": meter.scope, "label": LABEL}
    if reading.gross is None:
        return {**what, "reason": str(reading.problem) if reading.problem else _reason(meter)}
    return {**what, "text": f"{meter.scope} energy {reading.gross}, {reading.power}: {LABEL}"}


def _reason(meter: Meter) -> str:
    """Why there is no energy; several sources often have one reason: "powercap: none; perf: none"."""
    sources: dict[str, list[str]] = {}
    for missing in meter.selection.missing:
        source, _, reason = missing.partition(": ")
        sources.setdefault(reason or missing, []).append(source)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in sources.items())


def _counters_may_exist(sysfs_root: str) -> bool:
    patterns = ("/class/powercap/*", "/bus/event_source/devices/power")
    return any(glob.glob(sysfs_root + pattern) for pattern in patterns) or any(
        os.path.exists(device) for device in ("/dev/nvidiactl", "/dev/kfd")
    )
