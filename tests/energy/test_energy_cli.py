"""``frugalblas energy``: exit statuses, what is printed where, and what is passed through."""

import argparse
import ast
import importlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from simulated import World

from frugalblas import energy, energy_cli
from frugalblas.energy import command, protocol
from frugalblas.energy.testing import FakePowercap


def run(*arguments):
    """The handler's exit status, through a parser like the real one; argparse's 2 for bad usage."""
    parser = argparse.ArgumentParser()
    energy_cli.add_commands(parser.add_subparsers())
    try:
        options = parser.parse_args(["energy", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code
    return options.run(options)


@pytest.fixture
def vm(tmp_path):
    return FakePowercap(tmp_path / "vm", "vm").root


@pytest.fixture
def tree(tmp_path):
    """A machine with counters that nothing moves."""
    return FakePowercap(tmp_path / "sys", "intel-1s").root


@pytest.fixture
def world(monkeypatch):
    """The CLI's meters and machine are simulated."""
    made = World(domains=("package", "dram"))
    monkeypatch.setattr(energy_cli, "_meter", lambda options, **more: made.meter(options.scope, **more))
    monkeypatch.setattr(protocol, "Machine", lambda: made)
    return made


def test_doctor_on_a_vm_says_so_and_exits_4(vm, capsys):
    assert run("doctor", "--sysfs-root", vm, "--seconds", 0.01) == 4
    assert "vm-no-rapl" in capsys.readouterr().out
    assert run("doctor", "--sysfs-root", vm, "--seconds", 0.01, "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 4


def test_doctor_with_cpu_counters_exits_0(tmp_path, capsys, monkeypatch):
    machine = FakePowercap(tmp_path / "sys", "intel-1s")
    doctor_module = importlib.import_module("frugalblas.energy.doctor")
    monkeypatch.setattr(
        doctor_module,
        "discover",
        lambda clock, **options: machine.sources(),
    )
    real = doctor_module.doctor
    watts = {"package-0": 40.0, "core": 20.0, "uncore": 1.0, "dram": 3.0}
    monkeypatch.setattr(
        doctor_module,
        "doctor",
        lambda **options: real(**options, clock=machine.clock, sleep=lambda s: machine.advance(s, watts)),
    )
    assert run("doctor", "--sysfs-root", machine.root, "--seconds", 0.1) == 0
    assert "intel-rapl:0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "--sysfs-root", "/no/such/directory"], ["doctor", "--seconds", "0"], ["doctor", "--seconds", "nan"],
        [], ["nothing"], ["idle", "--scope", "moon"], ["bench"], ["run"], ["run", "--"],
        ["idle", "--wattmeter", "/no/such/log"], ["bench", "--algo", "naive", "--n", "0"],
        ["bench", "--algo", "naive", "--country", "Atlantis"], ["bench", "--algo", "no_such", "--n", "8"],
        ["bench", "--algo", "naive", "--n", "8", "--threads", "0"],
    ],
)  # fmt: skip
def test_bad_usage_exits_2(arguments, capsys):
    assert run(*arguments) == 2
    assert capsys.readouterr().err


def test_idle_gives_the_power_with_its_interval(world, capsys):
    assert run("idle", "--scope", "cpu") == 0
    assert "W (derived)" in capsys.readouterr().out
    assert run("idle", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["value"] == pytest.approx(40.0, rel=0.01)  # 20 W in each of two zones
    assert document["u"] > 0
    assert run("idle", "--blocks", 2) == 2


@pytest.mark.parametrize("arguments", [["idle"], ["bench", "--algo", "naive", "--n", "8"]])
def test_without_counters_idle_and_bench_say_why_and_exit_4(vm, capsys, arguments):
    assert run(*arguments, "--sysfs-root", vm) == 4
    found = capsys.readouterr()
    assert found.out == ""
    assert "vm-no-rapl" in found.err


def test_bench_prints_joules_and_writes_json(world, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        energy_cli, "_cases", lambda options: {"a": world.work(100.0, 0.01), "b": world.work(50.0, 0.02)}
    )
    path = tmp_path / "run.json"
    assert run("bench", "--algo", "x", "--json", path, "--country", "FRA", "--measured-only") == 0
    out = capsys.readouterr().out
    assert "gCO2e/1e6 calls (FRA)" in out
    assert "Our World in Data" in out
    document = json.loads(path.read_text())
    assert document["results"]["a"]["gross"]["value"] == pytest.approx(2.0, rel=0.01)
    assert document["trace"]["a"]
    assert run("bench", "--algo", "x", "--json", tmp_path / "no" / "dir.json") == 1


def test_measured_only_fails_where_a_figure_is_missing(world, capsys, monkeypatch):
    monkeypatch.setattr(energy_cli, "_cases", lambda options: {"a": world.work(20.0001, 0.01)})
    assert run("bench", "--algo", "x", "--measured-only") == 1
    assert run("bench", "--algo", "x") == 0
    assert "cannot be told from zero" in capsys.readouterr().out


def test_bench_cases_call_the_strategies(world):
    options = argparse.Namespace(algo="naive,blocked", threads="1,2", n=8, seed=0)
    cases = energy_cli._cases(options)
    assert list(cases) == ["naive, 1 thread", "naive, 2 threads", "blocked, 1 thread", "blocked, 2 threads"]
    first, last = cases["naive, 1 thread"]().copy(), cases["blocked, 2 threads"]()
    assert abs(first - last).max() < 1e-5
    assert abs(first).max() > 0


# ---- run


def test_run_measures_a_program_that_uses_energy(tree, capfd, tmp_path):
    """The program itself moves the counter of the fake tree by 5 J."""
    file = tree / "devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj"
    start = int(file.read_text())
    script = (
        f"import pathlib; pathlib.Path({str(file)!r}).write_text('{start + 5_000_000}\\n'); print('its own output')"
    )
    path = tmp_path / "reading.json"
    status = run("run", "--scope", "cpu", "--sysfs-root", tree, "--json", path, "--", sys.executable, "-c", script)
    found = capfd.readouterr()
    assert status == 0
    assert found.out == "its own output\n"
    assert "J (measured)" in found.err
    assert json.loads(path.read_text())["gross"]["value"] == pytest.approx(5.0)


@pytest.mark.parametrize("status", [0, 1, 77])
def test_run_passes_the_exit_status_through_with_or_without_counters(vm, tree, capfd, status):
    for root in (vm, tree):
        assert run("run", "--sysfs-root", root, "--", sys.executable, "-c", f"raise SystemExit({status})") == status
        err = capfd.readouterr().err
        assert "no joules" in err
        assert not re.search(r"\b0(\.0+)? J", err)


def test_run_without_counters_says_why(vm, capfd):
    assert run("run", "--sysfs-root", vm, "--", "true") == 0
    assert "vm-no-rapl" in capfd.readouterr().err


def test_run_reports_a_program_that_cannot_start(vm, tmp_path, capsys):
    assert run("run", "--sysfs-root", vm, "--", "no-such-program-here") == 127
    assert "no-such-program-here: not found" in capsys.readouterr().err
    plain = tmp_path / "plain"
    plain.write_text("text")
    assert run("run", "--sysfs-root", vm, "--", plain) == 126


def test_run_reports_death_by_signal_as_shells_do(vm):
    assert run("run", "--sysfs-root", vm, "--", "sh", "-c", "kill -KILL $$") == 128 + signal.SIGKILL


def test_run_subtracts_idle_when_asked(tree, capfd, world, monkeypatch):
    monkeypatch.setattr(command.Child, "start", lambda child, words: None)
    monkeypatch.setattr(command.Child, "wait", lambda child: world.work(100.0, 1.0)() or 0)
    assert run("run", "--scope", "cpu", "--idle-seconds", 6, "--", "work") == 0
    assert "net 80." in capfd.readouterr().err


CHILD = """\
import signal, sys
signal.signal(signal.SIG{0}, lambda *a: sys.exit(42))
print('ready', flush=True)
signal.pause()
"""
MAIN = """\
import argparse, signal, sys
from frugalblas import energy_cli
for number in (signal.SIGINT, signal.SIGHUP):  # whoever runs these tests by nohup or "&" ignores them
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
parser = argparse.ArgumentParser()
energy_cli.add_commands(parser.add_subparsers())
options = parser.parse_args(sys.argv[1:])
sys.exit(options.run(options))
"""


MEASURED = [sys.executable, "-c", MAIN, "energy", "run"]


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_signals_reach_the_program_and_its_status_comes_back(vm, name):
    process = subprocess.Popen(
        [*MEASURED, "--sysfs-root", str(vm), "--", sys.executable, "-c", CHILD.format(name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal: the signal comes from us alone
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 42, err
    assert b"no joules" in err


def test_handlers_are_restored(vm):
    before = signal.getsignal(signal.SIGTERM)
    run("run", "--sysfs-root", vm, "--", "true")
    assert signal.getsignal(signal.SIGTERM) is before


# ---- the package


def test_importing_energy_loads_no_kernels_and_reads_nothing():
    script = """\
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import frugalblas.energy, frugalblas.energy.protocol, frugalblas.energy.wattmeter, frugalblas.energy.carbon
import threading
assert threading.active_count() == 1
bad = [path for path in opened if path.startswith(("/sys", "/proc")) or path.endswith((".csv",))]
assert not bad, bad
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_module_of_energy_imports_a_kernel():
    folder = os.path.dirname(energy.__file__)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            assert "import sgemm" not in text, name
            assert "os.environ" not in text, name
            calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), name


PLUGIN_TEST = """\
import pytest

def test_timed(benchmark):
    assert benchmark(lambda: sum(range(100))) == 4950

def test_pedantic(benchmark):
    benchmark.pedantic(sum, args=([1, 2],), rounds=3)

def test_other():
    pass

import sys
sys.path.insert(0, {here!r})
from simulated import World
from frugalblas.energy import EnergyUnavailable, protocol
world, real = World(), protocol.compare

def with_counters(cases, *, meter=None, **options):
    calls = {{name: (lambda work=work: (work(), world.work(100.0, 0.01)())) for name, work in cases.items()}}
    return real(calls, meter=world.meter(), machine=world, probe_s=0.0, **options)

def without(cases, **options):
    raise EnergyUnavailable("no counter: vm-no-rapl")

protocol.compare = with_counters if {counters} else without
"""


@pytest.mark.parametrize("counters", [True, False])
def test_the_pytest_plugin_stores_joules_in_extra_info(tmp_path, counters):
    here = os.path.dirname(os.path.abspath(__file__))
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST.format(here=here, counters=counters))
    # pytest-benchmark switches itself off in a worker of xdist, as which a child of one would count.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "frugalblas.energy.pytest_plugin", "--rootdir", str(tmp_path),
            "--benchmark-energy", "--benchmark-json=out.json", "--benchmark-max-time=0.01", "test_it.py",
        ],
        cwd=tmp_path, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    tests = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert len(tests) == 2
    for test in tests:
        entry = test["extra_info"]["energy"]
        if counters:
            assert entry["joules_per_call"] == pytest.approx(0.8, rel=0.01)
            assert entry["net"]["provenance"] == "derived"
        else:
            assert entry == {"joules_per_call": None, "reason": "no counter: vm-no-rapl"}
