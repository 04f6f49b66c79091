"""Compiles the CUDA kernels for every architecture and looks at the machine code: registers, spills, instructions.

    python cuda/census.py             exit code 1 if a warning, a spill or anything outside cuda/budget.json is found
    python cuda/census.py --table     prints the figures of every kernel besides

Needs nvcc; the instructions are counted if cuobjdump is there too (pip install nvidia-cuda-cuobjdump
nvidia-cuda-nvdisasm), which toolkits put together from PyPI lack.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CUDA = Path(__file__).resolve().parent
ARCHITECTURES = (75, 80, 86, 89, 90)
CENSUS_ARCHITECTURE = 90  # the one that the kernels are tuned for
# The front end runs once for each PTX that differs: no source asks for 8.6 or 8.9, so theirs is that of 8.0. PTX of 9.0
# is kept besides, for GPUs to come.
CODE = {75: ("sm_75",), 80: ("sm_80", "sm_86", "sm_89"), 90: ("sm_90", "compute_90")}
BRANCHES = {"80", "800"}  # what sources may compare the architecture with, for the above to hold
FLAGS = ["-std=c++20", "-O3", "-Xptxas", "-v", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra"]


@dataclass(frozen=True)
class Usage:
    """What ptxas says of one function on one architecture; sizes in bytes."""

    kernel: str
    architecture: str
    registers: int
    stack: int
    spills: int
    shared: int


def short(names: list[str]) -> list[str]:
    """Demangled names without the scopes that all share."""
    shown = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    scopes = r"void (?=fb)|fb::cuda::|\(anonymous namespace\)::|nvcuda::wmma::precision::|\(.*"
    return [re.sub(scopes, "", name) for name in shown.splitlines()]


def read_usages(said: str) -> list[Usage]:
    """What ptxas says with -v, function by function."""
    blocks = re.findall(
        r"Compiling entry function '(\S+)' for '(\S+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
        said,
        re.DOTALL,
    )
    names = short([block[0] for block in blocks]) if blocks else []
    return [
        Usage(
            name,
            sm,
            int(registers),
            int(stack),
            int(stores) + int(loads),
            int((re.findall(r"(\d+) bytes smem", rest) or [0])[0]),
        )
        for name, (_, sm, stack, stores, loads, registers, rest) in zip(names, blocks, strict=True)
    ]


def compile_kernel(source: Path, target: Path) -> list[Usage]:
    """One kernel for all architectures: what ptxas says of each of its functions. Warnings are errors."""
    code = [f"-gencode=arch=compute_{ptx},code=[{','.join(targets)}]" for ptx, targets in CODE.items()]
    command = ["nvcc", *FLAGS, *code, "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return read_usages(done.stdout + done.stderr)


def branch_errors() -> list[str]:
    """Comparisons of the architecture in the sources that would make the PTX of 8.6 or 8.9 another than that of 8.0."""
    comparison = re.compile(r"(?:__CUDA_ARCH__|CAPABILITY) *(?:[<>]=?|[=!]=) *(\d+)")
    return [
        f"{path.name} compares the architecture with {number}: give it PTX of its own in CODE"
        for path in [*CUDA.glob("*.cu*"), *CUDA.glob("*.h"), *CUDA.glob("kernels/*.cu")]
        for number in comparison.findall(path.read_text(encoding="utf-8"))
        if number not in BRANCHES
    ]


def compile_golden(target: Path) -> None:
    """The recorder of golden vectors, so that it is sure to build where there is a GPU to record."""
    command = ["nvcc", *FLAGS, f"-arch=sm_{CENSUS_ARCHITECTURE}", "-c", str(CUDA / "golden.cu"), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def budget_errors(usages: list[Usage], budget: dict) -> list[str]:
    """What goes beyond the budget. Nobody may spill, have a stack or use static shared memory."""
    errors = []
    for usage in usages:
        where = f"{usage.kernel} on {usage.architecture}"
        limits = [entry for entry in budget["registers"] if usage.kernel.startswith(entry["kernel"])]
        if not limits:
            errors.append(f"{where}: no entry in cuda/budget.json")
        for entry in limits:
            if usage.registers > entry["most"]:
                errors.append(
                    f"{where}: {usage.registers} registers, the budget is {entry['most']} ({entry['reason']})"
                )
        for what in ("stack", "spills", "shared"):
            if getattr(usage, what):
                errors.append(f"{where}: {getattr(usage, what)} bytes of {what}, the budget is 0")
    return errors


def cuobjdump() -> str | None:
    """The program, on PATH or in a wheel of this Python."""
    wheels = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/bin/cuobjdump"))
    return shutil.which("cuobjdump") or (str(wheels[-1]) if wheels else None)


def hot_loops(program: str, objects: list[Path]) -> dict[str, list[str]]:
    """The instructions of each kernel's hot loop: of all backward jumps the body with the most multiply-adds."""
    loops: dict[str, list[str]] = {}
    for path in objects:
        text = subprocess.run(
            [program, "-arch", f"sm_{CENSUS_ARCHITECTURE}", "-sass", str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        parts = re.split(r"\n\s+Function : (\S+)", text)
        for name, body in zip(short(parts[1::2]), parts[2::2], strict=True):
            code = re.findall(r"/\*([0-9a-f]{4,5})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);", body)
            best: list[str] = []
            for address, operation, operands in code:
                target = re.search(r"0x([0-9a-f]+)", operands) if operation.startswith("BRA") else None
                if target and int(target[1], 16) < int(address, 16):
                    inside = [op for at, op, _ in code if int(target[1], 16) <= int(at, 16) <= int(address, 16)]
                    best = max(best, inside, key=lambda ops: sum(op.startswith(("FFMA", "HMMA")) for op in ops))
            loops[name] = best
    return loops


def census_errors(loops: dict[str, list[str]], budget: dict, table: bool) -> list[str]:
    """What the hot loops lack."""
    errors = []
    for entry in budget["hot_loop"]:
        kernels = {name: ops for name, ops in loops.items() if name.startswith(entry["kernel"])}
        if not kernels:
            errors.append(f"no kernel is called {entry['kernel']}")
        for name, ops in kernels.items():
            share = sum(op.split(".")[0] == entry["instruction"] for op in ops) / max(len(ops), 1)
            if share < entry["share"]:
                errors.append(f"{name}: {share:.3f} of the hot loop is {entry['instruction']}, not {entry['share']}")
            for need in entry["needs"]:
                if not any(op == need or op.startswith(f"{need}.") for op in ops):
                    errors.append(f"{name}: no {need} in the hot loop")
            if "LD" in (op.split(".")[0] for op in ops):
                errors.append(f"{name}: generic loads in the hot loop, where shared memory is meant")
            if table:
                counts = Counter(op.split(".")[0] for op in ops).most_common(6)
                print(f"{name:60} {len(ops):5} {share:.3f} {', '.join(f'{n} {op}' for op, n in counts)}")
    return errors


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    table = "--table" in arguments
    budget = json.loads((CUDA / "budget.json").read_text(encoding="utf-8"))
    sources = sorted((CUDA / "kernels").glob("*.cu"), key=lambda path: -path.stat().st_size)  # the longest first
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        targets = [Path(scratch, f"{source.stem}.o") for source in sources]
        golden = pool.submit(compile_golden, Path(scratch, "golden.o"))
        usages = [usage for found in pool.map(compile_kernel, sources, targets) for usage in found]
        golden.result()
        errors = branch_errors() + budget_errors(usages, budget)
        if table:
            for usage in usages:
                print(f"{usage.architecture} {usage.registers:4} registers  {usage.kernel}")
        program = cuobjdump()
        if program:
            errors += census_errors(hot_loops(program, targets), budget, table)
    print(*errors, sep="\n", end="\n" if errors else "")
    counted = "instructions counted" if program else "instructions not counted: no cuobjdump"
    print(
        f"{len(usages)} functions for {len(ARCHITECTURES)} architectures, {len(errors)} outside the budget; {counted}"
    )
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
