"""bench/gpu/run_all.py and the page it fills, rehearsed without a GPU: it must not waste one's time on a typo."""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys

import pytest
from tree import ROOT, bench_gpu

PROGRAM = ROOT / "bench" / "gpu" / "run_all.py"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _source():
    if not PROGRAM.exists():
        pytest.skip("the source is not here (no bench/ beside tests/): an installed package is being tested")
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler to build the stand-in of cuBLAS with")


def rehearse(folder, *words):
    return subprocess.run(
        [sys.executable, PROGRAM, "--dry-run", folder, *words], capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """A folder with the results of a rehearsal."""
    folder = tmp_path_factory.mktemp("rehearsal")
    done = rehearse(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_rehearsal_does_everything(rehearsed):
    result = json.loads((rehearsed / "rehearsal.json").read_text(encoding="utf-8"))
    assert result["rehearsal"] is True
    assert result["failed"] == []
    assert {name: step["ok"] for name, step in result["steps"].items()} == dict.fromkeys(
        ("build", "correctness", "golden", "sanitizer"), True
    )
    command = result["steps"]["build"]["command"]
    assert {"--no-build-isolation", "--no-index", "-Ccmake.define.CMAKE_CUDA_ARCHITECTURES=90-real"} < {*command}
    assert result["device"]["name"] == "No GPU (rehearsal)"
    assert result["device"]["power.limit"] is None  # nvidia-smi does not know every field everywhere
    recorded = (rehearsed / "golden" / result["steps"]["golden"]["file"]).read_text(encoding="utf-8")
    assert recorded.startswith("frugalblas golden vectors 1\ndevice the emulator\n")
    kinds = {(case["algo"], case["precision"]) for case in result["cases"]}
    assert {("cuda_naive", "fp32"), ("cuda_tiled", "fp32"), ("cuda_wmma", "bf16"), ("cuda_wmma", "tf32")} < kinds
    for case in result["cases"]:
        assert case["error_u"]["cublas"] <= 1.01 * case["K"]  # float32's bound: K*u / (1 - K*u)
        assert all(value > 0 and math.isfinite(value) for value in case["tflops"].values())
        assert set(case["joules_per_call"]) == {case["algo"], "cublas"}
    assert {entry["n"] for entry in result["passthrough"]} == {8, 32, 64}
    assert all(entry["error_u"] <= 1.01 * entry["n"] for entry in result["passthrough"])  # of the call through ctypes
    assert [sorted(entry["tflops"]) for entry in result["host"]] == [["cublas", "cuda_tiled", "cuda_wmma"]] * 3


def test_a_run_goes_on_where_it_was_cut_short(rehearsed, tmp_path):
    result = json.loads((rehearsed / "rehearsal.json").read_text(encoding="utf-8"))
    lost = result["cases"].pop()
    kept = [case["kernel_ms"] for case in result["cases"]]
    result["steps"]["sanitizer"]["ok"] = False
    (tmp_path / "rehearsal.json").write_text(json.dumps(result), encoding="utf-8")
    done = rehearse(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "build" not in done.stdout
    assert "sanitizer: ok" in done.stdout
    again = json.loads((tmp_path / "rehearsal.json").read_text(encoding="utf-8"))["cases"]
    assert [case["kernel_ms"] for case in again[:-1]] == kept
    assert all(again[-1][key] == lost[key] for key in ("algo", "precision", "M", "N", "K"))


def test_a_run_of_another_commit_starts_anew(tmp_path):
    def run(commit, fresh=False):
        return bench_gpu("results").Run(tmp_path / "run.json", {"commit": commit}, ["cases"], fresh, minutes=1)

    first = run("0123abc")
    first.measure("cases", {"n": 1}, lambda: {"n": 1})
    assert [len(run(commit).result["cases"]) for commit in ("0123abc", "4567def")] == [1, 0]
    assert run("0123abc", fresh=True).result["cases"] == []


def test_the_commit_is_git_s_or_else_the_caller_s(monkeypatch, tmp_path):
    steps = bench_gpu("steps")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("PATH", str(tmp_path))  # without git
    told = steps.environment("0123abc")
    assert (told["commit"], told["unset"]) == ("0123abc", {"NVIDIA_TF32_OVERRIDE": "1"})
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    (tmp_path / "git").write_text("#!/bin/sh\necho 4567def\n", encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    assert steps.environment("0123abc")["commit"] == "4567def"


@pytest.fixture
def bench():
    """The measuring, of calls that cost 0.1 J each, seen by a counter that moves with every tenth."""
    made = bench_gpu("measure").Bench(bench_gpu("rehearsal").torch(), None, lambda: 1000.0 * (made.calls // 10))
    made.calls, made.sample_ms, made.energy_seconds = 0, 0.01, 0.0
    return made


def test_joules_are_counted_from_one_move_of_the_counter_to_another(bench):
    def call(i):
        bench.calls += 1

    assert bench.joules(call, 1) == pytest.approx(0.1)
    bench.calls = 7
    assert bench.joules(call, 5) == pytest.approx(0.1)


def test_of_slow_calls_there_are_fewer_samples(bench, monkeypatch):
    calls = {"one": lambda i: None, "other": lambda i: None}
    measure = bench_gpu("measure")
    assert {len(found) for found in bench.interleaved(calls, lambda *_: 1.0).values()} == {measure.SAMPLES}
    monkeypatch.setattr(measure, "SLOW_SECONDS", -1.0)
    assert {len(found) for found in bench.interleaved(calls, lambda *_: 1.0).values()} == {measure.FEWEST_SAMPLES}


def test_without_a_gpu_it_says_so(tmp_path):
    empty = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, env=empty)
    assert (done.returncode, done.stderr) == (2, "no GPU: nvidia-smi is not there or lists none\n")


def test_the_page_takes_results_but_no_rehearsal(rehearsed):
    page = load(ROOT / "docs" / "make_gpu.py")
    result = json.loads((rehearsed / "rehearsal.json").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="a rehearsal is no measurement"):
        page.tables([result])
    del result["rehearsal"]
    for case in result["cases"]:
        if case["M"] == case["N"] == case["K"] == 32:
            case.update(M=4096, N=4096, K=4096)
    text = page.tables([result])
    assert "## No GPU (rehearsal)" in text
    row = next(line for line in text.splitlines() if line.startswith("| `cuda_tiled` | fp32 | 0.75"))
    assert row.count("not measured yet") == 1  # at 8192
    assert "not measured yet" in page.tables([])


def test_the_page_is_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_gpu.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
