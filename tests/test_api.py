"""The list of algorithms, what explain() says of a call, and what info() found."""

import json

import numpy as np
import pytest
from checker import check
from registry import STRATEGIES

import frugalblas

A, B = np.ones((200, 30), np.float32), np.ones((30, 100), np.float32)


def test_algorithms_describe_themselves():
    rungs = frugalblas.algorithms()
    assert len({rung.name for rung in rungs}) == len(rungs) > 0
    for rung in rungs:
        assert rung.summary
        assert not rung.summary.endswith(".")
        assert "\n" not in rung.summary
        assert rung.device == ("cuda" if rung.kind.startswith("cuda") else "cpu")
        assert "fp32" in rung.precisions or rung.device == "cuda"
        assert rung.available == (rung.reason is None)
        assert rung.threaded == (rung.device == "cpu" and rung.kind != "interpreted")
        assert bool(rung.variants) == (rung.kind in ("scalar", "vector", "team"))
    assert {rung.kind for rung in rungs} == {
        *("interpreted", "scalar", "vector", "team", "passthrough", "cuda", "cuda library")
    }


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_explain_says_what_runs(strategy):
    said = frugalblas.explain(A, B, algo=strategy.algo, threads=1)
    name, _, variant = strategy.algo.partition("@")
    assert said["threads"] == 1
    assert (said["M"], said["N"], said["K"]) == (200, 100, 30)
    assert said["reason"]
    if name != "auto":
        assert said["algo"] == name
        assert said["variant"] == (variant or None)
    assert all(size > 0 for size in said["blocks"].values())


def test_explain_computes_nothing():
    out = np.full((200, 100), 7, np.float32)
    frugalblas.explain(A, B, out=out)
    assert (out == 7).all()


def auto(M, N, K, threads):
    zero = np.float32(0)
    return frugalblas.explain(np.broadcast_to(zero, (M, K)), np.broadcast_to(zero, (K, N)), threads=threads)


def test_auto_takes_an_exact_rung_that_is_available():
    available = {rung.name for rung in frugalblas.algorithms() if rung.available and rung.kind != "passthrough"}
    for size in (1, 10, 100, 1000, 10**5):
        for shape in [(size, size, size), (1, size, size), (size, 1, size), (size, size, 1)]:
            for threads in (1, 2, 7):
                said = auto(*shape, threads)
                assert said["algo"] in available
                assert 1 <= said["threads"] <= threads


@pytest.mark.parametrize("grow", [lambda n: (n, n, n), lambda n: (40, 40, n), lambda n: (n, 40, 40)])
def test_auto_is_right_on_both_sides_of_every_border(grow):
    """Where the choice changes, a size before and after: the same bits whatever the threads."""
    chosen = [(n, auto(*grow(n), 3)["algo"]) for n in range(1, 400)]
    borders = [n for (n, algo), (_, before) in zip(chosen[1:], chosen, strict=False) if algo != before]
    for n in {m for border in borders for m in (border - 1, border)}:
        M, N, K = grow(n)
        rng = np.random.default_rng(n)
        a, b = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
        results = [frugalblas.sgemm(a, b, threads=threads) for threads in (1, 2, 3, 7)]
        check(results[0], a, b)
        assert all(C.tobytes() == results[0].tobytes() for C in results)


def test_info_can_be_written_as_json():
    info = frugalblas.info()
    assert json.loads(json.dumps(info)) == info
    assert info["version"] == frugalblas.__version__
    assert info["variant"] in info["cpu"]["levels"]
    assert set(info["cpu"]["levels"]) <= set(info["build"]["variants"])
    assert info["cpu"]["cpus"] >= 1
    assert info["threads"] == frugalblas.get_num_threads()
