"""Any shape, any strides, any scale, any strategy: what nobody thought of writing down."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from checker import check
from hypothesis import given
from hypothesis import strategies as st
from layouts import CANARY, GUARD
from registry import STRATEGIES

import frugalblas

# The interpreted rungs come first, so that a failure shrinks towards the simplest one.
ALGOS = st.sampled_from(sorted(STRATEGIES, key=lambda s: not s.interpreted))
FACTORS = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-4, 4, width=32))
INTERPRETED_SIZE, SIZE = 9, 70


@dataclass(frozen=True)
class Drawn:
    view: Any
    base: Any


@st.composite
def slices(draw, rows: int, cols: int, repeats: bool):
    """A (rows, cols) view somewhere in a larger array of canaries, with any steps, signs and order."""
    steps = st.sampled_from([1, 2, 3, -1, -2] + ([0] if repeats else []))
    step = draw(st.tuples(steps, steps))
    order = draw(st.sampled_from("CF"))
    margin = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    extent = [(n - 1) * abs(s) + 1 + m if n else 1 + m for n, s, m in zip((rows, cols), step, margin, strict=True)]
    whole = np.full(GUARD + extent[0] * extent[1] + GUARD, CANARY)
    base = whole[GUARD:-GUARD].reshape(extent, order=order)
    view = base
    for axis, (n, s) in enumerate(zip((rows, cols), step, strict=True)):
        indices = slice(None, None, s) if s else slice(0, 1)
        view = view[(slice(None),) * axis + (indices,)]
        view = view[(slice(None),) * axis + (slice(0, n),)]
    strides = tuple(v if s else 0 for v, s in zip(view.strides, step, strict=True))
    return Drawn(np.lib.stride_tricks.as_strided(view, (rows, cols), strides), whole)


def outside(drawn: Drawn):
    """The canaries around and between the elements of a view."""
    row, col = (stride // drawn.view.itemsize for stride in drawn.view.strides)
    first = (drawn.view.ctypes.data - drawn.base.ctypes.data) // drawn.view.itemsize
    rows, cols = drawn.view.shape
    addresses = first + row * np.arange(rows)[:, None] + col * np.arange(cols)
    mask = np.ones(drawn.base.shape, bool)
    mask[addresses] = False
    return drawn.base.view(np.uint32)[mask]


@given(data=st.data())
def test_any_call_is_right(data):
    strategy = data.draw(ALGOS, label="strategy")
    size = st.integers(0, INTERPRETED_SIZE if strategy.interpreted else SIZE)
    M, N, K = (data.draw(size, label=name) for name in "MNK")
    trans_a, trans_b = data.draw(st.booleans(), label="trans_a"), data.draw(st.booleans(), label="trans_b")
    A = data.draw(slices(*((K, M) if trans_a else (M, K)), repeats=True)).view
    B = data.draw(slices(*((N, K) if trans_b else (K, N)), repeats=True)).view
    out = data.draw(slices(M, N, repeats=False))
    scale = {
        "alpha": data.draw(FACTORS, label="alpha"),
        "beta": data.draw(FACTORS, label="beta"),
        "trans_a": trans_a,
        "trans_b": trans_b,
    }
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    A[...] = rng.standard_normal(A.shape, dtype=np.float32)
    B[...] = rng.standard_normal(B.shape, dtype=np.float32)
    C0 = rng.standard_normal((M, N), dtype=np.float32)
    if scale["beta"]:
        out.view[...] = C0
    threads = data.draw(st.sampled_from(strategy.threads), label="threads")
    frugalblas.free_workspace()
    frugalblas.sgemm(A, B, out=out.view, algo=strategy.algo, threads=threads, **scale)
    check(out.view, A, B, C0, **scale)
    assert (outside(out) == CANARY.view(np.uint32)).all(), "wrote outside out"


@given(data=st.data())
def test_out_anywhere_in_the_memory_of_the_operands(data):
    """A, B and out are views of one small buffer: all ways of overlapping, none of which may change the answer."""
    strategy = data.draw(ALGOS, label="strategy")
    n = data.draw(st.integers(1, INTERPRETED_SIZE), label="n")
    buffer = np.random.default_rng(n).standard_normal(4 * n * n, dtype=np.float32)

    def view(name):
        start = data.draw(st.integers(0, 2 * n * n), label=f"start of {name}")
        square = buffer[start : start + n * n].reshape(n, n)
        turned = data.draw(st.sampled_from(["as it is", "transposed", "reversed"]), label=name)
        return {"as it is": square, "transposed": square.T, "reversed": square[::-1, ::-1]}[turned]

    A, B, out = view("A"), view("B"), view("out")
    before = A.copy(), B.copy(), out.copy()
    beta = data.draw(st.sampled_from([0, 1, -0.5]), label="beta")
    frugalblas.sgemm(A, B, out=out, beta=beta, algo=strategy.algo)
    check(out, *before, beta=beta)
