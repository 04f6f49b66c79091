"""Where NVIDIA's cuBLAS is on this machine: it is found at run time, and never needed.

libcublasLt is always opened first and from the same folder: left to itself, libcublas may pick up another version's.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

MAJORS = (13, 12)  # versions of CUDA whose library has the functions used, the newest first


class Candidate(NamedTuple):
    """One place to try."""

    origin: str
    """Who named it, for messages."""
    lt: str
    """libcublasLt that goes with it; empty: the dynamic loader finds one."""
    path: str
    """A file, or a name that the dynamic loader knows."""


def _beside(origin: str, path: str) -> Candidate:
    lt = Path(path).with_name(Path(path).name.replace("libcublas.so", "libcublasLt.so"))
    return Candidate(origin, str(lt) if lt.exists() else "", path)


def _from_pathfinder() -> list[Candidate]:
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
    except ImportError:
        return []
    try:
        found = [pathfinder.load_nvidia_dynamic_lib(name).abs_path for name in ("cublasLt", "cublas")]
    except Exception:  # its errors are many, and each means: it knows of none
        return []
    return [Candidate("cuda-pathfinder", *(str(path) for path in found))] if all(found) else []


def _from_process() -> list[Candidate]:
    """What this process has loaded already: PyTorch's copy, for one."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/libcublas.so" in line}
    return [_beside("already loaded", path) for path in sorted(paths)]


def _from_wheels() -> list[Candidate]:
    patterns = [f"nvidia/{folder}/lib/libcublas.so.{major}" for major in MAJORS for folder in (f"cu{major}", "cublas")]
    found = [path for pattern in patterns for folder in sys.path if folder for path in Path(folder).glob(pattern)]
    return [_beside("site-packages", str(path)) for path in found]


def candidates() -> list[Candidate]:
    """All places to try, in order."""
    system = [Candidate("the system", f"libcublasLt.so.{major}", f"libcublas.so.{major}") for major in MAJORS]
    return [*_from_pathfinder(), *_from_process(), *_from_wheels(), *system]


def load(cuda: ModuleType) -> str | None:
    """Opens the first library that will; None, or why there is none and what to do."""
    if cuda.cublas()[0]:
        return None
    tried = []
    for candidate in candidates():
        error = cuda.load_cublas(candidate.lt, candidate.path)
        if not error:
            return None
        tried.append(f"{candidate.path} ({candidate.origin}): {error}")
    return f"no cuBLAS was found; install one with: pip install 'frugalblas[cublas]'. Tried {'; '.join(tried)}"
