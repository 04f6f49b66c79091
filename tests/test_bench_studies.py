"""The studies: what each declares, what gives when time is short, how a run goes on, and what its table says."""

import contextlib
import dataclasses
import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from test_bench import CARDS, FACTS, Card, FakeEngine, record_of

from frugalblas.bench import figures, fit, joules, page, parsing, plan, render, resume, runner, schema, tables
from frugalblas.bench.cases import Case, RequestError, Size, Strategy, case_of
from frugalblas.bench.progress import SilentProgress
from frugalblas.bench.records import SPENT
from frugalblas.bench.studies import STUDIES, Here, parse_studies
from frugalblas.energy.protocol import JoulesPass

SOURCE = {"commit": "a" * 40, "modified": False}
GPU = Card("cuda_tiled", "cuda", "GPU", variants=(), precisions=("fp32", "fp16"))


def here(cards=CARDS, cpus=2, **more):
    def blocks(size):
        return {"MR": 6, "NR": 16, "MC": 24, "KC": 8, "NC": 16}

    return Here(cards=cards, cpus=cpus, most_threads=64, blocks=blocks, tiles=((6, 16), (8, 16)), **more)


def make_plan(names, sizes=None, seconds=1e6, at=None, **more):
    studies, _ = parse_studies(names, at or here())
    found = [
        case
        for study in studies
        for size in (parsing.parse_sizes(sizes) if sizes else study.sizes)
        for case in study.cases(at or here(), size)
    ]
    return plan.Plan(
        cards=CARDS, cases=found, seconds=seconds, seed=1, sizes_may_shrink=sizes is None, studies=studies, **more
    )


def start(chosen):
    return plan.blank_result(chosen, FACTS, SOURCE)


def measure(names, engine=None, **options):
    chosen = make_plan(names, **options)
    result = start(chosen)
    runner.run(chosen, engine or FakeEngine(), SilentProgress(), result)
    return result


def keys(result):
    return sorted(schema.case_key(record) for record in result["cases"])


# -- what the studies declare --


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_makes_different_cases_at_every_size_it_names(name):
    study, at = STUDIES[name], here([*CARDS, GPU])
    cases = [case for size in study.sizes for case in study.cases(at, size)]
    assert cases
    assert len(set(cases)) == len(cases)
    assert {case.study for case in cases} == {name}
    records = [plan.blank_record(case) for case in cases]
    assert len({schema.case_key(record) for record in records}) == len(records)
    kinds = {card.name: card.kind for card in at.cards}
    assert [case_of(record, kinds[record["strategy"]]) for record in records] == [
        Case(**{**case.__dict__, "kind": kinds[case.strategy.name]}) for case in cases
    ]


def test_power_is_a_study_of_machines_with_counters():
    poor, rich = here(why_no_joules=lambda: "no counters: a virtual machine"), here()
    assert "power" in {study.name for study in parse_studies("all", rich)[0]}
    studies, left_out = parse_studies("all", poor)
    assert "power" not in {study.name for study in studies}
    assert "study power left out: no counters: a virtual machine" in left_out
    with pytest.raises(RequestError, match="power cannot be made here: no counters"):
        parse_studies("power", poor)


def test_the_size_grid_holds_the_courses():
    edges = {size.M for size in STUDIES["sizes"].sizes}
    assert edges >= {*range(128, 1921, 128)} | {*range(96, 3073, 96)} | {4096, 16384}
    without_gpu = {s.M for s in STUDIES["sizes"].sizes if list(STUDIES["sizes"].cases(here(), s))}
    assert max(without_gpu) == 4096
    assert parsing.parse_sizes("96:384:96") == [Size(n, n, n) for n in (96, 192, 288, 384)]
    with pytest.raises(RequestError, match=r"'9:3:1' is not a size; .*FIRST:LAST:STEP"):
        parsing.parse_sizes("9:3:1")


def test_threads_go_beyond_the_cpus_in_every_schedule():
    cases = list(STUDIES["threads"].cases(here(cpus=4), Size(64, 64, 64)))
    counts = {case.threads for case in cases if case.strategy.name == "openmp"}
    assert {1, 2, 4, 6, 8} <= counts
    assert here(cpus=32).many()[-1] == 64
    assert max(here(cpus=48).many()) <= 64  # never more than may be asked for
    assert len(here(cpus=48).many()) <= 14
    schedules = {(dict(c.parameters)["loop"], dict(c.parameters)["schedule"]) for c in cases if c.parameters}
    assert schedules == {(loop, kind) for loop in "MN" for kind in ("static", "dynamic", "guided")}
    assert [case.threads for case in cases if case.strategy.name == "blocked"] == [1]


def test_flags_are_the_builds_of_the_courses_strategies():
    cases = STUDIES["flags"].cases(here(), Size(64, 64, 64))
    assert [str(case.strategy) for case in cases] == ["naive@v2", "blocked@v2", "naive@v3", "blocked@v3"]


def test_blocks_sweep_each_pair_and_never_beyond_the_matrix():
    cases = [case for case in STUDIES["blocks"].cases(here(), Size(100, 100, 100)) if case.parameters]
    assert {case.series for case in cases} == {"MC x KC", "KC x NC", "MR x NR"}
    assert {dict(case.parameters)["KC"] for case in cases if case.series == "MC x KC"} == {32, 64, 100}
    assert {tuple(dict(case.parameters)[k] for k in ("MR", "NR")) for case in cases if case.series == "MR x NR"} == {
        (6, 16),
        (8, 16),
    }


def test_a_gpu_is_measured_in_three_ways_and_in_its_precisions():
    at = here([*CARDS, GPU])
    ways = [case.where for case in STUDIES["gpu"].cases(at, Size(64, 64, 64)) if case.kind == "cuda"]
    assert ways == ["kernel", "device", "host"]
    found = [case.precision for case in STUDIES["precision"].cases(at, Size(64, 64, 64)) if case.kind == "cuda"]
    assert found == ["fp32", "fp16"]


def test_studies_by_name_all_and_bad_names():
    assert [study.name for study in parse_studies("threads, sizes,threads", here())[0]] == ["sizes", "threads"]
    studies, left_out = parse_studies("all", here())
    assert [study.name for study in studies] == [name for name in STUDIES if name != "gpu"]
    assert left_out == ["study gpu left out: this build has no CUDA"]
    with pytest.raises(RequestError, match=r"no study is called 'thread' \(did you mean threads\?\).*ladder, sizes"):
        parse_studies("thread", here())
    with pytest.raises(RequestError, match="gpu cannot be made here: no driver"):
        parse_studies("gpu", here([*CARDS, Card("cuda_tiled", "cuda", available=False, reason="no driver")]))


# -- when time is short --


def costs(per_flop=1e-9):
    return fit.Costs(lambda case: case.size.flops * per_flop, lambda size: size.flops * per_flop)


def test_sizes_are_thinned_evenly_and_a_note_says_so():
    study = STUDIES["sizes"]
    cases = [Case(Strategy("blocked"), "vector", size, 1, "sizes") for size in study.sizes if size.M <= 4096]
    everything, notes = fit.fit(study, cases, 1e6, costs())
    assert (everything, notes) == (cases, [])
    kept, notes = fit.fit(study, cases, 6000.0, costs())
    assert fit.CURVE <= len(kept) < len(cases) / 2
    assert (kept[0], kept[-1]) == (cases[0], cases[-1])
    places = [cases.index(case) for case in kept]
    gaps = {b - a for a, b in itertools.pairwise(places)}
    assert max(gaps) - min(gaps) <= 1
    assert re.search(rf"sizes: {len(kept)} of {len(cases)} sizes, evenly spread, to fit 6000 s; all .* \d+ s", notes[0])
    kept, notes = fit.fit(study, cases, 300.0, costs())  # the largest alone would take it all
    assert len(kept) >= fit.CURVE
    assert (kept[0].size.M, kept[-1].size.M < 4096) == (96, True)


def test_a_study_of_one_size_takes_the_largest_that_fits_and_then_fewer_points():
    study = STUDIES["threads"]
    cases = [case for size in study.sizes for case in study.cases(here(), size)]
    kept, notes = fit.fit(study, cases, 1e6, costs())
    assert {case.size.M for case in kept} == {1920}
    assert not notes
    kept, notes = fit.fit(study, cases, 1000.0, costs())
    assert {case.size.M for case in kept} == {960}
    assert {case.threads for case in kept} == {case.threads for case in cases}
    assert "at 960 instead of 1920" in notes[0]
    kept, notes = fit.fit(study, cases, 40.0, costs())
    assert {(case.size.M, case.threads) for case in kept} == {(480, 1), (480, 4)}
    assert "2 of 4 points" in notes[0]


def test_a_budget_that_is_spent_on_trying_is_refused_with_how_far_it_went():
    with pytest.raises(RequestError, match=r"--seconds: 0.5 is too little: it went by while \d+ of \d+ strategies"):
        measure("ladder", seconds=0.5)


def test_default_sizes_beyond_memory_are_left_out_and_say_so():
    small = dataclasses.replace(STUDIES["power"], sizes=[Size(16, 16, 16), Size(999, 999, 999)])
    cases = [case for size in small.sizes for case in small.cases(here(), size)]
    chosen = plan.Plan(CARDS, cases, 1e6, 1, sizes_may_shrink=True, memory_bytes=2**20, studies=[small])
    result = start(chosen)
    runner.run(chosen, FakeEngine(), SilentProgress(), result)
    assert {figures.size_of(record) for record in result["cases"]} == {Size(16, 16, 16)}
    assert "left out: 999 needs" in render(result)


def test_a_study_cut_to_one_point_keeps_the_fastest_and_not_the_first():
    """At 240 python takes 1400 s a call, naive 140 s; openblas and openmp are there on two counts of threads."""
    result = measure("precision", seconds=60.0)
    assert {(r["strategy"], r["M"]) for r in result["cases"]} == {("blocked", 240)}
    assert all(record["status"] == "ok" for record in result["cases"])


def test_a_study_that_the_budget_of_several_has_no_room_for_is_left_out():
    result = measure("ladder,precision", seconds=30.0)
    assert {schema.study_of(record) for record in result["cases"]} == {"ladder"}
    assert any(record["status"] == "ok" for record in result["cases"])
    shown = " ".join(render(schema.parse(schema.to_json(result), "run.json")).split())
    assert "precision: left out: even the fastest at 240 needs about" in shown
    with pytest.raises(RequestError, match="is too little"):
        measure("precision", seconds=10.0)


# -- one run of several studies --


@pytest.fixture(scope="module")
def all_studies():
    return measure("all", FakeEngine(), sizes="24")


def test_every_case_of_every_study_is_measured(all_studies):
    assert {record["status"] for record in all_studies["cases"]} == {"ok"}
    assert [study["name"] for study in all_studies["studies"]] == [name for name in STUDIES if name != "gpu"]
    for study in all_studies["studies"]:
        only = figures.of_study(all_studies, study["name"])
        assert only["cases"]
        assert {schema.study_of(peak) for peak in only["peaks"]} == {study["name"]}
        assert all(figures.peak_of(only, record) is not None for record in only["cases"])
    assert {(r["threads"], r["what"]) for r in all_studies["bandwidths"]} == {
        (n, what) for n in (1, 4) for what in ("read", "triad")
    }


def test_several_studies_survive_their_file(all_studies, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(schema.to_json(all_studies))
    again = schema.read(str(path))
    assert again == all_studies
    assert render(again, 100) == render(all_studies, 100)


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_and_each_study_has_its_title(all_studies, width):
    shown = render(all_studies, width)
    assert max(map(len, shown.splitlines())) <= width
    flat = " ".join(shown.split())
    for study in all_studies["studies"]:
        assert f"{study['title']}. {study['question']}" in flat


def test_the_tables_say_what_the_samples_say(all_studies):
    shown = render(all_studies, 120)
    own = next(r for r in all_studies["cases"] if r.get("study") == "blocks" and not r.get("parameters"))
    assert f"24: blocked with its own blocks: {figures.gflops(own):#.3g} GFLOP/s" in shown
    assert re.search(r"^MR \\ NR +16", shown, re.MULTILINE)
    assert re.search(r"^v3 +\S+ +\S+$", shown, re.MULTILINE)
    many = re.search(r"^openmp( +\S+){4} +4 +4.00x +4.00x$", shown, re.MULTILINE)  # the fake speeds up in proportion
    assert many, shown
    assert "memory by threads: read 10.0 GB/s on 1, triad 30.0 GB/s on 1, read 40.0 GB/s on 4" in " ".join(
        shown.split()
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_flags_fits_with_every_strategy_of_the_course(width):
    names = [
        "naive",
        "accumulate",
        "transposed",
        "vector",
        "microkernel",
        "blocked",
        "openmp",
        "openblas",
        "numba_rowsum",
    ]
    part = start(make_plan("flags", sizes="24"))
    (example, *_) = part["cases"]
    samples = {"status": "ok", "seconds": [1e-6], "started_seconds": [0.0], "error_u": 1.0}
    part["cases"] = [
        {**example, "strategy": name, "variant": variant, **samples}
        for name in names
        for variant in ("O0", "O3_native_fastmath_unroll")
    ]
    lines = tables.of(part, "variant", width)
    assert max(map(len, lines)) <= width
    assert [name for line in lines if line.startswith("GFLOP/s") for name in line.split()[3:]] == names


def test_what_the_budget_had_no_time_for_is_one_line_a_study():
    part = start(make_plan("sizes", sizes="16,24,32"))
    for record in part["cases"]:
        if record["M"] == 16:
            record.update(status="ok", seconds=[1.0], started_seconds=[0.0], error_u=1.0)
        else:
            record.update(status="skipped", note=f"predicted 0.001 s a call{SPENT}")
    part["cases"][-1]["note"] = "predicted 99 s a call"  # one of them would have been too slow in any case
    part["cases"][0].update(status="skipped", note="predicted 98 s a call", seconds=[], started_seconds=[])
    slow = part["cases"][0]["strategy"]
    skipped = [note for note in page.notes(part) if note.startswith("skipped")]
    assert skipped == [
        "skipped in sizes, the budget was spent: everything at 24, 32 (--seconds)",
        f"skipped in sizes, too long: {slow} at 16 (predicted 98 s a call)",
    ]


def test_a_study_without_measurements_says_so():
    chosen = make_plan("threads", sizes="24")
    assert "Nothing was measured." in render(start(chosen))


# -- going on --


class Stopped(Exception):
    pass


@pytest.mark.parametrize("at_call", [5, 60, 120, 300])
def test_an_interrupted_run_goes_on_to_the_same_cases(at_call):
    def stop(engine, _):
        if len(engine.calls) >= at_call and engine.before_call is not None:
            engine.before_call = None
            raise KeyboardInterrupt

    whole = measure("ladder,power", sizes="16,24")
    chosen = make_plan("ladder,power", sizes="16,24")
    result, engine = start(chosen), FakeEngine(before_call=stop)
    runner.run(chosen, engine, SilentProgress(), result)
    assert result["interrupted"]
    part = schema.parse(schema.to_json(result), "run.json")
    done = {schema.case_key(r): r["seconds"] for r in part["cases"] if len(r["seconds"]) == 15}
    rest = resume.prepare(part, CARDS, FACTS, SOURCE, None)
    runner.run(rest, FakeEngine(), SilentProgress(), part)
    assert not part["interrupted"]
    assert keys(part) == keys(whole)
    assert {record["status"] for record in part["cases"]} == {"ok"}
    assert "interrupted and continued at" in render(part)
    finished = [record for record in part["cases"] if done.get(schema.case_key(record)) == record["seconds"]]
    assert len(finished) >= len(done) - sum(figures.size_of(record).M == 16 for record in part["cases"])
    sizes = [(peak["threads"], peak["M"], schema.study_of(peak)) for peak in part["peaks"]]
    assert len(set(sizes)) == len(sizes)
    schema.validate(json.loads(schema.to_json(part)))


def test_what_was_finished_is_not_measured_again():
    def stop(engine, _):
        if any(size == Size(24, 24, 24) for _, _, size in engine.calls):
            raise KeyboardInterrupt

    chosen = make_plan("ladder", sizes="8,24")
    result = start(chosen)
    runner.run(chosen, FakeEngine(before_call=stop), SilentProgress(), result)
    before = [record["seconds"][:] for record in result["cases"] if record["M"] == 8]
    result["planned"] = True
    again = FakeEngine()
    runner.run(resume.prepare(result, CARDS, FACTS, SOURCE, None), again, SilentProgress(), result)
    assert [record["seconds"] for record in result["cases"] if record["M"] == 8][: len(before)]
    assert record_of(result, "blocked", 24)["status"] == "ok"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(interrupted=False), "was not interrupted; nothing is missing"),
        (lambda r: r["machine"].update(variant="v4"), "instruction set level was v4, is v3"),
        (lambda r: r["machine"].update(cpu={"model": "Another", "cpus": 2}), "CPU was Another, is Made-up CPU"),
        (lambda r: r["source"].update(commit="b" * 40), "commit was b+, is a+"),
        (lambda r: r["cases"][0].update(strategy="absent"), "no longer available here: absent"),
    ],
)
def test_what_cannot_go_on_is_refused(change, message):
    result = json.loads(json.dumps(start(make_plan("ladder", sizes="8"))))
    result["interrupted"] = True
    change(result)
    with pytest.raises(RequestError, match=message):
        resume.prepare(result, CARDS, FACTS, SOURCE, None)


def test_a_checkpoint_follows_every_size_and_can_be_read():
    chosen = make_plan("ladder", sizes="8,16")
    result, seen = start(chosen), []
    runner.run(
        chosen,
        FakeEngine(),
        SilentProgress(),
        result,
        checkpoint=lambda: seen.append(schema.parse(schema.to_json(result), "run.json")),
    )
    done = [sum(record["status"] == "ok" for record in part["cases"]) for part in seen]
    assert done == [0, 7, 14]


# -- joules of a study --


def test_a_trace_has_its_idle_and_hot_stretches():
    def point(t_s, watts):
        return SimpleNamespace(t_s=t_s, watts=watts)

    def traced(calls, *, meter, flops, max_seconds, trace):
        assert trace
        quantity = SimpleNamespace(value=2.0, u=0.1)
        one = SimpleNamespace(net=quantity, time=quantity, power=quantity, calls=7)
        comparison = SimpleNamespace(trace={"(idle)": [point(1, 5.0), point(2, 5.0)]}, __getitem__=None)
        for i, name in enumerate(calls):
            comparison.trace[name] = [point(10 + 2 * i, 50.0), point(11 + 2 * i, 52.0)]

        class Compared:
            trace = comparison.trace

            def __getitem__(self, name):
                return one

        return JoulesPass(dict.fromkeys(calls, 2.0), "cpu: package-0", None, Compared())

    chosen = make_plan("power", sizes="24")
    result = start(chosen)
    runner.run(chosen, FakeEngine(), SilentProgress(), result)
    meter = SimpleNamespace(selection=SimpleNamespace(missing=()))
    opened = contextlib.nullcontext(meter)
    joules.measure(chosen, FakeEngine(), SilentProgress(), result, open_meter=lambda: opened, measure_joules=traced)
    (trace,) = result["traces"]
    assert trace["study"] == "power"
    assert trace["marks"][0] == {"name": "idle", "begin_seconds": 1, "end_seconds": 2}
    assert len(trace["marks"]) == 1 + len(result["cases"])
    assert all(record["energy"]["joules_per_call_u"] == 0.1 for record in result["cases"])
    shown = render(schema.parse(schema.to_json(result), "run.json"))
    assert "idle: 5.00 W for 1.0 s" in shown
    assert re.search(r"^blocked +24 +1 +\S+ +2.00 +2.00$", shown, re.MULTILINE)


def test_energy_against_size_is_measured_at_few_of_many_sizes():
    chosen = make_plan("sizes", sizes="8,10,12,14,16,18,20,22,24")
    result = start(chosen)
    for record in result["cases"]:
        record.update(status="ok", seconds=[1.0], started_seconds=[0.0])
    found = list(joules.targets(chosen, result))
    assert [target.size.M for target in found] == [8, 12, 16, 20, 24]
    assert sum(target.seconds for target in found) == pytest.approx(joules.SECONDS_SHARE * chosen.seconds)


# -- reduced precision --


def test_the_bound_admits_rounded_operands_and_no_more():
    from frugalblas.bench.check import Problem
    from frugalblas.bounds import INPUT_ROUNDOFF

    problem = Problem(Size(8, 8, 64), 1)
    problem.solve()
    rounded = problem.A.astype(np.float16).astype(np.float32) @ problem.B.astype(np.float16).astype(np.float32)
    problem.out[...] = rounded
    assert problem.verdict("fp16").fault is None
    assert problem.verdict("fp32").fault is not None
    problem.out[3, 4] += 3 * INPUT_ROUNDOFF["fp16"] * problem.scale[3, 4]
    assert problem.verdict("fp16").fault is not None
