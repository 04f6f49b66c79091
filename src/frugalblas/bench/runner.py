"""Runs a plan: tries, fits, measures size by size. The result fills as it goes: an interruption loses nothing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

from . import text
from .budget import share_of_size
from .cases import Case, RequestError, Size
from .check import Problem, bytes_needed
from .engine import Engine
from .fit import Costs, fit, too_little
from .group import LONG_SECONDS, REFERENCE, Group, Limits, Pair, Run, is_measured
from .plan import Plan, blank_record
from .progress import Progress
from .records import BandwidthRecord, Result
from .sampling import discard, timed
from .schema import study_of
from .studies import Study

PROBE_EDGES = (16, 32, 64, 128, 256, 512)  # cubes on which every strategy first runs: compiles, warms up, is timed
PROBE_SECONDS = 0.02  # a call this long, and well longer than the cube before, predicts larger ones
SWEEPS = 7  # samples of main memory's bandwidth, spread over the sizes of a study


def run(
    plan: Plan,
    engine: Engine,
    progress: Progress,
    result: Result,
    *,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Fill `result`, blank as `plan.blank_result` makes it, or interrupted as `resume.prepare` leaves it.

    Calls `checkpoint` whenever the result is worth keeping. Raises RequestError, with an estimate, before the first
    measurement if the plan cannot be carried out. After Ctrl-C, and after an exception of the engine's own, the result
    holds what was measured so far.
    """
    runner = _Runner(plan, engine, progress, result)
    try:
        runner.refuse_too_large()
        if result.get("planned", True):  # an earlier part of the run has tried and fitted
            with runner.time_out():
                runner.probe()
        else:
            runner.probe()
            runner.fit()
        checkpoint()
        for study in plan.studies:
            runner.measure(study, checkpoint)
        result["interrupted"] = False
    except KeyboardInterrupt:
        result["interrupted"] = True
    finally:
        progress.close()
        result["elapsed_seconds"] = runner.elapsed_seconds()


class _Runner:
    def __init__(self, plan: Plan, engine: Engine, progress: Progress, result: Result) -> None:
        self._plan = plan
        self._progress = progress
        self._result = result
        self._cases: list[Pair] = list(zip(plan.cases, result["cases"], strict=True))
        # An earlier part of the run has used its part of the budget.
        self._run = Run(engine, progress, result, plan.seed, engine.now_ns() - int(result["elapsed_seconds"] * 1e9))

    def elapsed_seconds(self) -> float:
        return (self._run.engine.now_ns() - self._run.began_ns) / 1e9

    @contextlib.contextmanager
    def time_out(self) -> Iterator[None]:
        """Time that is not of the budget."""
        began_ns = self._run.engine.now_ns()
        yield
        self._run.began_ns += self._run.engine.now_ns() - began_ns

    def _sizes(self) -> list[Size]:
        return list(dict.fromkeys(case.size for case, _ in self._cases))

    def _keep(self, kept: list[Pair]) -> None:
        self._cases = kept
        self._result["cases"] = [record for _, record in kept]

    # -- before the first measurement --

    def refuse_too_large(self) -> None:
        available = self._plan.memory_bytes
        for size in sorted(self._sizes(), key=bytes_needed, reverse=True):
            needed = bytes_needed(size)
            if available is None or needed <= available:
                break
            problem = (
                f"{size} needs {needed / 2**30:.1f} GiB for the matrices and their float64 reference; "
                f"{available / 2**30:.1f} GiB of memory is free"
            )
            kept = [pair for pair in self._cases if pair[0].size != size]
            if not self._plan.sizes_may_shrink or not kept:
                raise RequestError(f"--sizes: {problem}")
            self._keep(kept)
            self._result["notes"].append(f"left out: {problem}")

    def probe(self) -> None:
        """Run every strategy on small cubes: compile, warm up, and learn how fast it is."""
        open_cases = [case for case, record in self._cases if record["status"] == "not reached"]
        rungs = {case.rung: case for case in reversed(open_cases)}
        self._progress.begin(f"trying {text.count(len(rungs), 'strategy', 'strategies')} on small matrices", 0.0)
        for tried, (rung, case) in enumerate(reversed(rungs.items())):
            if not self._result.get("planned", True) and self.elapsed_seconds() > self._plan.seconds:
                raise RequestError(
                    f"--seconds: {self._plan.seconds:g} is too little: it went by while {tried} of {len(rungs)} "
                    "strategies were tried on small matrices"
                )
            self._progress.advance(case.label, 0.0)
            try:
                self._probe_rung(case)
            except Exception as error:  # whatever a strategy raises is a finding about that strategy
                for other, record in self._cases:
                    if other.rung == rung and record["status"] == "not reached":
                        discard(record, "failed", f"{type(error).__name__}: {error}")
        largest = max(self._sizes(), key=lambda size: size.flops)
        problem = Problem(largest.clipped(PROBE_EDGES[-1] * 2), self._plan.seed)
        problem.solve()
        self._run.predictor.learn(REFERENCE, problem.size.flops, timed(self._run.engine, problem.solve)[1])

    def _probe_rung(self, case: Case) -> None:
        """Time a strategy on growing cubes until the flops decide, and no longer the start of a call or of a team."""
        engine, before = self._run.engine, 0.0
        largest = max((other.size for other, _ in self._cases if other.rung == case.rung), key=lambda size: size.flops)
        for edge in PROBE_EDGES:
            problem = Problem(largest.clipped(edge), self._plan.seed, engine.empty)
            call = engine.bind(case, problem.A, problem.B, problem.out)
            if edge == PROBE_EDGES[0]:
                call()  # compiles, loads, starts threads
            _, seconds = timed(engine, call)
            self._run.predictor.learn(case.rung, problem.size.flops, seconds)
            grown = before > 0 and seconds > 2 * before
            if problem.size == largest or (seconds >= PROBE_SECONDS and grown) or seconds >= LONG_SECONDS:
                break
            before = seconds

    def fit(self) -> None:
        """Refuse sizes at which the budget allows nothing at all; what the caller did not name is left out instead."""
        tried_seconds = self.elapsed_seconds()
        costs = Costs(lambda case: self._run.predictor.seconds(case.rung, case.size.flops), self._run.reference_seconds)
        kept: list[Case] = []
        refused: list[RequestError] = []
        for study in self._plan.studies:
            cases = [case for case, record in self._of(study) if record["status"] != "failed"]
            failed = [case for case, record in self._of(study) if record["status"] == "failed"]
            share = study.seconds / sum(other.seconds for other in self._plan.studies)
            seconds = share * (self._plan.seconds - tried_seconds)
            if cases and self._plan.sizes_may_shrink:
                cases, notes = fit(study, cases, seconds, costs)
                self._note(study, notes)
            sizes = list(dict.fromkeys(case.size for case in cases))
            needed = sum(costs.cheapest([case for case in cases if case.size == size]) for size in sizes)
            if needed > seconds:
                refused.append(too_little(self._plan.seconds, needed, sizes, tried_seconds))
                if not self._plan.sizes_may_shrink:
                    raise refused[0]
                self._note(
                    study,
                    [
                        f"{study.name}: left out: even the fastest at {', '.join(map(str, sizes))} needs about "
                        f"{needed:.1f} s, and its part of the budget is {seconds:.1f} s (--seconds)"
                    ],
                )
                continue
            kept += cases + [case for case in failed if case.size in sizes or not sizes]
        if refused and not kept:
            raise refused[0]
        self._keep([(case, record) for case, record in self._cases if case in set(kept)])
        self._result["planned"] = True

    def _note(self, study: Study, notes: list[str]) -> None:
        if len(self._plan.studies) == 1:
            self._result["notes"] += notes
            return
        for record in self._result.get("studies", []):
            if record["name"] == study.name:
                record["notes"] += notes

    def _of(self, study: Study) -> list[Pair]:
        return [pair for pair in self._cases if pair[0].study == study.name]

    def _share_of(self, study: Study) -> float:
        """Of the time left, when this study and those after it are to come."""
        to_come = self._plan.studies[list(self._plan.studies).index(study) :]
        return study.seconds / sum(other.seconds for other in to_come)

    # -- one study --

    def measure(self, study: Study, checkpoint: Callable[[], None]) -> None:
        """Every size that has not been measured yet."""
        sizes = list(dict.fromkeys(case.size for case, _ in self._of(study)))
        seconds = self._share_of(study) * max(self._plan.seconds - self.elapsed_seconds(), 0.0)
        study_ns = self._run.engine.now_ns() + int(seconds * 1e9)
        for position, size in enumerate(sizes):
            pairs = [pair for pair in self._of(study) if pair[0].size == size and pair[1]["status"] != "failed"]
            if is_measured([record for _, record in pairs]):
                continue
            self._clear(study, size, pairs)
            if study.bandwidth:
                self._sweep(len(sizes))
            left = self._run.seconds_until(study_ns)
            group_ns = self._run.engine.now_ns() + int(left * share_of_size(size, sizes[position:]) * 1e9)
            name = "" if len(self._plan.studies) == 1 else f"{study.name}: "
            phase = f"{name}{size} ({position + 1} of {len(sizes)})"
            self._progress.whole(max(self._plan.seconds - self.elapsed_seconds(), 0.0))
            Group(self._run, pairs, phase).measure(Limits(group_ns, study_ns, seconds))
            self._result["elapsed_seconds"] = self.elapsed_seconds()
            checkpoint()

    def _clear(self, study: Study, size: Size, pairs: list[Pair]) -> None:
        """Forget the beginning of a group: its samples are to be interleaved."""
        for case, record in pairs:
            record.update(blank_record(case))
        at_size = [size.M, size.N, size.K]
        self._result["peaks"] = [
            peak
            for peak in self._result["peaks"]
            if study_of(peak) != study.name or [peak["M"], peak["N"], peak["K"]] != at_size
        ]

    def _sweep(self, rounds: int) -> None:
        """Some samples of main memory's bandwidth, before each size."""
        engine = self._run.engine
        found = self._result.setdefault("bandwidths", [])
        counts = sorted({case.threads for case, _ in self._cases if not case.kind.startswith("cuda")})
        for threads in {counts[0], counts[-1]}:
            for what in ("read", "triad"):
                record = next((r for r in found if (r["threads"], r["what"]) == (threads, what)), None)
                if record is None:
                    bytes_per_sample = engine.sweep(what, threads)  # untimed: pages are mapped, threads started
                    record = BandwidthRecord(
                        threads=threads, what=what, bytes_per_sample=bytes_per_sample, seconds=[], started_seconds=[]
                    )
                    found.append(record)
                for _ in range(-(-SWEEPS // rounds)):
                    began_ns, seconds = timed(engine, functools.partial(engine.sweep, what, threads))
                    record["started_seconds"].append((began_ns - self._run.began_ns) / 1e9)
                    record["seconds"].append(seconds)
