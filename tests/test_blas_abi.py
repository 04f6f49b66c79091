"""The BLAS names: as Fortran and C call them, with both integer sizes, and what they refuse.

Each door into the kernels must give the bits of `sgemm`, so most of this compares with it.
"""

import ctypes
import itertools
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checker import check
from children import output_of, start

import frugalblas
from frugalblas.run import libraries

FOLDER = libraries.folder()
BLAS = ctypes.CDLL(str(FOLDER / libraries.BLAS))
ROW, COLUMN = 101, 102
NO_TRANS, TRANS, CONJ_TRANS = 111, 112, 113
UPPER, LOWER = 121, 122
needs_nm = pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed (Debian: binutils)")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed (Debian: gcc)")

FORTRAN = {"_": ctypes.c_int32, "_64_": ctypes.c_int64}
PREFIXES = ("", "scipy_")
CBLAS_SUFFIXES = {"": ctypes.c_int32, "64_": ctypes.c_int64, "_64": ctypes.c_int64}


def fortran_names(routine):
    return [(f"{prefix}{routine}{suffix}", integer) for prefix in PREFIXES for suffix, integer in FORTRAN.items()]


def cblas_names(routine):
    names = [
        (f"{prefix}cblas_{routine}{suffix}", integer)
        for prefix in PREFIXES
        for suffix, integer in CBLAS_SUFFIXES.items()
    ]
    return [(name, integer) for name, integer in names if name != f"scipy_cblas_{routine}_64"]


ALL_NAMES = {"cblas_sgemm_batch"} | {
    name for routine in ("sgemm", "sgemv", "ssyrk") for name, _ in [*fortran_names(routine), *cblas_names(routine)]
}


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def by_reference(integer, *values):
    return [ctypes.byref(integer(value)) for value in values]


def real(value):
    return ctypes.byref(ctypes.c_float(value))


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def stored(matrix, order, spare):
    """`matrix` in an array with a leading dimension that is `spare` larger than need be, NaN between; and that."""
    rows, columns = matrix.shape if order == ROW else matrix.shape[::-1]
    memory = np.full((max(rows, 1), max(columns, 1) + spare), np.nan, np.float32)
    memory[:rows, :columns] = matrix if order == ROW else matrix.T
    return memory, memory.shape[1]


def view(memory, shape, order):
    return memory[: shape[0], : shape[1]] if order == ROW else memory[: shape[1], : shape[0]].T


# ---- names


@needs_nm
def test_the_library_exports_the_blas_names_and_nothing_else():
    out = subprocess.check_output(["nm", "-D", "--defined-only", FOLDER / libraries.BLAS], text=True)
    assert {line.split()[-1] for line in out.splitlines()} == ALL_NAMES
    for other in (libraries.OBSERVE, libraries.PROVIDER):
        out = subprocess.check_output(["nm", "-D", "--defined-only", FOLDER / other], text=True)
        assert {line.split()[-1] for line in out.splitlines()} == ALL_NAMES, other


def test_the_list_for_reports_is_in_the_library():
    """`frugalblas run` looks for these names in programs."""
    from frugalblas.run.found import NAMES

    assert set(NAMES) == ALL_NAMES


def test_importing_the_package_puts_no_blas_name_into_the_process():
    code = f"""
    import ctypes, frugalblas, numpy as np
    frugalblas.sgemm(np.ones((9, 9), np.float32), np.ones((9, 9), np.float32))
    process = ctypes.CDLL(None)
    maps = open("/proc/self/maps").read()
    print([name for name in {sorted(ALL_NAMES)} if hasattr(process, name)], "libfrugalblas_" in maps)
    """
    assert output_of(code) == "[] False"


@needs_nm
@pytest.mark.parametrize("package", ["numpy", "scipy", "torch"])
def test_every_name_that_a_package_imports_for_these_routines_is_there(package):
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    imported = set()
    for file in Path(module.__file__).parent.rglob("*.so"):
        out = subprocess.run(["nm", "-D", file], capture_output=True, text=True).stdout
        for line in out.splitlines():
            kind, name = line.split()[-2:]
            routine = next((r for r in ("sgemm", "sgemv", "ssyrk") if r in name), None)
            # torch defines what it imports: a global function that it calls through its own table.
            own = package == "torch" and name in ("sgemm_", "sgemv_", "cblas_sgemm_batch")
            # Packed operands are MKL's own format; torch.compile alone makes them.
            if routine and (kind == "U" or own) and "_pack" not in name and "_compute" not in name:
                imported.add(name.split("@")[0])
    assert imported - ALL_NAMES == set()
    assert imported or package == "numpy"  # a distribution's NumPy may come with another BLAS
    if package == "torch":
        assert imported >= {"sgemm_", "cblas_sgemm_batch"}


# ---- sgemm

SHAPES = [
    (1, 1, 1),
    (3, 5, 7),  # less than one register tile
    (17, 33, 64),
    (129, 127, 130),  # beyond what needs no packing
    (64, 200, 600),  # K in several blocks
]


@pytest.mark.parametrize(("name", "integer"), cblas_names("sgemm"))
@pytest.mark.parametrize("order", [ROW, COLUMN])
def test_cblas_sgemm_is_sgemm(name, integer, order):
    for (M, N, K), ta, tb, (alpha, beta) in itertools.product(
        SHAPES, (NO_TRANS, TRANS, CONJ_TRANS), (NO_TRANS, TRANS), [(1.0, 0.0), (0.5, -2.0)]
    ):
        A, B, C0 = random(M, K), random(K, N, seed=1), random(M, N, seed=2)
        a, lda = stored(A if ta == NO_TRANS else A.T, order, 3)
        b, ldb = stored(B if tb == NO_TRANS else B.T, order, 5)
        c, ldc = stored(C0 if beta else np.full_like(C0, np.nan), order, 7)
        getattr(BLAS, name)(
            order, ta, tb, integer(M), integer(N), integer(K), ctypes.c_float(alpha), pointer(a), integer(lda),
            pointer(b), integer(ldb), ctypes.c_float(beta), pointer(c), integer(ldc),
        )  # fmt: skip
        C = view(c, (M, N), order)
        check(C, A, B, C0, alpha=alpha, beta=beta)
        # The orientation of `out` is part of the job: some rungs transpose the job to write along it.
        out = np.array(C0, order="C" if order == ROW else "F")
        expected = frugalblas.sgemm(A, B, out=out, alpha=alpha, beta=beta)
        np.testing.assert_array_equal(C, expected)
        assert np.isnan(c[:, (N if order == ROW else M) :]).all(), "wrote between the columns"


@pytest.mark.parametrize(("name", "integer"), fortran_names("sgemm"))
@pytest.mark.parametrize("hidden_lengths", [(), (1, 1)])
def test_fortran_sgemm_is_sgemm(name, integer, hidden_lengths):
    for (M, N, K), ta, tb in itertools.product(SHAPES, "NnTtCc", "NT"):
        A, B, C0 = random(M, K), random(K, N, seed=1), random(M, N, seed=2)
        a, lda = stored(A if ta in "Nn" else A.T, COLUMN, 1)
        b, ldb = stored(B if tb == "N" else B.T, COLUMN, 0)
        c, ldc = stored(C0, COLUMN, 2)
        getattr(BLAS, name)(
            ctypes.c_char_p(ta.encode()), ctypes.c_char_p(tb.encode()), *by_reference(integer, M, N, K), real(-1.5),
            pointer(a), *by_reference(integer, lda), pointer(b), *by_reference(integer, ldb), real(0.25),
            pointer(c), *by_reference(integer, ldc), *map(ctypes.c_size_t, hidden_lengths),
        )  # fmt: skip
        C = view(c, (M, N), COLUMN)
        check(C, A, B, C0, alpha=-1.5, beta=0.25)
        expected = frugalblas.sgemm(A, B, out=np.array(C0, order="F"), alpha=-1.5, beta=0.25)
        np.testing.assert_array_equal(C, expected)


def cblas_sgemm(M, N, K, A, B, C, *, alpha=1.0, beta=0.0):
    BLAS.cblas_sgemm(
        ROW, NO_TRANS, NO_TRANS, M, N, K, ctypes.c_float(alpha), pointer(A), max(K, 1), pointer(B), max(N, 1),
        ctypes.c_float(beta), pointer(C), max(N, 1),
    )  # fmt: skip
    return C


def test_beta_zero_does_not_read_c_and_alpha_zero_not_the_operands():
    nan = np.full((40, 40), np.nan, np.float32)
    A, B = random(40, 40), random(40, 40, seed=1)
    assert np.isfinite(cblas_sgemm(40, 40, 40, A, B, nan.copy())).all()
    np.testing.assert_array_equal(cblas_sgemm(40, 40, 40, nan, nan, A.copy(), alpha=0.0, beta=2.0), 2 * A)
    np.testing.assert_array_equal(cblas_sgemm(40, 40, 40, nan, nan, nan.copy(), alpha=0.0), np.zeros_like(A))


@pytest.mark.parametrize("n", [4, 60, 300])
def test_nan_and_inf_are_kept(n):
    A, B = random(n, n), random(n, n, seed=1)
    A[1, 2], B[3, 0] = np.nan, np.inf
    C = cblas_sgemm(n, n, n, A, B, np.empty((n, n), np.float32))
    assert np.isnan(C[1]).all()
    assert not np.isfinite(C[:, 0]).any()
    assert np.isfinite(C[2:, 1:]).all()


def test_empty_products():
    C = random(3, 4)
    before = C.copy()
    cblas_sgemm(0, 4, 5, C, C, C)
    cblas_sgemm(3, 0, 5, C, C, C)
    np.testing.assert_array_equal(C, before)
    np.testing.assert_array_equal(cblas_sgemm(3, 4, 0, C, C, C, beta=0.5), before / 2)  # K == 0: beta * C
    np.testing.assert_array_equal(cblas_sgemm(3, 4, 0, C, C, np.full_like(C, np.nan)), np.zeros_like(C))


@pytest.mark.parametrize("name", [name for name, integer in cblas_names("sgemm") if integer is ctypes.c_int64])
def test_sizes_beyond_32_bits(name):
    """A leading dimension may be anything where there is one row: no memory is needed to see whether it is cut."""
    A, B, C = random(1, 3), random(3, 2, seed=1), np.full((1, 2), np.nan, np.float32)
    i64, f = ctypes.c_int64, ctypes.c_float
    getattr(BLAS, name)(
        ROW, NO_TRANS, NO_TRANS, i64(1), i64(2), i64(3), f(1), pointer(A), i64(2**32), pointer(B), i64(2), f(0),
        pointer(C), i64(2**33),
    )  # fmt: skip
    np.testing.assert_array_equal(C, frugalblas.sgemm(A, B))


@pytest.mark.parametrize("name", ["sgemm_64_", "scipy_sgemm_64_"])
def test_fortran_sizes_beyond_32_bits(name):
    A, B, C = random(3, 1), random(3, 1, seed=1), np.full((1, 1), np.nan, np.float32)
    lda, ldb, ldc = (by_reference(ctypes.c_int64, n) for n in (2**32 + 3, 2**32, 2**33))
    getattr(BLAS, name)(
        b"T", b"N", *by_reference(ctypes.c_int64, 1, 1, 3), real(1), pointer(A), *lda, pointer(B), *ldb, real(0),
        pointer(C), *ldc,
    )  # fmt: skip
    np.testing.assert_array_equal(C, frugalblas.sgemm(A.T, B))


def test_bits_do_not_depend_on_how_many_call_at_once():
    """Concurrent callers share the threads, so their teams are smaller."""
    from concurrent.futures import ThreadPoolExecutor

    A, B = random(300, 310), random(310, 320, seed=1)
    expected = frugalblas.sgemm(A, B)
    with ThreadPoolExecutor(4) as pool:
        for C in pool.map(lambda _: cblas_sgemm(300, 320, 310, A, B, np.empty_like(expected)), range(40)):
            np.testing.assert_array_equal(C, expected)


# ---- sgemv and ssyrk


@pytest.mark.parametrize(("name", "integer"), cblas_names("sgemv"))
@pytest.mark.parametrize("order", [ROW, COLUMN])
def test_cblas_sgemv_is_sgemm(name, integer, order):
    for (M, N), trans, incx, incy in itertools.product(
        [(1, 1), (5, 9), (300, 170)], (NO_TRANS, TRANS), (1, -2), (1, -3)
    ):
        A = random(M, N)
        op = A if trans == NO_TRANS else A.T
        x, y0 = random(op.shape[1], seed=1), random(op.shape[0], seed=2)
        a, lda = stored(A, order, 4)
        xs, ys = np.full(len(x) * abs(incx), np.nan, np.float32), np.full(len(y0) * abs(incy), np.nan, np.float32)
        xs[:: abs(incx)], ys[:: abs(incy)] = x[:: int(np.sign(incx))], y0[:: int(np.sign(incy))]
        getattr(BLAS, name)(
            order, trans, integer(M), integer(N), ctypes.c_float(0.5), pointer(a), integer(lda), pointer(xs),
            integer(incx), ctypes.c_float(2.0), pointer(ys), integer(incy),
        )  # fmt: skip
        y = ys[:: abs(incy)][:: int(np.sign(incy))]
        check(y[:, None], op, x[:, None], y0[:, None], alpha=0.5, beta=2.0)
        # The same bits from the same strides: they may decide the strategy.
        same = view(a, (M, N), order)
        column, out = np.ascontiguousarray(x)[:, None], np.ascontiguousarray(y0)[:, None]
        product = frugalblas.sgemm(same if trans == NO_TRANS else same.T, column, out=out, alpha=0.5, beta=2.0)
        if (incx, incy) == (1, 1):
            np.testing.assert_array_equal(y, product[:, 0])


@pytest.mark.parametrize(("name", "integer"), fortran_names("sgemv"))
def test_fortran_sgemv(name, integer):
    A, x, y0 = random(31, 47), random(47, seed=1), random(31, seed=2)
    a, lda = stored(A, COLUMN, 2)
    y = y0.copy()
    getattr(BLAS, name)(
        b"N", *by_reference(integer, 31, 47), real(1.0), pointer(a), *by_reference(integer, lda), pointer(x),
        *by_reference(integer, 1), real(1.0), pointer(y), *by_reference(integer, 1), ctypes.c_size_t(1),
    )  # fmt: skip
    check(y[:, None], A, x[:, None], y0[:, None], beta=1.0)


def test_sgemv_of_nothing_leaves_y_alone():
    """The reference returns at once if M or N is 0, and does not even scale y."""
    y = random(5)
    before = y.copy()
    BLAS.cblas_sgemv(
        ROW, NO_TRANS, 5, 0, ctypes.c_float(1), pointer(y), 1, pointer(y), 1, ctypes.c_float(0), pointer(y), 1
    )
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize(("name", "integer"), cblas_names("ssyrk"))
def test_cblas_ssyrk_has_the_bits_of_sgemm_in_its_triangle(name, integer):
    # 600: parts of three sizes below the whole; 256 and 257: one block on the diagonal, and one more row.
    for (N, K), order, uplo, trans, beta in itertools.product(
        [(1, 1), (37, 12), (256, 20), (257, 300), (600, 40)],
        (ROW, COLUMN),
        (UPPER, LOWER),
        (NO_TRANS, TRANS),
        (0.0, 0.5),
    ):
        A, C0 = random(N, K), random(N, N, seed=1)
        a, lda = stored(A if trans == NO_TRANS else A.T, order, 3)
        c, ldc = stored(C0 if beta else np.full_like(C0, np.nan), order, 2)
        getattr(BLAS, name)(
            order, uplo, trans, integer(N), integer(K), ctypes.c_float(1), pointer(a), integer(lda),
            ctypes.c_float(beta), pointer(c), integer(ldc),
        )  # fmt: skip
        C = view(c, (N, N), order)
        mask = np.triu(np.ones((N, N), bool)) if uplo == UPPER else np.tril(np.ones((N, N), bool))
        np.testing.assert_array_equal(C[mask], frugalblas.sgemm(A, A.T, beta=beta, out=C0.copy())[mask])
        np.testing.assert_array_equal(C[~mask], C0[~mask] if beta else np.nan)


@pytest.mark.parametrize(("name", "integer"), fortran_names("ssyrk"))
def test_fortran_ssyrk(name, integer):
    A = random(50, 23)
    a, lda = stored(A, COLUMN, 1)
    C = np.full((50, 50), np.nan, np.float32)
    getattr(BLAS, name)(
        b"L", b"N", *by_reference(integer, 50, 23), real(1.0), pointer(a), *by_reference(integer, lda), real(0.0),
        pointer(C), *by_reference(integer, 50),
    )  # fmt: skip
    mask = np.triu(np.ones((50, 50), bool))  # of the transpose: column-major
    np.testing.assert_array_equal(C[mask], frugalblas.sgemm(A, A.T)[mask])
    assert np.isnan(C[~mask]).all()


# ---- batches


def addresses(matrices):
    return (ctypes.c_void_p * len(matrices))(*(matrix.ctypes.data for matrix in matrices))


def integers(*values):
    return (ctypes.c_int32 * len(values))(*values)


def reals(*values):
    return (ctypes.c_float * len(values))(*values)


@pytest.mark.parametrize("spread", ["even", "uneven", "shared operand"])
def test_a_batch_has_the_bits_of_single_products(spread):
    """Two groups: whole tensors as PyTorch passes them, or matrices anywhere."""
    m, n, k, count = 33, 20, 47, 7
    A, B, C = random(9, m, k, seed=1), random(9, n, k, seed=2), random(9, m, n, seed=3)
    rows = {"even": range(count), "uneven": [0, 1, 2, 8, 5, 3, 4], "shared operand": [2] * count}[spread]
    places = [0, 1, 5, 2, 3, 8, 6] if spread == "uneven" else range(count)
    # Where two of the three go on evenly, the third must not be taken to.
    targets = [0, 1, 2, 3, 5, 4, 6] if spread == "uneven" else range(count)
    a, b, c = [A[i] for i in rows], [B[i].T for i in places], [C[i] for i in targets]
    expected = [frugalblas.sgemm(x, y, alpha=0.5, beta=2.0, out=z.copy()) for x, y, z in zip(a, b, c, strict=True)]
    x, y, z = random(4, 3), random(3, 5), np.full((4, 5), np.nan, np.float32)
    BLAS.cblas_sgemm_batch(
        ROW, integers(NO_TRANS, NO_TRANS), integers(TRANS, NO_TRANS), integers(m, 4), integers(n, 5), integers(k, 3),
        reals(0.5, 1), addresses([*a, x]), integers(k, 3), addresses([*(v.T for v in b), y]), integers(k, 5),
        reals(2, 0), addresses([*c, z]), integers(n, 5), 2, integers(count, 1),
    )  # fmt: skip
    np.testing.assert_array_equal(c, expected)
    np.testing.assert_array_equal(z, frugalblas.sgemm(x, y))


def test_a_batch_that_adds_to_one_matrix_adds_everything():
    A, B = random(5, 6, 7), random(5, 7, 8, seed=1)
    C = np.zeros((6, 8), np.float32)
    BLAS.cblas_sgemm_batch(
        ROW, integers(NO_TRANS), integers(NO_TRANS), integers(6), integers(8), integers(7), reals(1),
        addresses(A), integers(7), addresses(B), integers(8), reals(1), addresses([C] * 5), integers(8), 1, integers(5),
    )  # fmt: skip
    expected = np.zeros((6, 8), np.float32)
    for x, y in zip(A, B, strict=True):
        frugalblas.sgemm(x, y, beta=1.0, out=expected)
    np.testing.assert_array_equal(C, expected)


def test_an_empty_batch_reads_nothing():
    BLAS.cblas_sgemm_batch(ROW, *[None] * 13, 0, None)
    BLAS.cblas_sgemm_batch(
        ROW, integers(NO_TRANS), integers(NO_TRANS), integers(6), integers(8), integers(7), reals(1),
        None, integers(7), None, integers(8), reals(1), None, integers(8), 1, integers(0),
    )  # fmt: skip


# ---- floating-point flags

FLAGS = {"invalid": 1, "divide": 4, "overflow": 8, "underflow": 16}  # of x86-64; NumPy names them so


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the flags are those of x86-64")
@pytest.mark.parametrize("routine", ["sgemm", "ssyrk", "sgemv", "batch"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_flags_of_all_threads_reach_the_caller(routine, threads):
    """The last rows alone overflow, so it is another thread than the caller that sees it."""
    code = f"""
    import ctypes, numpy as np
    blas, core, libm = (ctypes.CDLL(name) for name in ({str(FOLDER / libraries.BLAS)!r},
                                                      {str(FOLDER / libraries.CORE)!r}, "libm.so.6"))
    core.frugalblas_set_num_threads({threads})
    n = 400
    p = lambda a: a.ctypes.data_as(ctypes.c_void_p)
    f, i = ctypes.c_float, lambda v: (ctypes.c_int32 * 1)(v)
    A, B, C = (np.ones((n, n), np.float32) for _ in range(3))
    stack = np.ones((40, 60, 60), np.float32), np.ones((40, 60, 60), np.float32), np.ones((40, 60, 60), np.float32)
    tables = [(ctypes.c_void_p * 40)(*(x.ctypes.data for x in t)) for t in stack]
    calls = {{
        "sgemm": lambda: blas.cblas_sgemm(101, 111, 111, n, n, n, f(1), p(A), n, p(B), n, f(0), p(C), n),
        "ssyrk": lambda: blas.cblas_ssyrk(101, 121, 111, n, n, f(1), p(A), n, f(0), p(C), n),
        "sgemv": lambda: blas.cblas_sgemv(101, 111, n, n, f(1), p(A), n, p(B), 1, f(0), p(C), 1),
        "batch": lambda: blas.cblas_sgemm_batch(
            101, i(111), i(111), i(60), i(60), i(60), (f * 1)(1), tables[0], i(60), tables[1], i(60), (f * 1)(0),
            tables[2], i(60), 1, i(40)),
    }}
    def flags():
        libm.feclearexcept(61)
        calls[{routine!r}]()
        return libm.fetestexcept(29)
    found = [flags()]
    A[-1, :], stack[0][-1] = 3e38, 3e38
    found.append(flags())
    A[-1, :], stack[0][-1] = 1, 1
    found.append(flags())
    print(*found)
    """
    assert output_of(code) == f"0 {FLAGS['overflow']} 0"


# ---- illegal arguments: xerbla is told, and C is not touched

HANDLERS = """
#include <stdint.h>
#include <string.h>
int RECORDED; char NAME[32];
#ifdef ROW_MAJOR_GLOBAL
int RowMajorStrg;
int seen_row_major;
#endif
void xerbla_(const char* name, const int* info, size_t length) {
  RECORDED = *info; memcpy(NAME, name, length); NAME[length] = 0;
}
void cblas_xerbla(int info, const char* name, const char* form, ...) {
  RECORDED = info; strcpy(NAME, name);
#ifdef ROW_MAJOR_GLOBAL
  seen_row_major = RowMajorStrg;
#endif
}
"""

BAD = -1
# (order, transa, transb, m, n, k, lda, ldb, ldc), the number of the first illegal one among cblas_sgemm's arguments.
CBLAS_SGEMM = [
    ((0, NO_TRANS, NO_TRANS, 2, 2, 2, 2, 2, 2), 1),
    ((ROW, 0, NO_TRANS, 2, 2, 2, 2, 2, 2), 2),
    ((COLUMN, NO_TRANS, 99, 2, 2, 2, 2, 2, 2), 3),
    ((ROW, NO_TRANS, 99, 2, 2, 2, 2, 2, 2), 3),
    ((ROW, NO_TRANS, NO_TRANS, BAD, 2, 2, 2, 2, 2), 4),
    ((COLUMN, NO_TRANS, NO_TRANS, BAD, 2, 2, 2, 2, 2), 4),
    ((ROW, NO_TRANS, NO_TRANS, 2, BAD, 2, 2, 2, 2), 5),
    ((COLUMN, NO_TRANS, NO_TRANS, 2, BAD, 2, 2, 2, 2), 5),
    ((ROW, NO_TRANS, NO_TRANS, 2, 2, BAD, 2, 2, 2), 6),
    ((ROW, NO_TRANS, NO_TRANS, 2, 3, 4, 3, 3, 3), 9),  # lda < K
    ((ROW, TRANS, NO_TRANS, 2, 3, 4, 1, 3, 3), 9),  # lda < M
    ((COLUMN, NO_TRANS, NO_TRANS, 2, 3, 4, 1, 4, 2), 9),
    ((ROW, NO_TRANS, NO_TRANS, 2, 3, 4, 4, 2, 3), 11),  # ldb < N
    ((COLUMN, NO_TRANS, NO_TRANS, 2, 3, 4, 2, 3, 2), 11),
    ((ROW, NO_TRANS, NO_TRANS, 2, 3, 4, 4, 3, 2), 14),  # ldc < N
    ((COLUMN, NO_TRANS, NO_TRANS, 2, 3, 4, 2, 4, 1), 14),
    ((ROW, NO_TRANS, NO_TRANS, 0, 0, 0, 0, 1, 1), 9),  # a leading dimension is at least 1
]
# Two groups of one product each, the first legal; (order, groups, and of the second: transa, transb, m, n, k, lda, ldb,
# ldc, size).
CBLAS_SGEMM_BATCH = [
    *(((arguments[0], 2, *arguments[1:], 1), number) for arguments, number in CBLAS_SGEMM),
    ((ROW, -1, NO_TRANS, NO_TRANS, 2, 2, 2, 2, 2, 2, 1), 15),
    ((ROW, 2, NO_TRANS, NO_TRANS, 2, 2, 2, 2, 2, 2, -1), 16),
]
# (order, trans, m, n, lda, incx, incy)
CBLAS_SGEMV = [
    ((0, NO_TRANS, 2, 2, 2, 1, 1), 1),
    ((ROW, 0, 2, 2, 2, 1, 1), 2),
    ((ROW, NO_TRANS, BAD, 2, 2, 1, 1), 3),
    ((COLUMN, NO_TRANS, 2, BAD, 2, 1, 1), 4),
    ((ROW, NO_TRANS, 2, 3, 2, 1, 1), 7),
    ((COLUMN, NO_TRANS, 3, 2, 2, 1, 1), 7),
    ((ROW, NO_TRANS, 2, 2, 2, 0, 1), 9),
    ((ROW, NO_TRANS, 2, 2, 2, 1, 0), 12),
]
# (order, uplo, trans, n, k, lda, ldc)
CBLAS_SSYRK = [
    ((0, UPPER, NO_TRANS, 2, 2, 2, 2), 1),
    ((ROW, 0, NO_TRANS, 2, 2, 2, 2), 2),
    ((ROW, LOWER, 0, 2, 2, 2, 2), 3),
    ((ROW, LOWER, NO_TRANS, BAD, 2, 2, 2), 4),
    ((COLUMN, LOWER, NO_TRANS, 2, BAD, 2, 2), 5),
    ((ROW, LOWER, NO_TRANS, 2, 3, 2, 2), 8),
    ((COLUMN, LOWER, TRANS, 2, 3, 2, 2), 8),
    ((COLUMN, LOWER, NO_TRANS, 3, 2, 3, 2), 11),
]
# The Fortran interface has no order, so its numbers are one less. Letters as ASCII codes.
FORTRAN_SGEMM = [
    (("X", "N", 2, 2, 2, 2, 2, 2), 1),
    (("N", "/", 2, 2, 2, 2, 2, 2), 2),
    (("N", "N", BAD, 2, 2, 2, 2, 2), 3),
    (("N", "N", 2, BAD, 2, 2, 2, 2), 4),
    (("N", "N", 2, 2, BAD, 2, 2, 2), 5),
    (("N", "N", 2, 3, 4, 1, 4, 2), 8),
    (("t", "N", 2, 3, 4, 3, 4, 2), 8),
    (("N", "N", 2, 3, 4, 2, 3, 2), 10),
    (("N", "c", 2, 3, 4, 2, 2, 2), 10),
    (("N", "N", 2, 3, 4, 2, 4, 1), 13),
    (("N", "N", BAD, BAD, BAD, 0, 0, 0), 3),  # the first counts
]

CALLS = """
import ctypes, json, sys
import numpy as np
handlers = ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
blas = ctypes.CDLL(sys.argv[2])
recorded, name = ctypes.c_int.in_dll(handlers, "RECORDED"), (ctypes.c_char * 32).in_dll(handlers, "NAME")
X, C = np.ones(64, np.float32), np.full(64, 7, np.float32)
p = lambda a: a.ctypes.data_as(ctypes.c_void_p)
f = ctypes.c_float
i = lambda n: ctypes.byref(ctypes.c_int64(n))
def sgemm(symbol, order, ta, tb, m, n, k, lda, ldb, ldc):
    getattr(blas, symbol)(order, ta, tb, m, n, k, f(1), p(X), lda, p(X), ldb, f(0), p(C), ldc)
def batch(symbol, order, groups, ta, tb, m, n, k, lda, ldb, ldc, size):
    two = lambda value, legal: (ctypes.c_int32 * 2)(legal, value)
    reals, at = (f * 2)(1, 1), lambda a: (ctypes.c_void_p * 2)(a.ctypes.data, a.ctypes.data)
    getattr(blas, symbol)(order, two(ta, 111), two(tb, 111), two(m, 2), two(n, 2), two(k, 2), reals, at(X),
        two(lda, 2), at(X), two(ldb, 2), reals, at(C), two(ldc, 2), groups, two(size, 1))
def sgemv(symbol, order, t, m, n, lda, incx, incy):
    getattr(blas, symbol)(order, t, m, n, f(1), p(X), lda, p(X), incx, f(0), p(C), incy)
def ssyrk(symbol, order, uplo, t, n, k, lda, ldc):
    getattr(blas, symbol)(order, uplo, t, n, k, f(1), p(X), lda, f(0), p(C), ldc)
def fortran(symbol, ta, tb, m, n, k, lda, ldb, ldc):
    one = ctypes.byref(f(1))
    sizes = (i(m), i(n), i(k))
    getattr(blas, symbol)(ta.encode(), tb.encode(), *sizes, one, p(X), i(lda), p(X), i(ldb), one, p(C), i(ldc))
results = []
for kind, symbol, arguments in json.loads(sys.stdin.read()):
    recorded.value = 0
    globals()[kind](symbol, *arguments)
    results.append([recorded.value, name.value.decode(), bool((C == 7).all())])
extra = ctypes.c_int.in_dll(handlers, "seen_row_major").value if hasattr(handlers, "seen_row_major") else None
print(json.dumps([results, extra]))
"""


def handlers(folder, *options):
    source, library = folder / "handlers.c", folder / "libhandlers.so"
    source.write_text(HANDLERS)
    subprocess.run(["cc", "-shared", "-fPIC", *options, source, "-o", library], check=True)
    return library


def reports(library, cases):
    done = subprocess.run(
        [sys.executable, "-c", CALLS, str(library), str(FOLDER / libraries.BLAS)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "symbols", "routine", "cases"),
    [
        ("sgemm", ("cblas_sgemm", "scipy_cblas_sgemm"), "cblas_sgemm", CBLAS_SGEMM),
        ("batch", ("cblas_sgemm_batch",), "cblas_sgemm_batch", CBLAS_SGEMM_BATCH),
        ("sgemv", ("cblas_sgemv",), "cblas_sgemv", CBLAS_SGEMV),
        ("ssyrk", ("cblas_ssyrk",), "cblas_ssyrk", CBLAS_SSYRK),
        ("fortran", ("sgemm_", "scipy_sgemm_", "sgemm_64_"), "SGEMM ", FORTRAN_SGEMM),
    ],
    ids=["cblas_sgemm", "cblas_sgemm_batch", "cblas_sgemv", "cblas_ssyrk", "sgemm_"],
)
def test_illegal_arguments_are_reported_under_their_number(kind, symbols, routine, cases, tmp_path):
    calls = [(kind, symbol, arguments) for symbol in symbols for arguments, _ in cases]
    found, _ = reports(handlers(tmp_path), calls)
    assert found == [[number, routine, True] for _ in symbols for _, number in cases]


@needs_compiler
def test_a_reference_handler_gets_the_numbers_it_turns_back(tmp_path):
    """The reference's cblas_xerbla knows from RowMajorStrg that m and n, lda and ldb were exchanged."""
    library = handlers(tmp_path, "-DROW_MAJOR_GLOBAL")
    exchanged = {4: 5, 5: 4, 9: 11, 11: 9}
    cases = [(arguments, number) for arguments, number in CBLAS_SGEMM if arguments[0] == ROW and number in exchanged]
    assert len(cases) >= 5
    # The last one is a call whose numbers are exchanged, or the flag would be that of another.
    found, row_major = reports(library, [("sgemm", "cblas_sgemm", arguments) for arguments, _ in cases])
    assert found == [[exchanged[number], "cblas_sgemm", True] for _, number in cases]
    assert row_major == 1


def test_without_a_handler_the_reference_sentences_go_to_stderr():
    code = f"""
    import ctypes
    blas = ctypes.CDLL({str(FOLDER / libraries.BLAS)!r})
    one, f, i = ctypes.byref(ctypes.c_float(1)), ctypes.c_float, lambda n: ctypes.byref(ctypes.c_int64(n))
    blas.sgemm_(b"N", b"N", i(-1), i(2), i(2), one, None, i(2), None, i(2), one, None, i(2))
    blas.cblas_sgemm(101, 111, 111, 2, 2, 2, f(1), None, 1, None, 2, f(0), None, 2)
    print("still here")
    """
    done = start(code)
    assert done.stdout == "still here\n"
    assert done.stderr.splitlines() == [
        " ** On entry to SGEMM  parameter number  3 had an illegal value",
        "Parameter 9 to routine cblas_sgemm was incorrect",
    ]


def test_a_bad_level_or_tuning_is_said_once_and_the_product_still_right():
    """Python's import refuses it; a BLAS call has nobody to refuse."""
    code = f"""
    import ctypes
    blas = ctypes.CDLL({str(FOLDER / libraries.BLAS)!r})
    C, two = (ctypes.c_float * 1)(), (ctypes.c_float * 1)(2)
    for _ in range(2):
        blas.cblas_sgemm(101, 111, 111, 1, 1, 1, ctypes.c_float(1), two, 1, two, 1, ctypes.c_float(0), C, 1)
    print(C[0])
    """
    done = start(code, FRUGALBLAS_ISA="v99")
    assert done.stdout == "4.0\n"
    assert done.stderr == "frugalblas: FRUGALBLAS_ISA names no level of this build; the best one is used\n"
    done = start(code, FRUGALBLAS_TUNING="amd")
    assert done.stdout == "4.0\n"
    assert done.stderr == "frugalblas: FRUGALBLAS_TUNING is neither intel nor generic; what suits this CPU is used\n"


# ---- the C interface


def c_sgemm(M, N, K, A, B, C, *, alpha=1.0, beta=0.0, algo=None, threads=0, c_strides=None):
    core = ctypes.CDLL(str(FOLDER / libraries.CORE))
    i64, f = ctypes.c_int64, ctypes.c_float
    strides = [i64(stride // 4) for matrix in (A, B) for stride in matrix.strides]
    out = [i64(stride) for stride in (c_strides or [stride // 4 for stride in C.strides])]
    return core.frugalblas_sgemm(
        i64(M), i64(N), i64(K), f(alpha), pointer(A), *strides[:2], pointer(B), *strides[2:], f(beta), pointer(C), *out,
        algo, threads,
    )  # fmt: skip


def test_the_c_function_takes_any_strides_and_every_compiled_strategy():
    whole = random(90, 120)
    A, B = whole[::2, ::-3][:30, :40], np.broadcast_to(random(40, 1, seed=1), (40, 20))
    for rung in frugalblas.algorithms():
        if rung.kind == "interpreted" or not rung.available:
            continue
        out = np.full((20, 30), np.nan, np.float32).T
        assert c_sgemm(30, 20, 40, A, B, out, algo=rung.name.encode()) == 0, rung.name
        np.testing.assert_array_equal(out, frugalblas.sgemm(A, B, out=np.empty_like(out), algo=rung.name))
    out = np.full((30, 20), np.nan, np.float32)
    assert c_sgemm(30, 20, 40, A, B, out) == 0
    np.testing.assert_array_equal(out, frugalblas.sgemm(A, B))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"M": -1}, 1),
        ({"algo": b"nonsense"}, 3),
        ({"algo": b"blocked@nonsense"}, 3),
        ({"algo": b"python"}, 3),
        ({"algo": b"x" * 200}, 3),
        ({"threads": -1}, 5),
        ({"threads": 1_000_000}, 5),
        ({"c_strides": (0, 1)}, 8),
        ({"c_strides": (1, 2)}, 8),
        ({"c_strides": (2, 3)}, 0),  # interleaved, but no two elements meet
    ],
)
def test_the_c_function_refuses_and_leaves_c_alone(change, status):
    A, B, C = random(3, 2), random(2, 2, seed=1), np.full((4, 4), 7, np.float32)
    arguments = {"M": 3, "N": 2, "K": 2, **change}
    assert c_sgemm(A=A, B=B, C=C, **arguments) == status
    assert (C == 7).all() == (status != 0)


def test_every_status_has_a_sentence():
    core = ctypes.CDLL(str(FOLDER / libraries.CORE))
    core.frugalblas_status_message.restype = ctypes.c_char_p
    sentences = [core.frugalblas_status_message(status) for status in range(9)]
    assert len({*sentences}) == 9
    assert core.frugalblas_status_message(99) == b"no such status"
    core.frugalblas_version.restype = ctypes.c_char_p
    assert core.frugalblas_version().decode() == frugalblas.__version__
