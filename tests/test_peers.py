"""bench/peers.py: its arithmetic, its checks and what it says of a missing library. Nothing here is timed."""

import importlib.util
import json
import math
import platform
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
if not BENCH.is_dir():
    pytest.skip("bench/ is not beside the tests", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import peers  # noqa: E402
from comparison import calls, data, figures, libraries, report, results, session, shapes, targets  # noqa: E402
from comparison.shapes import Shape  # noqa: E402


def cell(ours, peers, *, group="squares", shape=(256, 256, 256), layout="NN", threads=1, errors=None, **more):
    seconds = dict(peers)
    if ours is not None:
        seconds["frugalblas"] = ours
    place = {"group": group, "shape": list(shape), "layout": layout, "threads": threads}
    return {**place, "seconds": seconds, "errors": errors or {}, **more}


def run_of(*cells, **more):
    return {"schema": results.SCHEMA, "cells": list(cells), "call_cost": [], **more}


def test_ratio_is_the_median_of_the_rounds_and_above_one_where_we_are_faster():
    found = figures.standing(cell([1.0, 1.0, 4.0], {"a": [2.0, 3.0, 4.0], "slow": [9.0, 9.0, 9.0]}))
    assert found == (2.0, 2.0, "a")


def test_best_peer_is_the_one_with_the_fastest_median_not_the_luckiest_round():
    found = figures.standing(cell([1.0, 1.0, 1.0], {"lucky": [0.5, 9.0, 9.0], "steady": [2.0, 2.0, 2.0]}))
    assert found.best_peer == "steady"
    assert found.ratio == 2.0
    assert found.ratio_of_best == 0.5  # best of all rounds, whoever's


@pytest.mark.parametrize("broken", [cell(None, {"a": [1.0]}), cell([1.0], {})], ids=["no ours", "no peer"])
def test_no_ratio_without_both_sides(broken):
    assert figures.standing(broken) is None
    assert figures.rows([run_of(broken)])[0].ratio is None


def test_gflops_counts_two_per_multiply_add_and_the_batch():
    assert figures.gflops(cell([1e-3], {"a": [2e-3]}, shape=(10, 20, 30), batch=5))["frugalblas"] == pytest.approx(
        2 * 10 * 20 * 30 * 5 / 1e-3 / 1e9
    )


def test_merging_takes_the_median_of_each_runs_ratio_and_the_peer_of_that_run():
    runs = [run_of(cell([1.0] * 3, {name: [ratio] * 3})) for name, ratio in (("a", 0.5), ("b", 1.2), ("c", 3.0))]
    (row,) = figures.rows(runs)
    assert (row.ratio, row.best_peer) == (1.2, "b")


def test_a_cell_that_failed_in_one_run_has_no_ratio():
    runs = [run_of(cell([1.0], {"a": [2.0]})), run_of(cell(None, {"a": [2.0]}, errors={"frugalblas": "wrong"}))]
    (row,) = figures.rows(runs)
    assert row.ratio is None
    assert row.errors == {"frugalblas": "wrong"}


def test_cells_that_differ_in_anything_are_not_merged():
    base = cell([1.0], {"a": [1.0]})
    others = [
        cell([1.0], {"a": [1.0]}, **change)
        for change in ({"layout": "TN"}, {"threads": 2}, {"group": "odd"}, {"shape": (1, 2, 3)}, {"batch": 4})
    ]
    assert len(figures.rows([run_of(base, *others)])) == 6


def test_peak_and_read_shares_come_from_the_same_rounds():
    one = cell([1e-3, 2e-3], {"a": [1.0, 1.0]}, shape=(1, 1000, 1000), peak_flops=[4e9, 2e9], read_rate=[8e9, 4e9])
    (row,) = figures.rows([run_of(one)])
    assert row.peak_share == pytest.approx(2e6 / 4e6)
    assert row.read_share == pytest.approx(4 * (1000 + 1000_000 + 1000) / 8e6)


def test_summary_is_geometric_mean_and_minimum():
    rows = figures.rows([run_of(cell([1.0], {"a": [4.0]}), cell([1.0], {"a": [0.25]}, layout="TT"))])
    found = figures.summary(rows)
    assert found.geomean == pytest.approx(1.0)
    assert (found.worst, found.worst_name, found.cells) == (0.25, "256x256x256 TT 1t", 2)
    assert figures.summary([]) is None


def test_efficiency_compares_one_thread_with_all():
    square = (2048,) * 3
    one, two = cell([1.0], {"a": [1.0]}, shape=square), cell([0.5], {"a": [0.8]}, shape=square, threads=2)
    assert figures.efficiency(figures.rows([run_of(one, two)])) == {"frugalblas": 1.0, "a": pytest.approx(0.625)}
    assert figures.efficiency(figures.rows([run_of(one)])) == {}


def verdict(title, *cells, **more):
    return next(found for found in targets.verdicts([run_of(*cells, **more)]) if found.title == title)


@pytest.mark.parametrize(
    ("ratios", "met"),
    [((1.0, 1.0), True), ((0.94, 1.10), True), ((0.93, 1.20), False), ((0.97, 0.98), False)],
    ids=["level", "one just above the worst", "one too slow", "mean too low"],
)
def test_a_group_must_reach_both_its_mean_and_its_worst(ratios, met):
    cells = [cell([1.0], {"a": [r]}, layout=layout) for r, layout in zip(ratios, ("NN", "TT"), strict=True)]
    assert verdict("squares from 256", *cells).met is met


def test_small_squares_do_not_count_for_the_large_ones():
    assert verdict("squares from 256", cell([1.0], {"a": [9.0]}, shape=(64, 64, 64))).met is None


def test_one_wrong_result_of_ours_fails_its_group():
    good = cell([1.0], {"a": [9.0]})
    wrong = cell(None, {"a": [9.0]}, layout="TT", errors={"frugalblas": "a NaN was left in the result"})
    found = verdict("squares from 256", good, wrong)
    assert found.met is False
    assert found.goal_met is False
    assert "256x256x256 TT 1t" in found.measured


def test_what_does_not_exist_is_not_met_and_says_why():
    absent = cell(None, {"np.matmul": [1.0]}, group="batches", errors={"frugalblas": "not available: no matmul"})
    found = verdict("batches", absent)
    assert found.met is False
    assert "not available: no matmul" in found.measured


def test_nothing_measured_is_neither_met_nor_missed():
    table = targets.verdicts([run_of()])
    assert {found.met for found in table} == {None}
    assert {found.measured for found in table} == {"not measured"}


@pytest.mark.parametrize(("cost", "met"), [(0.4, True), (0.41, False)])
def test_call_cost_is_seconds_of_ours_over_those_of_numpy(cost, met):
    seconds = {"sgemm(a, b)": [cost] * 3, "algo=, threads=": [cost] * 3, "a @ b": [1.0] * 3}
    entry = {"side": 4, "seconds": seconds, "errors": {}}
    assert verdict("sgemm(a, b) over a @ b at 4x4", call_cost=[entry]).met is met
    assert verdict("algo=, threads= over a @ b at 4x4", call_cost=[entry]).met is True


def test_report_shows_losers_and_errors():
    loser = cell([1.0], {"openblas": [0.5]}, errors={"mkl": "a NaN was left in the result"})
    text = report.full([run_of(loser)])
    assert "0.500" in text
    assert "mkl: a NaN was left" in text
    assert "NO" in text


def test_page_answers_every_target_and_marks_losses():
    spec = importlib.util.spec_from_file_location("make_performance", BENCH.parent / "docs" / "make_performance.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    run = run_of(cell([1.0], {"openblas": [0.5]}), cell([1.0], {"openblas": [2.0]}, layout="TT"))
    lines = page.target_lines([run])
    assert [line for line in lines if line.startswith("| squares from 256 | 1.00 / 0.94 | **NO** |")]
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(targets.verdicts([run]))
    lost, won = page.group_table(figures.rows([run]))[2:]
    assert "| **0.50** | openblas |" in lost
    assert "| 2.00 | openblas |" in won


def test_a_disturbed_cell_says_so():
    quiet, loud = cell([1.0], {"a": [1.0]}), cell([1.0], {"a": [1.0]}, layout="TT", bystander_cpus=0.5)
    text = report.full([run_of(quiet, loud)])
    assert text.count("disturbed: other programs used 0.5 CPUs") == 1
    assert "Measure again: other programs took CPU time in 1 cells." in text
    assert "Measure again" not in report.full([run_of(quiet)])


def test_bystanders_are_programs_other_than_this_one(monkeypatch):
    busy = iter([100.0, 103.0])
    monkeypatch.setattr(session, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(session.time, "process_time", iter([1.0, 2.0]).__next__)
    monkeypatch.setattr(session.time, "perf_counter", iter([50.0, 54.0]).__next__)
    monkeypatch.setattr(session.os, "sysconf", lambda _: 100)
    assert session.Bystanders([]).cpus() == pytest.approx((3.0 - 1.0 - 0.02) / 4.0)


def test_a_saved_run_loads_as_it_was_to_five_digits(tmp_path):
    file = tmp_path / "new" / "run.json"
    results.save(run_of(cell([1 / 3], {"a": [2.0]}), idle_shares={"1t": {"a": 0.5}}), file)
    assert results.load(file) == run_of(cell([0.33333], {"a": [2.0]}), idle_shares={"1t": {"a": 0.5}})
    results.save(run_of(), file)
    assert results.load(file) == run_of()


def test_results_of_another_schema_are_refused(tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"schema": "frugalblas-peers/0"}))
    with pytest.raises(ValueError, match="expected 'frugalblas-peers/1'"):
        results.load(file)


@pytest.mark.parametrize(("text", "expected"), [("7", [(7, 7, 7)]), ("1x2x3, 4", [(1, 2, 3), (4, 4, 4)])])
def test_shapes_are_parsed(text, expected):
    assert shapes.parse(text) == expected


@pytest.mark.parametrize("text", ["0", "2x3", "axbxc", "1x2x3x4", "-1"])
def test_wrong_shapes_are_refused(text):
    with pytest.raises(ValueError, match="expected a side such as 2048 or MxNxK"):
        shapes.parse(text)


def test_quick_is_a_part_of_the_groups():
    assert set(shapes.QUICK) == set(shapes.GROUPS)
    for name, few in shapes.GROUPS.items():
        assert len(set(few)) == len(few), f"{name} has a shape twice"


def test_random_products_are_the_same_in_every_run_and_of_every_kind():
    found = shapes.GROUPS["random"]
    assert found == shapes.drawn(60) != shapes.drawn(60, seed=1)
    assert all(2e4 <= shape.flops <= 6e8 and min(shape) >= 1 and max(shape) <= 3000 for shape in found)
    for side in range(3):  # each of the three is the smallest, and the largest, of some
        assert any(shape[side] == min(shape) for shape in found)
        assert any(shape[side] == max(shape) for shape in found)


@pytest.mark.parametrize("layout", shapes.LAYOUTS)
def test_the_check_accepts_a_right_result_and_refuses_wrong_ones(layout):
    shape = Shape(150, 140, 130)
    A, B = data.operands(shape, layout)
    C = (A if layout[0] == "N" else A.T) @ (B if layout[1] == "N" else B.T)
    reference = data.Reference(shape, layout)
    assert reference.error(data.sample(C)) is None
    for spoil in (lambda C: C * np.float32(1.001), lambda C: np.zeros_like(C), lambda C: C[::-1]):
        assert "times the error bound" in reference.error(data.sample(spoil(C)))
    C[77, 66] = np.nan  # in no sampled row or column
    assert reference.error(data.sample(C)) == "a NaN was left in the result"


def test_operands_are_the_same_every_time_and_fill_any_size():
    big = Shape(1, data.POOL + 100, 1)
    first, second = data.operands(big, "NN")[1], data.operands(big, "NN")[1]
    assert np.array_equal(first, second)
    assert abs(first.std() - 1) < 5 / math.sqrt(2 * data.POOL)


@pytest.mark.parametrize("offset", [data.NUMPYS, data.ALIGNED])
@pytest.mark.parametrize("shape", [Shape(3, 5, 7), Shape(300, 1000, 2000)], ids=str)
def test_operands_lie_where_they_are_asked_for_whatever_was_allocated_before(shape, offset):
    held = [np.empty(size, np.uint8) for size in (100, 5000)]
    for array in (*data.operands(shape, "NT", offset), data.placed(shape.M, shape.N, offset)):
        assert array.ctypes.data % data.PAGE == offset
        assert array.flags.c_contiguous
    assert all(
        np.array_equal(x, y) for x, y in zip(*(data.operands(shape, "NT", place) for place in (0, 48)), strict=True)
    )
    del held


def test_a_large_array_of_numpys_lies_where_operands_do_by_default():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another malloc")
    assert np.empty(64 << 20, np.uint8).ctypes.data % data.PAGE == data.NUMPYS  # beyond any threshold of malloc's heap


def test_runs_whose_operands_lie_elsewhere_are_not_merged(tmp_path, monkeypatch):
    files = []
    for name, place in (("before", {}), ("now", {"operands_behind_page": 16})):
        files.append(tmp_path / f"{name}.json")
        results.save(run_of(cell([1.0], {"a": [1.0]}), **place), files[-1])
    monkeypatch.setattr(sys, "argv", ["peers.py", "--merge", *map(str, files)])
    with pytest.raises(SystemExit, match="lie elsewhere"):
        peers.main()


def test_environment_drops_what_slows_a_peer_and_says_the_count_to_all(monkeypatch):
    monkeypatch.setattr(session, "repeat_library", lambda: "nowhere")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "SSE4_2")
    found = session.environment(3, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert "OPENBLAS_CORETYPE" not in found
    assert "MKL_ENABLE_INSTRUCTIONS" not in found
    assert {found[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL", "BLIS")} == {"3"}
    assert found["KMP_BLOCKTIME"] == "0"
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX2"


def test_a_missing_library_names_what_installs_it():
    with pytest.raises(libraries.Missing, match="pip install no-such-distribution"):
        libraries._distribution_file("no-such-distribution", "*.so")
    with pytest.raises(libraries.Missing, match="apt-get install this"):
        libraries._open("libno_such_library.so", "apt-get install this")


def test_every_form_of_call_gives_the_right_product():
    for layout in shapes.LAYOUTS:
        forms, operands = calls.small(5, 6, 7, layout), calls.pair(5, 6, 7, layout)
        assert {"a @ b", "np.dot", "frugalblas"} <= set(forms)
        assert calls.wrong(forms, operands) == {}
        forms["spoilt"] = lambda: np.zeros((5, 6), np.float32)
        assert list(calls.wrong(forms, operands)) == ["spoilt"]


needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for repeat.c")


@needs_compiler
def test_a_team_reports_the_missing_and_takes_as_many_rounds_of_peak_as_of_each():
    with session.Team(["frugalblas", "no_such_library"], 1) as team:
        assert set(team.workers) == {"frugalblas"}
        assert set(team.missing) == {"no_such_library"}
        found = team.cell(Shape(20, 30, 40), "TN", seconds=0.01, rounds=3)
    assert found["errors"] == {}
    assert len(found["seconds"]["frugalblas"]) == len(found["peak_flops"]) == 3


@needs_compiler
def test_a_wrong_result_is_never_timed(monkeypatch):
    monkeypatch.setattr(data.Reference, "error", lambda self, samples: "wrong on purpose")
    with session.Team(["frugalblas"], 1) as team:
        found = team.cell(Shape(20, 30, 40), "NN", seconds=0.01, rounds=3)
    assert found["seconds"] == {}
    assert found["errors"] == {"frugalblas": "wrong on purpose"}
