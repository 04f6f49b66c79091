"""Variants of the GPU kernels in one library: compiled for a GPU or the emulator, called through ctypes."""

import ctypes
import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steps import load_module
from variants import ROOT, Variant

CUDA = ROOT / "cuda"
NAME, LIST = "libtune.so", "variants.json"
LAYOUTS = ("NN", "TN")  # A as it is, and transposed; B as it is
# Of a compute capability: KiB of shared memory of a processor, warps and blocks that it holds at most (the CUDA
# programming guide's table of technical specifications). Each has 65536 registers and keeps 1 KiB for every block.
LIMITS = {80: (164, 64, 32), 86: (100, 48, 16), 89: (100, 48, 24), 90: (228, 64, 32)}
PRECISIONS = {"fp32": 0, "tf32": 1, "fp16": 2, "bf16": 3}  # as Precision of cuda/launch.h
TYPES = ("float32", "float16", "bfloat16")  # as Type


def _compiler(arch: int | None) -> list[str]:
    """The command up to the files; None: for the emulator."""
    if arch is None:
        emulate = ["-DFB_EMULATE", f"-I{CUDA / 'emu'}", "-w", "-x", "c++"]
        return [os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-fPIC", *emulate]
    target = f"-gencode=arch=compute_{arch},code=sm_{arch}"  # no PTX: what is timed is what was compiled here
    return ["nvcc", "-std=c++20", "-O3", target, "-Xptxas", "-v", "-Xcompiler", "-fPIC"]


def _run(command: list[Any]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit(f"{command[0]} is not on PATH, and no library was compiled before: see --library") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout + done.stderr


def _layout(function: str) -> str | None:
    """Which order of A a function is for; None: another function than the product's."""
    if function.startswith("tiled_kernel"):
        return {", 1, 4>": "NN", ", 4, 4>": "TN"}[function[-7:]]
    transposes = re.match(r"wmma_kernel.*?(true|false), false", function)
    return {"false": "NN", "true": "TN"}[transposes[1]] if transposes else None


def build(folder: Path, variants: list[Variant], arch: int | None) -> None:
    """Compiles what is not there yet, and links all.

    arch: 90 for compute capability 9.0; None for the emulator.
    """
    command = _compiler(arch)
    version = _run([command[0], "--version"]).strip()
    headers = [path for path in sorted(CUDA.rglob("*")) if path.suffix in (".h", ".hpp", ".cuh")]
    stamp = hashlib.sha256(
        "".join([version, *command, *(path.read_text(encoding="utf-8") for path in headers)]).encode()
    ).hexdigest()[:12]
    objects = folder / f"objects-{stamp}"  # what else the code of a variant depends on than its text
    objects.mkdir(parents=True, exist_ok=True)
    census: Any = load_module(CUDA / "census.py")

    def compiled(source: Path) -> str:
        """What the compiler says."""
        return _run([*command, f"-I{CUDA}", f"-I{objects}", "-c", source, "-o", objects / f"{source.stem}.o"])

    def one(variant: Variant) -> dict[str, Any]:
        """Compiles a variant if it has not been; what ptxas said of it."""
        note = objects / f"{variant.key}.json"
        if not note.exists():
            source = note.with_suffix(".cu")
            source.write_text(variant.source, encoding="utf-8")
            usages = census.read_usages(compiled(source))
            told = {layout: asdict(usage) for usage in usages if (layout := _layout(usage.kernel))}
            note.write_text(json.dumps(told), encoding="utf-8")
        return dict(json.loads(note.read_text(encoding="utf-8")))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        usages = dict(zip((v.key for v in variants), pool.map(one, variants), strict=True))
    (objects / "variants.inc").write_text("".join(f"VARIANT({key})\n" for key in usages), encoding="utf-8")
    more = [Path(__file__).with_name("tune.cpp"), *([CUDA / "emu/emulator.cpp"] if arch is None else [])]
    for source in more:
        compiled(source)
    files = [objects / f"{name}.o" for name in (*usages, *(source.stem for source in more))]
    # Of nvcc's, so that a library compiled elsewhere finds what it needs.
    static = [] if arch is None else ["-Xcompiler=-static-libstdc++,-static-libgcc"]
    _run([command[0], "-shared", *static, *files, "-o", folder / NAME])
    about = {"arch": arch, "compiler": version.splitlines()[-1], "options": command[1:], "usages": usages}
    (folder / LIST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


class Asked(ctypes.Structure):
    """One product, as tune.cpp has it."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in "MNK"),
        *((name, ctypes.c_void_p) for name in ("A", "B", "C", "workspace", "stream")),
        *((name, ctypes.c_int) for name in ("trans_a", "type", "precision", "capability", "processors")),
    )


class Library:
    """The variants compiled into a folder; `about` tells how, and what ptxas said of each."""

    def __init__(self, folder: Path, capability: int, processors: int) -> None:
        self.about = json.loads((folder / LIST).read_text(encoding="utf-8"))
        if self.about["arch"] not in (None, capability):
            raise SystemExit(f"{folder} was compiled for sm_{self.about['arch']}, this GPU is sm_{capability}")
        self._index = {key: number for number, key in enumerate(self.about["usages"])}
        self._library = ctypes.CDLL(str((folder / NAME).resolve()))
        self._library.tune_workspace_bytes.restype = self._library.tune_shared_bytes.restype = ctypes.c_size_t
        self._capability, self._processors = capability, processors

    def __contains__(self, variant: Variant) -> bool:
        return variant.key in self._index

    def asked(self, variant: Variant, A: Any, B: Any, C: Any, layout: str, stream: int) -> Asked:
        """The product op(A)·B into C, without a workspace yet."""
        (M, N), K = C.shape, B.shape[0]
        kind, precision = TYPES.index(str(A.dtype).removeprefix("torch.")), PRECISIONS[variant.precision]
        pointers = (A.data_ptr(), B.data_ptr(), C.data_ptr(), None, stream)
        return Asked(M, N, K, *pointers, layout == "TN", kind, precision, self._capability, self._processors)

    def workspace_bytes(self, variant: Variant, asked: Asked) -> int:
        return int(self._library.tune_workspace_bytes(self._index[variant.key], ctypes.byref(asked)))

    def run(self, variant: Variant, asked: Asked) -> None:
        """Enqueues the product. Raises RuntimeError if CUDA refuses."""
        error = self._library.tune_run(self._index[variant.key], ctypes.byref(asked))
        if error:
            raise RuntimeError(f"CUDA error {error}")

    def resources(self, variant: Variant, layout: str) -> dict[str, Any]:
        """Registers, spills, stack, shared bytes of a block, and blocks that a processor holds; None if not known."""
        usage = self.about["usages"][variant.key].get(layout)
        how = (layout == "TN", 0, PRECISIONS[variant.precision], self._capability, self._processors)
        probe = Asked(256, 256, 256, *([None] * 5), *how)
        shared = int(self._library.tune_shared_bytes(self._index[variant.key], ctypes.byref(probe)))
        if usage is None:
            return {"registers": None, "spills": None, "stack": None, "shared_bytes": shared, "blocks": None}
        warps_m, warps_n = map(int, re.findall(r"Tile<(\d+), (\d+)", usage["kernel"])[0])
        blocks = blocks_of_processor(self._capability, usage["registers"], warps_m * warps_n, shared)
        return {**{k: usage[k] for k in ("registers", "spills", "stack")}, "shared_bytes": shared, "blocks": blocks}

    def unusable(self, variant: Variant, layout: str) -> str | None:
        """Why a variant cannot run, or could not be chosen (cuda/budget.json lets none spill); None if it can."""
        found = self.resources(variant, layout)
        if found["spills"] or found["stack"]:
            return f"spills {found['spills']} bytes" if found["spills"] else f"{found['stack']} bytes of stack"
        return f"{found['shared_bytes']} bytes of shared memory" if found["blocks"] == 0 else None


def blocks_of_processor(capability: int, registers: int, warps: int, shared_bytes: int) -> int | None:
    """How many blocks one processor holds; 0 if a block does not fit.

    Registers are dealt to warps in pieces of 256, each quarter of them to a quarter of the warps.
    """
    if capability not in LIMITS:
        return None
    kib, most_warps, most_blocks = LIMITS[capability]
    by_registers = 4 * (65536 // 4 // (-(-registers * 32 // 256) * 256)) // warps
    return min(by_registers, most_warps // warps, most_blocks, kib * 1024 // (shared_bytes + 1024))
