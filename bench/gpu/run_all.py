"""Everything to do on a machine with an NVIDIA GPU, in one command.

    python bench/gpu/run_all.py [--minutes 9] [--fresh] [--commit HASH]
    python bench/gpu/run_all.py --dry-run FOLDER      rehearses all of it without a GPU; the results go to FOLDER

Builds and installs the project, compares every strategy with float64, records golden vectors (into cuda/golden/),
measures against cuBLAS and runs compute-sanitizer. Needs no network: nvcc, CMake, ninja, pybind11, scikit-build-core,
NumPy, PyTorch and nvidia-ml-py must be there. What is done is in bench/results/gpu-<device>.json after every step, so a
run of the same commit that was cut short, or had no more time, goes on where it stopped; --fresh starts anew. Ratios
are to cuBLAS of the same precision, in the same process, call by call in turn, on N(0,1) data. docs/make_gpu.py then
fills the tables of docs/gpu.md.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import steps
from measure import Bench
from results import Run

SCHEMA = 1
Shape = tuple[int, int, int]
SQUARE = (1024, 2048, 4096, 8192, 16384)
SKINNY: list[Shape] = [(64, 64, 65536), (8192, 64, 8192), (1, 8192, 8192)]
KERNELS = [("cuda_naive_uncoalesced", "fp32"), ("cuda_naive", "fp32"), ("cuda_tiled", "fp32")]
KERNELS += [("cuda_wmma", precision) for precision in ("bf16", "fp16", "tf32")]
SLOW = ("cuda_naive_uncoalesced", "cuda_naive")  # left out above this many multiply-adds
SLOW_WORK = 4096**3
HOST = (1024, 4096, 8192)


def plan(scale: int) -> list[tuple[str, str, Shape]]:
    """What to measure, the targets first. `scale` divides the sizes, for a rehearsal."""
    shapes: list[Shape] = [(n, n, n) for n in (4096, 8192)]
    shapes += [*SKINNY, *((n, n, n) for n in SQUARE if n not in (4096, 8192))]
    cases = [
        (algo, precision, shape)
        for shape in shapes
        for algo, precision in KERNELS
        if not (algo in SLOW and shape[0] * shape[1] * shape[2] > SLOW_WORK)
    ]
    return [(algo, precision, tuple(max(n // scale, 1) for n in shape)) for algo, precision, shape in cases]


def nvml_counter() -> Callable[[], float]:
    """Reads the energy counter of the first GPU, in mJ."""
    pynvml: Any = importlib.import_module("pynvml")
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def measure_all(run: Run, bench: Bench, library: str | None, scale: int) -> None:
    """The targets first, then what is left of the plan."""
    numpy: Any = importlib.import_module("numpy")
    for algo, precision, (M, N, K) in plan(scale):
        key = {"algo": algo, "precision": precision, "M": M, "N": N, "K": K}
        run.measure("cases", key, lambda a=algo, p=precision, s=(M, N, K): bench.case(a, p, *s))
        bench.torch.cuda.empty_cache()
        if (algo, precision, M) == ("cuda_wmma", "tf32", 8192 // scale):  # behind the targets: how they are reached
            for n in (1024, 4096, 8192):
                if library:
                    run.measure("passthrough", {"n": n // scale}, lambda n=n: bench.passthrough(library, n // scale))
            for n in HOST:
                run.measure("host", {"n": n // scale}, lambda n=n: bench.host(numpy, n // scale))


def main() -> int:
    """Returns the exit status: 0 if every step passed and nothing failed, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9, help="nothing new is measured after this long")
    parser.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    parser.add_argument("--commit", help="what to note where there is no git to ask")
    parser.add_argument("--dry-run", type=Path, metavar="FOLDER", help="rehearse without a GPU; results go to FOLDER")
    options = parser.parse_args()
    rehearsal: Any = importlib.import_module("rehearsal") if options.dry_run else None
    scratch = tempfile.TemporaryDirectory()
    if rehearsal:
        rehearsal.install(Path(scratch.name))
    found = steps.device()
    name, capability = found["name"], found["compute_cap"]
    if not name or not capability:
        print("no GPU: nvidia-smi is not there or lists none", file=sys.stderr)
        return 2
    folder = options.dry_run or steps.ROOT / "bench/results"
    path = folder / ("rehearsal.json" if rehearsal else f"gpu-{steps.slug(name)}.json")
    about = {"schema": SCHEMA, "rehearsal": bool(rehearsal), "environment": steps.environment(options.commit)}
    run = Run(path, about, ("cases", "passthrough", "host"), options.fresh, options.minutes)
    run.result["device"] = found
    if importlib.util.find_spec("frugalblas") is None:  # the earlier run was on another machine
        run.result["steps"].pop("build", None)
    run.save()

    def build() -> dict[str, Any]:
        if rehearsal:
            return {"ok": True, "command": steps.build_command(capability)}
        return steps.build(capability)

    recordings = folder / "golden" if rehearsal else steps.GOLDEN
    if not run.step("build", build) or not run.step("correctness", steps.correctness):
        return 1
    run.step("golden", lambda: steps.golden(capability, name, recordings, emulate=bool(rehearsal)))
    if rehearsal:
        parts = rehearsal.torch(), rehearsal.frugalblas(), rehearsal.energy_mj
        library = rehearsal.cublas(Path(scratch.name))
    else:
        parts = importlib.import_module("torch"), importlib.import_module("frugalblas"), nvml_counter()
        library = parts[1].info()["cuda"]["cublas"]["path"]
    bench = Bench(*parts)
    if rehearsal:
        bench.samples, bench.sample_ms, bench.energy_seconds, bench.bytes_of_sets = 2, 0.01, 0.0, 0
    measure_all(run, bench, library, scale=128 if rehearsal else 1)
    if not run.is_late():
        run.step("sanitizer", steps.sanitizer)  # the last: it measures nothing, and may take minutes
    run.result["device_after"] = steps.device()
    run.save()
    return 0 if all(step["ok"] for step in run.result["steps"].values()) and not run.result["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
