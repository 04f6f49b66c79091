"""How many threads a call uses: arguments, contexts, the process, the environment, affinity; and calls at once."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checker import expect, first_error
from children import output_of, start
from registry import COMPILED, RUNGS, STRATEGIES

import frugalblas

MOST = max(64, 4 * frugalblas.info()["cpu"]["cpus"])
# Enough work for `auto` to wake a team.
A = np.random.default_rng(1).standard_normal((180, 170), dtype=np.float32)
B = np.random.default_rng(2).standard_normal((170, 160), dtype=np.float32)
EXPECTED = expect(A, B)


@pytest.fixture(autouse=True)
def _default_threads():
    frugalblas.set_num_threads(None)
    yield
    frugalblas.set_num_threads(None)


def used(**kwargs):
    """Threads a call would use."""
    return frugalblas.explain(A, B, **{"algo": "openmp", **kwargs})["threads"]


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [frugalblas.set_num_threads, lambda n: frugalblas.num_threads(n).__enter__()])
@pytest.mark.parametrize(
    ("n", "exception"),
    [
        (0, ValueError),
        (-1, ValueError),
        (True, ValueError),
        (np.True_, ValueError),
        (MOST + 1, ValueError),
        (2**70, ValueError),
        (1.0, TypeError),
        ("2", TypeError),
    ],
    ids=repr,
)
def test_wrong_numbers_are_refused_and_change_nothing(function, n, exception):
    before = frugalblas.get_num_threads()
    with pytest.raises(exception) as caught:
        function(n)
    assert repr(n) in str(caught.value)
    assert f"from 1 to {MOST}" in str(caught.value)
    assert frugalblas.get_num_threads() == before


def test_a_context_needs_a_number():
    with pytest.raises(TypeError), frugalblas.num_threads(None):
        pass


def test_the_default_is_the_usable_cpus():
    code = "import frugalblas; print(frugalblas.get_num_threads(), frugalblas.info()['cpu']['cpus'])"
    default, cpus = output_of(code).split()
    assert default == cpus


def test_the_most_threads_work():
    with frugalblas.num_threads(MOST):
        for strategy in COMPILED:
            if "@" not in strategy.algo or strategy in RUNGS:
                C = frugalblas.sgemm(A, B, algo=strategy.algo)
                assert first_error(C, EXPECTED) is None, strategy.algo


# ---- process, context, call ------------------------------------------------------------------------------------------


def test_the_call_beats_the_context_beats_the_process():
    default = frugalblas.get_num_threads()
    frugalblas.set_num_threads(5)
    assert (frugalblas.get_num_threads(), used()) == (5, 5)
    with frugalblas.num_threads(3):
        assert (frugalblas.get_num_threads(), used(), used(threads=2)) == (3, 3, 2)
        with frugalblas.num_threads(np.int64(1)):
            assert (frugalblas.get_num_threads(), used()) == (1, 1)
        assert used() == 3
        frugalblas.set_num_threads(6)
        assert used() == 3
    assert used() == 6
    frugalblas.set_num_threads(None)
    assert (frugalblas.get_num_threads(), used()) == (default, default)


def test_an_exception_ends_a_context():
    before = frugalblas.get_num_threads()
    with pytest.raises(KeyError), frugalblas.num_threads(before + 1):
        raise KeyError
    assert frugalblas.get_num_threads() == used() == before


def test_other_threads_do_not_see_a_context():
    with frugalblas.num_threads(frugalblas.get_num_threads() + 1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(used).result() == used() - 1


def test_tasks_do_not_see_each_other():
    async def task(n, entered, others_entered):
        with frugalblas.num_threads(n):
            entered.set()
            await others_entered.wait()
            return used()

    async def both():
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task(3, *events), task(5, *reversed(events)))

    assert asyncio.run(both()) == [3, 5]


def test_interpreted_rungs_ignore_the_default():
    with frugalblas.num_threads(3):
        for strategy in STRATEGIES:
            assert used(algo=strategy.algo) == (1 if strategy.interpreted else 3)


@pytest.mark.parametrize(
    "strategy", [s for s in RUNGS if s.fixed_bits and s.kind not in ("interpreted", "auto")], ids=str
)
def test_threads_are_really_used(strategy):
    """The OpenMP team of the process grows to what was asked for, and is gone again in nobody's way."""
    code = """
    import os, sys
    import numpy as np, frugalblas
    A = np.ones((200, 200), np.float32)
    alone = len(os.listdir("/proc/self/task"))
    frugalblas.sgemm(A, A, algo=sys.argv[1], threads=1)
    one = len(os.listdir("/proc/self/task")) - alone
    frugalblas.sgemm(A, A, algo=sys.argv[1], threads=5)
    print(one, len(os.listdir("/proc/self/task")) - alone)
    """
    assert output_of(code, strategy.algo) == "0 4"


# ---- the environment of the process ----------------------------------------------------------------------------------

DEFAULT_AND_RESULT = """
import os, sys
import numpy as np
if len(sys.argv) > 1:
    os.sched_setaffinity(0, {int(sys.argv[1])})
import frugalblas
A = np.ones((300, 100), np.float32)  # enough work for `auto` to open a team
print(frugalblas.get_num_threads(), frugalblas.explain(A, A.T, algo="openmp")["threads"])
for algo in ("naive", "transposed", "vector", "microkernel", "blocked", "openmp", "auto"):
    for threads in (None, 1, 2, 3):
        assert (frugalblas.sgemm(A, A.T, algo=algo, threads=threads) == 100).all(), (algo, threads)
"""
DEFAULT_AND_RESULT = DEFAULT_AND_RESULT.replace(
    '("naive", "transposed", "vector", "microkernel", "blocked", "openmp", "auto")',
    repr([s.algo for s in RUNGS if not s.interpreted]),
)


@pytest.mark.parametrize(
    ("text", "n"),
    [("1", 1), ("3", 3), ("5,2", 5), (" 4 ", 4), (str(MOST + 1), MOST)],
)
def test_omp_num_threads_is_the_default(text, n):
    assert output_of(DEFAULT_AND_RESULT, OMP_NUM_THREADS=text) == f"{n} {n}"


def test_openmp_complains_about_nonsense_and_we_take_the_cpus():
    for text in ("", "0", "-3", "lots"):
        child = start(DEFAULT_AND_RESULT, OMP_NUM_THREADS=text)
        assert child.returncode == 0, child.stderr
        assert child.stdout.split() == [str(frugalblas.info()["cpu"]["cpus"])] * 2


def test_affinity_is_the_default():
    cpu = min(os.sched_getaffinity(0))
    assert output_of(DEFAULT_AND_RESULT, str(cpu)) == "1 1"


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_DYNAMIC": "true"},
        {"OMP_DYNAMIC": "true", "OMP_NUM_THREADS": "3"},
        {"OMP_MAX_ACTIVE_LEVELS": "0"},
        {"OMP_SCHEDULE": "dynamic,1"},
        {"OMP_PROC_BIND": "true"},
        {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "100"},
    ],
    ids=repr,
)
def test_other_openmp_settings_change_no_result(environment):
    output_of(DEFAULT_AND_RESULT, **environment)


def test_dynamic_teams_are_not_smaller_than_asked_for():
    code = """
    import os
    import numpy as np, frugalblas
    A = np.ones((200, 200), np.float32)
    alone = len(os.listdir("/proc/self/task"))
    frugalblas.sgemm(A, A, algo="openmp", threads=7)
    print(len(os.listdir("/proc/self/task")) - alone)
    """
    assert output_of(code, OMP_DYNAMIC="true") == "6"


def test_a_thread_limit_is_refused_beyond_and_honoured_below():
    code = """
    import numpy as np, frugalblas
    A = np.ones((64, 64), np.float32)
    try:
        frugalblas.sgemm(A, A, algo="openmp", threads=3)
    except ValueError as error:
        assert "threads is 3" in str(error) and "from 1 to 2" in str(error), error
    else:
        raise SystemExit("three threads were accepted")
    assert (frugalblas.sgemm(A, A, algo="openmp", threads=2) == 64).all()
    assert (frugalblas.sgemm(A, A, algo="blocked", threads=2) == 64).all()
    print(frugalblas.get_num_threads() <= 2)
    """
    assert output_of(code, OMP_THREAD_LIMIT="2") == "True"


# ---- the level, chosen at import -------------------------------------------------------------------------------------


def test_isa_chooses_the_default_variant():
    code = """
    import numpy as np, frugalblas
    A = np.ones((9, 9), np.float32)
    print(frugalblas.info()["variant"], frugalblas.explain(A, A, algo="openmp")["variant"])
    assert (frugalblas.sgemm(A, A) == 9).all()
    """
    for level in frugalblas.info()["cpu"]["levels"]:
        assert output_of(code, FRUGALBLAS_ISA=level) == f"{level} {level}"
    assert output_of(code, FRUGALBLAS_ISA="") == " ".join([frugalblas.info()["cpu"]["level"]] * 2)


def test_a_wrong_isa_is_an_import_error():
    levels = {v["name"] for v in frugalblas._core.variants() if not v["study"]}
    here = frugalblas.info()["cpu"]["levels"]
    for wrong in {"v9", "V3", "avx2", "O3", " v2"} | (levels - set(here)):
        child = start("import frugalblas", FRUGALBLAS_ISA=wrong)
        assert child.returncode == 1
        last = child.stderr.splitlines()[-1]
        assert last.startswith("ImportError: FRUGALBLAS_ISA")
        assert f"'{wrong}'" in last
        assert last.endswith("levels that run here: " + " ".join(here))


# ---- several calls at once -------------------------------------------------------------------------------------------


def test_python_threads_may_call_different_rungs_at_once():
    """All rungs at the same time, small and large, team and no team."""
    big = np.random.default_rng(3).standard_normal((260, 300), dtype=np.float32)
    expected_big = expect(big, big.T)
    jobs = [(s, threads) for s in RUNGS if s.algo not in ("python", "numpy_rowsum") for threads in s.threads[:3]]
    start_together = threading.Barrier(len(jobs))
    errors = []

    def work(strategy, threads):
        start_together.wait()
        for _ in range(5):
            errors.append(first_error(frugalblas.sgemm(A, B, algo=strategy.algo, threads=threads), EXPECTED))
            C = frugalblas.sgemm(big, big, trans_b=True, algo=strategy.algo, threads=threads)
            errors.append(first_error(C, expected_big))

    workers = [threading.Thread(target=work, args=job, daemon=True) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert not any(worker.is_alive() for worker in workers), "a call never returned"
    assert len(errors) == 10 * len(jobs)
    assert set(errors) == {None}


# ---- small products --------------------------------------------------------------------------------------------------


def test_small_products_in_quick_succession_are_tried_with_a_team_and_after_a_long_pause_without():
    code = """
    import time
    import numpy as np, frugalblas

    A = np.ones((80, 80), np.float32)  # less work than a team that sleeps is worth, enough for one that is awake
    frugalblas.set_num_threads(2)

    def threads():
        return frugalblas.explain(A, A)["threads"]

    print(threads(), end=" ")
    for _ in range(100_000):  # as many as it takes: on a busy machine few follow each other quickly
        assert (frugalblas.sgemm(A, A) == 80).all()
        if threads() == 2:
            print(2, end=" ")
            break
    X = np.random.default_rng(1).standard_normal((80, 80), dtype=np.float32)
    alone = frugalblas.sgemm(X, X, threads=1).tobytes()
    assert all(frugalblas.sgemm(X, X).tobytes() == alone for _ in range(200))
    time.sleep(1.1)  # after a shorter one, a caller who gained by a team is expected to gain by it again
    print(threads())
    """
    assert output_of(code) == "1 2 1"
