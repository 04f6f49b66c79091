"""The JSON of a run: where it was measured, with which libraries, and every round."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .figures import Result

SCHEMA = "frugalblas-peers/1"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def new() -> Result:
    """A result without cells yet."""
    from frugalblas import _core
    from frugalblas.bench.machine import source

    cpu = {name: value for name, value in _core.cpu().items() if isinstance(value, (int, float, str))}
    return {
        "schema": SCHEMA,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "cpu": _cpu_model(), "cpus": len(os.sched_getaffinity(0)), "found": cpu,
            "system": platform.platform(), "python": platform.python_version(), "compiler": _core.compiler,
        },
        "source": source(),
        "numpy": importlib.metadata.version("numpy"),
        "libraries": {}, "missing": {}, "idle_shares": {}, "cells": [], "call_cost": [],
    }  # fmt: skip


def _rounded(value: Any) -> Any:
    """Numbers to five digits: finer than any clock repeats, and a third of the file."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def save(result: Result, path: Path) -> None:
    """Write a run, one line per cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = {name: value for name, value in result.items() if name != "cells"}
    cells = ",\n".join(json.dumps(_rounded(cell), separators=(",", ":")) for cell in result["cells"])
    head = json.dumps(_rounded(rest), indent=1)[:-2]
    path.write_text(f'{head},\n "cells": [\n{cells}\n]}}\n', encoding="utf-8")


def load_runs(paths: Iterable[Path]) -> list[Result]:
    """Runs to be merged; ValueError if their operands lay in different places."""
    runs = [load(path) for path in paths]
    if len({run.get("operands_behind_page") for run in runs}) > 1:
        raise ValueError("not merged: in some of these runs operands lie elsewhere (--aligned, or an earlier version)")
    return runs


def load(path: Path) -> Result:
    """A written run; ValueError for a file of another kind."""
    result: Any = json.loads(path.read_text(encoding="utf-8"))
    found = result.get("schema") if isinstance(result, dict) else None
    if found != SCHEMA:
        raise ValueError(f"{path}: schema {found!r}, expected {SCHEMA!r}: written by another version of bench/peers.py")
    return result
