"""Seeded faults in the CUDA kernels and their host side: does the emulator notice? Each must fail the fuzz of a copy.

Before that, what is there as it is: the kernels, golden vectors (cuda/golden.cu), recorded and replayed, and the way of
host arrays on the fake runtime. Then faults in all three.

    python tests/cuda_mutants.py             all of them, two at a time; prints what the fuzz said of each
    python tests/cuda_mutants.py wait mask   those whose name contains a word

Needs a C++ compiler (CXX, else c++); no GPU, no CUDA. Exit code 1 if a fault survives, if one no longer fits the
source, or if the fuzz fails without any.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TILED, WMMA, SHARED, CUBLAS = "kernels/cuda_tiled.cu", "kernels/cuda_wmma.cu", "tile.cuh", "cublas.cpp"
HOST, STAGING, RUNTIME = "multiply_host.cpp", "staging.cpp", "runtime.cpp"
PTX_TWINS, MMA_TWIN, BF16_TWIN = "emu/ptx.hpp", "emu/mma.h", "emu/cuda_bf16.h"
TIMEOUT_SECONDS = 1200  # of a loaded machine; alone, the longest takes a minute
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    source: str
    """Exact text, which must be in the file once."""
    fault: str
    """What takes its place."""
    kernel: str = ""
    """Whose fuzz must fail, by default that of the kernel in `file`; "golden": the replay of golden vectors; "host" and
    a test of fuzz_host.cpp: the fuzz of host arrays, that of products the default for their files; "model": their model
    of time.
    """

    @property
    def killer(self) -> str:
        return self.kernel.split()[0] if self.kernel else "host" if self.of_host else Path(self.file).stem

    @property
    def host_test(self) -> list[str]:
        """Arguments of fuzz_host: without the other tests a fault shows in a fraction of the time."""
        return (self.kernel or "host products").split()[1:]

    @property
    def of_host(self) -> bool:
        return self.file in (HOST, STAGING, RUNTIME)


MUTANTS = [
    Mutant("mask: one row too many", "kernels/cuda_naive.cu", "if (row >= M ||", "if (row > M ||"),
    Mutant("mask: columns unchecked", "kernels/cuda_naive_uncoalesced.cu", "|| col >= N) return;", ") return;"),
    Mutant(
        "transpose: strides not swapped",
        SHARED,
        "m.transposed ? View<T>{data, 1, m.ld}",
        "m.transposed ? View<T>{data, m.ld, 1}",
        "cuda_naive",
    ),
    Mutant("beta = 0 reads C", SHARED, "*c = beta == 0 ? alpha * sum :", "*c = false ? alpha * sum :", "cuda_naive"),
    Mutant(
        "beta = 0 reads four of C",
        SHARED,
        "sum.w = beta == 0 ? alpha * sum.w : alpha * sum.w + beta * old.w;",
        "sum.w = alpha * sum.w + beta * c->w;",
        "cuda_tiled",
    ),
    Mutant("raster: short group taken for whole", SHARED, "min(GROUP, tile_rows - first_row)", "GROUP", "cuda_tiled"),
    Mutant(
        "barrier before a panel is read",
        TILED,
        "        copy_async_wait<STAGES - 2>();\n        __syncthreads();",
        "        copy_async_wait<STAGES - 2>();",
    ),
    Mutant(
        "barrier before the first panel is read",
        TILED,
        "  copy_async_wait<STAGES - 2>();\n  __syncthreads();\n  load_fragment",
        "  copy_async_wait<STAGES - 2>();\n  load_fragment",
    ),
    Mutant(
        "lax wait in the loop",
        TILED,
        "        copy_async_wait<STAGES - 2>();",
        "        copy_async_wait<STAGES - 1>();",
    ),
    Mutant(
        "lax wait before the loop",
        TILED,
        "  copy_async_wait<STAGES - 2>();\n  __syncthreads();\n  load_fragment",
        "  copy_async_wait<STAGES - 1>();\n  __syncthreads();\n  load_fragment",
    ),
    Mutant(
        "a group is not closed",
        TILED,
        "        copy_async_commit();\n      }",
        "        if (t + STAGES - 1 < panels) copy_async_commit();\n      }",
    ),
    Mutant(
        "copies into a stage in use",
        TILED,
        "shared + (t + STAGES - 1) % STAGES * T::STAGE",
        "shared + (t + STAGES - 2) % STAGES * T::STAGE",
    ),
    Mutant("mask: one step of K too many", TILED, "k + i * k_step < ks;", "k + i * k_step <= ks;"),
    Mutant(
        "mask: rows past the end are read",
        TILED,
        "min(first_row + row + i * row_step, rows - WIDTH)",
        "first_row + row + i * row_step",
    ),
    Mutant("mask: one row past the end is read", TILED, "rows - WIDTH);", "rows - WIDTH + 1);"),
    Mutant("mask: one row too many is stored", TILED, "if (row >= p.M) continue;", "if (row > p.M) continue;"),
    Mutant("mask: one column too many is stored", TILED, "if (col + e < p.N)", "if (col + e <= p.N)"),
    Mutant("alignment of rows not looked at", TILED, "m.col_stride % 4 == 0 && rows % 4 == 0 &&", "rows % 4 == 0 &&"),
    Mutant(
        "a piece goes across the end of a row", TILED, "m.col_stride % 4 == 0 && rows % 4 == 0", "m.col_stride % 4 == 0"
    ),
    Mutant("wrong lane: groups of rows not interleaved", TILED, "row0 + i / 4 * 4 * LANES_M + i % 4", "row0 + i"),
    Mutant(
        "wrong stage offset of B", TILED, "stage + BK * T::LDA + next * T::LDB", "stage + BK * T::LDB + next * T::LDB"
    ),
    Mutant(
        "chunks: all take the first part of K",
        TILED,
        "const index_t first_k = blockIdx.z * p.chunk;",
        "const index_t first_k = 0;",
    ),
    Mutant(
        "chunks: one is left out", TILED, "for (index_t c = 0; c < chunks; ++c)", "for (index_t c = 1; c < chunks; ++c)"
    ),
    Mutant("chunks: alpha applied twice", TILED, "p.alpha = 1, p.beta = 0;", "p.beta = 0;"),
    Mutant(
        "threads without rows leave before the barrier",
        TILED,
        "  float sum[T::TM][T::TN] = {};",
        "  if (place.row * T::BM + m0 >= p.M) return;\n  float sum[T::TM][T::TN] = {};",
    ),
    Mutant(
        "barrier before a stage is read (wmma)",
        WMMA,
        "      __syncthreads();  // panel t is there",
        "      // panel t is there",
    ),
    Mutant("lax wait (wmma)", WMMA, "copy_async_wait<STAGES - 2>();", "copy_async_wait<STAGES - 1>();"),
    Mutant(
        "strips overwrite panels in use",
        WMMA,
        "    __syncthreads();  // the strips take the place of the panels\n",
        "",
    ),
    Mutant(
        "strip read before it is written",
        WMMA,
        "      __syncwarp();\n      store_strip(p,",
        "      store_strip(p,",
    ),
    Mutant(
        "transpose: A as if it were not",
        WMMA,
        "conditional_t<A_TRANS, wmma::col_major",
        "conditional_t<A_TRANS, wmma::row_major",
    ),
    Mutant(
        "transpose: B as if it were not",
        WMMA,
        "conditional_t<B_TRANS, wmma::col_major",
        "conditional_t<B_TRANS, wmma::row_major",
    ),
    Mutant(
        "fragment stride without padding",
        WMMA,
        "a + PanelA::at(m0 + i * F, k), PanelA::LD",
        "a + PanelA::at(m0 + i * F, k), PanelA::COLS",
    ),
    Mutant(
        "mask: one row too many (wmma)",
        WMMA,
        "const int elements = r < rows_left ?",
        "const int elements = r <= rows_left ?",
    ),
    Mutant("mask: pieces never cut", WMMA, "max(min(cols_left - c, WIDTH), 0)", "(c < cols_left ? WIDTH : 0)"),
    Mutant("mask: one column too many is stored (wmma)", WMMA, "if (col + 3 < p.N)", "if (col + 3 <= p.N)"),
    Mutant(
        "one lane misses a collective operation",
        WMMA,
        "wmma::mma_sync(sum[i][j],",
        "if (threadIdx.x % 32 != 7) wmma::mma_sync(sum[i][j],",
    ),
    Mutant("tf32 cut off instead of rounded", WMMA, "to = round_to_tf32(x);", "to = x;"),
    Mutant("rounded rows not padded", WMMA, "r.ld = round_up(r.cols,", "r.ld = std::max<index_t>(r.cols,"),
    Mutant(
        "cublas: operands not swapped",
        CUBLAS,
        "first, second, job.N, job.M, job.K, &job.alpha, static_cast<const float*>(job.B",
        "first, second, job.M, job.N, job.K, &job.alpha, static_cast<const float*>(job.B",
    ),
    Mutant(
        "cublas: transposes exchanged",
        CUBLAS,
        "first = job.B.transposed ? OP_T : OP_N, second = job.A.transposed",
        "first = job.A.transposed ? OP_T : OP_N, second = job.B.transposed",
    ),
    Mutant("cublas: FP32 not pedantic", CUBLAS, "fp32 ? PEDANTIC_MATH : DEFAULT_MATH", "DEFAULT_MATH"),
    Mutant("cublas: tf32 for bf16", CUBLAS, ": COMPUTE_32F_FAST_16BF;", ": COMPUTE_32F_FAST_TF32;"),
    Mutant(
        "misaligned operand used where it is",
        WMMA,
        "m.type != Type::fp32 && aligned(m.data, 16)",
        "m.type != Type::fp32",
    ),
    # Of the emulator itself: what was recorded on the sound one, in place of a GPU, must not come out again.
    Mutant("twin: tf32 ties to even", PTX_TWINS, "bits += 0x1000;", "bits += 0xfff + (bits >> 13 & 1);", "golden"),
    Mutant("twin: bf16 cut off", BF16_TWIN, "bits += 0x7fff + (bits >> 16 & 1);", "", "golden"),
    Mutant(
        "twin: bytes that do not exist are copied",
        PTX_TWINS,
        "copy{to, from, BYTES, valid};",
        "copy{to, from, BYTES, BYTES};",
        "golden",
    ),
    Mutant(
        "twin: a wait lands one group too few",
        PTX_TWINS,
        "groups.size() > PENDING",
        "groups.size() > PENDING + 1",
        "golden",
    ),
    Mutant(
        "twin: a column-major fragment read by rows", MMA_TWIN, "ld, F::column_major)]);", "ld, false)]);", "golden"
    ),
    Mutant("twin: stored by columns as by rows", MMA_TWIN, "layout == mem_col_major)]);", "false)]);", "golden"),
    Mutant(
        "twin: the last k left out",
        MMA_TWIN,
        "k = 0; k < K; ++k)\n            for",
        "k = 0; k < K - 1; ++k)\n            for",
        "golden",
    ),
    # Of the way of host arrays, on a runtime whose copies land as late as they may.
    Mutant("host: a slot is filled before its copy has left", HOST, " || !passed(ring_.up.event(sent_))", ""),
    Mutant("host: a slot is emptied before it is there", HOST, " || !passed(ring_.down.event(emptied_))", ""),
    Mutant("host: one result too many under way", HOST, "< emptied_ + SLOTS", "<= emptied_ + SLOTS"),
    Mutant(
        "host: a kernel does not wait for its panel",
        HOST,
        'check(cudaStreamWaitEvent(stream, ring_.sent, 0), "waiting for a panel");',
        "",
    ),
    Mutant("host: a kernel starts one piece early", HOST, "uploads <= sent_;", "uploads <= sent_ + 1;"),
    Mutant(
        "host: a result does not wait for its kernel",
        HOST,
        "check(cudaStreamWaitEvent(ring_.down.stream, ring_.computed[awaited_++], 0)",
        "check((++awaited_, cudaSuccess)",
    ),
    Mutant(
        "host: a panel is marked once for all",
        HOST,
        "check(cudaEventRecord(ring_.sent, ring_.up.stream)",
        "if (!started_) check(cudaEventRecord(ring_.sent, ring_.up.stream)",
    ),
    Mutant(
        "host: memory is freed under work",
        HOST,
        "~Drain() { ring.drain(); }",
        "~Drain() { (void)ring; }",
        "host failures",
    ),
    Mutant(
        "host: a failure waits for no kernel",
        STAGING,
        "for (const Stream& stream : compute) cudaStreamSynchronize",
        ";//",
        "host failures",
    ),
    Mutant(
        "host: not ready is taken for an error",
        HOST,
        "if (error == cudaErrorNotReady) cudaGetLastError();",
        "",
    ),
    Mutant("host: two products in one ring", HOST, "const std::lock_guard lock(kept.in_use);", "", "host threads"),
    Mutant(
        "host: a ring in use is freed", STAGING, "std::try_to_lock); idle)", "std::defer_lock); !idle)", "host threads"
    ),
    Mutant("host: locks held at a fork", STAGING, "[] { registry = new Registry; }", "[] {}", "host fork"),
    Mutant("host: a pool that keeps nothing", RUNTIME, "POOL_KEEPS_BYTES = 1 << 30", "POOL_KEEPS_BYTES = 0"),
    Mutant(
        "host: memory of a failed call is kept",
        HOST,
        "const DeviceMemory a(bytes(A), stream), b(",
        "const DeviceMemory& a = *new DeviceMemory(bytes(A), stream);\n  const DeviceMemory b(",
    ),
    Mutant("host: the last part of a row is long", HOST, "std::min(cols, m.cols - j)", "cols"),
    Mutant("host: elements of two bytes", HOST, "m.type == Type::fp32 ? 4 : 2", "4"),
    Mutant("host: pitch of the panel", HOST, "static_cast<std::size_t>(to.ld * to.size)", "width"),
    Mutant("host: transposed A, panel by rows", HOST, "part(a_, job.A.transposed, row", "part(a_, false, row"),
    Mutant("host: C is not sent", HOST, "if (job_.beta != 0) cut", "if (false) cut"),
    Mutant(
        "host: C is sent behind its kernel",
        HOST,
        "plan_.steps.push_back({job, plan_.uploads.size()});",
        "plan_.steps.push_back({job, plan_.uploads.size() - (job.beta != 0)});",
    ),
    Mutant("host: parts of C share memory", HOST, "c_ += round_up(rows * cols * host.size, ALIGNMENT);", ""),
    Mutant(
        "host: gaps taken for elements", STAGING, "from.ld == from.cols && to.ld == to.cols", "from.ld == from.cols"
    ),
    Mutant("host: the last run is long", STAGING, "std::min(RUN_BYTES, bytes - first)", "RUN_BYTES"),
    Mutant(
        "host: the last run is left out",
        STAGING,
        "per_row = ceil_div(bytes, RUN_BYTES)",
        "per_row = std::max<index_t>(bytes / RUN_BYTES, 1)",
    ),
    Mutant("host: cuBLAS on several streams", HOST, "kernel_.side_by_side ? started_ %", "true ? started_ %"),
    Mutant(
        "model: the way up behind the way down",
        HOST,
        "if (sent_ == plan_.uploads.size() ||",
        "if (requested_ > emptied_ || sent_ == plan_.uploads.size() ||",
        "model",
    ),
    Mutant(
        "model: results only behind the last panel",
        HOST,
        "    for (; requested_ < plan_.downloads.size() &&",
        "    for (; sent_ == plan_.uploads.size() && requested_ < plan_.downloads.size() &&",
        "model",
    ),
    Mutant("model: one kernel at a time", HOST, "kernel_.side_by_side ? started_ % COMPUTE_STREAMS : 0", "0", "model"),
    Mutant("model: the whole of B first", HOST, "B_AHEAD = 2", "B_AHEAD = 99", "model"),
    Mutant("model: one panel of everything", HOST, "ceil_div(extent, PANELS), ", "extent, ", "model"),
]


def compiler(*flags: str) -> list[str]:
    general = ["-std=c++20", "-fno-omit-frame-pointer", "-Wno-unknown-pragmas", "-DFB_EMULATE"]
    return [os.environ.get("CXX", "c++"), *general, *flags]


def compile_source(tree: Path, file: str, target: Path, *flags: str) -> None:
    """One file of `tree`, a copy of the project's cuda/ and of the list, into an object."""
    source = ["-x", "c++", "-c", str(tree / "cuda" / file), "-o", str(target)]
    subprocess.run([*compiler(*flags), f"-I{tree / 'cuda/emu'}", *source], check=True)


def build_golden(tree: Path) -> Path:
    """The program of golden.cu on the emulator of `tree`. Not sanitized: the fuzz looks for what that would find."""
    program = tree / "golden"
    sources = [str(tree / "cuda" / file) for file in ("golden.cu", "emu/emulator.cpp")]
    command = [*compiler("-O0"), f"-I{tree / 'cuda/emu'}", "-x", "c++", *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def replay(program: Path, files: list[Path]) -> str | None:
    """None if the emulator gives what the files say, else the first line that says where not."""
    done = subprocess.run([program, "replay", *files], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    print(done.stdout if done.returncode == 0 and len(files) > 1 else "", end="")
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (said or [f"exit status {done.returncode}"])[0]


def copy_tree(to: Path) -> Path:
    shutil.copytree(ROOT / "cuda", to / "cuda")
    (to / "cpp").mkdir()
    for name in ("algorithms.def", "for_each_algorithm.inc"):
        shutil.copy(ROOT / "cpp" / name, to / "cpp")
    return to


@dataclass(frozen=True)
class Build:
    """The fuzz of kernels without faults: objects, by the names of their files, and the library of cuBLAS."""

    flags: list[str]
    objects: dict[str, Path]
    fake: Path

    def without(self, name: str) -> list[Path]:
        return [path for other, path in self.objects.items() if other != name]


def fuzz(build: Build, objects: list[Path], folder: Path, kernels: list[str]) -> str | None:
    """Links and runs; None if every job was right, else the last line that says why not."""
    program = folder / "fuzz"
    subprocess.run([*compiler(*build.flags), *map(str, objects), "-o", str(program), "-ldl"], check=True)
    try:
        done = subprocess.run([program, build.fake, *kernels], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT_SECONDS} s"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if re.search(r"thread \d+:|SUMMARY|runtime error", line)]
    return said[0] if said else f"exit status {done.returncode}"


HOST_FILES = (HOST, STAGING, RUNTIME, "emu/fake_runtime.cpp", "emu/fuzz_host.cpp")
# How the fuzz of host arrays is built. The model moves 4096 x 4096 matrices: sanitized, it would take long.
HOST_FLAGS = {"host": ["-O1", "-g1", "-DFB_SMALL_SLOTS", *SANITIZE], "model": ["-O1"]}


def build_host(tree: Path, killer: str, sound: Path | None = None, changed: str = "") -> Path:
    """The fuzz of host arrays, or the model; of a mutant: the changed file, and objects of the sound ones."""
    folder = tree / killer
    folder.mkdir()
    flags, objects = ["-fopenmp", *HOST_FLAGS[killer]], []
    for file in HOST_FILES:
        name = f"{Path(file).stem}.o"
        if sound is None or file == changed:
            compile_source(tree, file, folder / name, *flags)
        objects.append((folder if sound is None or file == changed else sound / killer) / name)
    subprocess.run([*compiler(*flags), *map(str, objects), "-o", str(folder / "fuzz")], check=True)
    return folder / "fuzz"


def run_host(program: Path, tests: Sequence[str] = ()) -> str | None:
    """None if all is well, else the first line that says why not. Teams sleep: there are more threads than CPUs."""
    quiet = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    try:
        done = subprocess.run([program, *tests], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=quiet)
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT_SECONDS} s"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if "ERROR: A" in line or not line.startswith((" ", "="))]
    return next((line for line in said if line), f"exit status {done.returncode}")


def host_sound(tree: Path, killer: str) -> None:
    """Builds and runs it without faults; exits if it fails."""
    said = run_host(build_host(tree, killer))
    if said:
        raise SystemExit(f"the fuzz of host arrays fails without any fault: {said}")


def try_mutant(mutant: Mutant, folder: Path, builds: list[Build], recorded: Path) -> str | None:
    """What the fuzz, or the replay, says of it; None if it survives."""
    tree = copy_tree(folder)
    path = tree / "cuda" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.source) != 1:
        raise SystemExit(f"{mutant.name}: its source is {text.count(mutant.source)} times in {mutant.file}, not once")
    path.write_text(text.replace(mutant.source, mutant.fault), encoding="utf-8")
    if mutant.killer == "golden":
        return replay(build_golden(tree), [recorded])
    if mutant.killer in HOST_FLAGS:
        program = build_host(tree, mutant.killer, recorded.parent, mutant.file)
        return run_host(program, mutant.host_test if mutant.killer == "host" else ())
    file = "cublas.cpp" if mutant.killer == "cublas" else f"kernels/{mutant.killer}.cu"
    # Most faults show in the numbers: that is tried first, in a fraction of the time that the sanitizers take.
    for build in builds:
        # First in the list, so that of inline functions that several objects have it is the changed one that is linked.
        changed = folder / "changed.o"
        compile_source(tree, file, changed, "-O0", *build.flags)
        said = fuzz(build, [changed, *build.without(mutant.killer)], folder, [mutant.killer])
        if said:
            return said
    return None


def golden_vectors(tree: Path) -> Path:
    """Replays what GPUs have recorded; a recording of the emulator itself, for the faults to come.

    Exits if the replay fails.
    """
    program, recorded = build_golden(tree), tree / "emulator.txt"
    subprocess.run([program, "record", recorded], check=True)
    of_gpus = sorted((ROOT / "cuda" / "golden").glob("*.txt"))
    said = replay(program, [recorded, *of_gpus])
    if said:
        raise SystemExit(f"the emulator does not give what was recorded: {said}")
    if not of_gpus:
        print("golden vectors: none recorded on a GPU yet (bench/gpu/run_all.py does); the emulator's own replay")
    return recorded


def build_sound(tree: Path, folder: Path, pool: ThreadPoolExecutor, flags: list[str]) -> Build:
    folder.mkdir()
    files = [f"kernels/{path.name}" for path in sorted((ROOT / "cuda/kernels").glob("*.cu"))]
    files += ["cublas.cpp", "emu/emulator.cpp", "emu/fake_runtime.cpp", "emu/fuzz.cpp"]
    files.sort(key=lambda file: -(ROOT / "cuda" / file).stat().st_size)  # the longest first
    objects = {Path(file).stem: folder / f"{Path(file).stem}.o" for file in files}
    list(pool.map(lambda file: compile_source(tree, file, objects[Path(file).stem], "-O1", "-g1", *flags), files))
    fake = folder / "libfakecublas.so"
    library = [str(tree / "cuda/emu/fake_cublas.cpp"), "-o", str(fake)]
    subprocess.run([*compiler(*flags, "-O1", "-fPIC", "-shared"), *library], check=True)
    return Build(flags, objects, fake)


def fuzz_sound(build: Build, killers: list[str], pool: ThreadPoolExecutor) -> str | None:
    """Every kernel as it is, a process each; None if all were right."""
    killers = sorted(killers, key=lambda name: name != "cuda_wmma")  # the longest first
    folders = [build.fake.parent / f"sound_{name}" for name in killers]
    for folder in folders:
        folder.mkdir()
    objects = list(build.objects.values())
    said = pool.map(lambda name, folder: fuzz(build, objects, folder, [name]), killers, folders)
    return next((line for line in said if line), None)


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        tree = copy_tree(Path(scratch, "sound"))
        recording = pool.submit(golden_vectors, tree)
        killers = sorted({mutant.killer for mutant in chosen} - {"golden", *HOST_FLAGS})
        for killer in sorted({mutant.killer for mutant in chosen} & {*HOST_FLAGS}):
            host_sound(tree, killer)
        builds = []
        for name, flags in {"plain": [], "sanitized": SANITIZE}.items() if killers else ():
            builds.append(build_sound(tree, Path(scratch, name), pool, flags))
            said = fuzz_sound(builds[-1], killers, pool)
            if said:
                print(f"the fuzz, {name}, fails without any fault: {said}", file=sys.stderr)
                return 1
        recorded = recording.result()
        folders = [Path(scratch, str(n)) for n in range(len(chosen))]
        survivors = 0
        for mutant, said in zip(
            chosen, pool.map(lambda m, f: try_mutant(m, f, builds, recorded), chosen, folders), strict=True
        ):
            survivors += said is None
            print(f"{mutant.name:48} {'SURVIVES' if said is None else said[:110]}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} faults caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
