"""Products of host arrays: cuda/emu/fuzz_host.cpp on a runtime that is not there, and what reaches it from Python."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from checker import check
from fake_gpu import FakeCuda
from tree import ROOT

import frugalblas
from frugalblas import gpu

FILES = ("runtime.cpp", "staging.cpp", "multiply_host.cpp", "emu/fake_runtime.cpp", "emu/fuzz_host.cpp")


@pytest.mark.parametrize("flags", [["-DFB_SMALL_SLOTS"], []], ids=["exact", "model of time"])
def test_on_a_fake_runtime(tmp_path, flags):
    """Not sanitized: tests/cuda_mutants.py runs it so, and with faults."""
    if not (ROOT / "cuda/emu/fuzz_host.cpp").exists():
        pytest.skip("the source is not here (no cuda/ beside tests/): an installed package is being tested")
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C++ compiler {compiler!r} to build the fake runtime with")
    program = tmp_path / "fuzz_host"
    sources = [str(ROOT / "cuda" / file) for file in FILES]
    options = ["-std=c++20", "-O1", "-fopenmp", "-Wno-unknown-pragmas", "-DFB_EMULATE", f"-I{ROOT / 'cuda/emu'}"]
    subprocess.run([compiler, *options, *flags, *sources, "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setattr(gpu, "module", lambda: fake)
    return fake


def test_the_setting_for_threads_bounds_who_copies(cuda):
    A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    with frugalblas.num_threads(2):
        frugalblas.sgemm(A, B, algo="cuda_tiled")
    assert cuda.threads == 2
    frugalblas.sgemm(A, B, algo="cuda_tiled")
    assert cuda.threads == frugalblas.get_num_threads()


def test_half_precision_of_the_host_comes_with_its_type(cuda):
    A, B = (np.full(shape, 1.5, np.float16) for shape in ((3, 4), (4, 5)))
    C = frugalblas.sgemm(A, B, algo="cuda_wmma", precision="fp16")
    check(C, A.astype(np.float32), B.astype(np.float32))


def test_free_workspace_frees_what_the_gpu_part_keeps(monkeypatch):
    freed = []
    monkeypatch.setitem(sys.modules, "frugalblas._cuda", FakeCuda())
    monkeypatch.setattr(FakeCuda, "free_workspace", lambda self: freed.append(self))
    frugalblas.free_workspace()
    assert len(freed) == 1
    monkeypatch.delitem(sys.modules, "frugalblas._cuda")
    frugalblas.free_workspace()  # not loaded, and not for this
    assert "frugalblas._cuda" not in sys.modules


@pytest.mark.skipif(gpu.module() is None, reason="built without CUDA")
def test_without_a_gpu_nothing_is_kept_and_nothing_freed():
    module = gpu.module()
    module.free_workspace()
    A = np.ones((2, 2), np.float32)
    lies = (A.ctypes.data, 2, False, 0)
    if module.status()["error"]:
        with pytest.raises(RuntimeError, match=r"GPU: .*cuda"):
            module.multiply_host("cuda_naive", 2, 2, 2, lies, lies, lies[:2], 1.0, 0.0, 0, 0, 0, 1)
