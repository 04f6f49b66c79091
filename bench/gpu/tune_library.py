"""Variants of the GPU kernels in one library: compiled for a GPU or the emulator, called through ctypes."""

import ctypes
import hashlib
import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steps import load_module
from variants import ROOT, Variant

CUDA = ROOT / "cuda"
NAME, LIST = "libtune.so", "variants.json"
HEADERS = ("launch.h", "ptx.cuh")  # besides the text of a variant, what its code depends on
# Of a compute capability: KiB of shared memory of a processor, warps and blocks that it holds at most (the CUDA
# programming guide's table of technical specifications). Each has 65536 registers and keeps 1 KiB for every block.
LIMITS = {75: (64, 32, 16), 80: (164, 64, 32), 86: (100, 48, 16), 89: (100, 48, 24), 90: (228, 64, 32)}
PRECISIONS = {"fp32": 0, "tf32": 1, "fp16": 2, "bf16": 3}  # as Precision of cuda/launch.h
TYPES = ("float32", "float16", "bfloat16")  # as Type


def _compiler(arch: int | None) -> list[str]:
    """The command up to the source; None: for the emulator."""
    include = [f"-I{CUDA / 'kernels'}", f"-I{CUDA}"]
    if arch is None:
        emulate = ["-DFB_EMULATE", f"-I{CUDA / 'emu'}", "-w", "-x", "c++"]
        return [os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-fPIC", *include, *emulate]
    target = f"-gencode=arch=compute_{arch},code=sm_{arch}"  # no PTX: what is timed is what was compiled here
    return ["nvcc", "-std=c++20", "-O3", target, "-Xptxas", "-v", "-Xcompiler", "-fPIC", *include]


def _run(command: list[object]) -> str:
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit(f"{command[0]} is not on PATH, and no library was compiled before: see --library") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))} … failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout + done.stderr


def _layout(function: str) -> str | None:
    """Which order of A a function is for; None: another function than the product's."""
    if function.startswith("tiled_kernel"):
        return {", 1, 4>": "NN", ", 4, 4>": "TN"}[function[-7:]]
    transposes = re.match(r"wmma_kernel.*?(true|false), false", function)
    return {"false": "NN", "true": "TN"}[transposes[1]] if transposes else None


def _compile(variant: Variant, folder: Path, arch: int | None, stamp: str, census: Any) -> dict[str, Any]:
    """Compiles one variant if it has not been; what ptxas said of it."""
    target, note = folder / f"{variant.key}.o", folder / f"{variant.key}.json"
    if note.exists() and (known := json.loads(note.read_text(encoding="utf-8")))["stamp"] == stamp:
        return dict(known)
    source = folder / f"{variant.key}.cu"
    source.write_text(variant.source, encoding="utf-8")
    started = time.monotonic()
    said = _run([*_compiler(arch), "-c", source, "-o", target])
    usages = {layout: asdict(usage) for usage in census.read_usages(said) if (layout := _layout(usage.kernel))}
    known = {"stamp": stamp, "seconds": round(time.monotonic() - started, 2), "usages": usages}
    note.write_text(json.dumps(known), encoding="utf-8")
    return known


def build(folder: Path, variants: list[Variant], arch: int | None, minutes: float) -> int:
    """Compiles what is not there yet and links all; how many are missing because the time was up.

    arch: 90 for compute capability 9.0; None for the emulator.
    """
    objects = folder / ("objects-emulator" if arch is None else f"objects-sm_{arch}")
    objects.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * minutes
    headers = "".join((CUDA / name).read_text(encoding="utf-8") for name in HEADERS)
    stamp = hashlib.sha256((headers + str(_compiler(arch))).encode()).hexdigest()[:12]
    census: Any = load_module(CUDA / "census.py")

    def one(variant: Variant) -> dict[str, Any] | None:
        return None if time.monotonic() > until else _compile(variant, objects, arch, stamp, census)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        notes = list(pool.map(one, variants))
    if missing := notes.count(None):
        return missing
    (objects / "variants.inc").write_text("".join(f"VARIANT({v.key})\n" for v in variants), encoding="utf-8")
    files = [objects / f"{v.key}.o" for v in variants]
    for source in [Path(__file__).with_name("tune.cpp"), *([CUDA / "emu/emulator.cpp"] if arch is None else [])]:
        files.append(objects / f"{source.stem}.o")
        _run([*_compiler(arch), f"-I{objects}", "-c", source, "-o", files[-1]])
    static = "-static-libstdc++" if arch is None else "-Xcompiler=-static-libstdc++,-static-libgcc"
    _run([_compiler(arch)[0], "-shared", static, *files, "-o", folder / NAME])
    told = [
        {"key": v.key, "kernel": v.kernel, "precision": v.precision, "name": v.name, "usages": note["usages"]}
        for v, note in zip(variants, notes, strict=True)
        if note
    ]
    (folder / LIST).write_text(json.dumps({"arch": arch, "variants": told}, indent=1) + "\n", encoding="utf-8")
    return 0


class Asked(ctypes.Structure):
    """One product, as tune.cpp has it."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in "MNK"),
        *((name, ctypes.c_void_p) for name in ("A", "B", "C", "workspace", "stream")),
        *((name, ctypes.c_int) for name in ("trans_a", "type", "precision", "capability", "processors")),
    )


class Library:
    """The variants compiled into a folder."""

    def __init__(self, folder: Path, capability: int, processors: int) -> None:
        told = json.loads((folder / LIST).read_text(encoding="utf-8"))
        if told["arch"] not in (None, capability):
            raise SystemExit(f"{folder} was compiled for sm_{told['arch']}, this GPU is sm_{capability}")
        self.usages = {variant["key"]: variant["usages"] for variant in told["variants"]}
        self._index = {variant["key"]: number for number, variant in enumerate(told["variants"])}
        self._library = ctypes.CDLL(str((folder / NAME).resolve()))
        self._library.tune_workspace_bytes.restype = self._library.tune_shared_bytes.restype = ctypes.c_size_t
        self._capability, self._processors = capability, processors

    def __contains__(self, variant: Variant) -> bool:
        return variant.key in self._index

    def asked(self, variant: Variant, A: Any, B: Any, C: Any, trans_a: bool) -> Asked:
        """The product op(A)·B into C, without a workspace yet."""
        (M, N), K = C.shape, B.shape[0]
        kind, precision = TYPES.index(str(A.dtype).removeprefix("torch.")), PRECISIONS[variant.precision]
        pointers = (A.data_ptr(), B.data_ptr(), C.data_ptr(), None, None)
        return Asked(M, N, K, *pointers, int(trans_a), kind, precision, self._capability, self._processors)

    def workspace_bytes(self, variant: Variant, asked: Asked) -> int:
        return int(self._library.tune_workspace_bytes(self._index[variant.key], ctypes.byref(asked)))

    def run(self, variant: Variant, asked: Asked) -> None:
        """Enqueues the product. Raises RuntimeError if CUDA refuses."""
        error = self._library.tune_run(self._index[variant.key], ctypes.byref(asked))
        if error:
            raise RuntimeError(f"CUDA error {error}")

    def resources(self, variant: Variant, layout: str) -> dict[str, Any]:
        """Registers, spills, stack, shared bytes of a block, and blocks that a processor holds; None if not known."""
        usage = self.usages[variant.key].get(layout)
        probe = Asked(256, 256, 256, *([None] * 5), int(layout == "TN"), 0, PRECISIONS[variant.precision])
        probe.capability, probe.processors = self._capability, self._processors
        shared = int(self._library.tune_shared_bytes(self._index[variant.key], ctypes.byref(probe)))
        if usage is None:
            return {"registers": None, "spills": None, "stack": None, "shared_bytes": shared, "blocks": None}
        warps_m, warps_n = map(int, re.findall(r"Tile<(\d+), (\d+)", usage["kernel"])[0])
        blocks = blocks_of_processor(self._capability, usage["registers"], warps_m * warps_n, shared)
        return {**{k: usage[k] for k in ("registers", "spills", "stack")}, "shared_bytes": shared, "blocks": blocks}

    def unusable(self, variant: Variant, layout: str) -> str | None:
        """Why a variant is not worth running; None if it is."""
        found = self.resources(variant, layout)
        if found["spills"] or found["stack"]:
            return f"spills {found['spills']} bytes" if found["spills"] else f"{found['stack']} bytes of stack"
        return f"{found['shared_bytes']} bytes of shared memory" if found["blocks"] == 0 else None


def blocks_of_processor(capability: int, registers: int, warps: int, shared_bytes: int) -> int | None:
    """How many blocks one processor holds; 0 if a block does not fit. Registers are dealt to warps in pieces of 256."""
    if capability not in LIMITS:
        return None
    kib, most_warps, most_blocks = LIMITS[capability]
    by_registers = 65536 // (-(-registers * 32 // 256) * 256) // warps
    return min(by_registers, most_warps // warps, most_blocks, kib * 1024 // (shared_bytes + 1024))
