"""The energy pass of a benchmark: after the timing, on the table's size, never a number that was not measured."""

import contextlib
from types import SimpleNamespace

import pytest
from test_bench import FakeEngine, SilentProgress, make_plan, measure, record_of

from frugalblas.bench import figures, joules, render
from frugalblas.energy.protocol import JoulesPass

METER = SimpleNamespace(selection=SimpleNamespace(missing=()))


@contextlib.contextmanager
def some_meter():
    yield METER


def fill(result, measure_joules, open_meter=some_meter):
    joules.measure(
        make_plan(), FakeEngine(), SilentProgress(), result, open_meter=open_meter, measure_joules=measure_joules
    )
    return result


def two_joules_each(calls, *, meter, flops, max_seconds, trace):
    assert meter is METER
    assert flops == 2 * 32**3  # the size of the table
    for call in calls.values():
        call()
    return JoulesPass(dict.fromkeys(calls, 2.0), "cpu: package-0", None, None)


def test_every_case_of_the_table_gets_its_joules():
    result = fill(measure(), two_joules_each)
    assert result["energy"] == {"source": "cpu: package-0", "reason": None}
    for record in result["cases"]:
        at_table_size = record["status"] == "ok" and figures.size_of(record) == figures.main_size(result)
        assert record["joules_per_call"] == (2.0 if at_table_size else None)


def test_a_case_without_a_figure_stays_without_one():
    def none_for_naive(calls, **more):
        found = two_joules_each(calls, **more)
        return JoulesPass({**found.joules_per_call, "naive on 1": None}, found.source, None, None)

    result = fill(measure(), none_for_naive)
    assert record_of(result, "naive", 32)["joules_per_call"] is None
    assert record_of(result, "blocked", 32)["joules_per_call"] == 2.0


def test_the_slowest_go_without_when_time_is_short():
    tried = []

    def room_for_two(calls, **more):
        tried.append(len(calls))
        if len(calls) > 2:
            raise ValueError("needs 99 s")
        return two_joules_each(calls, **more)

    result = fill(measure(), room_for_two)
    timed = [record for record in result["cases"] if record["status"] == "ok" and figures.size_of(record).M == 32]
    assert tried == list(range(len(timed), 1, -1))
    measured = [record for record in timed if record["joules_per_call"] is not None]
    assert len(measured) == 2
    left = [record for record in timed if record["joules_per_call"] is None]
    assert max(min(r["seconds"]) for r in measured) <= min(min(r["seconds"]) for r in left)


def test_no_room_for_any_gives_the_reason():
    def no_room(calls, **more):
        raise ValueError("needs 99 s")

    result = fill(measure(), no_room)
    assert result["energy"] == {"source": None, "reason": "needs 99 s"}
    assert all(record["joules_per_call"] is None for record in result["cases"])


def test_without_counters_the_table_says_why():
    why = ("powercap: vm: this is a virtual machine", "perf: vm: this is a virtual machine", "nvml: no driver")
    blind = SimpleNamespace(selection=SimpleNamespace(missing=why))
    result = fill(measure(), two_joules_each, open_meter=lambda: contextlib.nullcontext(blind))
    assert result["energy"]["source"] is None
    assert result["energy"]["reason"].count("this is a virtual machine") == 1
    assert "no driver" in result["energy"]["reason"]
    assert all(record["joules_per_call"] is None for record in result["cases"])
    assert "no joules: vm: this is a virtual machine" in render(result, 200)


def test_ctrl_c_keeps_the_timing():
    def interrupted(calls, **more):
        raise KeyboardInterrupt

    result = fill(measure(), interrupted)
    assert result["interrupted"]
    assert "interrupted" in result["energy"]["reason"]
    assert record_of(result, "blocked", 32)["seconds"]


def test_an_interrupted_run_has_no_energy_pass():
    result = measure()
    result["interrupted"] = True
    fill(result, lambda *_, **__: pytest.fail("measured all the same"))
    assert result["energy"]["source"] is None
