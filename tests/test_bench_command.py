"""The bench command from outside: real signals, crashes in child processes, completion, colour, full disks."""

import functools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_cli import QUICK, run, short_samples

from frugalblas import _core, cli
from frugalblas.bench import command, isolation, read, schema
from frugalblas.bench.calls import BatchCall, DeviceCall
from frugalblas.bench.cases import Case, Size, Strategy
from frugalblas.bench.check import Problem
from frugalblas.bench.engine import LocalEngine
from frugalblas.bench.studies import STUDIES

__all__ = ["short_samples"]  # a fixture for the tests here, too

COMMAND = [sys.executable, "-m", "frugalblas", "bench"]
CHILD = (sys.executable, str(Path(__file__).with_name("killing_child.py")))


# -- interrupted and gone on with --


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_by_a_signal_is_kept_and_gone_on_with(number, tmp_path, capsys):
    """The same cases as a run that nobody stops, in the same order."""
    options = ["--study", "ladder,roofline", "--algo", "naive,blocked", "--sizes", "24,320", "--seconds", "1000"]
    path = tmp_path / "run.json"
    child = subprocess.Popen([*COMMAND, *options, "--json", str(path)], stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if "320" in line and "timing" in line:
            break
    child.send_signal(number)
    assert "Traceback" not in child.communicate(timeout=120)[1]
    assert child.returncode == command.EXIT_INTERRUPTED
    part = read(str(path))
    assert part["interrupted"]
    done = [record["seconds"] for record in part["cases"] if record["M"] == 24 and "study" not in record]
    assert all(done)

    assert run("bench", "--json", str(path), "--resume") == 0
    assert "interrupted and continued at" in " ".join(capsys.readouterr().out.split())
    whole = str(tmp_path / "whole.json")
    assert run("bench", *options, "--json", whole) == 0
    resumed = read(str(path))
    assert [schema.case_key(r) for r in resumed["cases"]] == [schema.case_key(r) for r in read(whole)["cases"]]
    assert {record["status"] for record in resumed["cases"]} == {"ok"}
    assert [r["seconds"] for r in resumed["cases"] if r["M"] == 24 and "study" not in r] == done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "which run? Say --resume FILE"),
        (["--resume", "x.json", "--sizes", "5"], "it cannot go with --sizes"),
        (["--resume", "/nowhere/run.json"], "'/nowhere/run.json' cannot be read: No such file or directory"),
        (["--study", "thread"], "no study is called 'thread' (did you mean threads?)"),
        (["--study", "threads", "--sizes", "1000000"], "GiB of memory is free"),
        (["--study", "gpu"], "gpu cannot be made here: "),
        (["--from", "x", "--study", "sizes"], "it cannot go with --study"),
        (["--from", "x", "--resume", "y"], "it cannot go with --resume"),
    ],
)
def test_bad_requests_are_refused_in_a_line(arguments, message, capsys):
    assert run("bench", *arguments) == command.EXIT_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_full_disk_leaves_the_earlier_file_whole(tmp_path, monkeypatch, capsys):
    path = tmp_path / "run.json"
    assert run(*QUICK, "--json", str(path)) == 0
    earlier = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(*QUICK, "--json", str(path)) == command.EXIT_BAD_RESULT
    assert path.read_bytes() == earlier
    assert os.listdir(tmp_path) == ["run.json"]
    assert "was not written: No space left on device" in capsys.readouterr().err


def test_an_edited_file_is_shown_with_a_warning_on_stderr(tmp_path, capsys):
    path = tmp_path / "run.json"
    assert run(*QUICK, "--json", str(path)) == 0
    document = json.loads(path.read_text())
    document["cases"][0]["seconds"][0] *= 2
    path.write_text(json.dumps(document))
    capsys.readouterr()
    assert run("bench", "--from", str(path)) == 0
    out, err = capsys.readouterr()
    assert "edited after it was written" in err
    assert "edited after" not in out


def test_the_last_line_says_how_to_get_the_page(tmp_path, capsys):
    path = str(tmp_path / "a run.json")
    assert run(*QUICK, "--json", path) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1] == f"For the page: frugalblas bench --from '{path}' --report page.html"
    )
    assert run(*QUICK) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("--report page.html")


# -- each strategy in a process of its own --


def test_a_strategy_that_kills_its_process_costs_only_its_own_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.isolation, "IsolatedEngine", functools.partial(isolation.IsolatedEngine, CHILD))
    path = str(tmp_path / "run.json")
    names = "naive,accumulate,blocked"
    status = run("bench", "--isolate", "--algo", names, "--sizes", "16,48", "--seconds", "60", "--json", path)
    assert status == command.EXIT_BAD_RESULT
    found = {(r["strategy"], r["M"]): r for r in read(path)["cases"]}
    assert found["blocked", 16]["status"] == found["blocked", 48]["status"] == "ok"
    assert found["naive", 48]["status"] == "failed"
    assert "its process ended by SIGSEGV" in found["naive", 48]["note"]
    assert "ValueError: cannot" in found["accumulate", 16]["note"]
    assert "a strategy that prints" not in capsys.readouterr().out


def test_an_isolated_strategy_is_checked_and_timed_where_it_runs():
    with isolation.IsolatedEngine() as engine:
        problem = Problem(Size(20, 30, 40), 1, engine.empty)
        problem.solve()
        call = engine.bind(Case(Strategy("blocked"), "vector", problem.size, 1), problem.A, problem.B, problem.out)
        before = engine.now_ns()
        began_ns, seconds = call.timed(3)
        assert before < began_ns < engine.now_ns()
        assert 0 < seconds * 3e9 < engine.now_ns() - before
        assert problem.verdict().fault is None
        part = engine.bind(
            Case(Strategy("naive"), "scalar", problem.size, 1), problem.A[:7], problem.B, problem.out[:7]
        )
        problem.spoil()
        part()
        assert np.isfinite(problem.out[:7]).all()
        assert np.isnan(problem.out[7:]).all()


# -- what studies run that is no strategy --


@pytest.mark.parametrize("schedule", ["static", "dynamic", "guided"])
@pytest.mark.parametrize("loop", ["M", "N"])
@pytest.mark.parametrize("size", [Size(1, 1, 1), Size(37, 53, 41), Size(96, 64, 7)], ids=str)
def test_the_swept_loops_are_right_with_any_blocks_and_schedule(size, loop, schedule):
    """Every tile; blocks smaller and larger than the matrices; panels left over at each edge."""
    problem = Problem(size, 2)
    problem.solve()
    for MR, NR in _core.study_tiles():
        for MC, KC, NC, threads in ((17, 15, 29, 1), (1000, 1000, 1000, 2)):
            problem.spoil()
            _core.study_gemm(
                problem.A,
                problem.B,
                problem.out,
                threads=threads,
                MR=MR,
                NR=NR,
                MC=MC,
                KC=KC,
                NC=NC,
                loop=loop,
                schedule=schedule,
                chunk=1,
            )
            assert problem.verdict().fault is None, (MR, NR, MC, KC, NC)


@pytest.mark.parametrize(
    "bad",
    [
        {"MR": 3}, {"MC": 0}, {"threads": 0}, {"threads": 10**6}, {"loop": "K"}, {"schedule": "auto"}, {"chunk": -1},
        {"out": np.zeros((4, 5), np.float32)}, {"B": np.zeros((4, 4))}, {"B": np.zeros((4, 8), np.float32)[:, ::2]},
        {"A": np.zeros(16, np.float32)}, {"B": np.zeros(4, np.float32)}, {"out": np.zeros(16, np.float32)},
    ],
    ids=str,
)  # fmt: skip
def test_the_swept_loops_refuse_what_they_cannot_do(bad):
    square = np.ones((4, 4), np.float32)
    MR, NR = _core.study_tiles()[0]
    good = {"A": square, "B": square, "out": square.copy(), "threads": 1, "MR": MR, "NR": NR, "MC": 4, "KC": 4, "NC": 4}
    _core.study_gemm(**good)
    with pytest.raises(ValueError, match=r"must be|must have|no tile"):
        _core.study_gemm(**{**good, **bad})


def test_memory_is_swept_and_the_triad_computed():
    a, b, c = (np.full(1 << 14, value, np.float32) for value in (1, 2, 5))
    assert _core.memory_sweep(a, threads=2) == a.nbytes
    assert (a == 1).all()
    assert _core.memory_sweep(a, threads=2, b=b, c=c) == 3 * a.nbytes
    assert (a == 17).all()
    for bad in ({"b": b}, {"c": c}, {"b": b, "c": c[1:]}, {"b": b.astype(np.float64), "c": c}):
        with pytest.raises(ValueError, match="must be"):
            _core.memory_sweep(a, threads=2, **bad)
    assert (a == 17).all()


def test_a_batch_is_many_products_and_each_is_looked_at():
    problem = Problem(Size(5, 6, 7), 1)
    problem.solve()
    case = Case(Strategy("blocked"), "vector", problem.size, 1, parameters=(("batch", 9),))
    call = LocalEngine().bind(case, problem.A, problem.B, problem.out)
    assert isinstance(call, BatchCall)
    call()
    assert problem.verdict().fault is None

    def loses_one(A, B, out):
        np.matmul(A, B, out=out)
        out[4] = 0

    with pytest.raises(ValueError, match="product 4 of the batch differs from product 0"):
        BatchCall(loses_one, problem.A, problem.B, problem.out, 9)()


class FakeArrays:
    """A GPU's memory that is not one."""

    waits = 0

    def put(self, array):
        return array.copy()

    def get(self, array):
        return array

    def fill(self, array, value):
        array.fill(value)

    def wait(self):
        FakeArrays.waits += 1


@pytest.mark.parametrize(("queued", "waits"), [(True, 2), (False, 7)])
def test_operands_on_a_gpu_stay_there_and_only_a_spoiled_result_comes_back(queued, waits, monkeypatch):
    monkeypatch.setattr("frugalblas.bench.calls.arrays", FakeArrays)
    problem = Problem(Size(5, 6, 7), 1)
    problem.solve()
    call = DeviceCall(lambda A, B, out: np.matmul(A, B, out=out), problem.A, problem.B, problem.out, queued)
    FakeArrays.waits = 0
    call.timed(5)
    assert FakeArrays.waits == waits
    assert problem.verdict().fault is None
    problem.out[0, 0] = 7
    call()
    assert problem.out[0, 0] == 7


# -- the terminal --


def test_completion_knows_every_command_option_study_and_strategy(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert run("completion", shell) == 0
        script = capsys.readouterr().out
        for word in (*STUDIES, "cublas", "doctor", "completion", "resume", "isolate"):
            assert word in script, (shell, word)
    assert run("completion", "tcsh") == command.EXIT_USAGE


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("be", {"bench"}),
        ("bench --st", {"--study"}),
        ("bench --study th", {"threads"}),
        ("energy d", {"doctor"}),
        ("--ver", {"--version"}),
    ],
)
def test_bash_completes(typed, offered, capsys):
    assert run("completion", "bash") == 0
    words = ["frugalblas", *typed.split()]
    ask = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _frugalblas; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", capsys.readouterr().out + ask], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


def test_no_color_is_honoured_on_a_terminal_and_stdout_stays_clean(tmp_path):
    """The bar redraws itself, which takes escapes; colours (m) must not be among them."""
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    command_line = [*COMMAND, "--algo", "blocked", "--sizes", "16", "--seconds", "60", "--json", "-"]
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        with open(ours, "rb", buffering=0, closefd=True) as terminal:
            while True:
                try:
                    part = terminal.read(4096)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                shown += part
        out = child.stdout.read()
    assert child.returncode == 0
    assert json.loads(out)["schema"] == schema.SCHEMA
    assert b"timing 1 case" in shown
    assert b"left" in shown or b"all:" in shown
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9][0-9;]*m", shown)


def test_the_exit_statuses_of_the_help_are_those_of_the_command():
    shown = cli.BENCH_EPILOG
    assert re.findall(r"^  (\d+) ", shown, re.MULTILINE) == [
        str(status)
        for status in (command.EXIT_OK, command.EXIT_BAD_RESULT, command.EXIT_USAGE, command.EXIT_INTERRUPTED)
    ]
