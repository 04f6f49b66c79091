"""One size of a study: its cases are predicted, checked, and sampled interleaved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import text
from .budget import CLAIM_SHARE, MIN_SAMPLES, Predictor, admit, least_seconds
from .cases import Case, Size
from .check import Problem
from .engine import Engine
from .progress import Progress
from .records import SPENT, CaseRecord, Result
from .sampling import Sampler, Trial, calls_per_sample, discard, peak_trial, skip, timed

LONG_SECONDS = 0.25  # a call predicted to take longer is predicted again, from some rows of the real size
SLAB_SECONDS = 0.1  # what those rows may take
REFERENCE = ("float64 reference", 0)

Pair = tuple[Case, CaseRecord]


@dataclass
class Run:
    """What all groups of a run share."""

    engine: Engine
    progress: Progress
    result: Result
    seed: int
    began_ns: int  # start times of samples count from here
    predictor: Predictor = field(default_factory=Predictor)
    problem: Problem | None = None  # of the last group: the next may have the same

    def seconds_until(self, deadline_ns: int) -> float:
        """From now; 0 when it is past."""
        return max((deadline_ns - self.engine.now_ns()) / 1e9, 0.0)

    def reference_seconds(self, size: Size) -> float:
        """What the float64 product takes; nothing if it is there already."""
        known = self.problem is not None and self.problem.size == size and self.problem.is_solved
        return 0.0 if known else self.predictor.seconds(REFERENCE, size.flops)

    def drawn(self, size: Size) -> Problem:
        """The problem of a size."""
        if self.problem is None or self.problem.size != size:
            self.problem = None  # its memory is free before the next is made
            self.problem = Problem(size, self.seed, self.engine.empty)
        return self.problem

    def solved(self, size: Size) -> Problem:
        """The same with its reference."""
        problem = self.drawn(size)
        if not problem.is_solved:
            self.predictor.learn(REFERENCE, size.flops, timed(self.engine, problem.solve)[1])
        return problem


def is_measured(records: Sequence[CaseRecord]) -> bool:
    """Whether a group has been brought to its end, perhaps by an earlier part of the run."""
    return all(
        record["status"] != "not reached" and (record["status"] != "ok" or len(record["seconds"]) >= MIN_SAMPLES)
        for record in records
    )


@dataclass
class Limits:
    """Of one group, on the engine's clock."""

    group_ns: int
    study_ns: int
    study_seconds: float  # the whole of it


class Group:
    """The cases of one size of one study."""

    def __init__(self, run: Run, pairs: Sequence[Pair], phase: str) -> None:
        """`phase` is how progress calls it."""
        self._run, self._pairs, self._phase = run, pairs, phase
        self._study, self._size = pairs[0][0].group

    def measure(self, limits: Limits) -> None:
        """Fill in the records."""
        run, size = self._run, self._size
        admitted = self._admitted(run.seconds_until(limits.group_ns), limits.study_seconds)
        if not admitted:
            return
        expected = [record["predicted_seconds"] or 0.0 for _, record in admitted]
        run.progress.begin(
            f"{self._phase}: checking {text.count(len(admitted), 'case', 'cases')}",
            sum(expected) + run.reference_seconds(size),
        )
        run.progress.advance("float64 reference", run.reference_seconds(size))
        problem = run.solved(size)
        trials = [trial for case, record in admitted if (trial := self._verify(case, record, problem)) is not None]
        trials = self._affordable(trials, run.seconds_until(limits.study_ns), limits.study_seconds)
        if not trials:
            return
        on_cpu = {case.threads for case, _ in admitted if not case.kind.startswith("cuda")}
        counts = sorted(on_cpu & {trial.threads for trial in trials})
        peaks = [peak_trial(run.engine, n, size, self._study) for n in counts]
        run.result["peaks"] += [peak.record for peak in peaks if "flops_per_sample" in peak.record]
        Sampler(run.engine, run.progress, problem, run.began_ns).run(
            peaks + trials, limits.group_ns, CLAIM_SHARE * limits.study_seconds, self._phase
        )

    def _admitted(self, budget_seconds: float, study_seconds: float) -> list[Pair]:
        """The cases that fit in this size's budget by prediction; the others are marked as skipped."""
        budget_seconds = max(budget_seconds - self._run.reference_seconds(self._size), 0.0)
        predicted = self._predictions(budget_seconds)
        fits = admit([case for case, _ in self._pairs], predicted, budget_seconds)
        for (_, record), seconds, fit in zip(self._pairs, predicted, fits, strict=True):
            record["predicted_seconds"] = seconds
            if not fit:
                spent = not any(fits) and least_seconds(seconds) <= study_seconds
                skip(record, f"predicted {text.number(seconds)} s a call{SPENT if spent else ''}")
        return [pair for pair, fit in zip(self._pairs, fits, strict=True) if fit]

    def _predictions(self, budget_seconds: float) -> list[float]:
        """From the last smaller size; for long calls, from some rows of this one: same strides, same caches."""
        predictor, problem = self._run.predictor, self._run.drawn(self._size)
        return [
            self._from_rows(case, problem, predictor.seconds(case.rung, self._size.flops), budget_seconds)
            for case, _ in self._pairs
        ]

    def _from_rows(self, case: Case, problem: Problem, seconds: float, budget_seconds: float) -> float:
        engine, M = self._run.engine, problem.size.M
        rows, slab_seconds = 0, 0.0
        while seconds >= LONG_SECONDS and slab_seconds < SLAB_SECONDS / 2:
            before, rows = rows, min(M, max(case.threads, int(M * SLAB_SECONDS / seconds)))
            if rows in (before, M) or seconds * rows / M > budget_seconds / 20:
                break
            self._run.progress.advance(f"{case.label}: trying {rows} rows", 0.0)
            call = engine.bind(case, problem.A[:rows], problem.B, problem.out[:rows])
            slab_seconds = timed(engine, call)[1]
            seconds = slab_seconds * M / rows
        return seconds

    def _affordable(self, trials: list[Trial], seconds: float, study_seconds: float) -> list[Trial]:
        """Without the slowest, as long as the fewest samples of all would overrun the budget."""
        kept = sorted(trials, key=lambda trial: trial.seconds_per_sample)
        dropped = []
        while kept and MIN_SAMPLES * sum(trial.seconds_per_sample for trial in kept) > seconds:
            dropped.append(kept.pop())
        for trial in dropped:
            if "status" in trial.record:
                spent = not kept and MIN_SAMPLES * trial.seconds_per_sample <= study_seconds
                skip(trial.record, f"took {text.number(trial.seconds_per_call)} s a call{SPENT if spent else ''}")
        return [trial for trial in trials if trial in kept]

    def _verify(self, case: Case, record: CaseRecord, problem: Problem) -> Trial | None:
        """Run once into a result full of NaN and check it; a trial ready to be timed, unless it is wrong."""
        run = self._run
        run.progress.advance(f"checking {case.label}", record["predicted_seconds"] or 0.0)
        problem.spoil()
        try:
            call = run.engine.bind(case, problem.A, problem.B, problem.out)
            _, seconds = timed(run.engine, call)
            verdict = problem.verdict(case.precision)
            if verdict.fault is None and seconds < SLAB_SECONDS:  # the first call was cold: look again
                seconds = min(timed(run.engine, call)[1] for _ in range(3))
        except Exception as error:
            discard(record, "failed", f"{type(error).__name__}: {error}")
            return None
        record["error_u"] = verdict.error_u
        if verdict.fault is not None:
            discard(record, "wrong", verdict.fault)
            return None
        run.predictor.learn(case.rung, problem.size.flops, seconds)
        record["calls_per_sample"] = calls_per_sample(seconds, call)
        return Trial(case.label, case.threads, call, record["calls_per_sample"], seconds, record)
