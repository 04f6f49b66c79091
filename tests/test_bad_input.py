"""Every wrong argument: the exception's type, and a message with the value, what was expected, and the fix."""

import numpy as np
import pytest
from registry import STRATEGIES

import frugalblas

A = np.ones((3, 4), np.float32)
B = np.ones((4, 5), np.float32)


def out():
    return np.full((3, 5), 7, np.float32)


def read_only():
    array = out()
    array.flags.writeable = False
    return array


def misaligned(rows, cols):
    return np.zeros(4 * rows * cols + 1, np.uint8)[1:].view(np.float32).reshape(rows, cols)


def masked(array):
    return np.ma.masked_array(array, mask=array > 0)


MOST = max(64, 4 * frugalblas.info()["cpu"]["cpus"])
endless = np.broadcast_to(np.float32(1), (2**31, 1))

# name: (arguments, exception, what the message must contain)
OPERANDS = {
    "list": ((A.tolist(), B), {}, TypeError, ["A is", "list", "numpy.ndarray of float32", "numpy.asarray(A"]),
    "None": ((A, None), {}, TypeError, ["B is", "NoneType", "numpy.asarray(B"]),
    "number": ((A, 2.0), {}, TypeError, ["B is", "float", "numpy.asarray(B"]),
    "float32 scalar": ((np.float32(1), B), {}, TypeError, ["A is", "float32", "numpy.ndarray"]),
    "float64": (
        (A.astype(np.float64), B),
        {},
        TypeError,
        ["A has dtype float64", "float32", "A.astype(numpy.float32)"],
    ),
    "int32": ((A, B.astype(np.int32)), {}, TypeError, ["B has dtype int32", "B.astype(numpy.float32)"]),
    "float16": ((A, B.astype(np.float16)), {}, TypeError, ["B has dtype float16", "astype"]),
    "bool": ((A.astype(bool), B), {}, TypeError, ["A has dtype bool", "astype"]),
    "complex": ((A.astype(np.complex64), B), {}, TypeError, ["A has dtype complex64", "float32", "numpy.matmul"]),
    "object": ((A, B.astype(object)), {}, TypeError, ["B has dtype object", "float32", "numpy.matmul"]),
    "structured": ((np.zeros((3, 4), [("x", "f4")]), B), {}, TypeError, ["A has dtype", "'x'", "float32"]),
    "text": ((A, np.full((4, 5), "1")), {}, TypeError, ["B has dtype <U1", "float32"]),
    "byte-swapped": (
        (A.astype(">f4"), B),
        {},
        TypeError,
        ["A has byte-swapped dtype", ">f4", "A.astype(numpy.float32)"],
    ),
    "masked": ((A, masked(B)), {}, TypeError, ["B is a masked array", "B.filled"]),
    "masked float64": ((masked(A.astype(float)), B), {}, TypeError, ["A is a masked array", "A.filled"]),
    "misaligned": ((misaligned(3, 4), B), {}, ValueError, ["A is not aligned", "4 bytes", "A.copy()"]),
    "0-D": ((np.array(1, np.float32), B), {}, ValueError, ["A has 0 dimensions", "shape ()", "expected 2"]),
    "1-D": ((A, B[0]), {}, ValueError, ["B has 1 dimension,", "shape (5,)", "expected 2", "B[:, None]"]),
    "3-D": ((A[None], B), {}, ValueError, ["A has 3 dimensions", "shape (1, 3, 4)", "expected 2"]),
    "inner dimension": ((A, B[:3]), {}, ValueError, ["A is (3, 4)", "B is (3, 5)", "inner dimensions differ"]),
    "inner, transposed": ((A, B), {"trans_a": True}, ValueError, ["A transposed is (4, 3)", "B is (4, 5)"]),
    "too many bytes": (
        (endless, endless.T),
        {},
        ValueError,
        ["(2147483648, 2147483648)", "bytes than can be addressed"],
    ),
}
OUT = {
    "list": ({"out": [[0.0] * 5] * 3}, TypeError, ["out is", "list", "numpy.ndarray"]),
    "tuple": ({"out": (out(),)}, TypeError, ["out is", "tuple"]),
    "float64": ({"out": np.zeros((3, 5))}, TypeError, ["out has dtype float64", "float32"]),
    "byte-swapped": ({"out": out().astype(">f4")}, TypeError, ["out has byte-swapped dtype", ">f4"]),
    "masked": ({"out": masked(out())}, TypeError, ["out is a masked array"]),
    "misaligned": ({"out": misaligned(3, 5)}, ValueError, ["out is not aligned", "4 bytes"]),
    "1-D": ({"out": out()[0]}, ValueError, ["out has 1 dimension", "expected 2"]),
    "wrong shape": ({"out": out().T}, ValueError, ["out has shape (5, 3)", "expected (3, 5)"]),
    "larger": ({"out": np.zeros((3, 6), np.float32)}, ValueError, ["out has shape (3, 6)", "expected (3, 5)"]),
    "read-only": ({"out": read_only()}, ValueError, ["out is read-only", "out.copy()"]),
    "broadcast": (
        {"out": np.lib.stride_tricks.as_strided(np.zeros(5, np.float32), (3, 5), (0, 4))},
        ValueError,
        ["out has elements that share an address", "memory"],
    ),
    "sliding windows": (
        {"out": np.lib.stride_tricks.as_strided(np.zeros(7, np.float32), (3, 5), (4, 4))},
        ValueError,
        ["out has elements that share an address"],
    ),
    "beta without out": ({"beta": 0.5}, ValueError, ["beta is 0.5", "no out", "out="]),
    "NaN beta without out": ({"beta": float("nan")}, ValueError, ["beta is nan", "no out"]),
}
SCALARS = {
    "alpha text": ({"alpha": "2"}, TypeError, ["alpha is '2'", "real number"]),
    "alpha None": ({"alpha": None}, TypeError, ["alpha is None", "real number"]),
    "alpha complex": ({"alpha": 1j}, TypeError, ["alpha is 1j", "real number"]),
    "alpha array": ({"alpha": np.ones(2, np.float32)}, TypeError, ["alpha is array", "real number"]),
    "beta list": ({"beta": [1], "out": out()}, TypeError, ["beta is [1]", "real number"]),
    "alpha too large": ({"alpha": 1e39}, ValueError, ["alpha is 1e+39", "float32", "3.4028235e38"]),
    "beta too large": ({"beta": -1e300, "out": out()}, ValueError, ["beta is -1e+300", "float32"]),
    "trans_a text": ({"trans_a": "N"}, TypeError, ["trans_a is 'N'", "True or False"]),
    "trans_b None": ({"trans_b": None}, TypeError, ["trans_b is None", "True or False"]),
    "trans_a 2": ({"trans_a": 2}, TypeError, ["trans_a is 2", "True or False"]),
    "trans_b 2**70": ({"trans_b": 2**70}, TypeError, [f"trans_b is {2**70}", "True or False"]),
    "trans_a 1.0": ({"trans_a": 1.0}, TypeError, ["trans_a is 1.0", "True or False"]),
    "precision unknown": ({"precision": "fp16"}, ValueError, ["precision is 'fp16'", "'fp32'"]),
    "precision None": ({"precision": None}, TypeError, ["precision is None", "'fp32'"]),
    "threads 0": ({"threads": 0}, ValueError, ["threads is 0", f"from 1 to {MOST}", "None"]),
    "threads negative": ({"threads": -2}, ValueError, ["threads is -2", f"from 1 to {MOST}"]),
    "threads True": ({"threads": True}, ValueError, ["threads is True", f"from 1 to {MOST}"]),
    "threads np.True_": ({"threads": np.True_}, ValueError, ["threads is", "True", f"from 1 to {MOST}"]),
    "threads too many": ({"threads": MOST + 1}, ValueError, [f"threads is {MOST + 1}", f"from 1 to {MOST}"]),
    "threads 2**70": ({"threads": 2**70}, ValueError, [f"threads is {2**70}", f"from 1 to {MOST}"]),
    "threads -2**70": ({"threads": -(2**70)}, ValueError, [f"threads is {-(2**70)}", f"from 1 to {MOST}"]),
    "threads 1.0": ({"threads": 1.0}, TypeError, ["threads is 1.0", "whole number"]),
    "threads text": ({"threads": "2"}, TypeError, ["threads is '2'", "whole number"]),
    "algo None": ({"algo": None}, TypeError, ["algo is None", "'auto'"]),
    "algo bytes": ({"algo": b"auto"}, TypeError, ["algo is b'auto'", "string"]),
}


def message(exception, *args, **kwargs):
    """The message, the same from sgemm and explain, which refuse exactly the same calls."""
    messages = []
    for function in (frugalblas.sgemm, frugalblas.explain):
        with pytest.raises(exception) as caught:
            function(*args, **kwargs)
        assert type(caught.value) is exception
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    return messages[0]


def assert_contains(text, fragments):
    assert [fragment for fragment in fragments if fragment not in text] == [], text


@pytest.mark.parametrize("case", OPERANDS)
def test_operands(case):
    args, kwargs, exception, fragments = OPERANDS[case]
    assert_contains(message(exception, *args, **kwargs), fragments)


@pytest.mark.parametrize("case", OUT)
def test_out(case):
    kwargs, exception, fragments = OUT[case]
    assert_contains(message(exception, A, B, **kwargs), fragments)


@pytest.mark.parametrize("case", SCALARS)
def test_scalars(case):
    kwargs, exception, fragments = SCALARS[case]
    assert_contains(message(exception, A, B, **kwargs), fragments)


def test_a_refused_call_leaves_out_alone():
    for wrong in ({"threads": 0}, {"alpha": "x"}, {"algo": "nonsense"}, {"precision": "fp8"}, {"trans_b": True}):
        C = out()
        with pytest.raises((TypeError, ValueError)):
            frugalblas.sgemm(A, B, **{"out": C, **wrong})
        assert (out() == C).all()


# ---- the names of arguments and algorithms ---------------------------------------------------------------------------


def test_argument_names():
    assert_contains(message(TypeError, A, B, outt=out()), ["'outt'", "out", "alpha", "trans_a", "threads"])
    assert_contains(message(TypeError, A, B, out()), ["2 positional", "3", "out="])
    assert_contains(message(TypeError, A), ["missing argument B", "sgemm(A, B"])
    assert_contains(message(TypeError), ["missing argument A"])
    assert_contains(message(TypeError, A, B, A=A), ["'A'", "twice"])


def test_unknown_algo_names_all_and_the_nearest():
    names = [rung.name for rung in frugalblas.algorithms()]
    for wrong, near in [("bloked", "blocked"), ("Auto", "auto"), ("nonsense", None), ("", None), ("naïve", "naive")]:
        text = message(ValueError, A, B, algo=wrong)
        assert_contains(text, [repr(wrong), "auto", *names])
        assert (f"Did you mean {near!r}?" in text) == (near is not None)


def test_unknown_variants():
    for rung in frugalblas.algorithms():
        if rung.variants:
            text = message(ValueError, A, B, algo=f"{rung.name}@{rung.variants[0]}x")
            assert_contains(text, [f"{rung.variants[0]}x", "unknown variant", *rung.variants])
        else:
            assert_contains(
                message(ValueError, A, B, algo=f"{rung.name}@v3"), [rung.name, "no variants", "without '@v3'"]
            )
    for wrong in ("auto@v3", "@v3", "@", "\0", "naive\0"):
        assert_contains(message(ValueError, A, B, algo=wrong), ["algo"])


def test_a_variant_this_rung_is_not_built_in():
    variants = {v for rung in frugalblas.algorithms() for v in rung.variants}
    missing = [(r, v) for r in frugalblas.algorithms() if r.variants for v in sorted(variants - set(r.variants))]
    if not missing:
        pytest.skip("in this build every compiled rung has every variant")
    for rung, variant in missing:
        assert_contains(message(ValueError, A, B, algo=f"{rung.name}@{variant}"), ["is not built as", *rung.variants])


def test_a_level_this_cpu_lacks():
    lacking = [v for v in frugalblas._core.variants() if not v["runs_here"] and not v["study"]]
    if not lacking:
        pytest.skip("this CPU supports every level of this build")
    rung = next(rung for rung in frugalblas.algorithms() if rung.variants)
    text = message(frugalblas.AlgorithmUnavailable, A, B, algo=f"{rung.name}@{lacking[-1]['name']}")
    assert_contains(text, [lacking[-1]["level"], "this one lacks", *rung.variants])
    # The strategy is judged before any other argument is looked at.
    assert "lacks" in message(frugalblas.AlgorithmUnavailable, None, None, algo=f"{rung.name}@{lacking[-1]['name']}")


@pytest.mark.parametrize("level", ["v9", "O2"])
def test_the_peak_is_that_of_a_level(level):
    with pytest.raises(ValueError, match=f"'{level}', no instruction-set level that runs here"):
        frugalblas._core.fma_burst(1, level)


def test_unavailable_rungs_say_why():
    assert issubclass(frugalblas.AlgorithmUnavailable, RuntimeError)
    unavailable = [rung for rung in frugalblas.algorithms() if not rung.available]
    if not unavailable:
        pytest.skip("every algorithm of this build is available here")
    for rung in unavailable:
        with pytest.raises(frugalblas.AlgorithmUnavailable) as caught:
            frugalblas.sgemm(A, B, algo=rung.name)
        assert rung.reason in str(caught.value)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s.interpreted], ids=str)
def test_interpreted_rungs_refuse_threads(strategy):
    text = message(ValueError, A, B, algo=strategy.algo, threads=2)
    assert_contains(text, ["threads is 2", strategy.algo, "one thread", "threads=1"])
    frugalblas.sgemm(A, B, algo=strategy.algo, threads=1)
