"""Finds the constants with which cuda_tiled and cuda_wmma are fastest on a GPU: their sources, compiled with many.

    python bench/gpu/tune.py [--minutes 4] [--fresh] [--only WORD ...] [--library DIR]
    python bench/gpu/tune.py --compile-only DIR --arch 90      needs no GPU; DIR is what --library then takes
    python bench/gpu/tune.py --dry-run FOLDER                  rehearses all of it on the emulator

Each variant is checked against float64, then timed in turn with cuBLAS of the same precision, A as it is (NN) and
transposed (TN). What spills or does not fit is told and left out. Every sample is in bench/results/tune-<device>.json
after every few variants, so a run that was cut short goes on where it stopped. Needs PyTorch, and nvcc if nothing was
compiled before; the project need not be installed.
"""

import argparse
import importlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import steps
from measure import Bench, DirectCublas, open_cublas
from results import Run
from tune_library import NAME, Library, build
from variants import Variant, all_variants

SCHEMA = 1
SAMPLES = 15
BATCH = 6  # variants that are timed in turn with one cuBLAS
SHAPES = [(n, layout) for layout in ("NN", "TN") for n in (4096, 8192, 1024, 2048)]
KINDS = [("cuda_tiled", "fp32"), ("cuda_wmma", "bf16"), ("cuda_wmma", "tf32"), ("cuda_wmma", "fp16")]
# Unit roundoff of inputs that are still float32, by precision (accuracy.py).
INPUT_ROUNDOFF = {"tf32": 2.0**-11, "fp16": 2.0**-11, "bf16": 2.0**-8}
U = 2.0**-24


def bound_u(precision: str, K: int, rounds_inputs: bool) -> float:
    """What an error may be, in units of 2**-24 of |A||B|, of inputs rounded by v each and sums by gamma_K."""
    v = INPUT_ROUNDOFF.get(precision, 0.0) if rounds_inputs else 0.0
    return ((1 + v) ** 2 * (1 + K * U / (1 - K * U)) - 1) / U


class Tuner:
    """The measuring. `scale` divides the sizes, for a rehearsal."""

    def __init__(self, run: Run, bench: Bench, library: Library, cublas: DirectCublas, scale: int) -> None:
        self.run, self.bench, self.library, self.cublas, self.scale = run, bench, library, cublas, scale
        self._operands: tuple[Any, Any] = (None, None)

    def operands(self, precision: str, n: int) -> Any:
        """The same for all variants of a shape."""
        if self._operands[0] != (precision, n):
            self._operands = (None, None)  # frees them first
            self._operands = ((precision, n), self.bench.operands(precision, n, n, n))
        return self._operands[1]

    def refuse(self, variant: Variant, layout: str, reason: str) -> None:
        """Notes that a variant is not run, so that no later run tries again."""
        refused = {"key": variant.key, "name": variant.name, "kernel": variant.kernel, "precision": variant.precision}
        self.run.result["refused"].append({**refused, "layout": layout, "reason": reason})
        self.run.save()
        print(f"{variant.kernel} {variant.precision} {variant.name}, {layout}: left out, {reason}", flush=True)

    def is_open(self, variant: Variant, n: int, layout: str) -> bool:
        """Whether a variant is to be measured, and has neither been nor been refused."""
        done = any(
            batch["n"] == n and batch["layout"] == layout and variant.key in batch["kernel_ms"]
            for batch in self.run.result["batches"]
        )
        refused = any((r["key"], r["layout"]) == (variant.key, layout) for r in self.run.result["refused"])
        return not done and not refused

    def calls(self, variants: list[Variant], n: int, layout: str) -> dict[str, Any]:
        """What to time, by key: of the variants, and of cuBLAS."""
        precision, trans_a = variants[0].precision, layout == "TN"
        A, B, C = self.operands(precision, n)
        stream = int(self.bench.torch.cuda.current_stream().cuda_stream)
        found: dict[str, Any] = {
            "cublas": lambda i: self.cublas.multiply(
                A[i % len(A)], B[i % len(B)], C[i % len(C)], stream, precision, trans_a
            )
        }
        self.workspaces = []  # kept until the batch is done
        for variant in variants:
            jobs = [self.library.asked(variant, a, b, c, trans_a) for a, b, c in zip(A, B, C, strict=True)]
            needed = self.library.workspace_bytes(variant, jobs[0])
            if needed:
                self.workspaces.append(self.bench.torch.empty((needed // 4 + 64, 1), device="cuda"))
            for job in jobs:
                job.stream, job.workspace = stream, self.workspaces[-1].data_ptr() if needed else None
            found[variant.key] = lambda i, v=variant, j=jobs: self.library.run(v, j[i % len(j)])
        return found

    def check(self, variant: Variant, call: Any, n: int, layout: str) -> float | None:
        """The error of a variant; None if it is wrong, which is noted."""
        A, B, C = self.operands(variant.precision, n)
        try:
            C[0].fill_(float("nan"))
            call(0)
            error = self.bench.error_u(A[0].T if layout == "TN" else A[0], B[0], C[0])
        except Exception as raised:
            self.refuse(variant, layout, f"failed: {raised}"[:300])
            try:
                self.bench.torch.cuda.synchronize()
            except Exception:
                raise SystemExit("the GPU's context is lost; run again, which goes on without that variant") from None
            return None
        bound = bound_u(variant.precision, n, "float32" in str(A[0].dtype))
        if error <= bound:
            return error
        self.refuse(variant, layout, f"wrong: error {error:.3g} u, bound {bound:.3g} u, at {n}")
        return None

    def batch(self, variants: list[Variant], n: int, layout: str) -> dict[str, Any]:
        """Some variants of one kernel and precision, timed in turn with cuBLAS."""
        calls = self.calls(variants, n, layout)
        errors = {v.key: error for v in variants if (error := self.check(v, calls[v.key], n, layout)) is not None}
        calls = {key: call for key, call in calls.items() if key == "cublas" or key in errors}
        repeats = self.bench.repeats(calls)
        samples = self.bench.interleaved(calls, lambda key, call: self.bench.kernel_ms(call, repeats[key]))
        medians = {key: statistics.median(values) for key, values in samples.items()}
        return {
            **{"kernel": variants[0].kernel, "precision": variants[0].precision, "n": n, "layout": layout},
            "error_u": errors,
            "tflops": {key: 2 * n**3 / ms / 1e9 for key, ms in medians.items()},
            "ratio": {key: medians["cublas"] / ms for key, ms in medians.items()},
            "kernel_ms": samples,
        }

    def groups(self, variants: list[Variant]) -> Iterator[tuple[int, str, list[Variant]]]:
        """The variants of each kernel and precision for each shape."""
        for size, layout in SHAPES:
            for kind in KINDS:
                of_kind = [v for v in variants if (v.kernel, v.precision) == kind and size in v.sizes]
                yield max(size // self.scale, 1), layout, of_kind

    def measure(self, variants: list[Variant]) -> None:
        """Everything that has not been measured yet, while there is time."""
        for layout in ("NN", "TN"):
            for variant in variants:
                if self.is_open(variant, 0, layout) and (why := self.library.unusable(variant, layout)):
                    self.refuse(variant, layout, why)
        for n, layout, of_kind in self.groups(variants):
            todo = [v for v in of_kind if self.is_open(v, n, layout)]
            while todo and time.monotonic() < self.run.until:
                batch, todo = todo[:BATCH], todo[BATCH:]
                self.run.result["batches"].append(self.batch(batch, n, layout))
                self.run.save()
                print(f"{batch[0].kernel} {batch[0].precision} {n} {layout}: {len(todo)} to go", flush=True)


def table(result: dict[str, Any]) -> str:
    """Of each kernel and precision the variants, the best first: ratios to cuBLAS, and the highest TFLOP/s."""
    lines = []
    known = {variant["key"]: variant for variant in result["variants"]}
    for kernel, precision in KINDS:
        batches = [b for b in result["batches"] if (b["kernel"], b["precision"]) == (kernel, precision)]
        shapes = list(dict.fromkeys((b["n"], b["layout"]) for b in batches))
        ratios: dict[str, dict[tuple[int, str], float]] = {}
        speeds: dict[str, float] = {}
        for batch in batches:
            for key in batch["error_u"].keys() & known.keys():
                ratios.setdefault(key, {})[batch["n"], batch["layout"]] = batch["ratio"][key]
                speeds[key] = max(speeds.get(key, 0.0), batch["tflops"][key])
        order = sorted(ratios, key=lambda key: -statistics.fmean(map(math.log, ratios[key].values())))
        head = "".join(f"{n:>6} {layout}" for n, layout in shapes)
        lines.append(f"\n{f'{kernel} {precision}':48}{'registers':>10}{'KiB':>5}{'blocks':>7}{'TFLOP/s':>9}{head}")
        for key in order:
            found = known[key]["resources"]["NN"], known[key]["resources"]["TN"]
            registers = "/".join(str(of["registers"] or "?") for of in found)
            cells = "".join(f"{ratios[key][s]:9.3f}" if s in ratios[key] else f"{'–':>9}" for s in shapes)
            kib, blocks = found[0]["shared_bytes"] // 1024, found[0]["blocks"] or "?"
            lines.append(f"  {known[key]['name']:46}{registers:>10}{kib:5}{blocks:>7}{speeds[key]:9.1f}{cells}")
    return "\n".join(lines)


def chosen(words: list[str]) -> list[Variant]:
    """The variants whose description has all the words."""
    return [v for v in all_variants() if all(word in f"{v.kernel} {v.precision} {v.name}" for word in words)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4, help="nothing is begun after this long")
    parser.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="variants described by all these words")
    parser.add_argument("--library", type=Path, metavar="DIR", help="what --compile-only made")
    parser.add_argument("--compile-only", type=Path, metavar="DIR", help="compile, and run nothing")
    parser.add_argument("--arch", type=int, default=90, help="compute capability to compile for, 90 for 9.0")
    parser.add_argument("--commit", help="what to note where there is no git to ask")
    parser.add_argument("--dry-run", type=Path, metavar="FOLDER", help="rehearse without a GPU; results go to FOLDER")
    return parser.parse_args()


def compile_only(folder: Path, variants: list[Variant], arch: int, minutes: float) -> int:
    """Compiles; the exit status: 3 if the time was up and another call must go on."""
    missing = build(folder, variants, arch, minutes)
    if missing:
        print(f"{missing} of {len(variants)} variants are still to compile: run this again")
        return 3
    library = Library(folder, arch, 1)
    for variant in variants:
        for layout in ("NN", "TN"):
            if why := library.unusable(variant, layout):
                print(f"{variant.kernel} {variant.precision} {variant.name}, {layout}: {why}")
    size = (folder / NAME).stat().st_size
    print(f"{len(variants)} variants for sm_{arch}, {size / 2**20:.1f} MiB: {folder / NAME}")
    return 0


def describe(variant: Variant, library: Library) -> dict[str, Any]:
    """A variant as the results have it."""
    told = ("key", "kernel", "precision", "name", "constants", "read_ahead", "sizes")
    resources = {layout: library.resources(variant, layout) for layout in ("NN", "TN")}
    return {**{name: getattr(variant, name) for name in told}, "resources": resources}


def main() -> int:
    """Returns the exit status: 0 if all was measured, 1 if a variant is wrong, 2 without a GPU, 3 if time was up."""
    options = parse()
    variants = chosen(options.only)
    if not variants:
        raise SystemExit(f"no variant is described by {' '.join(options.only)}")
    if options.compile_only:
        return compile_only(options.compile_only, variants, options.arch, options.minutes)
    rehearsal: Any = importlib.import_module("rehearsal") if options.dry_run else None
    scratch = tempfile.TemporaryDirectory()
    if rehearsal:
        rehearsal.install(Path(scratch.name))
    device = steps.device()
    name, capability = device["name"], device["compute_cap"]
    if not name or not capability:
        print("no GPU: nvidia-smi is not there or lists none", file=sys.stderr)
        return 2
    arch = int(capability.replace(".", ""))
    environment = steps.environment(options.commit)  # before cuBLAS is loaded
    folder = options.dry_run or steps.ROOT / "bench/results"
    path = folder / ("tune-rehearsal.json" if rehearsal else f"tune-{steps.slug(name)}.json")
    compiled = options.library or Path(options.dry_run or scratch.name) / "compiled"
    if not options.library:
        build(compiled, variants, None if rehearsal else arch, minutes=60)
    torch = rehearsal.torch() if rehearsal else importlib.import_module("torch")
    library = Library(compiled, arch, torch.cuda.get_device_properties(0).multi_processor_count)
    unknown = [v.name for v in variants if v not in library]
    if unknown:
        raise SystemExit(f"{compiled} lacks {len(unknown)} variants ({unknown[0]}): compile it anew from this source")
    bench = Bench(torch, None, lambda: 0.0)
    bench.samples = SAMPLES
    if rehearsal:
        bench.samples, bench.sample_ms, bench.bytes_of_sets = 2, 0.01, 0
    cublas = DirectCublas(rehearsal.cublas(Path(scratch.name))) if rehearsal else open_cublas()
    run = Run(path, options.fresh, options.minutes, SCHEMA, ("batches", "refused"))
    run.result |= {"device": device, "rehearsal": bool(rehearsal), "environment": environment}
    run.result["variants"] = [describe(variant, library) for variant in variants]
    run.save()
    tuner = Tuner(run, bench, library, cublas, scale=64 if rehearsal else 1)
    tuner.measure(variants)
    run.result["device_after"] = steps.device()
    run.save()
    print(table(run.result))
    wrong = [r for r in run.result["refused"] if r["reason"].startswith(("wrong", "failed"))]
    print(f"\n{len(wrong)} variants are wrong or failed; all samples are in {path}")
    unmeasured = any(tuner.is_open(v, n, layout) for n, layout, of_kind in tuner.groups(variants) for v in of_kind)
    return 1 if wrong else 3 if unmeasured else 0


if __name__ == "__main__":
    sys.exit(main())
