"""Every strategy x shapes x strides x alpha and beta x transposes x threads, against float64."""

import functools
import zlib

import numpy as np
import pytest
from checker import Expected, check, expect, first_error
from layouts import LAYOUTS, OUT_LAYOUTS, place, place_blank
from pairs import all_pairs
from registry import COMPILED, RUNGS, STRATEGIES, THREADED, blocks, own_blocks

import frugalblas

# (alpha, beta): plain; accumulate; both general, with a sign; alpha alone; beta alone; cancelling signs.
SCALES = [(1, 0), (1, 1), (-0.5, 2), (2, 0), (1, -0.75), (-1, 1)]


def shapes(algo: str) -> dict[str, tuple[int, int, int]]:
    """(M, N, K) by the reason it is there."""
    b = blocks(algo)
    MR, NR, MC, KC, NC = (b[size] for size in ("MR", "NR", "MC", "KC", "NC"))
    return {
        "smallest": (1, 1, 1),
        "single row": (1, 37, 29),
        "single column": (41, 1, 31),
        "dot product": (1, 1, 67),
        "K = 1": (23, 19, 1),
        "outer row": (1, 2 * NR + 1, 1),
        "tile - 1": (MR - 1, NR - 1, 7),
        "one tile": (MR, NR, 8),
        "tile + 1": (MR + 1, NR + 1, 9),
        "two tiles": (2 * MR, 2 * NR, 3),
        "K of many registers and a rest": (2, 3, 131),
        "primes": (31, 37, 41),
        "larger primes": (67, 71, 73),
        "KC - 1": (MR + 1, NR + 1, KC - 1),
        "KC": (MR + 1, NR + 1, KC),
        "KC + 1": (MR + 1, NR + 1, KC + 1),
        "MC - 1": (MC - 1, NR + 1, 5),
        "MC": (MC, NR + 1, 5),
        "MC + 1": (MC + 1, NR + 1, 5),
        "NC - 1": (3, NC - 1, 2),
        "NC + 1": (3, NC + 1, 2),
        "NC + 1 as rows": (NC + 1, 3, 2),
        # A rung that has KC alone may have a long one: with the MC of another, millions of elements for no border.
        "MC + 1 and KC + 1": ((MC if "MC" in own_blocks(algo) else 8 * MR) + 1, 7, KC + 1),
        "few rows, KC + 1: B read in place": (2 * MR + 1, 2 * NR + 2 * MR + 5, KC + 1),
    }


# Interpreted loops take a microsecond per multiply-add.
INTERPRETED_WORK = 4096


@functools.cache
def plan(reasons: tuple[str, ...], threads: tuple[int, ...]):
    return all_pairs(
        {
            "reason": reasons,
            "a": list(LAYOUTS),
            "b": list(LAYOUTS),
            "out": list(OUT_LAYOUTS),
            "scale": SCALES,
            "trans": [(False, False), (True, False), (False, True), (True, True)],
            "threads": threads,
        }
    )


@functools.cache
def numbers():
    return np.random.default_rng(0).standard_normal(2**22, dtype=np.float32)


def operands(shape, case):
    """A and B as sgemm takes them, so transposed where the flags will transpose them back, and C0."""
    M, N, K = shape
    trans_a, trans_b = case["trans"]
    start = zlib.crc32(repr((shape, case)).encode())

    def matrix(rows, cols):  # to make new numbers for each case would take longer than all products
        nonlocal start
        start = (start + 1) % (numbers().size - rows * cols)
        values = numbers()[start : start + rows * cols].reshape(rows, cols)
        start += rows * cols
        return values

    A = matrix(K, M) if trans_a else matrix(M, K)
    B = matrix(N, K) if trans_b else matrix(K, N)
    return place(A, case["a"]), place(B, case["b"]), matrix(M, N)


_expected: dict[str, Expected] = {}


def expected(shape, case, *arrays, **call) -> Expected:
    """As `expect`; most strategies meet the same shapes, and then the same operands."""
    key = repr((shape, case))  # what the operands follow from
    if key not in _expected:
        _expected[key] = expect(*arrays, **call)
    return _expected[key]


def run_case(strategy, shape, case):
    A, B, C0 = operands(shape, case)
    alpha, beta = case["scale"]
    out = place(C0, case["out"]) if beta else place_blank(*C0.shape, case["out"])
    call = dict(zip(("trans_a", "trans_b"), case["trans"], strict=True), alpha=alpha, beta=beta)
    frugalblas.free_workspace()
    C = frugalblas.sgemm(A.view, B.view, out=out.view, algo=strategy.algo, threads=case["threads"], **call)
    assert C is out.view
    error = first_error(C, expected(shape, case, A.view, B.view, C0, **call))
    assert error is None, error
    assert out.stray_writes() == 0, "wrote outside out"
    assert A.stray_writes() == B.stray_writes() == 0, "wrote around an operand"


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_pair_of_circumstances(strategy):
    possible = shapes(strategy.algo)
    if strategy.interpreted:
        possible = {why: (M, N, K) for why, (M, N, K) in possible.items() if M * N * K <= INTERPRETED_WORK}
    for case in plan(tuple(possible), strategy.threads):
        try:
            run_case(strategy, possible[case["reason"]], case)
        except Exception as error:
            raise AssertionError(f"{strategy.algo}, M, N, K = {possible[case['reason']]}, {case}: {error}") from error


@pytest.mark.parametrize("strategy", COMPILED, ids=str)
def test_every_size_of_register_tile(strategy):
    """Each size of tile is code of its own; narrow tiles are up to twice as high."""
    b = blocks(strategy.algo)
    layouts = list(OUT_LAYOUTS)
    for M in range(1, 2 * b["MR"] + 1):
        for N in range(1, b["NR"] + 1):
            rng = np.random.default_rng((M, N))
            A, B = rng.standard_normal((M, 5), dtype=np.float32), rng.standard_normal((5, N), dtype=np.float32)
            out = place_blank(M, N, layouts[(M * b["NR"] + N) % len(layouts)])
            frugalblas.sgemm(
                place(A, "C order").view, place(B, "C order").view, out=out.view, algo=strategy.algo, threads=1
            )
            check(out.view, A, B)
            assert out.stray_writes() == 0, f"tile {M}x{N} wrote outside out"


def same_bits(X, Y):
    """Not `==` inside an assert: pytest would explain the difference of two megabytes for minutes."""
    return X.tobytes() == Y.tobytes()


def big_shapes(algo: str) -> list[tuple[int, int, int]]:
    """Several blocks in each dimension in turn, and work for the largest team of the tests."""
    b = blocks(algo)
    if not own_blocks(algo):  # no borders to cross: work for the team is enough, and at -O0 large products take minutes
        b = {**b, "MC": 8 * b["MR"], "KC": 64, "NC": 2 * b["NR"]}
    return [
        (b["MC"] + 1, 3 * b["NR"] + 1, 2 * b["KC"] + 1),
        (2 * b["MR"] + 1, b["NC"] + b["NR"] + 1, 9),
        (b["MR"], 64 * b["NR"], b["KC"] + 1),
        (4 * b["MC"] + 1, 3, 5),
        (1, 129, 3 * b["KC"]),
        (5, 7, 3),
    ]


@pytest.mark.parametrize("strategy", THREADED, ids=str)
def test_bits_do_not_depend_on_threads_or_time(strategy):
    for M, N, K in big_shapes(strategy.algo):
        rng = np.random.default_rng((M, N, K))
        A, B = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
        C0 = rng.standard_normal((M, N), dtype=np.float32)
        for alpha, beta in [(1, 0), (-0.5, 2)]:
            results = []
            for threads in (
                *strategy.threads,
                max(strategy.threads),
            ):  # the last one twice: repeated runs are equal too
                frugalblas.free_workspace()
                out = C0.copy() if beta else np.full_like(C0, np.nan)
                results.append(
                    frugalblas.sgemm(A, B, out=out, alpha=alpha, beta=beta, algo=strategy.algo, threads=threads)
                )
            check(results[0], A, B, C0, alpha=alpha, beta=beta)
            for threads, C in zip((*strategy.threads, "again"), results, strict=True):
                assert same_bits(C, results[0]), f"{M}x{N}x{K}: other bits with threads={threads}"


TEAMS = [s for s in THREADED if s.kind in ("team", "auto")]


IN_BLOCKS = TEAMS + [s for s in RUNGS if s in THREADED and s not in TEAMS and "NC" in own_blocks(s.algo)]


@pytest.mark.parametrize("strategy", IN_BLOCKS, ids=str)
def test_b_from_beyond_l2(strategy):
    """Such a B may be fetched in ways of its own: panel by panel for groups of rows of A, or by whole rows, where there
    are few of A and those of B are a multiple of 4 KiB apart. Several parts of K, panels and strips, and edges."""
    floats_of_l2 = frugalblas.info()["cpu"]["cache_bytes"]["l2"] // 4
    MR, K = blocks(strategy.algo)["MR"], 700
    N = 7 * floats_of_l2 // K // 8 * 8 + 5
    two_groups = floats_of_l2 // (2 * K) + 9 * MR + 3  # a group: what takes a quarter of L2, with half of K
    rng = np.random.default_rng(0)
    for past in (0, 5):  # the last columns of what is a multiple of 4 KiB wide, and of what is not
        B = rng.standard_normal((K, (N // 1024 + 1) * 1024 + past), dtype=np.float32)[:, -N:]
        for M in (5 * MR - 1, two_groups):
            rows = rng.standard_normal((M, K), dtype=np.float32)
            for A in (rows, np.asfortranarray(rows)):
                results = []
                for threads in strategy.threads[:3]:
                    frugalblas.free_workspace()
                    results.append(frugalblas.sgemm(A, B, algo=strategy.algo, threads=threads))
                check(results[0], A, B)
                assert all(same_bits(C, results[0]) for C in results)


@pytest.mark.parametrize("strategy", TEAMS, ids=str)
def test_teams_do_not_race(strategy):
    """Threads that share panels must wait for each other: several blocks of K, each with work for many time slices, and
    more threads than CPUs, so that some are always behind. A with adjacent rows, part of a wider matrix, which is
    packed: many rows of it, and few, where B is read in place or a panel at a time; with few columns, too, so that
    whoever packed first is soon where another has not packed yet."""
    b = blocks(strategy.algo)
    K = 6 * b["KC"]
    few = 16 * b["MR"]
    for M, N, chances in [
        (64 * b["MR"], 2 * b["NC"] + 1, 4),
        (few, 32 * b["NR"] + 1, 4),
        (few, 2 * few + b["NR"] + 1, 40),
    ]:
        rng = np.random.default_rng(0)
        A = rng.standard_normal((K, M + 300), dtype=np.float32)[:, :M].T
        B = rng.standard_normal((K, N), dtype=np.float32)
        alone = frugalblas.sgemm(A, B, algo=strategy.algo, threads=1)
        check(alone, A, B)
        for threads in (2, 3, *[7] * chances):
            frugalblas.free_workspace()
            together = frugalblas.sgemm(A, B, algo=strategy.algo, threads=threads)
            assert same_bits(together, alone), f"{M}x{N}x{K}: other bits with threads={threads}"
