"""Seeded faults: does the suite notice? Each is built into a copy of the source, and the tests named must fail on it.

    python tests/mutants.py            all of them, in a few minutes; prints which test killed which
    python tests/mutants.py race nan   those whose name contains a word
    python tests/mutants.py --json docs/conformance/faults.json    also for the table of docs/make_conformance.py

Exit code 1 if a fault survives, if one no longer fits the source, or if the tests fail without any. One level is built,
the best of this CPU, without the compiler-flag study; for faults in what that level never runs, another.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tree import ROOT, BuildError, Tree, missing

import frugalblas

# What runs without a fault, and so all that may kill one. Numba compiles for half a minute what no fault is in.
SUBSET = [
    "test_matmul.py",
    "test_patch.py",
    "test_strategies.py",
    "test_contract.py",
    "test_aliasing.py",
    "test_indexing.py",
    "test_process.py",
    "test_blas_abi.py",
    "test_pack.py",
    "test_tuning.py",
]
NOT_NUMBA = "not numba"
RACE_ATTEMPTS = 5  # who wins a race is a matter of chance
# A fault may hang. Far above what any file of the subset takes, and all of it without a fault, on a busy machine too.
TIMEOUT_SECONDS, NO_FAULT_SECONDS = 400, 1800


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    source: str
    """Exact text, which must be in the file once."""
    fault: str
    """What takes its place."""
    killer: str
    """What must fail: a file of the subset, or one test of it."""
    never_at: str = ""
    """A level whose build never runs that code: on a CPU of that level v2 is built for this fault."""
    only_at: str = ""
    """The one level whose build runs that code; a CPU that has it not has no such fault either."""

    def level(self, best: str) -> str:
        return self.only_at or ("v2" if self.never_at == best else best)


MUTANTS = [
    Mutant(
        "last column lost",
        "cpp/simd/blocking.hpp",
        ".nc = min(block.NC, g.N - jc),",
        ".nc = min(block.NC, g.N > 1 ? g.N - 1 - jc : 1),",
        "test_strategies.py",
    ),
    Mutant(
        "K blocks overwrite instead of add",
        "cpp/simd/blocking.hpp",
        ".beta = pc == 0 ? g.beta : 1,",
        ".beta = g.beta,",
        "test_strategies.py",
    ),
    Mutant(
        "race: the team shares one scratch",
        "cpp/kernels/blocked.cpp",
        "workspace.data() + t * (for_a + for_b));",
        "workspace.data() + 0 * t * (for_a + for_b));",
        "test_strategies.py::test_bits_do_not_depend_on_threads_or_time",
    ),
    Mutant(
        "race: panels of A read before all are packed",
        "cpp/kernels/openmp.cpp",
        "#pragma omp for schedule(static)  // its closing barrier: the block is",
        "#pragma omp for schedule(static) nowait  // its closing barrier: the block is",
        "test_strategies.py::test_teams_do_not_race",
    ),
    Mutant(
        "race: panels of A repacked before all are read",
        "cpp/kernels/openmp.cpp",
        "#pragma omp barrier\n",
        "",
        "test_strategies.py::test_teams_do_not_race",
    ),
    Mutant(
        "race: panels of a flat A read before all are packed",
        "cpp/kernels/openmp.cpp",
        "#pragma omp for schedule(static)  // its closing barrier: the blocks",
        "#pragma omp for schedule(static) nowait  // its closing barrier: the blocks",
        "test_strategies.py::test_teams_do_not_race",
        never_at="v3",
    ),
    Mutant(
        "race: threads share the strip of B",
        "cpp/kernels/openmp.cpp",
        "float* const b_strip = workspace.data() + for_a + thread * for_b",
        "float* const b_strip = workspace.data() + for_a + 0 * for_b",
        "test_strategies.py::test_teams_do_not_race",
    ),
    Mutant(
        "B in place: the second column of tiles reads the first one's",
        "cpp/simd/blocking.hpp",
        "op.b = at(s.B, 0, jc).data;",
        "op.b = at(s.B, 0, 0 * jc).data;",
        "test_strategies.py",
        never_at="v3",
    ),
    Mutant(
        "B in place: a team's parts of K all read the first of B",
        "cpp/kernels/openmp.cpp",
        "how, 0, pc, jc, a_block, b_strip",
        "how, 0, 0 * pc, jc, a_block, b_strip",
        "test_strategies.py",
        never_at="v3",
    ),
    Mutant(
        "the second chunk of K lost",
        "cpp/simd/matrix.hpp",
        "for (index_t chunk = 1; chunk < chunks; ++chunk)",
        "for (index_t chunk = 2; chunk < chunks; ++chunk)",
        "test_strategies.py",
    ),
    Mutant(
        "columns before the first whole register lost",
        "cpp/kernels/outer.cpp",
        "part_of_row(g, a, b, c, static_cast<int>(j));",
        "if (j == 0) part_of_row(g, a, b, c, static_cast<int>(j));",
        "test_strategies.py",
    ),
    Mutant(
        "K remainder dropped",
        "cpp/kernels/vector.cpp",
        "for (; r < registers; ++r) sum[0] +=",
        "for (; r + SUMS < registers; ++r) sum[0] +=",
        "test_strategies.py",
    ),
    Mutant(
        "alpha applied twice",
        "cpp/kernels/transposed.cpp",
        "g.beta == 0 ? g.alpha * sum :",
        "g.beta == 0 ? g.alpha * g.alpha * sum :",
        "test_strategies.py",
    ),
    Mutant(
        "beta = 0 reads C",
        "cpp/kernels/accumulate.cpp",
        "*c = g.beta == 0 ? g.alpha * sum : g.alpha * sum + g.beta * *c;",
        "*c = g.alpha * sum + g.beta * *c;",
        "test_contract.py",
    ),
    Mutant(
        "NaN swallowed",
        "cpp/kernels/accumulate.cpp",
        "sum += a[k * g.A.col_stride] * b[k * g.B.row_stride];",
        "if (const float term = a[k * g.A.col_stride] * b[k * g.B.row_stride]; term == term) sum += term;",
        "test_contract.py",
    ),
    Mutant(
        "ldc ignored",
        "cpp/kernels/naive.cpp",
        "float* c = at(g.C, i, j).data;",
        "float* c = g.C.data + i * g.N + j;",
        "test_strategies.py",
    ),
    Mutant(
        "wrong row remainder",
        "cpp/kernels/microkernel.cpp",
        "now.at[(mr - 1) * NV",
        "now.at[(mr - 1 - (mr > 1 && i + mr == g.M)) * NV",
        "test_strategies.py",
    ),
    Mutant(
        "edge of B in place: the last register begins one column early",
        "cpp/simd/tile.hpp",
        "overlaps ? (nv - 2) * VL + tail :",
        "overlaps ? (nv - 2) * VL + tail - (tail > 1) :",
        "test_strategies.py",
    ),
    Mutant(
        "ends of a row: the second one begins a column early",
        "cpp/simd/partial.hpp",
        "halves(_mm_loadu_ps(p), _mm_loadu_ps(p + n - 4));",
        "halves(_mm_loadu_ps(p), _mm_loadu_ps(p + n - 4 - (n > 4)));",
        "test_strategies.py",
        only_at="v3",
    ),
    Mutant(
        "a packed strip: panels are taken for a step shorter",
        "cpp/simd/blocking.hpp",
        "op.b += op.b_k * s.kc;",
        "op.b += op.b_k * (s.kc - 1);",
        "test_strategies.py",
    ),
    Mutant(
        "far B: the last row panel of a group is left out",
        "cpp/simd/blocking.hpp",
        "for (index_t q = begin, ir = top; q < end; ++q)",
        "for (index_t q = begin, ir = top; q < end - (group > 1); ++q)",
        "test_strategies.py::test_b_from_beyond_l2",
        only_at="v3",
    ),
    Mutant(
        "deep: the last turn of a thread's share is left out",
        "cpp/kernels/deep.cpp",
        "if (turn >= end) break;",
        "if (turn >= end - 1) break;",
        "test_strategies.py",
    ),
    Mutant(
        "far B by rows: the last panels are packed from the first columns",
        "cpp/simd/pack.cpp",
        "at(B, 0, rest * NR), strip",
        "at(B, 0, 0 * rest * NR), strip",
        "test_strategies.py",
        only_at="v3",
    ),
    Mutant(
        "deep in blocks: every chunk multiplies the first rows of B",
        "cpp/kernels/deep.cpp",
        "multiply_blocks(chunk_job(g, pc, kc, c)",
        "multiply_blocks(chunk_job(g, 0 * pc, kc, c)",
        "test_strategies.py",
        only_at="v3",
    ),
    Mutant(
        "how B is fetched is decided anew for the rows of a thread",
        "cpp/kernels/blocked.cpp",
        "strip_product(g, block, ways, ic,",
        "strip_product(g, block, fb::FB_VARIANT::ways(g), ic,",
        "test_tuning.py",
        only_at="v4",
    ),
    Mutant(
        "race: the team shares one panel of B",
        "cpp/kernels/openmp.cpp",
        "workspace.data() + thread * for_b",
        "workspace.data() + 0 * thread * for_b",
        "test_tuning.py",
        only_at="v4",
    ),
    Mutant(
        "race: threads that pack A each for itself share the block",
        "cpp/kernels/openmp.cpp",
        "(together ? 0 : thread * for_a)",
        "(together ? 0 : 0 * thread * for_a)",
        "test_strategies.py::test_teams_do_not_race",
        only_at="v4",
    ),
    Mutant(
        "scattered: rows beside whole squares are those before them",
        "cpp/simd/tiles.cpp",
        "(i + (q < count ? q : count - 1)) * tile_row",
        "(i + (q < count ? q : count - 1) - (count < 4)) * tile_row",
        "test_strategies.py",
    ),
    Mutant(
        "packed: a step of K is left out after smaller squares",
        "cpp/simd/pack.cpp",
        "k = pack_squares<width, W / 2>(k, kc, vectors, dst);",
        "k = pack_squares<width, W / 2>(k, kc, vectors, dst) + 1;",
        "test_strategies.py",
    ),
    Mutant(
        "dot: a quarter of the lanes is counted twice",
        "cpp/kernels/dot.cpp",
        "__builtin_shufflevector(four, four, quarter, quarter + 1, quarter + 2, quarter + 3) +",
        "__builtin_shufflevector(four, four, 0, 1, 2, 3) +",
        "test_strategies.py",
        only_at="v4",
    ),
    Mutant(
        "the other stride of a vector decides about its bits",
        "cpp/choose.cpp",
        "if (few == 1) {",
        "if (few == 1 && few == 2) {",
        "test_patch.py::test_all_doors_give_the_same_bits",
        only_at="v4",
    ),
    Mutant(
        "the last row of a thread's own is left out",
        "cpp/kernels/microkernel.cpp",
        "rows(g, first, last - first)",
        "rows(g, first, last - first - 1)",
        "test_strategies.py",
    ),
    Mutant(
        "padding lanes stored",
        "cpp/simd/tile.hpp",
        "if (overlaps || tail == VL)\n      store(",
        "if (overlaps || tail <= VL)\n      store(",
        "test_strategies.py",
    ),
    Mutant(
        "batch: the last product of a thread's share is left out",
        "cpp/batch.cpp",
        "end = batch.count * (owner + 1) / threads;",
        "end = batch.count * (owner + 1) / threads - (owner + 1 < threads);",
        "test_matmul.py",
    ),
    Mutant(
        "block size follows the thread count",
        "cpp/simd/blocking.hpp",
        "const index_t KC = equal_part(g.K, kc_most(g), 1);",
        "const index_t KC = equal_part(g.K, kc_most(g) / g.threads, 1);",
        "test_strategies.py::test_bits_do_not_depend_on_threads_or_time",
    ),
    Mutant(
        "32-bit index",
        "cpp/simd/matrix.hpp",
        "static inline Matrix at(const Matrix& m, index_t i, index_t j) {\n  return {m.data + i * m.row_stride +",
        "static inline Matrix at(const Matrix& m, index_t i, index_t j) {\n"
        "  return {m.data + static_cast<int>(i * m.row_stride) +",
        "test_indexing.py",
    ),
    Mutant(
        "trans flag ignored",
        "cpp/sgemm_arguments.cpp",
        "const int row = transposed ? 1 : 0, column = 1 - row;",
        "const int row = 0 * transposed, column = 1 - row;",
        "test_strategies.py",
    ),
    Mutant(
        "broadcast stride taken for contiguous",
        "cpp/sgemm_arguments.cpp",
        "if (PyArray_DIM(array, dimension) <= 1) return if_single;",
        "if (PyArray_DIM(array, dimension) <= 1 || PyArray_STRIDE(array, dimension) == 0) return if_single;",
        "test_strategies.py",
    ),
    Mutant(
        "overlap of out and operands not seen",
        "cpp/sgemm_arguments.cpp",
        "return x_low < y_high && y_low < x_high;",
        "return x_low < y_high && y_low < x_high && x_low == y_low && x_high < y_high;",
        "test_aliasing.py",
    ),
    Mutant(
        "alpha = 0 reads the operands",
        "cpp/sgemm_call.cpp",
        "if (g.K == 0 || g.alpha == 0) {",
        "if (g.K == 0) {",
        "test_contract.py",
    ),
    Mutant(
        "NumPy is not told to copy an out that overlaps",
        "cpp/matmul_ufunc.cpp",
        "NPY_ITER_WRITEONLY | NPY_ITER_UPDATEIFCOPY |",
        "NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE | NPY_ITER_WRITEONLY | NPY_ITER_UPDATEIFCOPY |",
        "test_matmul.py",
    ),
    Mutant(
        "a batch forgets to move on in B",
        "cpp/batch.cpp",
        "job.B.data += i * batch.b_step;",
        "job.B.data += 0 * i * batch.b_step;",
        "test_matmul.py",
    ),
    Mutant(
        "a woken thread stays off its caller's CPU for good",
        "cpp/team.cpp",
        "sched_setaffinity(thread, sizeof entry.allowed, &entry.allowed);",
        "(void)thread;",
        "test_process.py::test_threads_may_run_where_they_might_before",
    ),
    Mutant(
        "flags of the threads of one product are lost",
        "cpp/team.cpp",
        "*raised_ |= mine;",
        "*raised_ |= 0 * mine;",
        "test_matmul.py::test_warnings_of_every_strategy",
    ),
    Mutant(
        "flags of a plain loop's threads are lost",
        "cpp/kernels/accumulate.cpp",
        "const TeamThread team_thread(g.team);",
        "const TeamThread team_thread(nullptr);",
        "test_matmul.py::test_warnings_of_every_strategy",
    ),
    Mutant(
        "flags of the threads of a batch are lost",
        "cpp/batch.cpp",
        "const TeamThread team_thread(&team);",
        "const TeamThread team_thread(nullptr);",
        "test_matmul.py::test_warnings_of_every_product_of_a_batch",
    ),
    Mutant(
        "a triangle takes the rung of its part",
        "cpp/triangle.cpp",
        "frugalblas_run_always(algorithm, &block);",
        'frugalblas_run_always(frugalblas_algorithm(frugalblas_find_entry("naive"), nullptr), &block);',
        "test_matmul.py::test_a_times_its_transpose_is_symmetric",
    ),
    Mutant(
        "packed: the last panel's padding is stored",
        "cpp/packed_kernel.cpp",
        "min(sums_row, g.N - b.first)",
        "sums_row",
        "test_pack.py::test_product",
    ),
    Mutant(
        "packed: A is packed for the first part of K alone",
        "cpp/packed_kernel.cpp",
        "if (!is_panel) pack_a_block(",
        "if (!is_panel && pc == 0) pack_a_block(",
        "test_pack.py::test_product",
    ),
    Mutant(
        "a patch is not undone",
        "cpp/got_patch.cpp",
        "__atomic_store_n(slot.address, value, __ATOMIC_RELEASE);",
        "if (value == slot.replacement) __atomic_store_n(slot.address, value, __ATOMIC_RELEASE);",
        "test_patch.py",
    ),
    Mutant(
        "BLAS: row-major taken for column-major",
        "cpp/blas_job.hpp",
        "return order == column_major ? Matrix{data, 1, ld} : Matrix{data, ld, 1};",
        "return order != 0 ? Matrix{data, 1, ld} : Matrix{data, ld, 1};",
        "test_blas_abi.py::test_cblas_sgemm_is_sgemm",
    ),
    Mutant(
        "BLAS: conjugate transpose not transposed",
        "cpp/blas_job.hpp",
        "cblas == 112 || cblas == 113 ? 'T' : 0",
        "cblas == 112 ? 'T' : cblas == 113 ? 'N' : 0",
        "test_blas_abi.py::test_cblas_sgemm_is_sgemm",
    ),
    Mutant(
        "BLAS: ldb checked against the wrong size",
        "cpp/blas_job.hpp",
        "ldb < at_least_1(tb == 'N' ? k : n)",
        "ldb < at_least_1(tb == 'N' ? n : k)",
        "test_blas_abi.py::test_illegal_arguments_are_reported_under_their_number",
    ),
    Mutant(
        "BLAS: numbers of a row-major call not turned back",
        "cpp/blas_abi.cpp",
        "order == row_major ? natural(number, exchanged) : number",
        "order == 0 ? natural(number, exchanged) : number",
        "test_blas_abi.py::test_illegal_arguments_are_reported_under_their_number",
    ),
    Mutant(
        "BLAS: negative increment walks from the wrong end",
        "cpp/blas_job.hpp",
        "if (incx < 0) x -= (inner - 1) * incx;",
        "if (incx < 0) incx = -incx;",
        "test_blas_abi.py::test_cblas_sgemv_is_sgemm",
    ),
    Mutant(
        "BLAS: the other triangle is written",
        "cpp/triangle.cpp",
        "for (index_t j = upper ? i : 0; j",
        "for (index_t j = 0; j",
        "test_blas_abi.py::test_cblas_ssyrk_has_the_bits_of_sgemm_in_its_triangle",
    ),
    Mutant(
        "BLAS: beta counts twice in blocks on the diagonal",
        "cpp/triangle.cpp",
        "copy_triangle(block.C, g.C, n, upper);",
        "if (g.beta != 0) for (index_t i = 0; i < n * n; ++i) scratch[i] *= g.beta;\n"
        "  copy_triangle(block.C, g.C, n, upper);",
        "test_blas_abi.py::test_cblas_ssyrk_has_the_bits_of_sgemm_in_its_triangle",
    ),
    Mutant(
        "BLAS: a batch takes uneven distances for even ones",
        "cpp/blas/run.cpp",
        "step(b, next - 1) == steps[1]",
        "steps[1] == steps[1]",
        "test_blas_abi.py::test_a_batch_has_the_bits_of_single_products",
    ),
    Mutant(
        "BLAS: the second group of a batch is not checked",
        "cpp/blas_abi.cpp",
        "if (bad) return report(caller, name, order, bad, {{4, 5}, {9, 11}}), false;",
        "if (bad && g == 0) return report(caller, name, order, bad, {{4, 5}, {9, 11}}), false;",
        "test_blas_abi.py::test_illegal_arguments_are_reported_under_their_number",
    ),
    Mutant(
        "BLAS: 64-bit integers cut",
        "cpp/blas_abi.cpp",
        "CBLAS_GEMM(i64, cblas_sgemm64_,",
        "CBLAS_GEMM(i32, cblas_sgemm64_,",
        "test_blas_abi.py::test_sizes_beyond_32_bits",
    ),
    Mutant(
        "fast-math on the link line",
        "CMakeLists.txt",
        "target_link_libraries(frugalblas PRIVATE OpenMP::OpenMP_CXX ${CMAKE_DL_LIBS})",
        "target_link_libraries(frugalblas PRIVATE OpenMP::OpenMP_CXX ${CMAKE_DL_LIBS} -ffast-math)",
        "test_process.py",
    ),
]


def configure(tree: Tree, level: str) -> None:
    # -O1 halves the time that compiling takes, which is most of a fault's.
    tree.configure(FRUGALBLAS_STUDY="OFF", FRUGALBLAS_LEVELS=level, FRUGALBLAS_O1="ON")


def apply(mutant: Mutant, tree: Tree) -> str:
    """Puts the fault in; the file's text before."""
    path = tree.source / mutant.file
    text = path.read_text()
    if text.count(mutant.source) != 1:
        raise BuildError(f"{mutant.file} has the text of {mutant.name!r} {text.count(mutant.source)} times, not once")
    path.write_text(text.replace(mutant.source, mutant.fault))
    return text


def tests_pass(tree: Tree, files: list[str], timeout: float) -> tuple[bool, str]:
    """Whether all tests of these files pass on the tree as built, and if not, what failed first."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-k", NOT_NUMBA]
    environment = {**os.environ, **tree.assemble(), "FRUGALBLAS_ISA": ""}
    try:
        done = subprocess.run(
            [*command, *(str(ROOT / "tests" / file) for file in files)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return False, "timeout"
    if done.returncode == 0:
        return True, ""
    failed = re.search(r"^(?:FAILED|ERROR) \S*/(\S+::\S+)", done.stdout, re.MULTILINE)
    if failed:
        return False, failed[1]
    if done.returncode < 0:
        return False, f"crash, signal {-done.returncode}"
    raise BuildError(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Puts `rows` into the file, in the order of the table here; other rows of an earlier run stay."""
    before = json.loads(path.read_text())["faults"] if path.exists() else []
    found = {row["fault"]: row for row in [*before, *rows]}
    faults = [found[mutant.name] for mutant in MUTANTS if mutant.name in found]
    path.write_text(json.dumps({"title": "Seeded faults", "faults": faults}, indent=1) + "\n")


def imported_from(tree: Tree) -> Path:
    code = "import frugalblas; print(frugalblas._core.__file__)"
    environment = {**os.environ, **tree.assemble()}
    return Path(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write which test killed which fault")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    words = options.words
    reason = missing()
    if reason is not None:
        print(f"cannot seed faults: {reason}", file=sys.stderr)
        return 1
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    rows: list[dict[str, str]] = []
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        best, levels = frugalblas.info()["cpu"]["level"], frugalblas.info()["cpu"]["levels"]
        for mutant in [mutant for mutant in chosen if mutant.only_at and mutant.only_at not in levels]:
            print(f"{mutant.name:48} left out: this CPU has no {mutant.only_at}")
            chosen.remove(mutant)
        chosen.sort(key=lambda mutant: (mutant.level(best) != best, mutant.level(best)))  # each level is built once
        built = best
        configure(tree, built)
        tree.compile()
        if not imported_from(tree).is_relative_to(tree.package):
            print(f"the tests would import {imported_from(tree)}, not the changed copy", file=sys.stderr)
            return 1
        passed, failure = tests_pass(tree, SUBSET, NO_FAULT_SECONDS)
        if not passed:
            print(f"the tests fail without any fault: {failure}", file=sys.stderr)
            return 1
        print(f"{'no fault':48} passes", flush=True)
        for mutant in chosen:
            started = time.monotonic()
            if mutant.level(best) != built:
                built = mutant.level(best)
                configure(tree, built)
                tree.compile()
                passed, failure = tests_pass(tree, ["test_strategies.py"], NO_FAULT_SECONDS)
                if not passed:
                    print(f"the tests fail at {built} without any fault: {failure}", file=sys.stderr)
                    return 1
            before = apply(mutant, tree)
            tree.compile()
            for _ in range(RACE_ATTEMPTS if mutant.name.startswith("race") else 1):
                passed, failure = tests_pass(tree, [mutant.killer], TIMEOUT_SECONDS)
                if not passed:
                    break
            (tree.source / mutant.file).write_text(before)
            survivors += passed
            rows.append({"fault": mutant.name, "file": mutant.file, "killer": "" if passed else failure})
            if options.json:
                write(options.json, rows)
            seconds = time.monotonic() - started
            print(f"{mutant.name:48} {'SURVIVES' if passed else 'killed by ' + failure} ({seconds:.0f} s)", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} faults killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
