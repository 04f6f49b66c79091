"""The bench: what is measured, how, and what is shown, on an engine whose clock and strategies are made up."""

import itertools
import json
import os
import re
import stat
import statistics
from dataclasses import dataclass, field

import numpy as np
import pytest

from frugalblas.bench import (
    budget,
    cases,
    check,
    figures,
    findings,
    machine,
    parsing,
    plan,
    render,
    runner,
    sampling,
    schema,
)
from frugalblas.bench.cases import Case, RequestError, Size, Strategy
from frugalblas.bench.progress import SilentProgress
from frugalblas.bounds import U


@dataclass(frozen=True)
class Card:
    name: str
    kind: str = "scalar"
    course: str = "v1"
    summary: str = "a rung"
    variants: tuple[str, ...] = ("v2", "v3")
    precisions: tuple[str, ...] = ("fp32",)
    available: bool = True
    reason: str | None = None


CARDS = [
    Card("python", "interpreted", "Python", variants=()),
    Card("naive"),
    Card("blocked", "vector", "v6"),
    Card("openmp", "team", "OpenMP"),
    Card("openblas", "passthrough", "reference", variants=()),
    Card("absent", available=False, reason="no such library"),
]
SPEED = {"python": 2e4, "naive": 2e5, "blocked": 4e6, "openmp": 4e6, "openblas": 5e6}  # flops per second and thread
PEAK = 8e6
ENERGY = {
    "joules_per_call": 1.0,
    "joules_per_call_u": 0.1,
    "watts": 2.0,
    "seconds": 0.5,
    "source": "made up",
    "calls": 3,
}
TRACE = {"study": "power", "source": "made up", "seconds": [1.0], "watts": [], "marks": []}
FACTS = {"cpu": {"model": "Made-up CPU", "cpus": 2}, "variant": "v3", "version": "0", "numpy": "2", "python": "3"}


@dataclass
class FakeEngine:
    """A machine whose clock moves only when something runs on it."""

    spoiled: dict[str, object] = field(
        default_factory=dict
    )  # strategy -> how its result is spoiled, from which call on
    slow_down: float = 1.0
    cache_edge: int = 10**9  # wider products of `naive` are 8 times as slow
    now: int = 10**9
    calls: list[tuple[str, int, Size]] = field(default_factory=list)
    slept: float = 0.0
    before_call: object = None

    def now_ns(self):
        return self.now

    def sleep(self, seconds):
        self.slept += seconds
        self.now += int(seconds * 1e9)

    def empty(self, shape):
        return np.empty(shape, dtype=np.float32)

    def sweep(self, what, threads):
        self.now += 10**7
        return 1e8 * threads * (3 if what == "triad" else 1)

    def bind(self, case, A, B, out):
        size = Size(A.shape[0], B.shape[1], A.shape[1])
        name = str(case.strategy)

        def call():
            if self.before_call is not None:
                self.before_call(self, name)
            self.calls.append((name, case.threads, size))
            np.matmul(A, B, out=out)
            if name in self.spoiled:
                self.spoiled[name](self, out)
            speed = SPEED[case.strategy.name] * case.threads / self.slow_down
            if case.strategy.name == "naive" and self.cache_edge < size.N:
                speed /= 8
            self.now += round(size.flops / speed * 1e9) + 1

        return call

    def burst(self, threads, steps):
        self.calls.append(("peak", threads, None))
        self.now += round(steps / PEAK * self.slow_down * 1e9)
        return float(steps * threads)


def make_plan(sizes="16,32", algo=None, threads=None, seconds=1000.0, all_cpus=2, **options):
    strategies = parsing.parse_strategies(algo, CARDS)
    chosen = cases.build_cases(strategies, CARDS, parsing.parse_sizes(sizes), threads, all_cpus)
    return plan.Plan(cards=CARDS, cases=chosen, seconds=seconds, seed=1, threads=threads, **options)


def measure(engine=None, **options):
    chosen = make_plan(**options)
    result = plan.blank_result(chosen, FACTS, {"commit": None, "modified": None})
    runner.run(chosen, engine or FakeEngine(), SilentProgress(), result)
    return result


def record_of(result, strategy, size=None, threads=1):
    found = [
        record
        for record in result["cases"]
        if figures.label_of(record) == strategy
        and record["threads"] == threads
        and (size is None or figures.size_of(record) == Size(size, size, size))
    ]
    assert len(found) == 1, (strategy, size, threads, len(found))
    return found[0]


# -- what is asked for --


def test_sizes_are_sorted_and_each_taken_once():
    assert parsing.parse_sizes("512, 16x4096x2,128,512") == [
        Size(16, 4096, 2),
        Size(128, 128, 128),
        Size(512, 512, 512),
    ]


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "12x", "12x13", "1x2x3x4", "12x0x5", "1e3", "a", "128,,512", "²"]
)
def test_bad_sizes_are_named(text):
    with pytest.raises(RequestError, match=r"--sizes: .* is not a size; expected N or MxNxK"):
        parsing.parse_sizes(text)


@pytest.mark.parametrize("text", ["", "0", "-2", "1.0", "two", "1,,2"])
def test_bad_threads_are_named(text):
    with pytest.raises(RequestError, match=r"--threads: .* is not a thread count"):
        parsing.parse_threads(text)


def test_strategies_come_in_course_order_with_their_variants():
    found = parsing.parse_strategies("openblas, blocked@v3,naive,blocked@v2,naive", CARDS)
    assert [str(s) for s in found] == ["naive", "blocked@v3", "blocked@v2", "openblas"]
    assert [s.name for s in parsing.parse_strategies("all", CARDS)] == [c.name for c in CARDS if c.available]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blockd", "no strategy is called 'blockd' .did you mean blocked.*python, naive"),
        ("blocked@v33", "blocked has no variant 'v33' .did you mean v3.*v2, v3"),
        ("python@v3", "it has no variants"),
        ("absent", "absent cannot run here: no such library"),
        ("", "no strategy is called ''"),
    ],
)
def test_bad_strategies_are_named_with_the_nearest(text, message):
    with pytest.raises(RequestError, match=message):
        parsing.parse_strategies(text, CARDS)


def test_default_threads_are_one_and_all_cpus_where_threads_cooperate():
    counts = {}
    for case in make_plan(sizes="16", all_cpus=4).cases:
        counts.setdefault(case.strategy.name, []).append(case.threads)
    assert counts == {"python": [1], "naive": [1], "blocked": [1], "openmp": [1, 4], "openblas": [1, 4]}


def test_asked_threads_go_to_every_strategy_that_honours_them():
    counts = {(case.strategy.name, case.threads) for case in make_plan(sizes="16", threads=[2, 3]).cases}
    assert counts == set(itertools.product(["naive", "blocked", "openmp", "openblas"], [2, 3]))
    with pytest.raises(RequestError, match="python can only run on 1 thread"):
        make_plan(algo="python", threads=[2])


# -- prediction and budget --


def test_prediction_scales_with_flops_from_the_nearest_smaller_size():
    predictor = budget.Predictor()
    assert predictor.seconds(("naive", 1), 100) == 0.0
    predictor.learn(("naive", 1), 100, 1.0)
    predictor.learn(("naive", 1), 1000, 20.0)
    assert predictor.seconds(("naive", 1), 500) == pytest.approx(5.0)
    assert predictor.seconds(("naive", 1), 4000) == pytest.approx(80.0)
    assert predictor.seconds(("naive", 1), 50) == pytest.approx(0.5)
    assert predictor.seconds(("naive", 2), 4000) == 0.0


def test_a_strategy_too_slow_for_a_size_is_skipped_there_and_only_there():
    result = measure(sizes="16,32", seconds=12.0)  # python: 3.28 s a call at 32, 3 calls at the least
    assert record_of(result, "python", 16)["status"] == "ok"
    skipped = record_of(result, "python", 32)
    assert skipped["status"] == "skipped"
    assert skipped["seconds"] == []
    assert skipped["predicted_seconds"] == pytest.approx(2 * 32**3 / SPEED["python"], rel=0.01)
    assert record_of(result, "naive", 32)["status"] == "ok"
    assert "skipped, too long: python at 32 (predicted 3.28 s a call)" in render(result)


def test_a_skipped_strategy_never_runs_at_that_size():
    engine = FakeEngine()
    measure(engine, sizes="16,32,64", seconds=12.0)
    assert ("python", 1, Size(64, 64, 64)) not in engine.calls
    assert ("blocked", 1, Size(64, 64, 64)) in engine.calls


def test_long_calls_are_predicted_from_rows_of_the_real_size():
    """A strategy that is slower at large sizes than small ones foretell is found out before it runs there."""
    engine = FakeEngine(cache_edge=64)  # 8 times as slow beyond
    result = measure(engine, sizes="128", algo="naive,openblas", seconds=100.0)
    assert record_of(result, "naive")["status"] == "skipped"  # 168 s a call, not the 21 s that 64 foretells
    assert record_of(result, "naive")["predicted_seconds"] == pytest.approx(8 * 2 * 128**3 / SPEED["naive"], rel=0.02)
    assert ("naive", 1, Size(128, 128, 128)) not in engine.calls


@pytest.mark.parametrize("seconds", [5.0, 20.0, 60.0])
def test_the_budget_is_honoured(seconds):
    engine = FakeEngine()
    result = measure(engine, sizes="4,8,16,32,64", seconds=seconds, sizes_may_shrink=True)
    assert result["elapsed_seconds"] <= seconds * 1.05
    assert any(record["status"] == "ok" for record in result["cases"])


def test_a_case_that_turns_out_too_slow_is_dropped_within_the_budget():
    engine = FakeEngine()
    large = Size(28, 28, 28)  # 0.22 s: too short to be tried on some rows first

    def throttle(_, name):
        probed = ("naive", 1, large) in engine.calls  # at its true speed
        engine.slow_down = 20.0 if name == "naive" and probed else 1.0

    engine.before_call = throttle
    result = measure(engine, sizes="28", algo="naive,blocked", seconds=10.0)
    record = record_of(result, "naive", 28)
    assert record["status"] == "skipped"
    assert record["note"].startswith("took 4.39 s")
    assert record_of(result, "blocked", 28)["status"] == "ok"


def test_an_impossible_budget_is_refused_with_an_estimate_before_any_case_runs():
    engine = FakeEngine()
    with pytest.raises(
        RequestError, match=r"--seconds: 20 is too little.*even the fastest at 700 needs about \d+\.\d s"
    ):
        measure(engine, sizes="700", algo="naive", seconds=20.0)
    assert not any(size == Size(700, 700, 700) for _, _, size in engine.calls)


def test_default_sizes_are_left_out_instead_of_refused():
    result = measure(sizes="16,700", algo="naive", seconds=20.0, sizes_may_shrink=True)
    assert [figures.size_of(record) for record in result["cases"]] == [Size(16, 16, 16)]
    assert "700 left out" in render(result)


def test_sizes_beyond_memory_are_refused():
    with pytest.raises(RequestError, match=r"--sizes: 100000 needs .* GiB .* 1.0 GiB of memory is free"):
        measure(sizes="100000", memory_bytes=2**30)


def test_fast_cases_get_more_samples_and_slow_ones_the_fewest():
    counts = budget.samples_per_case([0.01, 0.5, 100.0], 300.0, 0.1)
    assert counts == [budget.MAX_SAMPLES, budget.MAX_SAMPLES, budget.MIN_SAMPLES]
    assert budget.samples_per_case([1.0, 1.0], 10.0, 0.0) == [5, 5]
    assert budget.samples_per_case([1.0, 0.01], 0.0, 0.1) == [budget.MIN_SAMPLES, 10]


def test_equal_counts_interleave_round_robin_and_unequal_ones_evenly():
    assert budget.interleave([3, 3, 3]) == [0, 1, 2] * 3
    order = budget.interleave([2, 8])
    assert order.count(0) == 2
    assert [sum(1 for i in part if i == 0) for part in (order[:5], order[5:])] == [1, 1]


def test_samples_are_taken_in_rounds_with_the_peak_in_each():
    engine = FakeEngine()
    result = measure(engine, sizes="16", algo="naive,blocked,openblas", threads=[1], seconds=1000.0)
    starts = [
        (start, name)
        for name in ("naive", "blocked", "openblas")
        for start in record_of(result, name)["started_seconds"]
    ]
    starts += [(start, "peak") for start in result["peaks"][0]["started_seconds"]]
    names = [name for _, name in sorted(starts)]
    assert names == ["peak", "naive", "blocked", "openblas"] * budget.MAX_SAMPLES


def test_a_sample_of_a_tiny_product_is_long_enough_for_the_clock():
    result = measure(sizes="16", algo="blocked")
    record = record_of(result, "blocked")
    assert record["calls_per_sample"] > 1
    assert all(s * record["calls_per_sample"] >= 0.95 * sampling.SAMPLE_SECONDS for s in record["seconds"])
    assert record["seconds"] == pytest.approx([2 * 16**3 / SPEED["blocked"]] * len(record["seconds"]), rel=0.01)


def test_a_pause_follows_a_team():
    alone, team = FakeEngine(), FakeEngine()
    measure(alone, sizes="16", algo="openmp,openblas", threads=[1])
    measure(team, sizes="16", algo="openmp,openblas", threads=[2])
    assert team.slept > alone.slept + 10 * sampling.PAUSE_SECONDS


# -- checking --


def lose_last_column(engine, out):
    out[:, -1] = 0


def one_nan(engine, out):
    out[0, 0] = np.nan


def stale(engine, out):
    out[...] = np.nan


def slightly_wrong(engine, out):
    out[-1, -1] *= np.float32(1 + 2**-10)


@pytest.mark.parametrize("spoil", [lose_last_column, one_nan, stale, slightly_wrong])
def test_a_wrong_result_is_reported_and_never_timed(spoil):
    result = measure(FakeEngine(spoiled={"blocked": spoil}), sizes="24", algo="naive,blocked,openblas")
    record = record_of(result, "blocked")
    assert record["status"] == "wrong"
    assert record["seconds"] == record["started_seconds"] == []
    assert "expected" in record["note"]
    assert record_of(result, "naive")["status"] == "ok"
    shown = render(result)
    assert "WRONG: blocked at 24: C[" in shown
    assert not re.search(r"^blocked ", shown, re.MULTILINE)
    json.dumps(result, allow_nan=False)


def test_a_strategy_that_goes_wrong_while_it_is_timed_is_caught():
    def later(engine, out):
        if len(engine.calls) > 45:
            out[0, 0] += 1

    result = measure(FakeEngine(spoiled={"blocked": later}), sizes="24", algo="blocked,openblas")
    record = record_of(result, "blocked")
    assert record["status"] == "wrong"
    assert record["seconds"] == []
    assert "wrong after it was timed" in record["note"]


def test_a_strategy_that_writes_nothing_any_more_is_caught():
    """The shared result still holds its neighbour's product, which must not pass for its own."""
    engine = FakeEngine()
    original = engine.bind

    def bind(case, A, B, out):
        call = original(case, A, B, out)
        if case.strategy.name != "blocked":
            return call

        def lazy():
            kept = out.copy()
            call()
            if len(engine.calls) > 45:
                out[...] = kept

        return lazy

    engine.bind = bind
    assert record_of(measure(engine, sizes="24", algo="blocked,openblas"), "blocked")["status"] == "wrong"


def test_a_strategy_that_never_writes_is_caught():
    """It comes after one that is right, on the same result."""
    engine = FakeEngine()
    original = engine.bind

    def bind(case, A, B, out):
        target = np.empty_like(out) if case.strategy.name == "openblas" else out
        return original(case, A, B, target)

    engine.bind = bind
    result = measure(engine, sizes="24", algo="blocked,openblas")
    assert record_of(result, "blocked")["status"] == "ok"
    assert record_of(result, "openblas")["status"] == "wrong"
    assert " is nan, expected" in record_of(result, "openblas")["note"]
    assert "after it was timed" not in record_of(result, "openblas")["note"]


@pytest.mark.parametrize("when", [0, 60])
def test_a_strategy_that_raises_is_reported_and_the_others_go_on(when):
    def explode(engine, name):
        if name == "blocked" and len(engine.calls) >= when:
            raise RuntimeError("no way")

    result = measure(FakeEngine(before_call=explode), sizes="20,24", algo="blocked,openblas")
    assert record_of(result, "blocked", 24)["status"] == "failed"
    assert record_of(result, "blocked", 24)["seconds"] == []
    assert record_of(result, "openblas", 24)["status"] == "ok"
    assert "FAILED: blocked at 24: RuntimeError: no way" in render(result)


def test_the_verdict_is_the_error_bound_and_the_error_is_in_u():
    problem = check.Problem(Size(5, 7, 300), 0)
    problem.solve()
    problem.out[...] = problem.exact
    assert problem.verdict().error_u <= 1  # one rounding of |C| <= |A||B|
    allowed = 300 * U / (1 - 300 * U) * problem.scale[2, 3]
    problem.out[2, 3] = problem.exact[2, 3] + 0.99 * allowed
    inside = problem.verdict()
    assert inside.fault is None
    assert inside.error_u == pytest.approx(0.99 * 300, rel=0.01)
    problem.out[2, 3] = problem.exact[2, 3] + 1.01 * allowed
    assert problem.verdict().fault.startswith("C[2,3] is ")


def test_a_problem_is_drawn_from_its_seed_and_its_shape_alone():
    size = Size(4, 5, 6)
    assert np.array_equal(check.Problem(size, 3).A, check.Problem(size, 3).A)
    assert not np.array_equal(check.Problem(size, 3).A, check.Problem(size, 4).A)
    assert np.isnan(check.Problem(size, 3).out).all()


def test_rows_beyond_the_first_panel_are_checked():
    problem = check.Problem(Size(check.ROWS_AT_ONCE + 3, 2, 2), 0)
    problem.solve()
    problem.out[...] = problem.exact
    problem.out[-1, -1] = np.nan
    assert problem.verdict().fault.startswith(f"C[{check.ROWS_AT_ONCE + 2},1] is nan")


# -- interruption --


@pytest.mark.parametrize("at_call", [1, 40, 150])
def test_ctrl_c_keeps_what_was_measured(at_call):
    def interrupt(engine, name):
        if len(engine.calls) >= at_call:
            raise KeyboardInterrupt

    result = measure(FakeEngine(before_call=interrupt), sizes="8,24")
    assert result["interrupted"]
    assert result["elapsed_seconds"] > 0
    again = schema.validate(json.loads(schema.to_json(result)))
    shown = render(again)
    done = [record for record in result["cases"] if record["status"] == "ok"]
    if at_call == 150:
        assert done
        assert "cases were not reached" in shown
    if not done:
        assert "Interrupted before the first measurement." in shown


# -- figures --


def with_samples(**seconds):
    """A result with the given samples for ``name_threads`` at 24, all cases sampled in turn."""
    result = plan.blank_result(make_plan(sizes="24"), FACTS, {"commit": None, "modified": None})
    for i, (key, samples) in enumerate(seconds.items()):
        name, _, threads = key.partition("_")
        record = record_of(result, name, threads=int(threads or 1))
        record.update(
            status="ok", error_u=1.5, seconds=samples, started_seconds=[10.0 * k + i for k in range(len(samples))]
        )
    return result


def test_median_and_spread_are_of_the_samples():
    result = with_samples(naive=[1.0, 2.0, 3.0, 4.0, 100.0])
    row = figures.rows(result, Size(24, 24, 24))[0]
    assert row.seconds == 3.0
    assert row.gflops == pytest.approx(2 * 24**3 / 3.0 / 1e9)
    assert row.spread == pytest.approx((4.0 - 2.0) / 3.0)
    assert figures.spread([1.0]) is None


def test_ratios_are_of_neighbours_in_time():
    """The machine slows down tenfold halfway: the ratio of neighbours does not notice."""
    result = with_samples(blocked=[1.0, 1.0, 10.0, 10.0, 10.0], openblas=[2.0, 2.0, 20.0, 20.0, 20.0])
    row = figures.rows(result, Size(24, 24, 24))[0]
    assert row.openblas_share == pytest.approx(2.0)
    lopsided = with_samples(blocked=[1.0, 1.0, 10.0], openblas=[2.0, 2.0, 20.0, 20.0, 20.0])
    assert figures.rows(lopsided, Size(24, 24, 24))[0].openblas_share == pytest.approx(2.0)


def test_the_nearest_sample_may_be_the_next_one():
    result = with_samples(blocked=[1.0], openblas=[2.0, 8.0])
    record_of(result, "blocked")["started_seconds"] = [9.0]
    record_of(result, "openblas")["started_seconds"] = [0.0, 10.0]
    assert figures.rows(result, Size(24, 24, 24))[0].openblas_share == pytest.approx(8.0)
    record_of(result, "blocked")["started_seconds"] = [4.0]
    assert figures.rows(result, Size(24, 24, 24))[0].openblas_share == pytest.approx(2.0)


def test_references_are_not_compared_with_each_other():
    result = with_samples(openmp=[1.0] * 3, openblas=[2.0] * 3)
    next(card for card in result["strategies"] if card["name"] == "openmp")["kind"] = "passthrough"
    assert [row.step for row in figures.rows(result, Size(24, 24, 24))] == [None, None]


def test_the_rung_before_is_on_the_same_ladder_with_as_many_threads():
    one = [1.0] * 3
    result = with_samples(
        python=one, naive=[0.5] * 3, blocked=[0.1] * 3, openmp=[0.1] * 3, openmp_2=[0.05] * 3, openblas=one
    )
    steps = {(row.strategy, row.threads): row.step for row in figures.rows(result, Size(24, 24, 24))}
    assert steps[("python", 1)] is None
    assert steps[("naive", 1)] is None  # the first compiled rung
    assert steps[("blocked", 1)] == pytest.approx(5)
    assert steps[("openmp", 2)] == pytest.approx(2)  # blocked has run on one thread only
    assert steps[("openblas", 1)] is None  # a reference, not a rung


def test_shares_of_openblas_compare_equal_thread_counts():
    result = with_samples(openmp=[1.0] * 3, openmp_2=[0.5] * 3, openblas=[2.0] * 3, openblas_2=[0.4] * 3)
    shares = {(row.strategy, row.threads): row.openblas_share for row in figures.rows(result, Size(24, 24, 24))}
    assert shares[("openmp", 1)] == pytest.approx(2)
    assert shares[("openmp", 2)] == pytest.approx(0.8)


def test_share_of_peak_is_of_the_peak_on_as_many_threads():
    result = measure(sizes="24", algo="openmp,openblas")
    rows = {(row.strategy, row.threads): row for row in figures.rows(result, Size(24, 24, 24))}
    assert rows[("openmp", 1)].peak_share == pytest.approx(SPEED["openmp"] / PEAK, rel=0.01)
    assert rows[("openmp", 2)].peak_share == pytest.approx(SPEED["openmp"] / PEAK, rel=0.01)


def test_findings_are_computed_from_the_samples():
    result = with_samples(
        python=[40.0] * 3,
        naive=[6.1] * 3,
        blocked=[0.1] * 3,
        openmp=[0.1] * 3,
        openmp_2=[0.05] * 3,
        openblas=[0.08] * 3,
    )
    assert findings.findings(result, "ladder") == [
        "At 24, on one thread, blocked is 61x naive and 80 % of OpenBLAS.",
        "openmp on 2 threads is 2x itself on one.",
        "At 24, naive is 6.6x python.",
    ]
    assert findings.findings(with_samples(), "ladder") == []


def test_the_main_table_is_of_the_largest_size_with_the_whole_ladder():
    result = measure(sizes="8,16,32", seconds=20.0)
    assert record_of(result, "naive", 32)["status"] == "ok"
    assert figures.main_size(result) == Size(32, 32, 32)
    record_of(result, "naive", 32).update(status="skipped", seconds=[], started_seconds=[])
    assert figures.main_size(result) == Size(16, 16, 16)


# -- the table and the JSON agree --


def shown_number(cell):
    return float(cell.rstrip("%x")) / (100 if cell.endswith("%") else 1)


@pytest.mark.parametrize("width", [80, 120])
def test_every_number_of_the_table_follows_from_the_json(width):
    drift = iter(itertools.cycle([1.0, 1.03, 0.98, 1.1]))
    engine = FakeEngine()
    engine.before_call = lambda e, _: setattr(e, "slow_down", next(drift))
    document = json.loads(schema.to_json(measure(engine, sizes="24")))
    lines = render(schema.validate(document), width).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("---"))
    table = [line.split() for line in itertools.takewhile(bool, lines[start + 1 :])]
    timed = [record for record in document["cases"] if record["status"] == "ok"]
    assert [(cells[0], int(cells[2])) for cells in table] == [(r["strategy"], r["threads"]) for r in timed]
    for cells, record in zip(table, timed, strict=True):
        seconds = record["seconds"]
        quartiles = statistics.quantiles(seconds, n=4, method="inclusive")
        median = statistics.median(seconds)
        assert shown_number(cells[3]) == pytest.approx(2 * 24**3 / median / 1e9, rel=5e-3)
        assert shown_number(cells[4]) == pytest.approx((quartiles[2] - quartiles[0]) / median, rel=0.06, abs=6e-5)
        assert shown_number(cells[8]) == pytest.approx(record["error_u"], rel=5e-3)
        assert cells[9] == "–"  # no joules
        if record["strategy"] == "openblas":
            assert cells[6] == "100%"
        if width == 120:
            assert shown_number(cells[11]) == pytest.approx(median, rel=5e-3)
            assert int(cells[12]) == len(seconds)


def test_by_size_shows_every_size_and_every_timed_strategy():
    result = measure(sizes="16,24")
    shown = render(result)
    cells = re.search(r"^naive +(\S+) +(\S+)$", shown, re.MULTILINE).groups()
    for cell, size in zip(cells, (16, 24), strict=True):
        assert float(cell) == pytest.approx(figures.gflops(record_of(result, "naive", size)), rel=5e-3)


@pytest.mark.parametrize("sizes", ["16", "16,17,18,19,20,21,22,23,24,25,26,27", "100x200x3,16x409x2,7x11x1234"])
@pytest.mark.parametrize("algo", [None, "naive@v3,blocked@v2,openmp"])
def test_the_page_fits_in_80_columns(sizes, algo):
    result = measure(sizes=sizes, algo=algo, seconds=1e4)
    assert max(map(len, render(result, 80).splitlines())) <= 80
    assert max(map(len, render(result, 40).splitlines())) <= 80
    assert max(map(len, render(result, 120).splitlines())) <= 120
    assert "samples" in render(result, 120).split("\n\n")[1]


def test_a_long_name_gets_a_line_of_its_own():
    result = measure(sizes="16", algo="naive")
    result["cases"][0]["variant"] = "O3_native_fastmath_unroll"
    lines = render(result).splitlines()
    at = lines.index("naive@O3_native_fastmath_unroll")
    assert lines[at + 1].split()[0] == "v1"
    assert max(map(len, lines)) <= 80


def test_why_there_are_no_joules_is_said_once():
    assert render(measure()).count("joules: not measured yet") == 1


def test_unavailable_strategies_are_listed_with_the_reason():
    assert "not here: absent: no such library" in render(measure())


def test_a_noisy_run_says_so():
    assert "noisy" not in render(measure(sizes="24"))
    result = with_samples(naive=[1.0, 2.0, 3.0, 4.0])
    assert "noisy" in render(result)


# -- files --


def test_a_result_survives_its_file(tmp_path):
    result = measure()
    path = tmp_path / "run.json"
    schema.Destination(str(path)).write(schema.to_json(result))
    again = schema.read(str(path))
    assert again == result
    assert render(again) == render(result)
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r.update(schema="frugalblas.bench/2"),
            "its schema is 'frugalblas.bench/2'.*reads 'frugalblas.bench/1'",
        ),
        (lambda r: r.pop("schema"), 'no "schema" field'),
        (lambda r: r.pop("machine"), "field 'machine' is missing"),
        (lambda r: r["cases"][0].pop("seconds"), r"result.cases\[0\]: field 'seconds' is missing"),
        (lambda r: r["cases"][0]["seconds"].append("fast"), r"cases\[0\].seconds\[\d+\]: 'fast' is not a number"),
        (lambda r: r["cases"][0]["seconds"].append(1.0), r"cases\[0\]: \d+ seconds but \d+ start times"),
        (lambda r: r["cases"][0]["seconds"].__setitem__(0, 0.0), r"cases\[0\].seconds: every sample must be above 0"),
        (lambda r: r["cases"][0].update(status="fine"), r"cases\[0\].status: 'fine' is none of ok, wrong"),
        (lambda r: r["cases"][0].update(strategy="mine"), r"cases\[0\].strategy: 'mine' is not among"),
        (lambda r: r["cases"][0].update(M=0), r"cases\[0\]: M, N, K and threads must be 1 or more"),
        (lambda r: r["cases"][0].update(M=True), r"cases\[0\].M: True is not a int"),
        (lambda r: r["cases"][0].update(seconds=[], started_seconds=[]), r"cases\[0\]: status 'ok' with 0 samples"),
        (lambda r: r["cases"][0].update(error_u=float("nan")), r"error_u: nan is not a number"),
        (lambda r: r.update(cases={}), "result.cases: {} is not a list"),
        (lambda r: r["cases"].append(r["cases"][0]), r"cases\[\d+\] is the same case as result.cases\[0\]"),
        (lambda r: r["cases"][0].update(study="mine"), r"cases\[0\].study: 'mine' is not among result.studies"),
        (lambda r: r["cases"][0].update(parameters=[]), r"cases\[0\].parameters: \[\] is not a dict"),
        (lambda r: r["cases"][0].update(energy=ENERGY), r"cases\[0\]: joules_per_call is not that of its energy"),
        (lambda r: r.update(traces=[TRACE]), r"traces\[0\]: 1 times but 0 powers"),
    ],
)
def test_a_result_that_is_not_one_is_refused_with_the_reason(change, message, tmp_path):
    document = json.loads(schema.to_json(measure()))
    change(document)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    with pytest.raises(schema.BadResult, match=message):
        schema.read(str(path))


def test_fields_of_a_later_version_are_named_and_ignored(tmp_path):
    document = json.loads(schema.to_json(measure()))
    document["weather"] = "fine"
    document["cases"][1]["mood"] = 1
    del document[schema.CHECKSUM]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    with pytest.warns(schema.ResultWarning, match=r"does not know it: result.weather, result.cases\[\].mood"):
        assert schema.read(str(path))["cases"][1]["strategy"]


def test_an_edited_file_is_read_with_a_warning_and_one_laid_out_anew_without(tmp_path):
    document = json.loads(schema.to_json(measure()))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(dict(reversed(document.items()))))
    assert schema.read(str(path))["cases"]
    document["cases"][0]["seconds"][0] /= 2
    path.write_text(json.dumps(document))
    with pytest.warns(schema.ResultWarning, match="edited after it was written"):
        assert schema.read(str(path))["cases"]


def test_a_file_from_before_there_were_studies_is_read(tmp_path):
    document = json.loads(schema.to_json(measure()))
    del document[schema.CHECKSUM]
    document.pop("studies", None)
    for case in document["cases"]:
        for field_of_today in set(case) - schema.CaseRecord.__required_keys__:
            del case[field_of_today]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    assert schema.study_of(schema.read(str(path))["cases"][0]) == "ladder"


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\xff", '{"schema": 1}'])
def test_what_is_no_result_at_all_is_refused(text, tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(schema.BadResult):
        schema.read(str(path))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(part, tmp_path):
    text = schema.to_json(measure())
    path = tmp_path / "run.json"
    path.write_text(text[: int(len(text) * part)])
    with pytest.raises(schema.BadResult, match="not complete JSON"):
        schema.read(str(path))


def test_a_failed_write_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text("earlier")
    destination = schema.Destination(str(path))
    assert path.read_text() == "earlier"

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        destination.write("later")
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_link_and_a_file_mode_are_kept(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("earlier")
    real.chmod(0o640)
    link.symlink_to(real)
    schema.Destination(str(link)).write("later")
    assert link.is_symlink()
    assert real.read_text() == "later"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """A pipe stands for every device: a fault must not cost whoever runs the tests as root their /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        schema.Destination(str(path)).write("text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


# -- machine --


def test_the_commit_is_only_of_a_checkout_that_tracks_the_file(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("")
    assert machine.source_commit(str(file)) == {"commit": None, "modified": None}


def test_every_case_prints_what_it_is():
    assert str(Case(Strategy("blocked", "v3"), "vector", Size(2, 3, 4), 2)) == "blocked@v3 on 2 threads at 2x3x4"
