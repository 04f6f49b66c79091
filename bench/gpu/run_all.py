"""Everything to measure on a machine with an NVIDIA GPU, in one command: build, correctness, sanitizer, benchmark.

    python bench/gpu/run_all.py [--minutes 10] [--fresh]

Needs no network: nvcc, CMake, ninja, pybind11, scikit-build-core, NumPy and PyTorch must be there. What is done is kept
in bench/results/gpu-<device>.json after every step, so a run that was cut short goes on where it stopped; --fresh
starts anew. Ratios are to cuBLAS of the same precision, in the same process, interleaved call by call, on N(0,1) data.
"""

import argparse
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = 1
SIZES = [(n, n, n) for n in (1024, 2048, 4096, 8192, 16384)]
SKINNY = [(64, 64, 65536), (8192, 64, 8192), (1, 8192, 8192)]
KERNELS = [("cuda_naive_uncoalesced", "fp32"), ("cuda_naive", "fp32"), ("cuda_tiled", "fp32")]
KERNELS += [("cuda_wmma", precision) for precision in ("bf16", "fp16", "tf32")]
SLOW = ("cuda_naive_uncoalesced", "cuda_naive")  # left out above this many multiply-adds
SLOW_WORK = 4096**3
# Recorded, and unset before cuBLAS is loaded: they change what "fp32" means.
DECIDE_PRECISION = re.compile(r"NVIDIA_TF32_OVERRIDE|CUBLAS_EMULAT\w*")


def build() -> dict[str, Any]:
    """Installs the project with its CUDA part, without the network."""
    command = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", str(ROOT)]
    started = time.monotonic()
    done = subprocess.run([*command, "-Ccmake.define.FRUGALBLAS_CUDA=ON"], capture_output=True, text=True)
    return {"ok": done.returncode == 0, "seconds": time.monotonic() - started, "tail": done.stderr[-2000:]}


def correctness() -> dict[str, Any]:
    """accuracy() of every rung in every precision, in a process of its own."""
    code = (
        "import frugalblas, json\n"
        "told = {f'{r.name} {p}': frugalblas.accuracy(r.name, p) for r in frugalblas.algorithms()\n"
        "        if r.device == 'cuda' and r.available for p in r.precisions}\n"
        "print(json.dumps(told))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    if done.returncode:
        return {"ok": False, "tail": done.stderr[-2000:]}
    told = json.loads(done.stdout.replace("NaN", "null"))
    errors = [
        f"{rung}, {family}: {found['max_error_u']} u, bound {found['bound_u']} u"
        for rung, families in told.items()
        for family, found in families.items()
        if found["bound_u"] is not None and not (found["max_error_u"] or 0) <= found["bound_u"]
    ]
    return {"ok": not errors, "errors": errors, "accuracy": told}


def sanitizer() -> dict[str, Any]:
    """compute-sanitizer's four tools on small ragged shapes; left out where it is not installed."""
    code = (
        "import frugalblas, numpy as np\n"
        "A, B = np.ones((131, 70), np.float32), np.ones((70, 261), np.float32)\n"
        "for r in frugalblas.algorithms():\n"
        "    if r.kind == 'cuda':\n"
        "        for p in r.precisions: frugalblas.sgemm(A, B, algo=r.name, precision=p)"
    )
    result: dict[str, Any] = {"ok": True}
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", code]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
        except FileNotFoundError:
            return {"ok": True, "skipped": "compute-sanitizer is not on PATH"}
        result[tool] = done.returncode == 0
        result["ok"] &= done.returncode == 0
        if done.returncode:
            result[f"{tool}_tail"] = done.stdout[-2000:]
    return result


def device() -> dict[str, Any]:
    """What is measured: names, versions and clocks, from nvidia-smi."""
    fields = "name,driver_version,clocks.sm,clocks.mem,power.limit,clocks_throttle_reasons.active"
    done = subprocess.run(
        ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, text=True
    )
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(fields.split(","), values, strict=True))


class Bench:
    """Times products of device-resident arrays, a kernel and cuBLAS in turn."""

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.frugalblas: Any = importlib.import_module("frugalblas")
        pynvml: Any = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        self.energy_mj = lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0))

    def _milliseconds(self, call: Any, repeats: int) -> float:
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for i in range(repeats):
            call(i)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / repeats

    def case(self, algo: str, precision: str, M: int, N: int, K: int) -> dict[str, Any]:
        """Median times of at least 20 interleaved samples; joules per call over two seconds of each."""
        torch = self.torch
        generator = torch.Generator("cuda").manual_seed(0)
        # Operands in turn from sets that together are larger than any L2, so that none is still there.
        sets = max(2, 3 * 60 * 2**20 // (4 * (M * K + K * N + M * N)) + 1)
        made = {"device": "cuda", "generator": generator}
        A, B = ([torch.randn(shape, **made) for _ in range(sets)] for shape in ((M, K), (K, N)))
        C = [torch.empty((M, N), device="cuda") for _ in range(sets)]
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        if kind is not None:  # as GemmEx is usually called; the rounding of FP32 operands is a kernel of its own
            A, B = [a.to(kind) for a in A], [b.to(kind) for b in B]

        def runner(name: str) -> Any:
            return lambda i: self.frugalblas.sgemm(
                A[i % sets], B[i % sets], out=C[i % sets], algo=name, precision=precision
            )

        ours, reference = runner(algo), runner("cublas")
        ours(0)
        got = C[0].clone()
        reference(0)
        torch.cuda.synchronize()
        off = float((got - C[0]).abs().max() / C[0].abs().max())
        repeats = max(1, int(5 / max(self._milliseconds(reference, 2), 0.01)))
        samples: dict[str, list[float]] = {algo: [], "cublas": []}
        for _ in range(20):
            samples[algo].append(self._milliseconds(ours, repeats))
            samples["cublas"].append(self._milliseconds(reference, repeats))
        joules = {}
        for name, call in ((algo, ours), ("cublas", reference)):
            before, calls, until = self.energy_mj(), 0, time.monotonic() + 2
            while time.monotonic() < until:
                self._milliseconds(call, repeats)
                calls += repeats
            joules[name] = (self.energy_mj() - before) / 1000 / calls
        medians = {name: statistics.median(values) for name, values in samples.items()}
        return {
            **{"algo": algo, "precision": precision, "M": M, "N": N, "K": K, "difference": off},
            "tflops": {name: 2 * M * N * K / ms / 1e9 for name, ms in medians.items()},
            "ratio": medians["cublas"] / medians[algo],
            "milliseconds": samples,
            "joules_per_call": joules,
        }

    def host(self, n: int) -> dict[str, Any]:
        """NumPy in, NumPy out, against the time that the bytes alone take from and to pinned memory."""
        numpy: Any = importlib.import_module("numpy")
        A, B = (numpy.random.default_rng(i).standard_normal((n, n), numpy.float32) for i in range(2))
        out = numpy.empty((n, n), numpy.float32)
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            self.frugalblas.sgemm(A, B, out=out, algo="cuda_tiled")
            seconds.append(time.perf_counter() - started)
        pinned = self.torch.empty((n, n), pin_memory=True)
        on_gpu = self.torch.empty((n, n), device="cuda")
        one_way = self._milliseconds(lambda _: on_gpu.copy_(pinned, non_blocking=True), 5) / 1000
        best = statistics.median(seconds)
        return {"n": n, "seconds": seconds, "gflops": 2 * n**3 / best / 1e9, "pcie_bound_seconds": 3 * one_way}


def main() -> int:
    """Returns the exit status: 0 if every step passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="no new case is begun after this long")
    parser.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    try:
        found = device()
    except (FileNotFoundError, IndexError):
        print("no GPU: nvidia-smi is not there or lists none", file=sys.stderr)
        return 2
    path = ROOT / "bench/results" / f"gpu-{re.sub(r'[^a-z0-9]+', '-', found['name'].lower()).strip('-')}.json"
    path.parent.mkdir(exist_ok=True)
    result: dict[str, Any] = {"schema": SCHEMA, "device": found, "steps": {}, "cases": [], "host": []}
    if path.exists() and not options.fresh:
        result = json.loads(path.read_text(encoding="utf-8"))
    result["environment"] = {name: os.environ.pop(name) for name in list(os.environ) if DECIDE_PRECISION.match(name)}

    def save() -> None:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    for step in (build, correctness, sanitizer):
        if not result["steps"].get(step.__name__, {}).get("ok"):
            result["steps"][step.__name__] = step()
            save()
            print(step.__name__, "ok" if result["steps"][step.__name__]["ok"] else "FAILED", flush=True)
        if not result["steps"][step.__name__]["ok"] and step is not sanitizer:
            return 1
    bench = Bench()
    done = {(c["algo"], c["precision"], c["M"], c["N"], c["K"]) for c in result["cases"]}
    for shape in [*SIZES[2:4], *SKINNY, *SIZES[:2], *SIZES[4:]]:  # what the targets are about first
        for algo, precision in KERNELS:
            too_slow = algo in SLOW and shape[0] * shape[1] * shape[2] > SLOW_WORK
            if (algo, precision, *shape) in done or too_slow or time.monotonic() > until:
                continue
            result["cases"].append(bench.case(algo, precision, *shape))
            save()
            print(algo, precision, shape, f"{result['cases'][-1]['ratio']:.3f} of cuBLAS", flush=True)
    for n in (1024, 4096, 8192):
        if n not in [h["n"] for h in result["host"]] and time.monotonic() < until:
            result["host"].append(bench.host(n))
            save()
    result["device_after"] = device()
    save()
    return 0 if all(step["ok"] for step in result["steps"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
