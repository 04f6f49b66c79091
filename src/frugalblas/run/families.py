"""Whose product it was, from the path of the library that made the call."""

from __future__ import annotations

from pathlib import PurePath

PACKAGES = ("site-packages", "dist-packages")
UNKNOWN = "unknown"


def module(library: str) -> str:
    """The library as Python would name it, ``scipy.linalg._fblas``, or its file name, ``libarmadillo.so.11``."""
    parts = PurePath(library).parts
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] in PACKAGES and i + 1 < len(parts):
            return ".".join([*parts[i + 1 : -1], parts[-1].split(".")[0]])  # without .cpython-311-x86_64-linux-gnu.so
    return parts[-1] if parts else UNKNOWN


def family(library: str) -> str:
    """Its package: ``numpy``, ``scipy``, ``torch``; the file name for what is in none."""
    name = module(library)
    parts = PurePath(library).parts
    return name.split(".")[0] if any(part in PACKAGES for part in parts) else name
