"""What the pytest-benchmark suites share."""

import functools
import time

import numpy as np

import frugalblas
from frugalblas.bench.check import Problem

PROBE_EDGE = 32  # what a call will take is scaled from a product of this edge, which even `python` does in an instant


@functools.cache
def solved(size):
    """A, B and the float64 product of a size, the same for every test."""
    problem = Problem(size, seed=0)
    problem.solve()
    return problem


def assert_right(problem, call, precision="fp32"):
    """One call into a result filled with NaN: every element within the bound of the precision."""
    problem.spoil()
    call()
    fault = problem.verdict(precision).fault
    assert fault is None, fault


@functools.cache
def predicted_seconds(strategy, threads, precision, size):
    """Of a call of this size: what a small one takes, once it is compiled, in proportion to the flops."""
    small = size.clipped(PROBE_EDGE)
    A, B = np.ones((small.M, small.K), np.float32), np.ones((small.K, small.N), np.float32)
    for _ in range(2):
        began = time.perf_counter()
        frugalblas.sgemm(A, B, algo=strategy, threads=threads, precision=precision)
        seconds = time.perf_counter() - began
    return seconds * size.flops / small.flops
