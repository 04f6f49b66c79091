"""Every strategy behind `sgemm`, by size, threads and precision: `pytest bench/test_sgemm.py`.

Right first, then timed: the result is checked against the float64 product before and after. pytest-benchmark takes all
samples of one strategy before the next, so on a busy machine trust `frugalblas bench`, which takes them in turns; this
suite is for comparing two commits (`--benchmark-autosave`, `--benchmark-compare`).
"""

import functools

import pytest
from suite import assert_right, predicted_seconds

import frugalblas


@pytest.mark.benchmark(min_time=0.001, max_time=0.3, warmup=False)  # the check before is the warm-up
def test_sgemm(benchmark, request, problem, strategy, size, threads, precision, provenance, no_joules):
    seconds = predicted_seconds(strategy, threads, precision, problem.size)
    if seconds > request.config.getoption("--slowest"):
        pytest.skip(f"a call would take about {seconds:.2g} s: more than --slowest")
    call = functools.partial(
        frugalblas.sgemm, problem.A, problem.B, out=problem.out, algo=strategy, threads=threads, precision=precision
    )
    assert_right(problem, call, precision)
    variant = strategy.partition("@")[2] or provenance["variant"]
    benchmark.group = f"{size}, {'1 thread' if threads == 1 else f'{threads} threads'}, {precision}"
    benchmark.extra_info.update(
        flops=problem.size.flops, provenance={**provenance, "variant": variant}, energy=no_joules
    )
    benchmark(call)
    assert_right(problem, call, precision)
