"""Continues an interrupted run from its JSON: what was measured stays, the rest is measured as it was planned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from . import figures
from .cases import Card, RequestError, Size, case_of
from .group import is_measured
from .plan import Plan
from .records import CaseRecord, Result, Source
from .schema import study_of
from .studies import STUDIES


def prepare(
    result: Result, cards: Sequence[Card], facts: dict[str, Any], source: Source, memory_bytes: int | None
) -> Plan:
    """The plan of the run that `result` is the beginning of; RequestError if that was not made here, or is complete.

    `result` gets a note. The order of the cases, their data (the seed) and the budget are those of the first part.
    """
    if not result["interrupted"]:
        raise RequestError("--resume: the run was not interrupted; nothing is missing")
    if differences := _differences(result, facts, source):
        raise RequestError(f"--resume: samples of different machines or builds do not mix: {'; '.join(differences)}")
    kinds = {card.name: card.kind for card in cards}
    studies = [STUDIES[study["name"]] for study in figures.studies(result) if study["name"] in STUDIES]
    gone = {case["strategy"] for case in result["cases"]} - {card.name for card in cards if card.available}
    if gone:
        raise RequestError(f"--resume: no longer available here: {', '.join(sorted(gone))}")
    result["elapsed_seconds"] = _end_of_groups(result)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    result["notes"].append(f"interrupted and continued at {now}")
    request = result["request"]
    return Plan(
        cards=cards,
        cases=[case_of(record, kinds[record["strategy"]]) for record in result["cases"]],
        seconds=request["seconds"],
        seed=request["seed"],
        threads=request["threads"],
        sizes_may_shrink=not request.get("sizes_given", True),
        memory_bytes=memory_bytes,
        studies=studies,
    )


def _end_of_groups(result: Result) -> float:
    """When the last group that was finished ended: what came after is measured again, within the budget."""
    groups: dict[tuple[str, Size], list[CaseRecord]] = {}
    for record in result["cases"]:
        groups.setdefault((study_of(record), figures.size_of(record)), []).append(record)
    return max(
        (
            started + seconds * record["calls_per_sample"]
            for records in groups.values()
            if is_measured(records)
            for record in records
            for started, seconds in zip(record["started_seconds"], record["seconds"], strict=True)
        ),
        default=0.0,
    )


def _differences(result: Result, facts: dict[str, Any], source: Source) -> list[str]:
    """What of the machine and the build is not as it was."""
    before, now = result["machine"], facts

    def cpu(machine: dict[str, Any], key: str) -> Any:
        return machine.get("cpu", {}).get(key)

    pairs = [
        ("CPU", cpu(before, "model"), cpu(now, "model")),
        ("CPUs", cpu(before, "cpus"), cpu(now, "cpus")),
        ("instruction set level", before.get("variant"), now.get("variant")),
        ("frugalblas", before.get("version"), now.get("version")),
        ("NumPy", before.get("numpy"), now.get("numpy")),
        ("commit", result["source"]["commit"], source["commit"]),
    ]
    return [f"{what} was {old}, is {new}" for what, old, new in pairs if old != new]
