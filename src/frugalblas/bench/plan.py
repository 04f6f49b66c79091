"""A run as it was asked for, and the empty result it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..bounds import U
from . import machine
from .budget import MAX_SAMPLES, MIN_SAMPLES
from .cases import Card, Case, Size
from .records import LADDER, SCHEMA, CaseRecord, Result, Source, StrategyRecord
from .sampling import LEAD_IN_SECONDS, PAUSE_SECONDS, SAMPLE_SECONDS, TEAM_PEAK_SECONDS
from .studies import STUDIES, Study


@dataclass(frozen=True)
class Plan:
    """What to measure and how long it may take."""

    cards: Sequence[Card]
    cases: Sequence[Case]
    seconds: float
    seed: int
    threads: Sequence[int] | None = None  # as asked for; None: the default of each strategy
    sizes_may_shrink: bool = False  # the caller named no sizes: large ones that do not fit are left out
    memory_bytes: int | None = None  # what the matrices may take; None: unknown
    studies: Sequence[Study] = (STUDIES[LADDER],)

    @property
    def sizes(self) -> list[Size]:
        """Smallest first, each once."""
        return list(dict.fromkeys(case.size for case in self.cases))


def blank_record(case: Case) -> CaseRecord:
    """A case that has not been reached."""
    record: CaseRecord = {
        "strategy": case.strategy.name,
        "variant": case.strategy.variant,
        "threads": case.threads,
        "M": case.size.M,
        "N": case.size.N,
        "K": case.size.K,
        "status": "not reached",
        "note": None,
        "predicted_seconds": None,
        "error_u": None,
        "calls_per_sample": 1,
        "seconds": [],
        "started_seconds": [],
        "joules_per_call": None,
    }
    if case.study != LADDER:
        record["study"] = case.study
    if case.series is not None:
        record["series"] = case.series
    if case.parameters:
        record["parameters"] = dict(case.parameters)
    if case.precision != "fp32":
        record["precision"] = case.precision
    if case.where is not None:
        record["where"] = case.where
    return record


def strategy_record(card: Any) -> StrategyRecord:
    """What the table needs of a registry card."""
    return {
        "name": card.name,
        "course": card.course,
        "kind": card.kind,
        "summary": card.summary,
        "available": card.available,
        "reason": card.reason,
    }


def blank_result(plan: Plan, facts: dict[str, Any], source: Source) -> Result:
    """A result without samples. `facts` describes the machine: ``frugalblas.info()``."""
    return {
        "schema": SCHEMA,
        "study": ",".join(study.name for study in plan.studies),
        "studies": [study.record() for study in plan.studies],
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "elapsed_seconds": 0.0,
        "interrupted": False,
        "request": {
            "sizes": [[size.M, size.N, size.K] for size in plan.sizes],
            "strategies": list(dict.fromkeys(str(case.strategy) for case in plan.cases)),
            "threads": None if plan.threads is None else list(plan.threads),
            "seconds": plan.seconds,
            "seed": plan.seed,
            "sizes_given": not plan.sizes_may_shrink,
        },
        "planned": False,
        "protocol": {
            "clock": "time.perf_counter_ns",
            "data": "N(0,1), float32, C order",
            "flops": "2*M*N*K",
            "unit_roundoff": U,
            "order": "interleaved",
            "min_samples": MIN_SAMPLES,
            "max_samples": MAX_SAMPLES,
            "sample_seconds": SAMPLE_SECONDS,
            "team_peak_sample_seconds": TEAM_PEAK_SECONDS,
            "lead_in_below_seconds": LEAD_IN_SECONDS,
            "pause_after_threads_seconds": PAUSE_SECONDS,
            "garbage_collector": "off while timing",
        },
        "machine": facts,
        "load_average": machine.load_average(),
        "source": source,
        "energy": {"source": None, "reason": "not measured yet"},
        "notes": [],
        "strategies": [strategy_record(card) for card in plan.cards],
        "peaks": [],
        "cases": [blank_record(case) for case in plan.cases],
    }
