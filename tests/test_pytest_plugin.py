"""The plugin that every pytest run of a user loads: its table, and that nobody else notices it."""

import json
import os
import re

import pytest
from children import TIMEOUT_SECONDS

pytest_plugins = ["pytester"]

# Times are set, not measured: 1 ms a call, so that every figure is known.
TIMER = """
import itertools
ticks = itertools.count()
def timer():
    return next(ticks) / 1000
"""
SUITE = """
import pytest

def test_extra_info(benchmark):
    benchmark.extra_info["flops"] = 5_000_000
    benchmark.extra_info["energy"] = {"joules_per_call": JOULES, "reason": "vm-no-rapl: a virtual machine"}
    benchmark.pedantic(lambda: None, rounds=5)

@pytest.mark.flops(2 * 100**3)
def test_marker(benchmark):
    benchmark.pedantic(lambda: None, rounds=5)

def test_no_flops(benchmark):
    benchmark.pedantic(lambda: None, rounds=5)

def test_no_benchmark():
    pass
"""
OPTIONS = ("-p", "no:cacheprovider", "--benchmark-timer=timer.timer", "--benchmark-storage=storage")


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs the suite of these joules in a process of its own; the lines of the plugin's table."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)  # a child of a worker would count as one, and pytest-benchmark switch itself off

    def run(*options, joules=None, text=SUITE, status=0):
        pytester.makepyfile(timer=TIMER, test_it=text.replace("JOULES", repr(joules)))
        monkeypatch.setenv("PYTHONPATH", str(pytester.path))
        done = pytester.runpytest_subprocess(*OPTIONS, *options, timeout=TIMEOUT_SECONDS)
        assert done.ret == status
        output = done.stdout.str()
        _, heading, rest = output.partition("- GFLOP/s, joules -")
        return [line.rstrip() for line in rest.splitlines()[1:]] if heading else output

    return run


def rows(lines):
    """Cells by the name of the benchmark."""
    found = (re.split(r"\s{2,}", line) for line in lines)
    return {cells[0]: cells[1:] for cells in found if cells[0].startswith("test_")}


def test_gflops_and_the_reason_for_no_joules(suite):
    lines = suite()
    assert re.split(r"\s{2,}", lines[1].strip()) == ["GFLOP/s", "spread", "J", "GFLOP/J"]
    assert rows(lines) == {"test_extra_info": ["5", "0%", "–", "–"], "test_marker": ["2", "0%", "–", "–"]}
    assert "no joules: vm-no-rapl: a virtual machine" in lines


def test_joules(suite):
    assert rows(suite(joules=0.25))["test_extra_info"] == ["5", "0%", "0.25", "0.02"]


def test_an_earlier_run_keeps_its_own_joules(suite):
    suite("--benchmark-save=before", joules=0.5)
    found = rows(suite("--benchmark-compare", joules=0.25))
    assert found["test_extra_info (0001_before)"] == ["5", "0%", "–", "0.5", "0.01"]
    assert found["test_extra_info (NOW)"] == ["5", "0%", "1x", "0.25", "0.02"]
    assert found["test_marker (NOW)"] == ["2", "0%", "1x", "–", "–"]


def test_the_json_has_gflops(suite, pytester):
    suite("--benchmark-json=out.json")
    written = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    infos = {bench["name"]: bench["extra_info"] for bench in written}
    assert infos["test_extra_info"]["gflop_per_s"] == pytest.approx(5.0)
    assert infos["test_marker"]["gflop_per_s"] == pytest.approx(2.0)
    assert infos["test_no_flops"] == {}


def test_groups_are_those_of_pytest_benchmark(suite):
    lines = suite("--benchmark-group-by=func")
    assert [line for line in lines if line.endswith(":")] == ["test_extra_info:", "test_marker:"]


@pytest.mark.parametrize(
    "options", [("--benchmark-disable",), ("-n", "1"), ("--benchmark-quiet",), ("-p", "no:frugalblas")]
)
def test_it_is_silent_where_nothing_is_measured_or_wanted(suite, options):
    text = SUITE.replace("@pytest.mark.flops(2 * 100**3)", "") if "no:frugalblas" in options else SUITE
    output = suite(*options, text=text)
    assert isinstance(output, str)
    assert "4 passed" in output
    assert "GFLOP" not in output


def test_other_benchmarks_get_no_table(suite):
    assert isinstance(suite(text="def test_it(benchmark):\n    benchmark.pedantic(lambda: None, rounds=3)\n"), str)


@pytest.mark.parametrize("flops", ["'many'", "-1", "True", "float('nan')"])
def test_flops_that_are_none_are_named(suite, flops):
    text = "def test_it(benchmark):\n    benchmark.extra_info['flops'] = FLOPS\n    benchmark.pedantic(len, ('',))\n"
    lines = suite(text=text.replace("FLOPS", flops))
    assert any(line.startswith('test_it: extra_info["flops"] is ') and "above 0" in line for line in lines)


def test_a_marker_without_a_count_is_an_error(suite):
    text = "import pytest\n@pytest.mark.flops\ndef test_it(benchmark):\n    benchmark.pedantic(len, ('',))\n"
    assert "flops takes one argument" in suite(text=text, status=1)


def test_it_is_inert_without_pytest_benchmark(pytester):
    pytester.makepyfile("import pytest\n@pytest.mark.flops(1)\ndef test_it():\n    pass\n")
    done = pytester.runpytest_subprocess("--strict-markers", "-p", "no:benchmark", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*joules*")


def test_loading_it_loads_neither_numpy_nor_the_library(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others may load NumPy
    pytester.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("pytest_frugalblas")
            assert not {"numpy", "frugalblas", "frugalblas._core"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "pytest_frugalblas").assert_outcomes(passed=1)
