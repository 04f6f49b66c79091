"""`frugalblas.matmul` against `np.matmul`: rules, errors, values, bits, warnings; and what NumPy's own tests miss."""

import warnings

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from checker import check
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from registry import COMPILED, RUNGS, STRATEGIES, blocks

import frugalblas
from frugalblas import matmul

rng = np.random.default_rng(5)


def normal(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


def outcome(function, *args, **kwargs):
    """The result, or the exception as type and text."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)


def same_rules(ours, numpys):
    """Same type, shape, dtype and memory order; or the same exception, word for word."""
    if isinstance(numpys, tuple):
        assert ours == numpys
        return
    assert type(ours) is type(numpys)
    assert (ours.shape, ours.dtype) == (numpys.shape, numpys.dtype)
    if isinstance(numpys, np.ndarray):
        assert ours.strides == numpys.strides
    np.testing.assert_allclose(np.asarray(ours, np.float64), np.asarray(numpys, np.float64), rtol=1e-5, atol=1e-5)


class Declines:
    __array_ufunc__ = None

    def __rmatmul__(self, other):
        return "mine"


CASES = {
    "vector vector": lambda f: f(normal(5), np.ones(5, np.float32)),
    "matrix vector": lambda f: f(np.ones((4, 5), np.float32), np.arange(5, dtype=np.float32)),
    "vector matrix": lambda f: f(np.arange(4, dtype=np.float32), np.ones((4, 5), np.float32)),
    "batch vector": lambda f: f(np.ones((4, 2, 3), np.float32), np.ones(3, np.float32)),
    "vector batch": lambda f: f(np.ones(3, np.float32), np.ones((4, 3, 2), np.float32)),
    "batches broadcast": lambda f: f(np.ones((5, 1, 2, 3), np.float32), np.ones((4, 3, 2), np.float32)),
    "batches do not": lambda f: f(np.ones((2, 2, 1), np.float32), np.ones((3, 1, 2), np.float32)),
    "core mismatch": lambda f: f(np.ones((2, 3), np.float32), np.ones((4, 2), np.float32)),
    "scalar": lambda f: f(np.ones((2, 3), np.float32), 3.0),
    "float32 scalar": lambda f: f(np.float32(2), np.ones((2, 3), np.float32)),
    "0-d": lambda f: f(np.array(2, np.float32), np.ones((2, 3), np.float32)),
    "None": lambda f: f(np.ones((2, 3), np.float32), None),
    "no row": lambda f: f(np.ones((0, 3), np.float32), np.ones((3, 2), np.float32)),
    "no k": lambda f: f(np.ones((2, 0), np.float32), np.ones((0, 3), np.float32)),
    "no batch": lambda f: f(np.ones((0, 2, 3), np.float32), np.ones((3, 3), np.float32)),
    "empty vectors": lambda f: f(np.ones(0, np.float32), np.ones(0, np.float32)),
    "no k, batch": lambda f: f(np.ones((3, 2, 0), np.float32), np.ones((0, 3), np.float32)),
    "f8": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2))),
    "i4": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.int32)),
    "i2": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.int16)),
    "f2": lambda f: f(np.ones((2, 3), np.float16), np.ones((3, 2), np.float32)),
    "f2 twice": lambda f: f(np.ones((2, 3), np.float16), np.ones((3, 2), np.float16)),
    "bool": lambda f: f(np.ones((2, 3), bool), np.ones((3, 2), np.float32)),
    "list": lambda f: f(np.ones((2, 3), np.float32), [1, 2, 3]),
    "c8": lambda f: f(np.ones((2, 3), np.complex64), np.ones((3, 2), np.float32)).real,
    "str": lambda f: f(np.array([["a"]]), np.ones((1, 2), np.float32)),
    "datetime": lambda f: f(np.array([["2020-01-01"]], "M8[D]"), np.ones((1, 2), np.float32)),
    "big-endian": lambda f: f(np.ones((2, 3), ">f4"), np.ones((3, 2), np.float32)),
    "unaligned": lambda f: f(
        np.frombuffer(b"\0" + np.ones(6, np.float32).tobytes(), np.float32, 6, 1).reshape(2, 3),
        np.ones((3, 2), np.float32),
    ),
    "negative strides": lambda f: f(
        np.arange(6, dtype=np.float32).reshape(2, 3)[::-1, ::-1], np.ones((3, 2), np.float32)
    ),
    "broadcast": lambda f: f(np.broadcast_to(np.float32(2), (4, 5)), np.ones((5, 2), np.float32)),
    "out f8": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.empty((2, 2))),
    "out i4": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.empty((2, 2), np.int32)),
    "out i4 unsafe": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.empty((2, 2), np.int32), casting="unsafe"
    ),
    "out wrong shape": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.empty((3, 2), np.float32)
    ),
    "out broadcast": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.empty((3, 2, 2), np.float32)
    ),
    "out read-only": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=np.broadcast_to(np.float32(0), (2, 2))
    ),
    "out list": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=[np.empty((2, 2))]),
    "out tuple": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=(np.empty((2, 2), np.float32, "F"),)
    ),
    "out third": lambda f: f(
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), np.empty((4, 4), np.float32)[::2, ::2]
    ),
    "out None": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), out=None),
    "order F": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), order="F"),
    "order K": lambda f: f(np.ones((2, 3), np.float32, "F"), np.ones((3, 4), np.float32, "F")),
    "order A": lambda f: f(np.ones((2, 3), np.float32, "F"), np.ones((3, 4), np.float32, "F"), order="A"),
    "dtype f8": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), dtype="f8"),
    "dtype f2": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), dtype="f2"),
    "axes": lambda f: f(np.ones((3, 2, 4), np.float32), np.ones((5, 3, 4), np.float32), axes=[(0, 1), (1, 0), (0, 1)]),
    "axis": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), axis=0),
    "where": lambda f: f(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), where=True),
    "one operand": lambda f: f(np.ones((2, 3), np.float32)),
    "four operands": lambda f: f(*[np.ones((2, 2), np.float32)] * 4),
    "subok": lambda f: f(np.ma.masked_array(np.ones((2, 3), np.float32)), np.ones((3, 2), np.float32), subok=False),
    "masked": lambda f: f(np.ma.masked_array(np.ones((2, 3), np.float32)), np.ones((3, 2), np.float32)),
    "declines": lambda f: f(np.ones((2, 3), np.float32), Declines()),
}


@pytest.mark.parametrize("case", CASES)
def test_rules_are_numpys(case):
    global rng
    rng = np.random.default_rng(1)
    numpys = outcome(CASES[case], np.matmul)
    rng = np.random.default_rng(1)
    same_rules(outcome(CASES[case], matmul), numpys)


def test_the_gufunc_is_one():
    gufunc = frugalblas._core.matmul_gufunc
    assert isinstance(gufunc, np.ufunc)
    assert gufunc.signature == np.matmul.signature
    assert gufunc.__name__ == np.matmul.__name__


def test_array_ufunc_is_handed_numpys_matmul():
    class Asks:
        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return ufunc, method

    assert matmul(np.ones((2, 2), np.float32), Asks()) == (np.matmul, "__call__")


@given(data=st.data())
def test_any_shapes_strides_and_axes(data):
    shapes = data.draw(npst.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=3, max_side=7))
    operands = []
    for shape in shapes.input_shapes:
        steps = [data.draw(st.sampled_from([1, 2, -1, -3])) for _ in shape]
        order = data.draw(st.sampled_from("CF"))
        base = np.full([n * abs(s) + 1 for n, s in zip(shape, steps, strict=True)], np.nan, np.float32, order=order)
        view = base[tuple(slice(None, None, s) for s in steps)][tuple(slice(0, n) for n in shape)]
        view[...] = rng.integers(-8, 9, shape)  # small whole numbers: every sum is exact, so bits must agree
        if shape and data.draw(st.booleans()):
            view = np.broadcast_to(view[:1], view.shape) if view.shape[0] else view
        operands.append(view)
    keywords = {}
    if data.draw(st.booleans()):
        keywords["out"] = np.full(shapes.result_shape, np.nan, np.float32, order=data.draw(st.sampled_from("CF")))
    threads = data.draw(st.sampled_from([None, 1, 3]))
    expected = np.matmul(*operands)
    result = matmul(*operands, **keywords, **({"threads": threads} if threads else {}))
    if keywords:
        assert result is keywords["out"]
    np.testing.assert_array_equal(result, expected, strict=not keywords)


# ---- values and bits -------------------------------------------------------------------------------------------------


def edges():
    b = blocks("auto")
    sizes = sorted({b["MR"], b["NR"], b["MC"], b["KC"]})
    return [(s + d, 3, 5) for s in sizes for d in (-1, 0, 1)] + [(5, s + d, 7) for s in sizes for d in (-1, 0, 1)]


@pytest.mark.parametrize(("M", "K", "N"), [(M, K, N) for M, K, N in edges() if max(M, K, N) <= 4096])
def test_block_edges(M, K, N):
    A, B = normal(M, K), normal(K, N)
    check(matmul(A, B), A, B)
    check(matmul(B.T, A.T), B.T, A.T)


SHAPES = [(3, 4, 5, 6), (40, 17, 33, 9), (9, 150, 130, 140), (3, 300, 300, 300), (500, 8, 8, 8), (2, 1, 700, 300)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_batch_has_the_bits_of_single_products_for_any_threads(shape):
    count, M, K, N = shape
    A, B = normal(count, M, K), normal(count, K, N)
    singles = np.stack([matmul(a, b) for a, b in zip(A, B, strict=True)])
    for threads in (None, 1, 2, 3, 7):  # out: no memory that an earlier result has left right values in
        out = np.full((count, M, N), np.nan, np.float32)
        np.testing.assert_array_equal(matmul(A, B, threads=threads, out=out), singles)
    np.testing.assert_array_equal(matmul(A[0], B), np.stack([matmul(A[0], b) for b in B]))
    np.testing.assert_array_equal(matmul(A, B[0], threads=3), np.stack([matmul(a, B[0]) for a in A]))
    twice = matmul(A, B, out=np.full((2, count, M, N), np.nan, np.float32))
    np.testing.assert_array_equal(twice[1], singles)


@pytest.mark.parametrize("strategy", [s for s in COMPILED if "@" not in s.algo or s in RUNGS], ids=str)
def test_strategies_in_batches(strategy):
    A, B = normal(7, 20, 30), normal(7, 30, 25)
    for threads in strategy.threads:
        C = matmul(A, B, algo=strategy.algo, threads=threads, out=np.full((7, 20, 25), np.nan, np.float32))
        for c, a, b in zip(C, A, B, strict=True):
            check(c, a, b)
            if strategy.fixed_bits:
                np.testing.assert_array_equal(c, frugalblas.sgemm(a, b, algo=strategy.algo))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 33, 64, 123, 255, 256, 257, 512, 600, 1025])
@pytest.mark.parametrize("k", [1, 5, 255, 600, 1500])
def test_a_times_its_transpose_is_symmetric(n, k):
    A = normal(n, k)
    G = matmul(A, A.T)
    np.testing.assert_array_equal(G, G.T)
    np.testing.assert_array_equal(matmul(A, A.T, threads=3), G)  # without the shortcut for half the product
    np.testing.assert_array_equal(matmul(A, A.T, out=np.full((n, n), np.nan, np.float32, order="F")), G)
    check(G, A, A.T)


@pytest.mark.parametrize("n", [33, 257, 288, 520, 700])
@pytest.mark.parametrize("k", [70, 300, 800])
def test_a_transpose_times_itself_is_symmetric(n, k):
    """Rows of B are contiguous here, and a part of C may be flat: neither may change how K is cut."""
    A = normal(k, n)
    G = matmul(A.T, A)
    np.testing.assert_array_equal(G, G.T)
    np.testing.assert_array_equal(matmul(A.T, A, threads=3), G)  # without the shortcut for half the product
    check(G, A.T, A)


@pytest.mark.parametrize("n", [2, 40, 300, 700])
@pytest.mark.parametrize("threads", [None, 2])
def test_out_may_be_an_operand(n, threads):
    for out, A, B in [
        (lambda a, b: a, 0, 1),
        (lambda a, b: b, 0, 1),
        (lambda a, b: a, 0, 0),
        (lambda a, b: a.T, 0, 1),
        (lambda a, b: a[::-1], 0, 1),
    ]:
        operands = normal(n, n), normal(n, n)
        a, b = operands[A], operands[B]
        expected = matmul(a.copy(), b.copy())
        target = out(a, b)
        matmul(a, b, out=target, threads=threads)
        np.testing.assert_array_equal(target, expected)


def test_out_may_overlap_by_a_shift():
    buffer = normal(60 * 61)
    a, out = buffer[: 60 * 60].reshape(60, 60), buffer[60:].reshape(60, 60)
    b = normal(60, 60)
    expected = matmul(a.copy(), b)
    np.testing.assert_array_equal(matmul(a, b, out=out), expected)


@pytest.mark.parametrize("n", [3, 40, 300])
def test_nan_and_infinity_are_never_swallowed(n):
    for bad in (np.nan, np.inf, -np.inf):
        A, B = normal(n, n), normal(n, n)
        A[1, 2] = bad
        with np.errstate(invalid="ignore"):
            check(matmul(A, B), A, B)
            B[2] = 0
            C = matmul(A, B)
        assert np.isnan(C[1]).all(), "inf * 0 and NaN * 0 are NaN"
        assert np.isfinite(np.delete(C, 1, 0)).all()


# ---- floating-point warnings -----------------------------------------------------------------------------------------


def warned(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return sorted(str(w.message) for w in caught)


@pytest.mark.parametrize("n", [2, 40, 600])
@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_warnings_are_numpys(n, threads):
    huge, inf = np.full((n, n), 3e38, np.float32), np.full((n, n), np.inf, np.float32)
    zero, nan = np.zeros((n, n), np.float32), np.full((n, n), np.nan, np.float32)
    ones, last = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    last[-1] = 3e38
    pairs = [(huge, huge), (inf, zero), (nan, huge), (last, huge), (ones, ones), (inf, ones)]
    expected = [["overflow encountered in matmul"], ["invalid value encountered in matmul"], []]
    expected += [["overflow encountered in matmul"], [], []]
    for (a, b), messages in zip(pairs, expected, strict=True):
        assert warned(lambda a=a, b=b: matmul(a, b, threads=threads)) == messages
        batch = np.stack([ones] * 5 + [a])
        assert warned(lambda batch=batch, b=b: matmul(batch, b, threads=threads)) == sorted(
            set(messages) | set(warned(lambda b=b: matmul(ones, b)))
        )
        assert warned(lambda: matmul(ones, ones, threads=threads)) == [], "a flag of the call before"


def test_warnings_of_every_product_of_a_batch():
    """Whichever thread computes it."""
    b = np.full((60, 60), 3e38, np.float32)
    for overflowing in range(40):
        batch = np.zeros((40, 60, 60), np.float32)
        batch[overflowing] = 3e38
        assert warned(lambda batch=batch: matmul(batch, b, threads=3)) == ["overflow encountered in matmul"]


@pytest.mark.parametrize("strategy", [s for s in RUNGS if not s.interpreted and s.fixed_bits], ids=str)
def test_warnings_of_every_strategy(strategy):
    """Whichever of its threads computes the row that overflows."""
    b = np.full((30, 50), 3e38, np.float32)
    for row in range(40):
        a = np.zeros((40, 30), np.float32)
        a[row] = 3e38
        assert warned(lambda a=a: matmul(a, b, algo=strategy.algo, threads=3)) == ["overflow encountered in matmul"]


@pytest.mark.parametrize("threads", [1, 3])
def test_padding_raises_no_flag(threads):
    """Ragged shapes leave lanes of registers and panels unused: nothing in them may overflow, divide or be invalid."""
    sizes = [1, 2, 3, 5, 7, 9, 13, 15, 17, 31, 33, 47, 49, 97, 257]
    poison = np.full(400 * 400, np.nan, np.float32)
    with np.errstate(all="raise"):
        for M in sizes:
            for N in sizes:
                for K in (1, 3, 17, 300):
                    A = as_strided(poison, (M, K), (4 * (K + 1), 4))
                    A[...] = 1
                    for B in (np.ones((K, N), np.float32), np.ones((N, K), np.float32).T):
                        C = matmul(A, B, threads=threads)
                        assert (C == K).all()
                    poison[...] = np.nan


@pytest.mark.parametrize("strategy", [s for s in RUNGS if not s.interpreted and s.fixed_bits], ids=str)
def test_infinite_operands_raise_no_flag_by_padding(strategy):
    for M, N, K in [(1, 1, 3), (7, 5, 9), (13, 17, 33), (49, 50, 300)]:
        A, B = np.full((M, K), np.inf, np.float32), np.ones((K, N), np.float32)
        with np.errstate(all="raise"):
            assert (matmul(A, B, algo=strategy.algo) == np.inf).all()
            assert (matmul(B.T, A.T, algo=strategy.algo) == np.inf).all()


# ---- keywords of ours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"algo": "bloked"}, ValueError, "Did you mean 'blocked'"),
        ({"algo": 3}, TypeError, "algo is 3"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"threads": True}, ValueError, "threads is True"),
        ({"threads": 1.0}, TypeError, "threads is 1.0"),
        ({"precision": "fp8"}, ValueError, "precision is 'fp8'"),
    ],
    ids=str,
)
def test_wrong_keywords_are_refused(keywords, error, words):
    with pytest.raises(error, match=words):
        matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), **keywords)


@pytest.mark.parametrize("algo", [a.name for a in frugalblas.algorithms() if a.device != "cpu"])
def test_strategies_of_a_gpu_are_refused(algo):
    A = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match=f"{algo}.*runs on a GPU.*sgemm"):
        frugalblas.matmul(A, A, algo=algo)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s.interpreted], ids=str)
def test_interpreted_strategies_are_refused(strategy):
    with pytest.raises(ValueError, match="sgemm"):
        matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), algo=strategy.algo)


def test_keywords_are_never_ignored():
    for A in (np.ones((2, 2)), [[1.0]], np.ones((2, 2), np.float16)):
        with pytest.raises(TypeError, match="float32"):
            matmul(A, A, algo="blocked")


def test_a_subclass_may_multiply_meanwhile():
    """A request belongs to one call: one made meanwhile has its own."""

    inner = normal(3, 30, 30)
    expected = matmul(inner, inner, algo="naive")

    class Finalizes(np.ndarray):
        def __array_finalize__(self, obj):
            np.testing.assert_array_equal(matmul(inner, inner, algo="naive"), expected)

    A = normal(20, 20)
    C = matmul(A.view(Finalizes), A, algo="vector")
    np.testing.assert_array_equal(np.asarray(C), matmul(A, A, algo="vector"))
