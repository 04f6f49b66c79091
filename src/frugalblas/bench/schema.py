"""The JSON of a run: its fields, and how a file is written, read and refused.

The TypedDicts are the schema: `validate` walks them. Adding a field keeps the version and gives readers of older files
no trouble as long as nothing here requires it; removing one or changing its meaning raises the version.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import tempfile
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypedDict, Union, final

SCHEMA = "frugalblas.bench/1"

Status = Literal["ok", "wrong", "failed", "skipped", "not reached"]


class StrategyRecord(TypedDict):
    """One rung, as its registry card describes it."""

    name: str
    course: str
    kind: str
    summary: str
    available: bool
    reason: str | None


@final
class CaseRecord(TypedDict):
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


@final
class PeakRecord(TypedDict):
    """Register-only FMAs on as many threads at once, sampled among the cases of one size."""

    threads: int
    M: int
    N: int
    K: int
    flops_per_sample: float
    seconds: list[float]
    started_seconds: list[float]


class Energy(TypedDict):
    """Where the joules come from, or why there are none."""

    source: str | None
    reason: str | None


class Request(TypedDict):
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


class Result(TypedDict):
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


class BadResult(ValueError):
    """A file that is not a result this version can read; the message says what is wrong with it."""


def validate(document: Any) -> Result:
    """The document as a :class:`Result`, or :class:`BadResult` naming the first field that is wrong."""
    if not isinstance(document, dict) or "schema" not in document:
        raise BadResult('it has no "schema" field: not a result of frugalblas bench')
    if document["schema"] != SCHEMA:
        raise BadResult(f"its schema is {document['schema']!r}; this version of frugalblas reads {SCHEMA!r}")
    _check(document, Result, "result")
    result = typing.cast(Result, document)
    known = {strategy["name"] for strategy in result["strategies"]}
    for i, case in enumerate(result["cases"]):
        where = f"result.cases[{i}]"
        _check_samples(case, where)
        if case["strategy"] not in known:
            raise BadResult(f"{where}.strategy: {case['strategy']!r} is not among result.strategies")
        if (case["status"] == "ok") != bool(case["seconds"]):
            raise BadResult(f"{where}: status {case['status']!r} with {len(case['seconds'])} samples")
    for i, peak in enumerate(result["peaks"]):
        _check_samples(peak, f"result.peaks[{i}]")
    return result


def _check_samples(record: CaseRecord | PeakRecord, where: str) -> None:
    if min(record["M"], record["N"], record["K"], record["threads"]) < 1:
        raise BadResult(f"{where}: M, N, K and threads must be 1 or more")
    if len(record["seconds"]) != len(record["started_seconds"]):
        raise BadResult(f"{where}: {len(record['seconds'])} seconds but {len(record['started_seconds'])} start times")
    if any(seconds <= 0 for seconds in record["seconds"]):
        raise BadResult(f"{where}.seconds: every sample must be above 0")


def _check(value: Any, expected: Any, where: str) -> None:
    """Raise unless `value` has the type that an annotation above states."""
    origin = typing.get_origin(expected)
    if expected is Any:
        return
    if origin in (Union, types.UnionType):
        if value is not None:
            _check(value, next(t for t in typing.get_args(expected) if t is not type(None)), where)
    elif origin is Literal:
        if value not in typing.get_args(expected):
            raise BadResult(f"{where}: {value!r} is none of {', '.join(typing.get_args(expected))}")
    elif origin is list:
        _expect(isinstance(value, list), value, "a list", where)
        for i, item in enumerate(value):
            _check(item, typing.get_args(expected)[0], f"{where}[{i}]")
    elif typing.is_typeddict(expected):
        _expect(isinstance(value, dict), value, "an object", where)
        for key, kind in typing.get_type_hints(expected).items():
            if key not in value:
                raise BadResult(f"{where}: field {key!r} is missing")
            _check(value[key], kind, f"{where}.{key}")
    elif expected is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and math.isfinite(value), value, "a number", where)
    else:
        plain = origin or expected
        _expect(type(value) is plain, value, f"a {plain.__name__}", where)


def _expect(condition: bool, value: Any, kind: str, where: str) -> None:
    if not condition:
        raise BadResult(f"{where}: {value!r} is not {kind}")


def read(path: str) -> Result:
    """The result in a file; `BadResult` if it is truncated or of another kind, OSError if it cannot be read."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise BadResult(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise BadResult(f"it is not complete JSON ({error.msg} at line {error.lineno}): truncated or edited?") from None
    return validate(document)


def to_json(result: Result) -> str:
    """The text of a result; NaN and Infinity are refused because JSON has neither."""
    return json.dumps(result, indent=1, allow_nan=False) + "\n"


class Destination:
    """A file to be written later: refused at once if that cannot work, and never left half written."""

    def __init__(self, path: str) -> None:
        """Raise OSError if `path` cannot be written."""
        self._path = Path(path)
        mode = self._path.stat().st_mode if self._path.exists() else stat.S_IFREG
        self._special = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
        if self._special:  # to open a pipe now would end it for its reader
            if not os.access(self._path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        self._path = self._path.resolve()  # through a symbolic link, which stays one
        if self._path.exists():
            with self._path.open("ab"):  # a directory or a read-only file raises here; nothing is changed
                pass
        with tempfile.TemporaryFile(dir=self._path.parent):
            pass

    def write(self, text: str) -> None:
        """Write aside, flush to disk, rename. A device or pipe is written to as it is."""
        if self._special:
            self._path.write_text(text, encoding="utf-8")
            return
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            with aside.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if self._path.exists():
                aside.chmod(stat.S_IMODE(self._path.stat().st_mode))
            aside.replace(self._path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
