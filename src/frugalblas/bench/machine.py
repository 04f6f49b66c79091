"""Where a run took place: source commit, memory, load."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .schema import Source


def source_commit(file: str = __file__) -> Source:
    """The commit of the git checkout that tracks `file`; None for an installed copy, or without git."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(file).resolve().parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # A virtual environment may lie inside somebody else's checkout: only a tracked file belongs to its commit.
    if git("ls-files", "--error-unmatch", Path(file).name) is None:
        return {"commit": None, "modified": None}
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if status is None else bool(status)}


def source() -> Source:
    """The commit of the checkout that is running, else the one the extension was built from."""
    from frugalblas import _core  # deferred: showing a kept result needs no compiled core

    running = source_commit()
    if running["commit"] is not None or not _core.commit:
        return running
    return {"commit": _core.commit.rstrip("+"), "modified": _core.commit.endswith("+")}


def available_bytes() -> int | None:
    """Memory that new matrices may take without swapping, None where the kernel does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def load_average() -> list[float]:
    """Runnable processes averaged over the last minute, in a list of one; empty where unknown."""
    try:
        return [os.getloadavg()[0]]
    except OSError:
        return []
