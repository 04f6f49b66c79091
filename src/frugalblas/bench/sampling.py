"""Timed samples of several strategies, interleaved so that a drift of the machine hits all of them alike."""

from __future__ import annotations

import contextlib
import functools
import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from . import text
from .budget import MIN_SAMPLES, interleave, samples_per_case
from .cases import Size
from .check import Problem
from .engine import Call, Engine, SelfTimed
from .progress import Progress
from .records import LADDER, CaseRecord, PeakRecord

SAMPLE_SECONDS = 0.01  # a shorter call is repeated until a sample is this long, far above the clock's own cost
TEAM_PEAK_SECONDS = 0.05  # on several threads, where a burst must repay handing it out to them
LEAD_IN_SECONDS = 0.05  # a call shorter than this follows an untimed one, so that it does not pay for its neighbour's
# use of the caches; a longer one repays its cold start itself
PAUSE_SECONDS = 0.05  # idle threads go on polling, OpenMP's for some 10 ms, OpenBLAS's for 25: until they sleep


@dataclass(eq=False)
class Trial:
    """Something to be sampled: a verified case, or the FMA peak on some number of threads."""

    label: str
    threads: int
    call: Call
    calls: int  # per sample
    seconds_per_call: float  # expected
    record: CaseRecord | PeakRecord  # gets the samples

    @property
    def has_lead_in(self) -> bool:
        """Whether an untimed call comes before each sample."""
        return self.seconds_per_call < LEAD_IN_SECONDS

    @property
    def seconds_per_sample(self) -> float:
        """Everything a sample takes, timed or not."""
        pause = PAUSE_SECONDS if self.threads > 1 else 0.0
        return (self.calls + self.has_lead_in) * self.seconds_per_call + pause


def calls_per_sample(seconds_per_call: float, call: Call | None = None) -> int:
    """How many calls make a sample of SAMPLE_SECONDS; whole multiples for a `call` that runs several at a time."""
    multiple = call.multiple if isinstance(call, SelfTimed) else 1
    return multiple * max(1, math.ceil(SAMPLE_SECONDS / max(seconds_per_call, 1e-9) / multiple))


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection inside a sample."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def timed(engine: Engine, call: Call, calls: int = 1) -> tuple[int, float]:
    """When `calls` calls began, in the engine's nanoseconds, and the seconds each took.

    A call that runs elsewhere, in another process or on a GPU, times itself there, by the same clock.
    """
    if isinstance(call, SelfTimed):
        return call.timed(calls)
    began_ns = engine.now_ns()
    for _ in range(calls):
        call()
    return began_ns, max(engine.now_ns() - began_ns, 1) / 1e9 / calls


def peak_trial(engine: Engine, threads: int, size: Size, study: str = LADDER) -> Trial:
    """The FMA peak on `threads` threads, with bursts long enough for a sample."""
    sample_seconds = SAMPLE_SECONDS if threads == 1 else TEAM_PEAK_SECONDS
    steps, seconds = 1000, 0.0
    while seconds < sample_seconds / 4:
        steps *= 4
        burst = functools.partial(engine.burst, 1, steps)
        seconds = min(timed(engine, burst)[1] for _ in range(3))  # the one least disturbed
    steps = max(1, round(steps * sample_seconds / seconds))
    flops = engine.burst(threads, steps)
    record: PeakRecord = {
        "threads": threads,
        "M": size.M,
        "N": size.N,
        "K": size.K,
        "flops_per_sample": float(flops),
        "seconds": [],
        "started_seconds": [],
    }
    if study != LADDER:
        record["study"] = study
    call = functools.partial(engine.burst, threads, steps)
    return Trial("FMA peak", threads, call, 1, sample_seconds, record)


class Sampler:
    """Takes the samples of one size."""

    def __init__(self, engine: Engine, progress: Progress, problem: Problem, run_began_ns: int) -> None:
        """Start times of samples count from `run_began_ns` of the engine's clock."""
        self._engine = engine
        self._progress = progress
        self._problem = problem
        self._run_began_ns = run_began_ns
        self._before: Trial | None = None

    def run(self, trials: list[Trial], deadline_ns: int, claim_seconds: float, phase: str) -> None:
        """Sample every trial as often as the deadline allows, but MIN_SAMPLES times or for `claim_seconds` at least."""
        left = (deadline_ns - self._engine.now_ns()) / 1e9
        counts = samples_per_case([trial.seconds_per_sample for trial in trials], left, claim_seconds)
        total = sum(n * trial.seconds_per_sample for n, trial in zip(counts, trials, strict=True))
        cases = sum("status" in trial.record for trial in trials)
        self._progress.begin(f"{phase}: timing {text.count(cases, 'case', 'cases')}", total)
        self._engine.sleep(PAUSE_SECONDS)
        order = interleave(counts)
        last = {i: position for position, i in enumerate(order)}
        dropped: set[int] = set()
        with collector_off():
            for position, i in enumerate(order):
                trial = trials[i]
                late = self._engine.now_ns() > deadline_ns and len(trial.record["seconds"]) >= MIN_SAMPLES
                if i in dropped or late:
                    continue
                self._progress.advance(trial.label, trial.seconds_per_sample)
                if not self._sample(trial, check=position == last[i]):
                    dropped.add(i)

    def _sample(self, trial: Trial, check: bool) -> bool:
        """One sample; False if the strategy has failed or, where its result is checked again, is wrong."""
        if self._before is not None and self._before is not trial and self._before.threads > 1:
            self._engine.sleep(PAUSE_SECONDS)
        self._before = trial
        record = trial.record
        case_record = record if "status" in record else None
        if check and case_record is not None:
            self._problem.spoil()
        try:
            if trial.has_lead_in:
                trial.call()
            began_ns, seconds = timed(self._engine, trial.call, trial.calls)
        except Exception as error:
            if case_record is None:
                raise
            discard(case_record, "failed", f"{type(error).__name__}: {error}")
            return False
        record["started_seconds"].append((began_ns - self._run_began_ns) / 1e9)
        record["seconds"].append(seconds)
        if case_record is None:
            return True
        case_record["status"] = "ok"
        precision = case_record.get("precision", "fp32")
        fault = self._problem.verdict(precision).fault if check else None
        if fault is not None:
            discard(case_record, "wrong", f"right at first, wrong after it was timed: {fault}")
        return fault is None


def discard(record: CaseRecord, status: Literal["wrong", "failed"], note: str) -> None:
    """Mark a case that failed, without any sample it has: its time means nothing."""
    record["status"] = status
    record["note"] = note
    record["seconds"].clear()
    record["started_seconds"].clear()


def skip(record: CaseRecord, note: str) -> None:
    """Mark a case that the budget has no room for."""
    record["status"] = "skipped"
    record["note"] = note
