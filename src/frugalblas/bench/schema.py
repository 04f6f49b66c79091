"""The JSON of a run: how its text is written, read, checked and refused. Its fields are those of `records`."""

from __future__ import annotations

import hashlib
import json
import math
import types
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union

from .destination import Destination
from .records import (
    LADDER,
    SCHEMA,
    BandwidthRecord,
    CaseRecord,
    Energy,
    EnergyRecord,
    PeakRecord,
    Result,
    Source,
    StrategyRecord,
    StudyRecord,
    TraceRecord,
)

__all__ = [
    "LADDER",
    "SCHEMA",
    "BadResult",
    "BandwidthRecord",
    "CaseRecord",
    "Destination",
    "Energy",
    "EnergyRecord",
    "PeakRecord",
    "Result",
    "ResultWarning",
    "Source",
    "StrategyRecord",
    "StudyRecord",
    "TraceRecord",
    "case_key",
    "parse",
    "read",
    "study_of",
    "to_json",
    "validate",
]

CHECKSUM = "checksum"  # of everything else in a file; not part of a Result


class BadResult(ValueError):
    """A file that is not a result this version can read; the message says what is wrong with it."""


class ResultWarning(UserWarning):
    """A file that can be read, but not relied on in every respect; the message says in which."""


def study_of(record: CaseRecord | PeakRecord) -> str:
    """The study that a case or a peak belongs to."""
    return record.get("study", LADDER)


def case_key(record: CaseRecord) -> str:
    """What makes a case itself: no two of a result have the same."""
    what = [record["strategy"], record["variant"], record["threads"], record["M"], record["N"], record["K"]]
    more = [study_of(record), record.get("series"), record.get("precision", "fp32"), record.get("where")]
    return json.dumps([*what, *more, record.get("parameters", {})], sort_keys=True)


def validate(document: Any) -> Result:
    """The document as a :class:`Result`, or :class:`BadResult` naming the first field that is wrong."""
    if not isinstance(document, dict) or "schema" not in document:
        raise BadResult('it has no "schema" field: not a result of frugalblas bench')
    if document["schema"] != SCHEMA:
        raise BadResult(f"its schema is {document['schema']!r}; this version of frugalblas reads {SCHEMA!r}")
    _check(document, Result, "result")
    result = typing.cast(Result, document)
    _check_cases(result)
    for i, peak in enumerate(result["peaks"]):
        _check_size(peak, f"result.peaks[{i}]")
        _check_samples(peak, f"result.peaks[{i}]")
    for i, bandwidth in enumerate(result.get("bandwidths", [])):
        _check_samples(bandwidth, f"result.bandwidths[{i}]")
    for i, trace in enumerate(result.get("traces", [])):
        if len(trace["seconds"]) != len(trace["watts"]):
            raise BadResult(f"result.traces[{i}]: {len(trace['seconds'])} times but {len(trace['watts'])} powers")
    return result


def _check_cases(result: Result) -> None:
    known = {strategy["name"] for strategy in result["strategies"]}
    studies = {study["name"] for study in result.get("studies", [])} or {LADDER}
    seen: dict[str, int] = {}
    for i, case in enumerate(result["cases"]):
        where = f"result.cases[{i}]"
        _check_size(case, where)
        _check_samples(case, where)
        if case["strategy"] not in known:
            raise BadResult(f"{where}.strategy: {case['strategy']!r} is not among result.strategies")
        if study_of(case) not in studies:
            raise BadResult(f"{where}.study: {study_of(case)!r} is not among result.studies")
        if (case["status"] == "ok") != bool(case["seconds"]):
            raise BadResult(f"{where}: status {case['status']!r} with {len(case['seconds'])} samples")
        energy = case.get("energy")
        if energy is not None and energy["joules_per_call"] != case["joules_per_call"]:
            raise BadResult(f"{where}: joules_per_call is not that of its energy")
        first = seen.setdefault(case_key(case), i)
        if first != i:
            raise BadResult(f"{where} is the same case as result.cases[{first}]: edited, or two files in one")


def _check_size(record: CaseRecord | PeakRecord, where: str) -> None:
    if min(record["M"], record["N"], record["K"], record["threads"]) < 1:
        raise BadResult(f"{where}: M, N, K and threads must be 1 or more")


def _check_samples(record: CaseRecord | PeakRecord | BandwidthRecord, where: str) -> None:
    if len(record["seconds"]) != len(record["started_seconds"]):
        raise BadResult(f"{where}: {len(record['seconds'])} seconds but {len(record['started_seconds'])} start times")
    if any(seconds <= 0 for seconds in record["seconds"]):
        raise BadResult(f"{where}.seconds: every sample must be above 0")


def _check(value: Any, expected: Any, where: str) -> None:
    """Raise unless `value` has the type that an annotation of `records` states."""
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
            if key in value:
                _check(value[key], kind, f"{where}.{key}")
            elif key in expected.__required_keys__:
                raise BadResult(f"{where}: field {key!r} is missing")
    elif expected is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and math.isfinite(value), value, "a number", where)
    else:
        plain = origin or expected
        _expect(type(value) is plain, value, f"a {plain.__name__}", where)


def _expect(condition: bool, value: Any, kind: str, where: str) -> None:
    if not condition:
        raise BadResult(f"{where}: {value!r} is not {kind}")


def _unknown(value: Any, expected: Any, where: str) -> Iterator[str]:
    """The fields that no annotation names: written by a later version, or by hand."""
    if typing.get_origin(expected) is list:
        for item in value:
            yield from _unknown(item, typing.get_args(expected)[0], f"{where}[]")
    elif typing.is_typeddict(expected):
        hints = typing.get_type_hints(expected)
        yield from (f"{where}.{key}" for key in value if key not in hints)
        for key, kind in hints.items():
            if key in value:
                yield from _unknown(value[key], kind, f"{where}.{key}")


def read(path: str) -> Result:
    """The result in a file; `BadResult` if it is truncated or of another kind, OSError if it cannot be read.

    A :class:`ResultWarning` is issued for a file with fields that this version does not know, and for one whose
    checksum says that it was edited.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadResult(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    return parse(text, path)


def parse(text: str, path: str) -> Result:
    """The result in the text of a file; `path` is for its warnings. See :func:`read`."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadResult(f"it is not complete JSON ({error.msg} at line {error.lineno}): truncated or edited?") from None
    checksum = document.pop(CHECKSUM, None) if isinstance(document, dict) else None
    result = validate(document)
    if unknown := list(dict.fromkeys(_unknown(document, Result, "result"))):
        fields = ", ".join(unknown)
        warnings.warn(f"{path}: ignored, because this version does not know it: {fields}", ResultWarning, stacklevel=3)
    if checksum is not None and checksum != _checksum(result):
        warnings.warn(
            f"{path}: its checksum does not match: it was edited after it was written", ResultWarning, stacklevel=3
        )
    return result


def _checksum(result: Result) -> str:
    """Of the values, whatever the order and the layout in which a file has them."""
    canonical = json.dumps(result, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def to_json(result: Result) -> str:
    """The text of a result, with its checksum; NaN and Infinity are refused because JSON has neither."""
    return json.dumps({**result, CHECKSUM: _checksum(result)}, indent=1, allow_nan=False) + "\n"
