"""A fork after, or during, threaded calls: parent and child go on working. Children run under a time limit."""

import pytest
from children import output_of
from registry import RUNGS

COMPILED_RUNGS = [s.algo for s in RUNGS if not s.interpreted]

# A child process reports through its exit code; the parent kills it if it hangs.
PRELUDE = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of every fork of a process with threads
import numpy as np, frugalblas
A = np.ones((200, 160), np.float32)  # enough work for `auto` to open a team
algos = sys.argv[1:]
def right():
    return all((frugalblas.sgemm(A, A.T, algo=a, threads=t) == 160).all() for a in algos for t in (3, 1, 2))
def in_child(function, seconds=60):
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)  # its default action ends a child that hangs
        os._exit(0 if function() else 1)
    return os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("algo", COMPILED_RUNGS)
def test_fork_after_a_threaded_call(algo):
    code = """
assert right()
assert in_child(right), "the child failed or hung"
assert right(), "the parent after the fork"
assert in_child(right), "a second child"
"""
    output_of(PRELUDE + code, algo)


def test_nested_forks():
    code = """
assert right()
nested = lambda: right() and in_child(lambda: right() and in_child(right, 20), 40)
assert in_child(nested), "a child, grandchild or its child failed or hung"
assert right()
"""
    output_of(PRELUDE + code, *COMPILED_RUNGS)


def test_fork_without_any_call_before():
    output_of(PRELUDE + "assert in_child(right)\nassert right()", *COMPILED_RUNGS)


def test_fork_in_another_thread_than_the_calls():
    code = """
assert right()
results = []
thread = threading.Thread(target=lambda: results.append(in_child(right)))
thread.start()
thread.join()
assert results == [True] and right()
"""
    output_of(PRELUDE + code, *COMPILED_RUNGS)


@pytest.mark.parametrize("algo", [s.algo for s in RUNGS if s.algo not in ("python", "numpy_rowsum")])
def test_fork_while_other_threads_compute(algo):
    """Neither the fork nor a lock it copied may hang, whatever the other threads were in the middle of."""
    code = """
algo = algos.pop()
frugalblas.sgemm(A, A.T, algo=algo)  # compiled before the forks, if it is by Numba, which holds a lock meanwhile
busy = True
def compute():
    while busy:
        assert (frugalblas.sgemm(A, A.T, algo=algo) == 160).all()
threads = [threading.Thread(target=compute, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
signal.alarm(100)  # ends this process, should the fork itself hang
for _ in range(10):
    assert in_child(lambda: (frugalblas.sgemm(A, A.T, algo=algo) == 160).all()), "the child failed or hung"
busy = False
for thread in threads:
    thread.join()
"""
    output_of(PRELUDE + code, algo)


def test_multiprocessing_by_fork():
    code = """
import multiprocessing
def work(n):
    return float(frugalblas.sgemm(np.full((n, n), 2, np.float32), np.ones((n, n), np.float32), threads=2)[0, 0])
assert right()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(work, [10, 200, 300, 20]).get(timeout=60) == [20, 400, 600, 40]
assert right()
"""
    output_of(PRELUDE + code, *COMPILED_RUNGS)


def test_settings_survive_a_fork():
    code = """
frugalblas.set_num_threads(5)
assert right()
with frugalblas.num_threads(3):
    assert in_child(lambda: frugalblas.get_num_threads() == 3)
assert in_child(lambda: frugalblas.get_num_threads() == 5)
"""
    output_of(PRELUDE + code, *COMPILED_RUNGS)
