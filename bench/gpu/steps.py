"""What comes before and after the measuring: each step returns a dict for the results, whose "ok" says if it passed."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "cuda" / "golden"
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
Step = dict[str, Any]
# They change what "fp32" means to cuBLAS.
DECIDE_PRECISION = re.compile(r"NVIDIA_TF32_OVERRIDE|CUBLAS_EMULAT\w*")


def _run(command: Sequence[object], seconds: float, **rest: Any) -> Step:
    """Runs a program; its exit status, time, and the end of what it said. Never raises for what it does."""
    started = time.monotonic()
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds, **rest)
        said, code = (done.stdout + done.stderr)[-2000:], done.returncode
    except subprocess.TimeoutExpired:
        said, code = f"no end after {seconds:.0f} s", -1
    except OSError as error:
        said, code = str(error), -1
    return {"ok": code == 0, "seconds": round(time.monotonic() - started, 2), **({"tail": said} if code else {})}


def load_module(path: Path) -> ModuleType:
    """A file of Python that stands alone, without the package around it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def query(field: str) -> str | None:
    """One field of the first GPU, from nvidia-smi; None if it is not there or does not know it."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None


def device() -> dict[str, str | None]:
    """What is measured, in nvidia-smi's words, and its clocks now."""
    fields = ("name", "driver_version", "compute_cap", "clocks.sm", "clocks.mem", "power.limit", "temperature.gpu")
    return {field: query(field) for field in fields}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def environment(commit: str | None) -> dict[str, Any]:
    """Versions, the commit, and variables that decide about precision, which are unset: before cuBLAS is loaded.

    commit: what it is where git cannot be asked; git's own word goes first.
    """
    unset = {name: os.environ.pop(name) for name in list(os.environ) if DECIDE_PRECISION.match(name)}
    with contextlib.suppress(OSError):  # no git here
        git = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
        commit = git.stdout.strip() or commit
    versions = {name: _version(name) for name in ("torch", "numpy", "nvidia-ml-py")}
    return {"commit": commit, "python": sys.version.split()[0], "versions": versions, "unset": unset}


def slug(name: str) -> str:
    """A device's name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def build_command(capability: str) -> list[str]:
    """Installs the project with its CUDA part for this GPU, without the network and without the compiler-flag study."""
    options = {
        "FRUGALBLAS_CUDA": "ON",
        "FRUGALBLAS_STUDY": "OFF",
        "CMAKE_CUDA_ARCHITECTURES": f"{capability.replace('.', '')}-real",
    }
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", str(ROOT)]
    return pip + [f"-Ccmake.define.{name}={value}" for name, value in options.items()]


def build(capability: str) -> Step:
    """The project, installed; what it says of the GPU then."""
    found = _run(build_command(capability), 400)
    if not found["ok"]:
        return found
    code = "import frugalblas, json; print(json.dumps(frugalblas.info()['cuda']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    told = json.loads(done.stdout) if done.returncode == 0 else {"reason": done.stderr[-2000:]}
    return {**found, "ok": told["reason"] is None, "cuda": told}


CORRECTNESS = """
import frugalblas, json
shapes = [dict(M=96, N=80, K=1024), dict(M=257, N=131, K=70), dict(M=20, N=24, K=4096), dict(M=1, N=515, K=518)]
told = {f"{rung.name} {precision} {s['M']}x{s['N']}x{s['K']}": frugalblas.accuracy(rung.name, precision, **s)
        for rung in frugalblas.algorithms() if rung.device == "cuda" and rung.available
        for precision in rung.precisions for s in shapes}
print(json.dumps(told))
"""


def correctness() -> Step:
    """accuracy() of every rung in every precision, against float64 and the published bound, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", CORRECTNESS], capture_output=True, text=True, cwd="/", timeout=200)
    if done.returncode:
        return {"ok": False, "tail": done.stderr[-2000:]}
    told = json.loads(done.stdout)
    errors = [
        f"{rung}, {family}: {found['max_error_u']} u, bound {found['bound_u']} u"
        for rung, families in told.items()
        for family, found in families.items()
        if found["bound_u"] is not None and not found["max_error_u"] <= found["bound_u"]
    ]
    finite = json.loads(done.stdout, parse_constant=lambda _: None)  # JSON has neither NaN nor infinity
    return {"ok": not errors, "errors": errors, "accuracy": finite}


SANITIZED = """
import frugalblas, numpy as np
for M, N, K in (131, 261, 70), (20, 24, 1100):
    A, B = np.ones((M, K), np.float32), np.ones((K, N), np.float32)
    for rung in frugalblas.algorithms():
        if rung.kind == "cuda":
            for precision in rung.precisions:
                how = {"algo": rung.name, "precision": precision}
                frugalblas.sgemm(A, B, **how)
                frugalblas.sgemm(A.T.copy(), B.T.copy(), trans_a=True, trans_b=True, **how)
"""


def sanitizer() -> Step:
    """compute-sanitizer's four tools on small ragged shapes, side by side; left out where it is not installed."""
    if shutil.which("compute-sanitizer") is None:
        return {"ok": True, "skipped": "compute-sanitizer is not on PATH"}

    def check(tool: str) -> Step:
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", SANITIZED]
        return _run(command, 150, cwd="/")

    with ThreadPoolExecutor(len(TOOLS)) as pool:
        found = dict(zip(TOOLS, pool.map(check, TOOLS), strict=True))
    return {"ok": all(step["ok"] for step in found.values()), **found}


def golden(capability: str, name: str, folder: Path = GOLDEN, emulate: bool = False) -> Step:
    """Records what every primitive gives on this GPU, and replays it: there, and on the emulator.

    emulate: records on the emulator instead, for rehearsals.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, scratch = folder / f"{slug(name)}.txt", folder / "build"
    scratch.mkdir(exist_ok=True)
    source, emulator = ROOT / "cuda/golden.cu", ROOT / "cuda/emu/emulator.cpp"
    compiler = [os.environ.get("CXX", "c++"), "-std=c++20", "-O0", "-DFB_EMULATE", f"-I{ROOT / 'cuda/emu'}", "-w"]
    on_cpu = _run([*compiler, "-x", "c++", source, emulator, "-o", scratch / "emulated"], 200)
    if not on_cpu["ok"]:
        return on_cpu
    program = scratch / "emulated"
    if not emulate:
        program = scratch / "golden"
        target = f"-arch=sm_{capability.replace('.', '')}"
        on_gpu = _run(["nvcc", "-std=c++20", "-O3", target, source, "-o", program], 200)
        if not on_gpu["ok"]:
            return on_gpu
    found: Step = {"ok": True, "file": path.name}
    for what, command in {
        "record": [program, "record", path],
        "replay": [program, "replay", path],
        "emulator": [scratch / "emulated", "replay", path],
    }.items():
        found[what] = _run(command, 60)
        found["ok"] &= found[what]["ok"]
    shutil.rmtree(scratch)
    return found
