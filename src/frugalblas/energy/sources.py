"""Finding what can be read here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal

from .amdsmi import AmdSmi
from .nvml import Nvml
from .perf import PerfEvent
from .powercap import Powercap
from .zones import Source


def discover(
    *,
    sysfs_root: str | os.PathLike[str] = "/sys",
    proc_root: str | os.PathLike[str] | None = None,
    nvml: Any | Literal["auto"] | bool = "auto",
    amdsmi: Any | Literal["auto"] | bool = "auto",
    open_fn: Callable[..., Any] = open,
    perf: Any = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> list[Source]:
    """All sources of this machine, each with its zones or with the reason why it has none. Nothing is measured yet.

    Args:
        sysfs_root: read another tree than ``/sys``: a bind mount of the host's, or a fake.
        proc_root: None: ``<sysfs_root>/proc`` if there is one, else ``/proc``.
        nvml, amdsmi: ``"auto"`` and True look for GPUs (True: a missing binding is an ImportError); False does not; an
            object stands in for the vendor's Python module.
        open_fn, perf, clock: stand-ins for ``open``, for perf_event_open(2) and for the monotonic clock.
    """
    root = os.fspath(sysfs_root)
    proc = os.fspath(proc_root) if proc_root is not None else _proc_of(root)
    sources: list[Source] = [
        Powercap(root, proc, open_fn=open_fn, clock=clock),
        PerfEvent(root, proc, kernel=perf, clock=clock),
    ]
    real = os.path.abspath(root) == "/sys"  # a fake tree says nothing about this machine's GPUs
    if nvml is not False and (real or nvml != "auto"):
        sources.append(Nvml(nvml, clock=clock))
    if amdsmi is not False and (real or amdsmi != "auto"):
        sources.append(AmdSmi(amdsmi, clock=clock))
    return sources


def _proc_of(root: str) -> str:
    inside = os.path.join(root, "proc")
    return inside if os.path.isdir(inside) else "/proc"
