"""Finds the constants with which cuda_tiled and cuda_wmma are fastest on a GPU: their sources, compiled with many.

    python bench/gpu/tune.py [--minutes 4] [--fresh] [--only WORD ...] [--library DIR] [--commit HASH]
    python bench/gpu/tune.py --compile-only DIR [--arch 90]    needs no GPU; DIR is what --library then takes
    python bench/gpu/tune.py --dry-run FOLDER                  rehearses all of it on the emulator

Each variant is checked against float64, then timed in turn with cuBLAS of the same precision, A as it is (NN) and
transposed (TN). What spills or does not fit is told and left out. Every sample is in bench/results/tune-<device>.json
after every few variants, so a run of the same commit that was cut short goes on where it stopped, without what was
wrong or failed. Needs PyTorch, and nvcc if nothing was compiled before; the project need not be installed.
"""

import argparse
import importlib
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import steps
from measure import Bench, DirectCublas, open_cublas
from results import Run
from tune_library import LAYOUTS, Library, build
from variants import Variant, all_variants

SCHEMA = 1
SAMPLES = 15
BATCH = 6  # variants that are timed in turn with one cuBLAS
SHAPES = [(n, layout) for layout in LAYOUTS for n in (4096, 8192, 1024, 2048)]
KINDS = [("cuda_tiled", "fp32"), ("cuda_wmma", "bf16"), ("cuda_wmma", "tf32"), ("cuda_wmma", "fp16")]
bounds: Any = steps.load_module(steps.ROOT / "src/frugalblas/bounds.py")


class Tuner:
    """The measuring. `scale` divides the sizes, for a rehearsal."""

    def __init__(self, run: Run, bench: Bench, library: Any, cublas: DirectCublas, scale: int) -> None:
        self.run, self.bench, self.library, self.cublas, self.scale = run, bench, library, cublas, scale
        self._operands: tuple[Any, Any] = (None, None)

    def operands(self, precision: str, n: int) -> Any:
        """The same for all variants of a shape."""
        if self._operands[0] != (precision, n):
            self._operands = (None, None)  # frees them first
            self._operands = ((precision, n), self.bench.operands(precision, n, n, n))
        return self._operands[1]

    def is_open(self, variant: Variant, n: int, layout: str) -> bool:
        """Whether a variant is to be measured: it can run, did not fail, and has not been."""
        result, here = self.run.result, {"n": n, "layout": layout}.items()
        refused = any((r["key"], r["layout"]) == (variant.key, layout) for r in result["refused"])
        done = any(here <= batch.items() and variant.key in batch["kernel_ms"] for batch in result["batches"])
        return not (refused or done or self.library.unusable(variant, layout))

    def batches(self, variants: list[Variant]) -> Iterator[tuple[list[Variant], int, str]]:
        """What is open: variants of one kernel and precision, the size, the layout."""
        for size, layout in SHAPES:
            n = max(size // self.scale, 1)
            for kind in KINDS:
                of_kind = [v for v in variants if (v.kernel, v.precision) == kind and size in v.sizes]
                todo = [v for v in of_kind if self.is_open(v, n, layout)]
                yield from ((todo[i : i + BATCH], n, layout) for i in range(0, len(todo), BATCH))

    def calls(self, variants: list[Variant], n: int, layout: str) -> dict[str, Any]:
        """What to time, by key: of the variants, and of cuBLAS."""
        precision, stream = variants[0].precision, int(self.bench.torch.cuda.current_stream().cuda_stream)
        A, B, C = self.operands(precision, n)
        sets = list(zip(A, B, C, strict=True))
        jobs = {v.key: [self.library.asked(v, *arrays, layout, stream) for arrays in sets] for v in variants}
        needed = max(self.library.workspace_bytes(v, jobs[v.key][0]) for v in variants)
        # One for all, who take turns on one stream; kept until the next batch.
        self._workspace = self.bench.torch.empty((needed // 4, 1), device="cuda")
        for job in chain.from_iterable(jobs.values()):
            job.workspace = self._workspace.data_ptr()
        found: dict[str, Any] = {
            v.key: lambda i, v=v: self.library.run(v, jobs[v.key][i % len(sets)]) for v in variants
        }
        multiply = self.cublas.multiply
        return {**found, "cublas": lambda i: multiply(*sets[i % len(sets)], stream, precision, layout == "TN")}

    def error_u(self, variant: Variant, call: Any, n: int, layout: str) -> float | None:
        """The error of a variant; None if it fails or is wrong, which is noted, so that no later run tries again."""
        A, B, C = self.operands(variant.precision, n)
        # Operands that are float32 are rounded on the way.
        bound = bounds.bound_u(variant.precision if "float32" in str(A[0].dtype) else "fp32", n)
        try:
            C[0].fill_(float("nan"))
            call(0)
            error = self.bench.error_u(A[0].T if layout == "TN" else A[0], B[0], C[0])
            if error <= bound:
                return error
            reason = f"wrong: error {error:.3g} u, bound {bound:.3g} u, at {n}"
        except Exception as raised:
            reason = f"failed: {raised}"[:300]
        refused = {"key": variant.key, "kernel": variant.kernel, "precision": variant.precision, "name": variant.name}
        self.run.result["refused"].append({**refused, "layout": layout, "reason": reason})
        self.run.save()
        print(f"{variant.kernel} {variant.precision} {variant.name}, {layout}: {reason}", flush=True)
        try:
            self.bench.torch.cuda.synchronize()
        except Exception:
            raise SystemExit("the GPU's context is lost; run again, which goes on without that variant") from None
        return None

    def batch(self, variants: list[Variant], n: int, layout: str) -> dict[str, Any]:
        """Some variants of one kernel and precision, timed in turn with cuBLAS."""
        calls = self.calls(variants, n, layout)
        errors = {v.key: error for v in variants if (error := self.error_u(v, calls[v.key], n, layout)) is not None}
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

    def measure(self, variants: list[Variant]) -> bool:
        """Everything that is open, while there is time; whether that was all."""
        for batch, n, layout in self.batches(variants):
            if self.run.is_late():
                return False
            self.run.result["batches"].append(self.batch(batch, n, layout))
            self.run.save()
            print(f"{batch[0].kernel} {batch[0].precision} {n} {layout}: {len(batch)} variants", flush=True)
        return True


def table(result: dict[str, Any]) -> str:
    """Ratios to cuBLAS of the variants of each kernel and precision, and the highest TFLOP/s.

    First comes who is nearest to the best of each shape, by the geometric mean: not all are measured at all shapes.
    """
    lines = []
    known = {variant["key"]: variant for variant in result["variants"]}
    for kernel, precision in KINDS:
        ratios: dict[str, dict[tuple[int, str], float]] = {}
        speeds: dict[str, float] = {}
        for batch in result["batches"]:
            if (batch["kernel"], batch["precision"]) == (kernel, precision):
                for key in batch["error_u"].keys() & known.keys():
                    ratios.setdefault(key, {})[batch["n"], batch["layout"]] = batch["ratio"][key]
                    speeds[key] = max(speeds.get(key, 0.0), batch["tflops"][key])
        best: dict[tuple[int, str], float] = {}
        for of_shape in ratios.values():
            best.update({shape: max(ratio, best.get(shape, 0.0)) for shape, ratio in of_shape.items()})
        behind = {key: statistics.fmean(math.log(best[s] / r) for s, r in of.items()) for key, of in ratios.items()}
        head = "".join(f"{n:>6} {layout}" for n, layout in best)
        lines.append(f"\n{f'{kernel} {precision}':48}{'registers':>10}{'KiB':>5}{'blocks':>7}{'TFLOP/s':>9}{head}")
        for key in sorted(ratios, key=behind.__getitem__):
            found = [known[key]["resources"][layout] for layout in LAYOUTS]
            registers = "/".join(str(of["registers"] or "?") for of in found)
            cells = "".join(f"{ratios[key][s]:9.3f}" if s in ratios[key] else f"{'–':>9}" for s in best)
            kib, blocks = found[0]["shared_bytes"] // 1024, found[0]["blocks"] or "?"
            lines.append(f"  {known[key]['name']:46}{registers:>10}{kib:5}{blocks:>7}{speeds[key]:9.1f}{cells}")
    return "\n".join(lines)


def chosen(only: list[list[str]]) -> list[Variant]:
    """The variants whose description has all words of one of the lists; without a list, all variants."""

    def described(variant: Variant, words: list[str]) -> bool:
        return all(word in f"{variant.kernel} {variant.precision} {variant.name}" for word in words)

    return [v for v in all_variants() if any(described(v, words) for words in only or [[]])]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4, help="nothing is begun after this long")
    parser.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    only = "variants described by all these words; may be repeated"
    parser.add_argument("--only", nargs="+", action="append", default=[], metavar="WORD", help=only)
    parser.add_argument("--library", type=Path, metavar="DIR", help="what --compile-only made")
    parser.add_argument("--compile-only", type=Path, metavar="DIR", help="compile, and run nothing")
    parser.add_argument("--arch", type=int, default=90, help="compute capability to compile for, 90 for 9.0")
    parser.add_argument("--commit", help="what to note where there is no git to ask")
    parser.add_argument("--dry-run", type=Path, metavar="FOLDER", help="rehearse without a GPU; results go to FOLDER")
    return parser.parse_args()


def describe(variant: Variant, library: Library) -> dict[str, Any]:
    """A variant as the results have it."""
    told = ("key", "kernel", "precision", "name", "constants", "read_ahead", "sizes")
    resources = {layout: library.resources(variant, layout) for layout in LAYOUTS}
    unusable = {layout: library.unusable(variant, layout) for layout in LAYOUTS}
    for layout, why in unusable.items():
        if why:
            print(f"{variant.kernel} {variant.precision} {variant.name}, {layout}: left out, {why}")
    return {**{name: getattr(variant, name) for name in told}, "resources": resources, "unusable": unusable}


def main() -> int:
    """Returns the exit status: 0 if all was measured, 1 if a variant was wrong or failed, 2 without a GPU, 3 if late.

    Late means that there was no time for all.
    """
    options = parse()
    variants = chosen(options.only)
    if not variants:
        raise SystemExit(f"no variant is described by {' '.join(chain.from_iterable(options.only))}")
    if options.compile_only:
        build(options.compile_only, variants, options.arch)
        library = Library(options.compile_only, options.arch, 1)
        for variant in variants:
            describe(variant, library)
        return 0
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
    environment = steps.environment(options.commit)
    compiled = options.library or Path(options.dry_run or scratch.name) / "compiled"
    if not options.library:
        build(compiled, variants, None if rehearsal else arch)
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
    folder = options.dry_run or steps.ROOT / "bench/results"
    path = folder / ("tune-rehearsal.json" if rehearsal else f"tune-{steps.slug(name)}.json")
    about = {"schema": SCHEMA, "rehearsal": bool(rehearsal), "environment": environment, "cublas": cublas.version}
    about |= {name: library.about[name] for name in ("compiler", "options")}
    run = Run(path, about, ("batches", "refused"), options.fresh, options.minutes)
    run.result |= {"device": device, "variants": [describe(variant, library) for variant in variants]}
    run.save()
    all_done = Tuner(run, bench, library, cublas, scale=128 if rehearsal else 1).measure(variants)
    run.result["device_after"] = steps.device()
    run.save()
    refused = len(run.result["refused"])
    print(f"{table(run.result)}\n\n{refused} wrong or failed; all samples are in {path}")
    return 1 if refused else 0 if all_done else 3


if __name__ == "__main__":
    sys.exit(main())
