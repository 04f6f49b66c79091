"""The JSON of a run: its fields.

The TypedDicts are the schema: `schema.validate` walks them. Adding a field keeps the version and gives readers of older
files no trouble as long as it is optional (the classes with total=False); removing one or changing its meaning raises
the version.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, final

SCHEMA = "frugalblas.bench/1"

Status = Literal["ok", "wrong", "failed", "skipped", "not reached"]
LADDER = "ladder"  # the study of a case that names none
SPENT = "; the budget was spent"  # how the note of a case ends for which there would have been time earlier


class StudyRecord(TypedDict):
    """One study of a run: what it asks, and what its cases differ in."""

    name: str
    title: str  # a heading
    question: str  # what it answers, in one sentence
    course: str  # the exercises of the course it stands for; "" if none
    axis: str  # "strategy", "size", "threads", "variant", "blocks", "shape", "where", "precision", "time", "intensity"
    notes: list[str]


class StrategyRecord(TypedDict):
    """One rung, as its registry card describes it."""

    name: str
    course: str
    kind: str
    summary: str
    available: bool
    reason: str | None


class EnergyRecord(TypedDict):
    """What the energy pass measured of one case: joules net of idle."""

    joules_per_call: float
    joules_per_call_u: float | None  # its standard uncertainty
    watts: float | None  # gross mean power while it ran
    seconds: float  # per call, in that pass
    source: str
    calls: int


class _CaseOfStudy(TypedDict, total=False):
    """What a case has besides its strategy, its size and its threads. Every field may be absent."""

    study: str  # absent: the ladder
    series: str | None  # tells the curves of one strategy apart
    parameters: dict[str, Any]  # {"MC": 96, "KC": 256, "NC": 512} or {"schedule": "static", "chunk": 1}
    precision: str  # absent: "fp32"
    where: str  # of the gpu study: "kernel", "device" or "host"
    energy: EnergyRecord | None


@final
class CaseRecord(_CaseOfStudy):
    """One strategy at one size on one number of threads. Every list has one entry per sample."""

    strategy: str
    variant: str | None
    threads: int
    M: int
    N: int
    K: int
    status: Status
    note: str | None  # why it was skipped, or what is wrong with it
    predicted_seconds: float | None  # per call, before it was first run at this size
    error_u: float | None  # max |C - C64| / (|A||B|) / u; None if never checked or not finite
    calls_per_sample: int
    seconds: list[float]  # per call
    started_seconds: list[float]  # since the run began
    joules_per_call: float | None


class _PeakOfStudy(TypedDict, total=False):
    study: str  # among whose cases it was sampled; absent: the ladder


@final
class PeakRecord(_PeakOfStudy):
    """Register-only FMAs on as many threads at once, sampled among the cases of one size."""

    threads: int
    M: int
    N: int
    K: int
    flops_per_sample: float
    seconds: list[float]
    started_seconds: list[float]


class BandwidthRecord(TypedDict):
    """Main memory read or written by as many threads at once."""

    threads: int
    what: str  # "read", "triad"
    bytes_per_sample: float
    seconds: list[float]
    started_seconds: list[float]


class Mark(TypedDict):
    """A stretch of a trace: "idle", "hot", or what ran."""

    name: str
    begin_seconds: float
    end_seconds: float


class TraceRecord(TypedDict):
    """Power against time, at the tick of its source."""

    study: str
    source: str
    seconds: list[float]
    watts: list[float]
    marks: list[Mark]


class Energy(TypedDict):
    """Where the joules come from, or why there are none."""

    source: str | None
    reason: str | None


class _MoreOfRequest(TypedDict, total=False):
    sizes_given: bool  # by the caller; else they were chosen to fit the budget


class Request(_MoreOfRequest):
    """What was asked for."""

    sizes: list[list[int]]
    strategies: list[str]
    threads: list[int] | None
    seconds: float
    seed: int


class Source(TypedDict):
    """The git checkout that the running package belongs to."""

    commit: str | None
    modified: bool | None


class _Studies(TypedDict, total=False):
    """What only some runs have. Every field may be absent."""

    studies: list[StudyRecord]  # absent: the ladder
    planned: bool  # false: interrupted before it was decided which cases the budget allows
    bandwidths: list[BandwidthRecord]
    traces: list[TraceRecord]


class Result(_Studies):
    """One run of `frugalblas bench`."""

    schema: str
    study: str
    started: str  # UTC, ISO 8601
    elapsed_seconds: float
    interrupted: bool
    request: Request
    protocol: dict[str, Any]
    machine: dict[str, Any]
    load_average: list[float]  # of the last minute, when the run began
    source: Source
    energy: Energy
    notes: list[str]
    strategies: list[StrategyRecord]
    peaks: list[PeakRecord]
    cases: list[CaseRecord]
