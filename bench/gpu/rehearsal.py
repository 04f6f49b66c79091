"""A GPU that is not there, for `--dry-run`: every line that would measure runs; what it gives is no result.

NumPy stands in for PyTorch, the strategy for the CPU for ours, the emulator for the device that records golden vectors,
and tests' library of cuBLAS for the real one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
NAME = "No GPU (rehearsal)"
# nvidia-smi for the time being: it answers like the real one, also to a field that it does not know.
SMI = """#!/bin/sh
case "$1" in
  --query-gpu=name) echo "{name}" ;;
  --query-gpu=driver_version) echo "580.00" ;;
  --query-gpu=compute_cap) echo "9.0" ;;
  --query-gpu=clocks.sm) echo "1980 MHz" ;;
  *) echo "Field is not a valid field to query."; exit 2 ;;
esac
"""


class Tensor(np.ndarray):
    """As much of a tensor as the measuring uses."""

    def to(self, dtype: object) -> "Tensor":
        return self.copy()

    def double(self) -> "Tensor":
        return self.astype(np.float64)

    def abs(self) -> "Tensor":
        return np.abs(self)

    def fill_(self, value: float) -> None:
        self[...] = value

    def copy_(self, other: "Tensor", non_blocking: bool = False) -> None:
        self[...] = other

    def data_ptr(self) -> int:
        return self.ctypes.data


class Generator:
    """Normal numbers, the same each time."""

    def __init__(self, device: str) -> None:
        assert device == "cuda"

    def manual_seed(self, seed: int) -> "Generator":
        self.random = np.random.default_rng(seed)
        return self


class Event:
    """A moment of the host's clock."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        assert self.at

    def elapsed_time(self, end: "Event") -> float:
        return max(1000 * (end.at - self.at), 1e-6)


def _randn(shape: tuple[int, int], device: str, generator: Generator) -> Tensor:
    return generator.random.standard_normal(shape).astype(np.float32).view(Tensor)


def _empty(shape: tuple[int, int], device: str = "cpu", pin_memory: bool = False) -> Tensor:
    return np.empty(shape, np.float32).view(Tensor)


def torch() -> Any:
    """Stands in for PyTorch."""
    cuda = SimpleNamespace(
        Event=Event,
        synchronize=lambda: None,
        current_stream=lambda: SimpleNamespace(cuda_stream=0),
        empty_cache=lambda: None,
        get_device_properties=lambda device: SimpleNamespace(multi_processor_count=132),
        _sleep=lambda clocks: None,
    )
    return SimpleNamespace(cuda=cuda, Generator=Generator, randn=_randn, empty=_empty, bfloat16="bf16", float16="fp16")


def frugalblas() -> Any:
    """The package, whose strategies for a GPU are one for the CPU."""
    import frugalblas as real

    def sgemm(A: Any, B: Any, *, out: Any, algo: str, precision: str) -> Any:
        assert algo in [rung.name for rung in real.algorithms() if precision in rung.precisions]
        return real.sgemm(np.asarray(A), np.asarray(B), out=np.asarray(out))

    return SimpleNamespace(sgemm=sgemm)


def energy_mj() -> float:
    """A counter that moves: 100 W."""
    return 1e5 * time.monotonic()


def cublas(folder: Path) -> str:
    """Builds the library that the tests have for cuBLAS; its path."""
    path = folder / "libcublas.so"
    source, include = ROOT / "cuda/emu/fake_cublas.cpp", ROOT / "cuda/emu"
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-O0", "-fPIC", "-shared", "-DFB_EMULATE", f"-I{include}"]
    subprocess.run([*command, str(source), "-o", str(path)], check=True)
    return str(path)


def install(folder: Path) -> None:
    """Puts an nvidia-smi of its own first on this process's PATH."""
    program = folder / "nvidia-smi"
    program.write_text(SMI.format(name=NAME), encoding="utf-8")
    program.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    assert "torch" not in sys.modules
