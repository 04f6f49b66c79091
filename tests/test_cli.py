"""The command as a person or a script meets it: output streams, exit statuses, files."""

import io
import json
import re
import signal
import subprocess
import sys
import time

import pytest

import frugalblas
from frugalblas import cli
from frugalblas.bench import command, machine, progress, read, render, sampling
from frugalblas.bench.studies import STUDIES

QUICK = ["bench", "--algo", "naive,blocked", "--sizes", "16,32", "--seconds", "30"]


@pytest.fixture(autouse=True)
def short_samples(monkeypatch):
    """What is printed is tested here, and not how long it takes to measure."""
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 0.0005)
    monkeypatch.setattr(sampling, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments):
    try:
        return cli.main(list(arguments))
    except SystemExit as stop:
        return stop.code


def test_the_table_is_on_stdout_and_the_progress_on_stderr(capsys):
    assert run(*QUICK) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^naive +v1 +1 ", out, re.MULTILINE)
    assert re.search(r"At 32, on one thread, blocked is [0-9.]+x naive", out.replace("\n  ", " "))
    assert "checking" not in out
    assert re.search(r"^16 \(1 of 2\): checking 2 cases", err, re.MULTILINE)
    assert "\x1b" not in out + err
    assert max(map(len, out.splitlines())) <= 80


def test_json_on_stdout_is_nothing_but_json(capsys):
    assert run(*QUICK, "--json", "-") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["schema"] == "frugalblas.bench/1"
    assert render(result) in err


def test_a_kept_run_shows_the_same_table(capsys, tmp_path):
    path = str(tmp_path / "run.json")
    assert run(*QUICK, "--json", path) == 0
    first = capsys.readouterr().out
    assert run("bench", "--from", path) == 0
    assert capsys.readouterr().out == first
    result = read(path)
    assert result["machine"] == frugalblas.info()
    assert result["request"]["sizes"] == [[16, 16, 16], [32, 32, 32]]
    assert [len(case["seconds"]) for case in result["cases"]] == [15] * 4


def test_threads_reach_every_strategy_that_honours_them(capsys, tmp_path):
    path = str(tmp_path / "run.json")
    assert run("bench", "--algo", "numpy,naive,openmp", "--sizes", "24", "--threads", "2", "--json", path) == 0
    assert {(case["strategy"], case["threads"]) for case in read(path)["cases"]} == {("naive", 2), ("openmp", 2)}
    assert "not run, because --threads leaves out 1: numpy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "blokced"], "no strategy is called 'blokced' (did you mean blocked?)"),
        (["--algo", "blocked@v33"], "blocked has no variant 'v33'"),
        (["--sizes", "12x"], "'12x' is not a size; expected N or MxNxK"),
        (["--sizes", "10000000"], "GiB of memory is free"),
        (["--threads", "0"], "'0' is not a thread count"),
        (["--threads", "1000000"], "1000000 is more than the"),
        (["--threads", "2", "--algo", "python"], "python can only run on 1 thread"),
        (["--seconds", "soon"], "'soon' is not a time budget"),
        (["--seconds", "nan"], "'nan' is not a time budget"),
        (["--seconds", "-1"], "'-1' is not a time budget"),
        (["--seed", "x"], "'x' is not a seed"),
        (["--json", "/nowhere/run.json"], "'/nowhere/run.json' cannot be written: No such file or directory"),
        (["--json", "/"], "'/' cannot be written"),
        (["--from", "/nowhere/run.json"], "'/nowhere/run.json' cannot be read: No such file or directory"),
        (["--from", "/dev/null"], "it is not complete JSON"),
        (["--from", "x", "--sizes", "5"], "it cannot go with --sizes"),
    ],
)
def test_bad_values_are_refused_before_anything_runs(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(command.runner.Problem, "verdict", lambda _: pytest.fail("something was measured"))
    assert run("bench", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("frugalblas: ")
    assert err.count("\n") == 1


def test_a_result_of_another_version_is_refused(capsys, tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"schema": "frugalblas.bench/99"}')
    assert run("bench", "--from", str(path)) == 2
    assert "its schema is 'frugalblas.bench/99'" in capsys.readouterr().err


def test_a_wrong_result_shows_and_gives_status_1(capsys, monkeypatch):
    class Wrong(command.engine.LocalEngine):
        def bind(self, case, A, B, out):
            call = super().bind(case, A, B, out)

            def spoiled():
                call()
                if case.strategy.name == "blocked":
                    out[0, 0] = 1e9

            return spoiled

    monkeypatch.setattr(command.engine, "LocalEngine", Wrong)
    assert run(*QUICK) == 1
    assert "WRONG: blocked at 16: C[0,0] is 1e+09" in capsys.readouterr().out


def test_ctrl_c_shows_and_writes_what_was_measured(capsys, monkeypatch, tmp_path):
    class Interrupted(command.engine.LocalEngine):
        def bind(self, case, A, B, out):
            call, before = super().bind(case, A, B, out), 200

            def counted():
                nonlocal before
                before -= 1
                if before == 0 and case.size.M == 32:
                    raise KeyboardInterrupt
                call()

            return counted

    monkeypatch.setattr(command.engine, "LocalEngine", Interrupted)
    path = str(tmp_path / "run.json")
    assert run(*QUICK, "--json", path) == 130
    out = capsys.readouterr().out
    assert "M x N x K = " in out
    result = read(path)
    assert result["interrupted"]
    assert all(case["seconds"] for case in result["cases"] if case["M"] == 16)


def test_a_real_sigint_ends_the_command_with_130(tmp_path):
    path = tmp_path / "run.json"
    child = subprocess.Popen(
        [sys.executable, "-m", "frugalblas", "bench", "--algo", "naive", "--sizes", "64,1024", "--json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in child.stderr:
        if "timing" in line:
            break
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in out.lower()
    assert read(str(path))["interrupted"]


def test_a_full_disk_is_reported_and_the_table_still_shown(capsys, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command.schema.Destination, "write", full)
    assert run(*QUICK, "--json", str(tmp_path / "run.json")) == 1
    out, err = capsys.readouterr()
    assert "M x N x K" in out
    assert "was not written: No space left on device" in err


# -- the other commands --


def test_info_as_text_and_as_json(capsys):
    assert run("info") == 0
    assert re.search(r"^cpu:\n  model: ", capsys.readouterr().out, re.MULTILINE)
    assert run("info", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cpu"]["cpus"] >= 1


def test_algorithms_lists_the_registry_in_80_columns(capsys):
    assert run("algorithms") == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert names == [card.name for card in frugalblas.algorithms()]
    assert max(map(len, lines)) <= 80


def test_help_teaches_and_documents_the_exit_statuses(capsys):
    assert run("bench", "--help") == 0
    shown = capsys.readouterr().out
    assert "frugalblas bench --algo naive,blocked --sizes 1024" in shown
    for status in (command.EXIT_OK, command.EXIT_BAD_RESULT, command.EXIT_USAGE, command.EXIT_INTERRUPTED):
        assert re.search(rf"^  {status} ", shown, re.MULTILINE)
    assert f"(default: {STUDIES['ladder'].seconds:g} for the ladder, 45 to 180 for a study)" in " ".join(shown.split())
    for study in STUDIES:
        assert re.search(rf"\b{study}\b", shown)
    others = [study.seconds for study in STUDIES.values()]
    assert (min(others), max(others)) == (45, 180)


def test_every_example_of_the_help_parses():
    for line in (cli.BENCH_EPILOG + cli.MAIN_EPILOG).splitlines():
        if line.startswith("  frugalblas "):
            words = re.split(r" {2,}", line.strip())[0].split()
            cli.parser().parse_args(words[1:])


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--nonsense"], 2), (["nonsense"], 2), (["--version"], 0)])
def test_usage_statuses(arguments, status, capsys):
    assert run(*arguments) == status


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "frugalblas", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"frugalblas [0-9.]+\S*\n", done.stdout)


def test_an_ascii_terminal_gets_ascii(capsys, monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    command.show("joules –\n", stream)
    assert raw.getvalue() == b"joules -\n"


# -- progress --


class Terminal(io.StringIO):
    def isatty(self):
        return True


def use(shown):
    shown.begin("512: timing", 10.0)
    shown.advance("naive", 9.0)
    shown.advance("blocked", 1.0)
    shown.close()


def test_progress_is_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    use(progress.for_stream(stream))
    assert stream.getvalue() == "512: timing, about 10 s\n"


def test_progress_without_rich_is_plain_on_a_terminal_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    stream = Terminal()
    use(progress.for_stream(stream))
    assert stream.getvalue() == "512: timing, about 10 s\n"


def test_progress_on_a_terminal_says_what_is_running_now(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    use(progress.for_stream(stream))
    assert "512: timing" in stream.getvalue()
    assert "naive" in stream.getvalue()


def test_the_commit_is_that_of_the_checkout():
    source = machine.source_commit(machine.__file__)
    assert source["commit"] is None or re.fullmatch("[0-9a-f]{40}", source["commit"])
    assert (source["commit"] is None) == (source["modified"] is None)
