"""Runs a plan: predicts, verifies, times, and fills the result in as it goes, so that an interruption loses nothing."""

from __future__ import annotations

from . import text
from .budget import CLAIM_SHARE, MIN_SAMPLES, Predictor, admit, least_seconds, share_of_size
from .cases import Case, RequestError, Size
from .check import Problem, bytes_needed
from .engine import Engine
from .plan import Plan
from .progress import Progress
from .sampling import Sampler, Trial, calls_per_sample, discard, peak_trial, skip, timed
from .schema import CaseRecord, Result

PROBE_EDGES = (16, 32, 64, 128, 256, 512)  # cubes on which every strategy first runs: compiles, warms up, is timed
PROBE_SECONDS = 0.02  # a call this long, and well longer than the cube before, predicts larger ones
LONG_SECONDS = 0.25  # a call predicted to take longer is predicted again, from some rows of the real size
SLAB_SECONDS = 0.1  # what those rows may take
REFERENCE = ("float64 reference", 0)


def run(plan: Plan, engine: Engine, progress: Progress, result: Result) -> None:
    """Fill `result`, blank as `plan.blank_result` makes it.

    Raises RequestError, with an estimate, before the first measurement if the plan cannot be carried out. After
    Ctrl-C, and after an exception of the engine's own, the result holds what was measured so far.
    """
    runner = _Runner(plan, engine, progress, result)
    try:
        runner.refuse_too_large()
        runner.probe()
        runner.fit_sizes()
        for size in runner.sizes():
            runner.run_size(size)
    except KeyboardInterrupt:
        result["interrupted"] = True
    finally:
        progress.close()
        result["elapsed_seconds"] = runner.elapsed_seconds()


class _Runner:
    def __init__(self, plan: Plan, engine: Engine, progress: Progress, result: Result) -> None:
        self._plan = plan
        self._engine = engine
        self._progress = progress
        self._result = result
        self._began_ns = engine.now_ns()
        self._predictor = Predictor()
        self._cases: list[tuple[Case, CaseRecord]] = list(zip(plan.cases, result["cases"], strict=True))

    def sizes(self) -> list[Size]:
        return list(dict.fromkeys(case.size for case, _ in self._cases))

    def elapsed_seconds(self) -> float:
        return (self._engine.now_ns() - self._began_ns) / 1e9

    # -- before the first measurement --

    def refuse_too_large(self) -> None:
        for size in self.sizes():
            needed, available = bytes_needed(size), self._plan.memory_bytes
            if available is not None and needed > available:
                raise RequestError(
                    f"--sizes: {size} needs {needed / 2**30:.1f} GiB for the matrices and their float64 "
                    f"reference; {available / 2**30:.1f} GiB of memory is free"
                )

    def probe(self) -> None:
        """Run every strategy on small cubes: compile, warm up, and learn how fast it is."""
        rungs = {case.rung: case for case, _ in reversed(self._cases)}
        self._progress.begin(f"trying {text.count(len(rungs), 'strategy', 'strategies')} on small matrices", 0.0)
        for rung, case in reversed(rungs.items()):
            self._progress.advance(str(case.strategy), 0.0)
            try:
                self._probe_rung(case)
            except Exception as error:  # whatever a strategy raises is a finding about that strategy
                for other, record in self._cases:
                    if other.rung == rung:
                        discard(record, "failed", f"{type(error).__name__}: {error}")
        problem = Problem(self.sizes()[-1].clipped(PROBE_EDGES[-1] * 2), self._plan.seed)
        problem.solve()
        self._predictor.learn(REFERENCE, problem.size.flops, timed(self._engine, problem.solve)[1])

    def _probe_rung(self, case: Case) -> None:
        """Time a strategy on growing cubes until the flops decide, and no longer the start of a call or of a team."""
        before = 0.0
        for edge in PROBE_EDGES:
            problem = Problem(self.sizes()[-1].clipped(edge), self._plan.seed)
            call = self._engine.bind(case, problem.A, problem.B, problem.out)
            if edge == PROBE_EDGES[0]:
                call()  # compiles, loads, starts threads
            _, seconds = timed(self._engine, call)
            self._predictor.learn(case.rung, problem.size.flops, seconds)
            grown = before > 0 and seconds > 2 * before
            if problem.size == self.sizes()[-1] or (seconds >= PROBE_SECONDS and grown) or seconds >= LONG_SECONDS:
                break
            before = seconds

    def fit_sizes(self) -> None:
        """Refuse sizes at which the budget allows nothing at all; default sizes are left out instead."""
        sizes, tried_seconds = self.sizes(), self.elapsed_seconds()
        left = self._plan.seconds - tried_seconds
        while (needed := sum(map(self._cheapest, sizes))) > left:
            if not self._plan.sizes_may_shrink or len(sizes) == 1:
                names = ", ".join(str(size) for size in sizes)
                raise RequestError(
                    f"--seconds: {self._plan.seconds:g} is too little. Trying every strategy on small matrices took "
                    f"{tried_seconds:.1f} s; checking and timing even the fastest at {names} needs "
                    f"about {needed:.1f} s"
                )
            self._result["notes"].append(
                f"{sizes[-1]} left out: even the fastest strategy needs about "
                f"{self._cheapest(sizes[-1]):.1f} s there; the budget is "
                f"{self._plan.seconds:g} s"
            )
            sizes.pop()
        self._cases = [(case, record) for case, record in self._cases if case.size in sizes]
        self._result["cases"] = [record for _, record in self._cases]

    def _cheapest(self, size: Size) -> float:
        return self._reference_seconds(size) + min((self._least(case) for case, _ in self._of(size)), default=0.0)

    def _least(self, case: Case) -> float:
        return least_seconds(self._predictor.seconds(case.rung, case.size.flops))

    def _reference_seconds(self, size: Size) -> float:
        return self._predictor.seconds(REFERENCE, size.flops)

    def _of(self, size: Size) -> list[tuple[Case, CaseRecord]]:
        """The cases of one size that have not failed."""
        return [(case, record) for case, record in self._cases if case.size == size and record["status"] != "failed"]

    # -- one size --

    def run_size(self, size: Size) -> None:
        to_come = self.sizes()[self.sizes().index(size) :]
        left = self._plan.seconds - self.elapsed_seconds()
        budget_seconds = max(left, 0.0) * share_of_size(size, to_come)
        deadline_ns = self._engine.now_ns() + int(budget_seconds * 1e9)
        phase = f"{size} ({len(self.sizes()) - len(to_come) + 1} of {len(self.sizes())})"
        problem = Problem(size, self._plan.seed)
        admitted = self._admitted(problem, budget_seconds)
        if not admitted:
            return
        expected = [record["predicted_seconds"] or 0.0 for _, record in admitted]
        self._progress.begin(
            f"{phase}: checking {text.count(len(admitted), 'case', 'cases')}",
            sum(expected) + self._reference_seconds(size),
        )
        self._progress.advance("float64 reference", self._reference_seconds(size))
        self._predictor.learn(REFERENCE, size.flops, timed(self._engine, problem.solve)[1])
        trials = [trial for case, record in admitted if (trial := self._verify(case, record, problem)) is not None]
        trials = self._affordable(trials)
        if not trials:
            return
        peaks = [peak_trial(self._engine, n, size) for n in sorted({trial.threads for trial in trials})]
        self._result["peaks"] += [peak.record for peak in peaks if "flops_per_sample" in peak.record]
        Sampler(self._engine, self._progress, problem, self._began_ns).run(
            peaks + trials, deadline_ns, CLAIM_SHARE * self._plan.seconds, phase
        )

    def _admitted(self, problem: Problem, budget_seconds: float) -> list[tuple[Case, CaseRecord]]:
        """The cases that fit in this size's budget by prediction; the others are marked as skipped."""
        cases = self._of(problem.size)
        budget_seconds = max(budget_seconds - self._reference_seconds(problem.size), 0.0)
        predicted = [self._predict(case, problem, budget_seconds) for case, _ in cases]
        fits = admit([case for case, _ in cases], predicted, budget_seconds)
        for (_, record), seconds, fit in zip(cases, predicted, fits, strict=True):
            record["predicted_seconds"] = seconds
            if not fit:
                skip(record, f"predicted {text.number(seconds)} s a call")
        return [pair for pair, fit in zip(cases, fits, strict=True) if fit]

    def _affordable(self, trials: list[Trial]) -> list[Trial]:
        """Without the slowest, as long as the fewest samples of all would overrun the whole run's budget."""
        left = self._plan.seconds - self.elapsed_seconds()
        kept = sorted(trials, key=lambda trial: trial.seconds_per_sample)
        while kept and MIN_SAMPLES * sum(trial.seconds_per_sample for trial in kept) > max(left, 0.0):
            slowest = kept.pop()
            if "status" in slowest.record:
                skip(slowest.record, f"took {text.number(slowest.seconds_per_call)} s a call")
        return [trial for trial in trials if trial in kept]

    def _predict(self, case: Case, problem: Problem, budget_seconds: float) -> float:
        """From the last smaller size; for a long call, from some rows of this one: same strides, same caches."""
        size = problem.size
        seconds = self._predictor.seconds(case.rung, size.flops)
        rows, slab_seconds = 0, 0.0
        while seconds >= LONG_SECONDS and slab_seconds < SLAB_SECONDS / 2:
            before, rows = rows, min(size.M, max(case.threads, int(size.M * SLAB_SECONDS / seconds)))
            if rows in (before, size.M) or seconds * rows / size.M > budget_seconds / 20:
                break
            self._progress.advance(f"{case.strategy}: trying {rows} rows", 0.0)
            call = self._engine.bind(case, problem.A[:rows], problem.B, problem.out[:rows])
            slab_seconds = timed(self._engine, call)[1]
            seconds = slab_seconds * size.M / rows
        return seconds

    def _verify(self, case: Case, record: CaseRecord, problem: Problem) -> Trial | None:
        """Run once into a result full of NaN and check it; a trial ready to be timed, unless it is wrong."""
        expected = record["predicted_seconds"] or 0.0
        self._progress.advance(f"checking {case.strategy}", expected)
        problem.spoil()
        call = self._engine.bind(case, problem.A, problem.B, problem.out)
        try:
            _, seconds = timed(self._engine, call)
            verdict = problem.verdict()
            if verdict.fault is None and seconds < SLAB_SECONDS:  # the first call was cold: look again
                seconds = min(timed(self._engine, call)[1] for _ in range(3))
        except Exception as error:
            discard(record, "failed", f"{type(error).__name__}: {error}")
            return None
        record["error_u"] = verdict.error_u
        if verdict.fault is not None:
            discard(record, "wrong", verdict.fault)
            return None
        self._predictor.learn(case.rung, problem.size.flops, seconds)
        record["calls_per_sample"] = calls_per_sample(seconds)
        return Trial(str(case.strategy), case.threads, call, record["calls_per_sample"], seconds, record)
