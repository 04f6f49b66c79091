"""Operands packed beforehand: the bits of `blocked`, NumPy's rules, and a clear word about whatever is refused."""

import copy
import ctypes
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from checker import check
from children import output_of
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, OUT_LAYOUTS, place, place_blank
from pairs import all_pairs

import frugalblas
from frugalblas import pack

# The instruction-set levels that run here; `pack` itself packs for the one chosen at import.
LEVELS = [v["name"] for v in frugalblas._core.variants() if not v["study"] and v["runs_here"]]
THREADS = (1, 2, 3, 7)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype=np.float32)


def pack_for(level, B, trans=False):
    return frugalblas.PackedMatrix(B, trans, level)


def blocks(level):
    """MR, NR and KC with K beyond any KC."""
    A = np.broadcast_to(np.float32(0), (1, 2**13))
    return frugalblas.explain(A, pack_for(level, np.zeros((2**13, 1), np.float32)))["blocks"]


A, B = normal(3, 4), normal(4, 5)
P = pack(B)


# ---- the product -----------------------------------------------------------------------------------------------------


SHAPES = {
    "smallest": lambda b: (1, 1, 1),
    "one row, several panels at a time and a rest": lambda b: (1, 7 * b["NR"] + 1, 40),
    "two rows, whole panels": lambda b: (2, 6 * b["NR"], 33),
    "three rows, last panel thin": lambda b: (3, 2 * b["NR"] + 1, 67),
    "one tile": lambda b: (b["MR"], b["NR"], 8),
    "tile + 1": lambda b: (b["MR"] + 1, b["NR"] + 1, 9),
    "two parts of K": lambda b: (b["MR"] + 1, b["NR"] - 1, b["KC"] + 1),
    "three parts of K, one row": lambda b: (1, 5 * b["NR"] + 3, 2 * b["KC"] + 5),
    "more rows than columns": lambda b: (5 * b["MR"] + 2, 3, 21),
    "single column": lambda b: (41, 1, 31),
    "primes": lambda b: (67, 71, 73),
}
SCALES = [(1, 0), (1, 1), (-0.5, 2), (2, 0)]
CASES = all_pairs(
    {
        "reason": list(SHAPES),
        "a": list(LAYOUTS),
        "b": list(LAYOUTS),
        "c": list(OUT_LAYOUTS),
        "scale": SCALES,
        "trans_a": [False, True],
        "trans": [False, True],
    }
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("reason", SHAPES)
def test_product(level, reason):
    M, N, K = SHAPES[reason](blocks(level))
    for case in CASES:
        if case["reason"] != reason:
            continue
        trans_a, trans = case["trans_a"], case["trans"]
        a = place(normal(*((K, M) if trans_a else (M, K))), case["a"]).view
        b = place(normal(*((N, K) if trans else (K, N)), seed=1), case["b"]).view
        C0 = normal(M, N, seed=2)
        alpha, beta = case["scale"]
        packed = pack_for(level, b, trans)
        scale = {"alpha": alpha, "beta": beta, "trans_a": trans_a}

        def product(operand, c=case["c"], C0=C0, a=a, scale=scale, **options):
            out = place(C0, c) if scale["beta"] else place_blank(*C0.shape, c)
            assert frugalblas.sgemm(a, operand, out=out.view, **scale, **options) is out.view
            assert out.stray_writes() == 0
            return out.view

        results = [product(packed, threads=threads) for threads in THREADS]
        check(results[0], a, b, C0, trans_b=trans, **scale)
        for result in results[1:]:
            assert (result.view(np.uint32) == results[0].view(np.uint32)).all(), case
        # Same bits where both cut K into the same parts: on some CPUs `blocked` has shorter ones for few rows of A.
        name = f"blocked@{level}"
        parts = frugalblas.explain(a, b, algo=name, trans_a=trans_a, trans_b=trans)["blocks"]["KC"]
        same_parts = parts == frugalblas.explain(a, packed, trans_a=trans_a)["blocks"]["KC"]
        assert same_parts or frugalblas.info()["cpu"]["tuning"] == "intel", case
        if same_parts:
            blocked = product(b, algo=name, threads=1, trans_b=trans)
            assert (blocked.view(np.uint32) == results[0].view(np.uint32)).all(), case


@given(data=st.data())
def test_any_shape(data):
    M, N, K = (data.draw(st.integers(0, 130), label=name) for name in "MNK")
    level = data.draw(st.sampled_from(LEVELS), label="level")
    threads = data.draw(st.sampled_from(THREADS), label="threads")
    trans, trans_a = data.draw(st.booleans(), label="trans"), data.draw(st.booleans(), label="trans_a")
    a, b = normal(*((K, M) if trans_a else (M, K))), normal(*((N, K) if trans else (K, N)), seed=1)
    packed = pack_for(level, b, trans)
    C = frugalblas.sgemm(a, packed, threads=threads, trans_a=trans_a)
    check(C, a, b, trans_a=trans_a, trans_b=trans)
    assert (np.asarray(packed) == (b.T if trans else b)).all()


def test_nan_and_infinity_propagate():
    b = normal(40, 50)
    b[7, 49], b[20, 3] = np.nan, np.inf
    a = normal(9, 40)
    a[4, 20] = 0
    check(frugalblas.sgemm(a, pack(b)), a, b)


def test_one_operand_serves_many_threads():
    b = normal(300, 200)
    packed = pack(b)
    inputs = [normal(m, 300) for m in range(1, 25)]
    alone = [frugalblas.sgemm(a, packed, threads=1) for a in inputs]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda a: frugalblas.sgemm(a, packed, threads=2), inputs))
    for a, result, expected in zip(inputs, results, alone, strict=True):
        check(result, a, b)
        assert (result == expected).all()


@pytest.mark.parametrize(("M", "N", "K"), [(0, 5, 4), (3, 0, 4), (3, 5, 0), (0, 0, 0), (0, 5, 0), (3, 0, 0)])
def test_empty(M, N, K):
    packed = pack(np.empty((K, N), np.float32))
    assert packed.shape == (K, N)
    assert packed.unpack().shape == (K, N)
    C = frugalblas.sgemm(np.empty((M, K), np.float32), packed)
    assert C.shape == (M, N)
    assert not C.any()
    out = np.full((M, N), 3, np.float32)
    frugalblas.sgemm(np.empty((M, K), np.float32), packed, out=out, beta=2)
    assert (out == 6).all()


def test_alpha_zero_reads_nothing():
    out = np.full((3, 5), 3, np.float32)
    frugalblas.sgemm(A, pack(np.full((4, 5), np.nan, np.float32)), out=out, alpha=0, beta=1)
    assert (out == 3).all()


def test_out_may_overlap_a():
    square, b = normal(70, 70), normal(70, 70, seed=1)
    before = square.copy()
    frugalblas.sgemm(square, pack(b), out=square)
    check(square, before, b)


# ---- the object ------------------------------------------------------------------------------------------------------


def test_it_is_a_snapshot():
    b = normal(4, 5)
    packed, before = pack(b), b.copy()
    b[...] = 0
    assert (packed.unpack() == before).all()
    assert packed.unpack() is not packed.unpack()


def test_what_it_says():
    assert P.shape == (4, 5)
    assert P.dtype == np.float32
    assert P.ndim == 2
    assert len(P) == 4
    assert P.nbytes >= B.nbytes
    assert P.variant == frugalblas.info()["variant"]
    assert repr(P) == f"<frugalblas.PackedMatrix (4, 5) of float32, packed for {P.variant}, {P.nbytes} bytes>"
    assert P.nbytes % (4 * 4) == 0
    large = pack(np.zeros((100, 1000), np.float32))
    assert large.nbytes <= 1.02 * 4 * 100 * 1000
    with pytest.raises(AttributeError, match=r"no transpose.*frugalblas\.pack\(B, trans=True\)"):
        _ = P.T
    with pytest.raises(AttributeError):
        P.shape = (5, 4)


def test_pack_transposed():
    assert (pack(B, trans=True).unpack() == B.T).all()
    assert (pack(B.T).unpack() == B.T).all()


def test_explain():
    said = frugalblas.explain(A, P)
    assert (said["algo"], said["variant"], said["reason"]) == ("packed", P.variant, "B was packed beforehand")
    assert (said["M"], said["N"], said["K"]) == (3, 5, 4)
    assert set(said["blocks"]) == {"MR", "NR", "KC"}
    assert said["threads"] == 1  # too little work for more
    assert frugalblas.explain(np.zeros((0, 4), np.float32), P)["blocks"] == {}
    large = pack(np.zeros((1024, 1024), np.float32))
    assert frugalblas.explain(np.zeros((1, 1024), np.float32), large, threads=3)["threads"] == 3


def test_it_becomes_an_array_for_numpy():
    assert (np.asarray(P) == B).all()
    assert np.asarray(P).dtype == np.float32
    assert (np.array(P, dtype=np.float64) == B).all()
    with pytest.raises(ValueError, match="has to be unpacked"):
        P.__array__(copy=False)
    assert (np.add(P, 1) == B + 1).all()
    assert (np.concatenate([P, P]) == np.concatenate([B, B])).all()
    assert (B * P == B * B).all()
    assert np.add.reduce(P, axis=0) == pytest.approx(B.sum(axis=0))
    with pytest.raises(TypeError, match="never changes"):
        np.add(B, 1, out=P)


def test_copies_and_pickles():
    assert copy.copy(P) is P
    assert copy.deepcopy([P])[0] is P
    loaded = pickle.loads(pickle.dumps(P))
    assert type(loaded) is frugalblas.PackedMatrix
    assert (loaded.unpack() == B).all()


def test_the_memory_goes_with_it():
    """64 MiB come and go with the object, in a process of its own whose size is known."""
    code = """
    import resource
    import numpy as np, frugalblas
    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    B = np.ones((4096, 4096), np.float32)
    before = resident()
    P = frugalblas.pack(B)
    held = resident() - before
    del P
    print(held >= B.nbytes, held < B.nbytes + (8 << 20), resident() - before < 8 << 20)
    """
    assert output_of(code) == "True True True"


def test_a_subclass_lives_and_dies():
    class Weights(frugalblas.PackedMatrix):
        pass

    weights = Weights(B)
    assert (frugalblas.sgemm(A, weights) == frugalblas.sgemm(A, P)).all()
    alive = weakref.ref(weights)
    del weights
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_as_the_one_of_the_process(level):
    code = """
    import numpy as np, frugalblas
    A, B = np.ones((5, 70), np.float32), np.arange(70 * 90, dtype=np.float32).reshape(70, 90)
    P = frugalblas.pack(B)
    print(P.variant, (frugalblas.sgemm(A, P) == B.sum(axis=0)).all())
    """
    assert output_of(code, FRUGALBLAS_ISA=level) == f"{level} True"


# ---- matmul ----------------------------------------------------------------------------------------------------------


def same_as_numpy(a, **options):
    b = normal(a.shape[-1], 6)
    packed = pack(b)
    result = frugalblas.matmul(a, packed, **options)
    expected = np.matmul(a, b)
    assert result.shape == expected.shape
    assert result.dtype == np.float32
    flat = (-1, a.shape[-1]) if a.size else (int(np.prod(a.shape[:-1])), a.shape[-1])
    check(result.reshape(flat[0], 6), a.reshape(flat), b)
    return packed, result


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (2, 1, 3, 7), (0, 3, 7), (4, 0, 7), (2, 3, 0), (0,)])
def test_matmul(shape):
    a = normal(*shape)
    packed, result = same_as_numpy(a, threads=2)
    for product in (np.matmul(a, packed), a @ packed, frugalblas.matmul(a, packed, algo="auto", precision="fp32")):
        assert (product == result).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2],
        lambda x: x.swapaxes(0, 1),
        lambda x: x[..., ::-1],
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
    ids=["every second", "axes swapped", "reversed", "broadcast"],
)
def test_matmul_of_any_strides(view):
    same_as_numpy(view(normal(4, 5, 7)))


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
def test_matmul_out(shape):
    a, b = normal(*shape), normal(7, 6)
    expected = frugalblas.matmul(a, pack(b))
    for out in (np.empty(expected.shape, np.float32), np.empty((*expected.shape, 2), np.float32)[..., 0]):
        for call in (frugalblas.matmul, np.matmul):
            out[...] = np.nan
            assert call(a, pack(b), out=out) is out
            assert (out == expected).all()
        out[...] = np.nan
        assert frugalblas.matmul(a, pack(b), out) is out
        assert (out == expected).all()


def test_matmul_out_overlaps_a():
    base = normal(4, 3, 3)
    b = normal(3, 3, seed=1)
    expected = np.matmul(base[::-1].copy(), b)
    frugalblas.matmul(base[::-1], pack(b), out=base)
    assert base == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_other_products_are_numpys():
    packed = pack(normal(4, 4))
    assert (np.matmul(packed, normal(4, 2)) == np.matmul(packed.unpack(), normal(4, 2))).all()
    wide = np.ones((2, 4), np.float64)
    assert (wide @ packed).dtype == np.float64
    assert (wide @ packed == wide @ packed.unpack()).all()
    assert (np.matmul(np.ones((2, 4), np.float32), packed, dtype=np.float64)).dtype == np.float64


# ---- what is refused -------------------------------------------------------------------------------------------------

MISALIGNED = np.zeros(4 * 20 + 1, np.uint8)[1:].view(np.float32).reshape(4, 5)
PACK_REFUSES = {
    "list": ((B.tolist(),), TypeError, ["B is of type list", "numpy.ndarray of float32"]),
    "float64": ((B.astype(np.float64),), TypeError, ["B has dtype float64", "B.astype(numpy.float32)"]),
    "byte-swapped": ((B.astype(">f4"),), TypeError, ["byte-swapped"]),
    "masked": ((np.ma.masked_array(B),), TypeError, ["masked array"]),
    "1-D": ((B[0],), ValueError, ["B has 1 dimension", "expected 2"]),
    "3-D": ((B[None],), ValueError, ["B has 3 dimensions"]),
    "misaligned": ((MISALIGNED,), ValueError, ["B is not aligned"]),
    "trans": ((B, "T"), TypeError, ["trans is 'T'", "True or False"]),
    "packed": ((P,), TypeError, ["B is of type PackedMatrix"]),
}


@pytest.mark.parametrize("case", PACK_REFUSES)
def test_pack_refuses(case):
    arguments, exception, fragments = PACK_REFUSES[case]
    with pytest.raises(exception) as caught:
        pack(*arguments)
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == [], caught.value


def test_an_unknown_variant():
    with pytest.raises(ValueError, match="variant is 'v9'"):
        pack_for("v9", B)


@pytest.mark.skipif(
    "O0" not in frugalblas.info()["build"]["variants"], reason="this build is without the compiler-flag study"
)
def test_the_study_has_no_packed_kernel():
    with pytest.raises(ValueError, match="variant is 'O0'"):
        pack_for("O0", B)


def test_a_copy_that_does_not_fit():
    with pytest.raises(MemoryError, match=r"packed copy of B, which is \(1073741824, 1048576\)"):
        pack(np.broadcast_to(np.float32(1), (2**30, 2**20)))


SGEMM_REFUSES = {
    "trans_b": ((A, P), {"trans_b": True}, ValueError, ["trans_b is True", "frugalblas.pack(B, trans=True)"]),
    "named strategy": ((A, P), {"algo": "blocked"}, ValueError, ["algo is 'blocked'", "PackedMatrix", "'auto'"]),
    "variant": ((A, P), {"algo": f"blocked@{LEVELS[0]}"}, ValueError, [f"algo is 'blocked@{LEVELS[0]}'", "asarray"]),
    "interpreted": ((A, P), {"algo": "python"}, ValueError, ["algo is 'python'"]),
    "inner dimension": ((A.T, P), {}, ValueError, ["inner dimensions differ", "A is (4, 3)", "B is (4, 5)"]),
    "as A": ((P, B.T), {}, TypeError, ["A is of type PackedMatrix", "numpy.asarray(A"]),
    "out shape": ((A, P), {"out": np.empty((5, 3), np.float32)}, ValueError, ["out has shape (5, 3)", "(3, 5)"]),
    "out packed": ((A, B), {"out": pack(A @ B)}, TypeError, ["out is of type PackedMatrix"]),
    "beta": ((A, P), {"beta": 1}, ValueError, ["no out"]),
    "threads": ((A, P), {"threads": 0}, ValueError, ["threads is 0"]),
    "precision": ((A, P), {"precision": "fp16"}, ValueError, ["precision is 'fp16'"]),
    "float64": ((A.astype(np.float64), P), {}, TypeError, ["A has dtype float64"]),
}


@pytest.mark.parametrize("case", SGEMM_REFUSES)
def test_sgemm_refuses(case):
    arguments, options, exception, fragments = SGEMM_REFUSES[case]
    messages = []
    for function in (frugalblas.sgemm, frugalblas.explain):
        with pytest.raises(exception) as caught:
            function(*arguments, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert [fragment for fragment in fragments if fragment not in messages[0]] == [], messages[0]


def test_an_array_of_a_gpu():
    class OnGpu:
        @property
        def __cuda_array_interface__(self):
            return {"shape": (3, 4), "typestr": "<f4", "data": (0, False), "version": 3}

    with pytest.raises(TypeError, match=r"A lies in the memory of a GPU, but B is a PackedMatrix"):
        frugalblas.sgemm(OnGpu(), P)


MATMUL_REFUSES = {
    "axes": ((A, P), {"axes": [(0, 1)] * 3}, TypeError, ["not axes", "numpy.asarray(B)"]),
    "algo": ((A, P), {"algo": "blocked"}, ValueError, ["algo is 'blocked'"]),
    "scalar": ((np.float32(1) * np.ones(()), P), {}, TypeError, ["A is of type"]),
    "0-D": ((np.ones((), np.float32), P), {}, ValueError, ["A has shape ()"]),
    "vector": ((normal(5), P), {}, ValueError, ["A has shape (5,)", "(4,)", "B is (4, 5)"]),
    "batch": ((normal(2, 4, 3), P), {}, ValueError, ["A has shape (2, 4, 3)"]),
    "list": ((A.tolist(), P), {}, TypeError, ["A is of type list"]),
    "float64": ((np.ones((2, 3, 4)), P), {}, TypeError, ["A has dtype float64"]),
    "out shape": ((normal(2, 3, 4), P), {"out": np.empty((3, 5), np.float32)}, ValueError, ["out has shape (3, 5)"]),
    "out list": ((normal(4), P), {"out": [0.0] * 5}, ValueError, ["out has type list"]),
    "out float64": ((normal(4), P), {"out": np.empty(5)}, TypeError, ["out has dtype float64"]),
}


@pytest.mark.parametrize("case", MATMUL_REFUSES)
def test_matmul_refuses(case):
    arguments, options, exception, fragments = MATMUL_REFUSES[case]
    with pytest.raises(exception) as caught:
        frugalblas.matmul(*arguments, **options)
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == [], caught.value


# ---- the C interface -------------------------------------------------------------------------------------------------

CORE = ctypes.CDLL(str(Path(frugalblas._core.__file__).with_name("libfrugalblas.so")))
CORE.frugalblas_free_packed.argtypes = [ctypes.c_void_p]


def pointer(array):
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def c_pack(K, N, array, strides, threads=0):
    """(status, handle)"""
    packed = ctypes.c_void_p(1)
    status = CORE.frugalblas_pack(
        *map(ctypes.c_int64, (K, N)), pointer(array), *map(ctypes.c_int64, strides), threads, ctypes.byref(packed)
    )
    return status, packed


def c_sgemm_packed(M, a, packed, c, c_strides, alpha=1.0, beta=0.0, threads=0):
    i64, f = ctypes.c_int64, ctypes.c_float
    a_strides = (0, 0) if a is None else (stride // 4 for stride in a.strides)
    return CORE.frugalblas_sgemm_packed(
        i64(M), f(alpha), pointer(a), *map(i64, a_strides), packed, f(beta), pointer(c), *map(i64, c_strides), threads
    )


def test_c_packs_and_multiplies():
    a, b = normal(7, 40)[::-1], normal(90, 40, seed=1)
    status, packed = c_pack(40, 90, b, (1, 40))
    assert status == 0
    C0 = normal(7, 90, seed=2)
    for threads in (0, 2):
        out = C0.copy()
        assert c_sgemm_packed(7, a, packed, out, (90, 1), alpha=2, beta=0.5, threads=threads) == 0
        assert (out == frugalblas.sgemm(a, pack(b.T), out=C0.copy(), alpha=2, beta=0.5)).all()
    assert c_sgemm_packed(7, None, packed, out, (90, 1), alpha=0, beta=0) == 0
    assert not out.any()
    assert c_sgemm_packed(0, None, packed, None, (0, 0)) == 0
    CORE.frugalblas_free_packed(packed)
    CORE.frugalblas_free_packed(None)


def test_c_refuses_and_leaves_c_alone():
    b = normal(2, 2)
    for arguments, status in [
        ((-1, 2, b, (2, 1)), 1),
        ((2, 2, None, (2, 1)), 2),
        ((2, 2, b, (2, 1), -1), 5),
        ((2, 2, b, (2, 1), 10**6), 5),
        ((2**40, 2**40, b, (0, 0)), 6),
    ]:
        assert c_pack(*arguments)[0] == status
        assert c_pack(*arguments)[1].value is None
    status, packed = c_pack(2, 2, b, (2, 1))
    a, out = normal(3, 2), np.full((4, 4), 7, np.float32)
    assert c_sgemm_packed(-1, a, packed, out, (2, 1)) == 1
    assert c_sgemm_packed(3, a, None, out, (2, 1)) == 2
    assert c_sgemm_packed(3, None, packed, out, (2, 1)) == 2
    assert c_sgemm_packed(3, a, packed, None, (2, 1)) == 2
    assert c_sgemm_packed(3, a, packed, out, (2, 1), threads=-1) == 5
    assert c_sgemm_packed(3, a, packed, out, (0, 1)) == 8
    assert (out == 7).all()
    CORE.frugalblas_free_packed(packed)
