"""Why a run shows no product: what stood in the way, and what was found instead."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import elf
from .families import module
from .libraries import Refused

if TYPE_CHECKING:
    from .records import Process

# The names of cpp/blas_abi.cpp.
_ROUTINES, _PREFIXES = ("sgemm", "sgemv", "ssyrk"), ("", "scipy_")
NAMES = (
    *(f"{prefix}{routine}{end}" for routine in _ROUTINES for prefix in _PREFIXES for end in ("_", "_64_")),
    *(f"{prefix}cblas_{routine}{end}" for routine in _ROUTINES for prefix in _PREFIXES for end in ("", "64_")),
    *(f"cblas_{routine}_64" for routine in _ROUTINES),
    "cblas_sgemm_batch",
)
# Libraries whose file name says that they multiply matrices.
MULTIPLIES = re.compile(r"blas|blis|mkl|lapack|atlas|flame|dnnl|accelerate|eigen|xla|ggml|_cython_blas|(^|/)cy\.", re.I)


def executable(command: str) -> Path | None:
    """The file that `command` starts; of a script, its interpreter."""
    path = shutil.which(command)
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            first = file.readline(512)
    except OSError:
        return Path(path)
    if first.startswith(b"#!"):
        words = first[2:].decode(errors="replace").split()
        if words and os.path.basename(words[0]) == "env" and len(words) > 1:
            words = words[1:]
        interpreter = shutil.which(words[0]) if words else None
        return Path(interpreter) if interpreter else None
    return Path(path)


def refuse_program(program: Path | None) -> None:
    """Refused if preloading would keep `program` from starting: musl's loader stops at a library of glibc's."""
    found = elf.read(program) if program else None
    if found and found.interpreter and "musl" in found.interpreter:
        raise Refused(f"{program} runs on musl ({found.interpreter}); this library needs glibc and cannot be preloaded")


def obstacle(program: Path | None) -> str | None:
    """Why the library was not loaded into `program`; None if nothing speaks against it."""
    found = elf.read(program) if program else None
    if program is None or found is None:
        return None
    if found.bits == 32:
        return f"{program} is a 32-bit program; the library is for 64 bits"
    if found.interpreter is None:
        return f"{program} is statically linked: nothing can be preloaded into it, and its BLAS, if any, is inside it"
    if os.stat(program).st_mode & 0o6000:
        return f"{program} is set-user-ID or set-group-ID: the loader ignores LD_PRELOAD"
    return None


def explain(processes: Sequence[Process], program: Path | str) -> list[str]:
    """Sentences about a run without products."""
    if not processes:
        why = obstacle(executable(str(program))) or "the program ended before it could be, or cleared LD_PRELOAD"
        return [f"the library was not loaded: {why}"]
    lost = sorted({process.lost for process in processes if process.lost})
    if lost:
        return [f"the profile was lost: {reason}" for reason in lost]
    loaded = sorted({path for process in processes for path in process.loaded if "/libfrugalblas" not in path})
    if not loaded:
        return ["no product was made by a name that can be replaced, and no process ended by itself to say what it had"]
    return _libraries(loaded, sorted({process.program for process in processes if process.program}))


def _libraries(loaded: Sequence[str], programs: Sequence[str]) -> list[str]:
    callers, hidden, others = [], [], []
    for path in [*programs, *loaded]:
        found = elf.read(path, NAMES)
        if found is None:
            continue
        if called := found.imports | (found.calls if not found.symbolic else frozenset()):
            callers.append(f"{module(path)} ({', '.join(sorted(called))})")
        elif found.defines and found.symbolic:
            hidden.append(f"{path} (linked with -Bsymbolic: its {', '.join(sorted(found.defines))} cannot be replaced)")
        elif not found.defines and MULTIPLIES.search(os.path.basename(path)):
            others.append(path)
    lines = []
    if callers:
        lines.append(f"no float32 product was made; these could have made one: {', '.join(callers)}")
    else:
        lines.append("nothing in this program calls BLAS by a name that can be replaced")
    if hidden or others:
        lines.append("found instead, out of reach: " + "; ".join([*hidden, *others]))
    return lines
