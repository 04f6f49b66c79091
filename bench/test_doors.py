"""The doors to the same kernels, and what they cost: sgemm, matmul, a patched NumPy, NumPy itself."""

import contextlib

import numpy as np
import pytest
from suite import assert_right

import frugalblas
from frugalblas.bench import cases
from frugalblas.bench.check import Problem
from frugalblas.bounds import U, bound_u

DOORS = {
    "sgemm": lambda A, B, out: frugalblas.sgemm(A, B, out=out),
    "matmul": lambda A, B, out: frugalblas.matmul(A, B, out=out),
    "patched numpy": lambda A, B, out: np.matmul(A, B, out=out),
    "np.matmul": lambda A, B, out: np.matmul(A, B, out=out),
    "np.dot": lambda A, B, out: np.dot(A, B, out=out),
    "A @ B": lambda A, B, out: A @ B,  # allocates its result
}
TWO_MATRICES = ("sgemm", "np.dot")
# 8: the cost of the call itself; 480: the kernel's.
EDGES = (8, 480)
BATCHES = ((1000, 8), (16, 128))  # products, edge


@pytest.fixture(scope="module", params=DOORS)
def door(request):
    """What multiplies. For the module: --benchmark-energy calls it once more when the test is over."""
    with frugalblas.patch_numpy() if request.param == "patched numpy" else contextlib.nullcontext():
        yield request.param


@pytest.mark.benchmark(min_time=0.001, max_time=0.3, warmup=False)
@pytest.mark.parametrize("edge", EDGES)
def test_single(benchmark, door, edge, provenance, no_joules):
    problem = Problem(cases.Size(edge, edge, edge), seed=0)
    problem.solve()
    benchmark.group = f"one product of {edge}"
    benchmark.extra_info.update(flops=problem.size.flops, provenance=provenance, energy=no_joules)
    assert_right(problem, lambda: np.copyto(problem.out, DOORS[door](problem.A, problem.B, problem.out)))
    benchmark(DOORS[door], problem.A, problem.B, problem.out)


@pytest.mark.benchmark(min_time=0.001, max_time=0.3, warmup=False)
@pytest.mark.parametrize(("products", "edge"), BATCHES)
def test_batch(benchmark, door, products, edge, provenance, no_joules):
    if door in TWO_MATRICES:
        pytest.skip(f"{door} multiplies two matrices, not batches")
    random = np.random.default_rng(0)
    A, B = (random.standard_normal((products, edge, edge), dtype=np.float32) for _ in range(2))
    out = np.full_like(A, np.nan)
    exact, scale = A.astype(np.float64) @ B, np.abs(A).astype(np.float64) @ np.abs(B)
    benchmark.group = f"{products} products of {edge}"
    benchmark.extra_info.update(flops=products * 2 * edge**3, provenance=provenance, energy=no_joules)
    out = DOORS[door](A, B, out)
    assert (np.abs(out - exact) <= bound_u("fp32", edge) * U * scale).all()  # not so for a NaN
    benchmark(DOORS[door], A, B, out)
