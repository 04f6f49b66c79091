"""`patch_numpy`: NumPy's products come here, with the same bits by every door, and everything is put back."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from children import output_of
from registry import blocks

import frugalblas
from frugalblas import _core, patch_numpy, unpatch_numpy

LEVELS = ["ufunc", "blas"]


def normal(*shape, seed=7):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.fixture
def counted():
    """Products by door since the last call."""

    def read():
        found = {door: n for door, n in _core.products().items() if n}
        _core.count_products(True)
        return found

    _core.count_products(True)
    yield read
    _core.count_products(False)


def untouched():
    """Whether a product of NumPy's stays with NumPy."""
    _core.count_products(True)
    A = normal(20, 30)
    A @ A.T.copy()
    np.dot(A, A.T.copy())
    np.dot(A, A[0])
    return not any(_core.products().values())


@pytest.fixture(autouse=True)
def _puts_everything_back():
    yield
    assert untouched()
    _core.count_products(False)
    with pytest.raises(RuntimeError, match="not patched"):
        unpatch_numpy()


# ---- what is caught --------------------------------------------------------------------------------------------------

A, B, V = normal(40, 50), normal(50, 30, seed=8), normal(50, seed=9)
BY_UFUNC = {
    "@": lambda: A @ B,
    "matmul": lambda: np.matmul(A, B),
    "linalg.matmul": lambda: getattr(np.linalg, "matmul", np.matmul)(A, B),
    "matrix_power": lambda: np.linalg.matrix_power(A[:, :40], 3),
    "einsum": lambda: np.einsum("bij,bjk->bik", normal(3, 8, 9), normal(3, 9, 7), optimize=True),
    "A @ A.T": lambda: A @ A.T,
    "matrix @ vector": lambda: A @ V,
    "vector @ matrix": lambda: V @ B,
    "batch": lambda: normal(3, 20, 20) @ normal(3, 20, 20),
    "strided": lambda: A[::2, ::2] @ B[::2, ::2],
}
BY_CALL = {
    "dot": lambda: np.dot(A, B),
    ".dot": lambda: A.dot(B),
    "dot of a vector": lambda: np.dot(A, V),
    "dot with its transpose": lambda: np.dot(A, A.T),
    "inner": lambda: np.inner(A, B.T),
    "tensordot": lambda: np.tensordot(normal(4, 5, 6), normal(6, 5, 3), axes=([1, 2], [1, 0])),
    "multi_dot": lambda: np.linalg.multi_dot([A, B, B.T]),
}


@pytest.mark.parametrize("name", [*BY_UFUNC, *BY_CALL])
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_caught(name, level, counted):
    function = {**BY_UFUNC, **BY_CALL}[name]
    expected = function()
    assert not counted()
    with patch_numpy(level):
        result = function()
        doors = counted()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    if name in BY_UFUNC:
        assert "patched_matmul" in doors
    elif level == "blas":
        assert doors
        assert "patched_matmul" not in doors
    else:
        assert not doors


def test_other_dtypes_are_left_alone(counted):
    with patch_numpy("blas"):
        for dtype in (np.float64, np.complex64, np.int32, np.float16):
            X = np.ones((20, 20), dtype)
            assert (X @ X == 20).all()
            assert (np.dot(X, X) == 20).all()
        assert not counted()


# ---- bits ------------------------------------------------------------------------------------------------------------


def shapes():
    b = blocks("auto")
    odd = [
        (1, 1, 1),
        (1, 40, 1),
        (2, 3, 4),
        (7, 1, 9),
        (16, 16, 16),
        (1, 40, 30),
        (30, 40, 1),
        (129, 257, 131),
        (48, 1000, 40),
        (64, 500, 600),
        (300, 1200, 280),
    ]
    return [*odd, (b["MR"] + 1, b["KC"] + 1, b["NR"] + 1), (600, 300, 600)]


@pytest.mark.parametrize("shape", shapes(), ids=str)
def test_all_doors_give_the_same_bits(shape):
    M, K, N = shape
    X, Y = normal(M, K), normal(K, N, seed=3)
    S = frugalblas.matmul(X, X.T)
    expected = frugalblas.matmul(X, Y)
    column = Y[:, 0] if M > 1 else Y[:, 0].copy()  # an inner product is NumPy's, whose bits follow the strides
    vector = frugalblas.matmul(X, column)
    for level in LEVELS:
        with patch_numpy(level):
            np.testing.assert_array_equal(X @ Y, expected)
            np.testing.assert_array_equal((Y.T @ X.T).T, expected)
            np.testing.assert_array_equal(np.matmul(X, Y, out=np.full((M, N), np.nan, np.float32, order="F")), expected)
            np.testing.assert_array_equal(X @ X.T, S)
            np.testing.assert_array_equal(X @ column, vector)
            np.testing.assert_array_equal(column @ X.T, vector)
    with patch_numpy("blas"):
        np.testing.assert_array_equal(np.dot(X, Y), expected)
        np.testing.assert_array_equal(np.dot(Y.T, X.T).T, expected)
        np.testing.assert_array_equal(np.inner(X, Y.T), expected)
        np.testing.assert_array_equal(np.tensordot(X, Y, 1), expected)
        np.testing.assert_array_equal(np.dot(X, X.T), S)
        np.testing.assert_array_equal(np.dot(X, column), vector)
    if M > 1 or N > 1:
        np.testing.assert_array_equal(frugalblas.sgemm(X, Y), expected)


@pytest.mark.parametrize("level", LEVELS)
def test_the_rules_hold_under_the_patch(level):
    X = normal(30, 30)
    with patch_numpy(level):
        expected = frugalblas.matmul(X, X)
        np.testing.assert_array_equal(np.matmul(X, X, out=X.copy()), expected)
        Y = X.copy()
        np.matmul(Y, Y, out=Y)
        np.testing.assert_array_equal(Y, expected)
        Y = X.copy()
        Y @= Y
        np.testing.assert_array_equal(Y, expected)
        with pytest.raises(ValueError, match="mismatch in its core dimension"):
            X @ np.ones((31, 2), np.float32)
        with pytest.raises(ValueError, match="not aligned"):
            np.dot(X, np.ones((31, 2), np.float32))
        Y = X.copy()
        Y[3, 4] = np.nan
        assert np.isnan((Y @ X)[3]).all()
        assert np.isnan(np.dot(Y, X)[3]).all()
        blank = np.full((30, 30), np.nan, np.float32)
        assert not np.isnan(np.dot(X, X, blank)).any(), "beta = 0 does not read C"
        with pytest.warns(RuntimeWarning, match="overflow encountered in matmul"):
            np.full((700, 700), 3e38, np.float32) @ np.full((700, 700), 3e38, np.float32)
        if level == "blas":
            with pytest.warns(RuntimeWarning, match="overflow encountered in dot"):
                np.dot(np.full((700, 700), 3e38, np.float32), np.full((700, 700), 3e38, np.float32))


# ---- putting back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", LEVELS)
@pytest.mark.parametrize("inner", LEVELS)
def test_nesting(outer, inner, counted):
    def doors():
        counted()
        A @ B
        np.dot(A, B)
        return counted().keys()

    reached = {"ufunc": {"patched_matmul"}, "blas": {"patched_matmul", "patched_sgemm"}}
    with patch_numpy(outer):
        assert doors() == reached[outer]
        with patch_numpy(inner):
            assert doors() == reached[outer] | reached[inner]
        assert doors() == reached[outer]
    assert doors() == set()


@pytest.mark.parametrize("level", LEVELS)
def test_an_exception_puts_everything_back(level):
    with pytest.raises(KeyError), patch_numpy(level):
        raise KeyError
    assert untouched()


@pytest.mark.parametrize("level", LEVELS)
def test_plain_calls(level, counted):
    first, second = patch_numpy(level), patch_numpy(level)
    unpatch_numpy()
    assert "undone" in repr(second)
    assert "active" in repr(first)
    A @ B
    assert counted() == {"patched_matmul": 1}
    first.undo()
    first.undo()  # once is enough
    assert untouched()


def test_any_order_of_undoing(counted):
    first = patch_numpy("blas")
    second = patch_numpy("ufunc")
    first.undo()
    A @ B
    np.dot(A, B)
    assert counted() == {"patched_matmul": 1}
    second.undo()


def test_a_wrong_level():
    with pytest.raises(ValueError, match="level is 'gpu', expected 'ufunc' or 'blas'"):
        patch_numpy("gpu")


def test_many_threads_patch_and_multiply():
    X = normal(60, 60)
    right, ours = X @ X, frugalblas.matmul(X, X)
    wrong = []

    def work(level):
        for _ in range(200):
            with patch_numpy(level):
                Y = X @ X
                if not (np.array_equal(Y, ours) and np.array_equal(np.dot(X, X), ours if level == "blas" else Y)):
                    wrong.append(level)
            Y = X @ X  # by whoever has it now
            if not (np.array_equal(Y, ours) or np.array_equal(Y, right)):
                wrong.append("outside")

    threads = [threading.Thread(target=work, args=(level,)) for level in ("blas",) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert untouched()


def test_a_patch_on_top_of_ours_is_left_alone():
    """Another library's loop, set after ours, is neither lost nor silently put back later."""
    code = """
    import ctypes, sys
    import numpy as np, frugalblas
    from frugalblas import _core
    # NumPy's own C function to replace a loop, as another library would call it.
    foreign = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(lambda *_: None)
    table = np._core._multiarray_umath._UFUNC_API
    ctypes.pythonapi.PyCapsule_GetPointer.restype = ctypes.c_void_p
    ctypes.pythonapi.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api = ctypes.cast(ctypes.pythonapi.PyCapsule_GetPointer(table, None), ctypes.POINTER(ctypes.c_void_p))
    pointers = [ctypes.c_void_p] * 3
    replace = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, *pointers)(api[REPLACE_LOOP])
    signature, before = (ctypes.c_int * 3)(11, 11, 11), ctypes.c_void_p()
    ours = frugalblas.patch_numpy()
    assert replace(np.matmul, ctypes.cast(foreign, ctypes.c_void_p), signature, ctypes.byref(before)) == 0
    try:
        ours.undo()
    except RuntimeError as error:
        assert "replaced by something else" in str(error), error
    else:
        raise SystemExit("the foreign loop was thrown away")
    now = ctypes.c_void_p()
    assert replace(np.matmul, before, signature, ctypes.byref(now)) == 0
    assert now.value == ctypes.cast(foreign, ctypes.c_void_p).value, "the foreign loop was in place still"
    ours.undo()
    A = np.ones((20, 20), np.float32)
    _core.count_products(True)
    assert (A @ A == 20).all() and not any(_core.products().values())
    """
    output_of(code.replace("REPLACE_LOOP", str(_ufunc_api_index("PyUFunc_ReplaceLoopBySignature"))))


def _ufunc_api_index(name):
    """Where NumPy's function table has this function, by the header that NumPy installs."""
    header = Path(np.get_include(), "numpy", "__ufunc_api.h").read_text()
    return int(re.search(rf"#define {name} .*?PyUFunc_API\[(\d+)\]", header, re.DOTALL)[1])


def test_a_patched_parent_has_patched_children():
    code = """
    import os, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import numpy as np, frugalblas
    from frugalblas import _core
    frugalblas.patch_numpy("blas")
    A = np.ones((300, 300), np.float32)
    assert (A @ A == 300).all()
    _core.count_products(True)
    child = os.fork()
    if child == 0:
        right = (A @ A == 300).all() and (np.dot(A, A.copy()) == 300).all()
        os._exit(0 if right and sum(_core.products().values()) == 2 else 1)
    print(os.waitpid(child, 0)[1])
    frugalblas.unpatch_numpy()
    """
    assert output_of(code) == "0"


def test_importing_brings_no_blas_names_into_the_process():
    code = """
    import ctypes
    process = ctypes.CDLL(None)
    names = ["cblas_sgemm", "sgemm_", "scipy_cblas_sgemm64_", "cblas_ssyrk", "cblas_sgemv"]
    before = [hasattr(process, name) for name in names]
    import frugalblas
    with frugalblas.patch_numpy("blas"):
        print(before == [hasattr(process, name) for name in names])
    """
    assert output_of(code) == "True"
