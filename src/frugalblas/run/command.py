"""Runs a program with our BLAS preloaded, and collects what its processes wrote about their products.

The program waits for what is imported here; what only its end needs is imported there.
"""

from __future__ import annotations

import os
import sys
import time

from .. import child
from . import libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .energy import MachineEnergy
    from .report import Profile

EVENTS = ("energy-pkg", "energy-cores", "energy-ram", "energy-gpu")


def run(command: Sequence[str], *, observe: bool, scope: str, sysfs_root: str) -> Profile:
    """Run `command` to its end. Refused or CommandError if it cannot be.

    observe: leave its products where they were, and only count them. scope and sysfs_root: see `frugalblas energy`.
    """
    library = libraries.path(libraries.OBSERVE)
    program = None if command[0] == sys.executable else _checked(command[0])
    preload = libraries.preload_value(library, os.environ.get("LD_PRELOAD"))
    folder = _scratch_folder()
    try:
        environment = {
            **os.environ,
            "LD_PRELOAD": preload,
            "FRUGALBLAS_PROFILE": folder,
            "FRUGALBLAS_OBSERVE": "1" if observe else "0",
        }
        counters = _counters(scope, sysfs_root)
        try:
            with child.Child() as running:
                started = time.perf_counter()
                running.start(command, environment)
                returncode = running.wait()
                seconds = time.perf_counter() - started
        finally:
            energy = counters.end() if counters else {}
        from . import records

        read = records.read(folder)
    finally:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    if not counters:
        from .energy import unavailable

        energy = unavailable(scope, sysfs_root)
    from .report import Profile

    profile = Profile(command, observe, returncode, seconds, read, energy)
    profile.notes += _notes(profile, program or command[0])
    return profile


def _notes(profile: Profile, program: Path | str) -> list[str]:
    from . import found

    notes = []
    if not profile.total.calls:
        notes += found.explain(profile.records.processes, program)
    elif profile.observed_only and not all(product.forwarded for product in profile.records.products):
        notes.append("some products had no other BLAS to go to, and ran on frugalblas")
    if profile.records.lost_calls:
        notes.append(f"{profile.records.lost_calls} calls are missing: a thread's table was full")
    return notes


def _checked(word: str) -> Path | None:
    """The file that `word` starts. Refused if the library would keep it from starting."""
    from . import found

    program = found.executable(word)
    found.refuse_program(program)
    return program


def _scratch_folder() -> str:
    """A new folder, as tempfile.mkdtemp makes it, which takes longer to import than everything here."""
    name = f"frugalblas-run-{os.urandom(8).hex()}"
    for parent in (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp", "/usr/tmp", os.curdir):
        if not parent:
            continue
        try:
            folder = os.path.join(os.path.abspath(parent), name)
            os.mkdir(folder, 0o700)
        except OSError:
            continue
        return folder
    raise libraries.Refused("no folder for temporary files can be written to; set TMPDIR to one")


def _counters(scope: str, sysfs_root: str) -> MachineEnergy | None:
    """Counts from here on, if there may be counters. If not, the program need not wait for finding that out."""
    # A hypervisor may show the event of the whole machine alone, which says nothing of a CPU.
    events = EVENTS if scope.startswith("cpu") else (*EVENTS, "energy-psys")
    devices = [f"{sysfs_root}/bus/event_source/devices/power/events/{event}" for event in events]
    powercap = f"{sysfs_root}/class/powercap"
    zones = os.listdir(powercap) if os.path.isdir(powercap) else []
    if not zones and not any(map(os.path.exists, [*devices, "/dev/nvidiactl", "/dev/kfd"])):
        return None
    from .energy import MachineEnergy

    return MachineEnergy(scope, sysfs_root)
