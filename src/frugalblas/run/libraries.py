"""The libraries and files that the package brings for other programs, and what they can run in."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `frugalblas run` has a program wait for what is imported here
if TYPE_CHECKING:
    from pathlib import Path

BLAS, OBSERVE, CORE = "libfrugalblas_blas.so", "libfrugalblas_observe.so", "libfrugalblas.so"
PROVIDER = "blas_provider/libblas.so.3"


class Refused(Exception):
    """What was asked for cannot work here; the message says why."""


def folder() -> Path:
    """Where the compiled half of the package is, beside which everything else lies."""
    from pathlib import Path

    return Path(_folder())


def _folder() -> str:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.exists(os.path.join(package, CORE)):
        return package
    from importlib.util import find_spec  # an editable installation has the two halves in two places

    spec = find_spec("frugalblas._core")
    if spec is None or spec.origin is None:
        raise Refused("the compiled half of frugalblas is not installed; reinstall the package")
    return os.path.dirname(spec.origin)


def path(name: str) -> str:
    """The path of one of our libraries. Refused if it cannot be preloaded here, or is not installed."""
    refuse_platform()
    file = os.path.join(_folder(), name)
    if not os.path.isfile(file):
        raise Refused(f"{file} is missing; reinstall the package")
    return file


def refuse_platform(platform: str = sys.platform, confstr: str | None = None) -> None:
    """Refused where a library cannot be preloaded, or not this one."""
    if platform == "darwin":
        raise Refused("macOS cannot preload this library: its NumPy calls Accelerate, which nothing can stand in for")
    if platform != "linux":
        raise Refused(f"preloading needs Linux with glibc; this is {platform}")
    if not (_libc() if confstr is None else confstr).startswith("glibc"):
        raise Refused("preloading needs glibc; this Python runs on another C library (musl?), which loads it otherwise")


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


def preload_value(path: Path | str, before: str | None) -> str:
    """LD_PRELOAD with `path` in front of what it was. Refused if the path cannot be written there."""
    if any(character in str(path) for character in ": "):
        raise Refused(f"LD_PRELOAD cannot hold a path with a space or a colon: {path}; install frugalblas elsewhere")
    return f"{path}:{before}" if before else str(path)
