"""Which cases of two runs belong together, what differs between the runs, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from frugalblas.energy import carbon
from frugalblas.energy.quantity import Provenance, Quantity

from .. import figures, text
from ..charts.points import joules_of, name_of
from ..records import LADDER, CaseRecord, Result
from ..schema import case_key, study_of
from .ratio import Interval, ratio_of_medians, ratio_of_quantities

IGNORED = ("seed",)  # of the request: decides nothing a reader compares


@dataclass(frozen=True)
class Difference:
    """A fact about the runs that is not the same in both."""

    what: str
    a: str
    b: str


@dataclass(frozen=True)
class Pair:
    """One case that both runs have. `speed` is B's over A's; `joules` likewise, with the reason where there is none."""

    a: CaseRecord
    b: CaseRecord
    speed: Interval
    joules: Interval | None
    joules_note: str | None

    @property
    def name(self) -> str:
        """Strategy, threads and particulars."""
        return full_name(self.a)

    @property
    def size(self) -> str:
        """M x N x K."""
        return str(figures.size_of(self.a))


@dataclass(frozen=True)
class Comparison:
    """Everything there is to say of two runs."""

    a: Result
    b: Result
    differences: tuple[Difference, ...]
    pairs: tuple[Pair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    countries: tuple[str, str] | None = None  # ISO 3166 alpha-3 codes of A's grid and of B's


def compare(a: Result, b: Result, countries: tuple[str, str] | None = None) -> Comparison:
    """Set two results side by side, case by case. `countries` are those of A's grid and of B's."""
    of_a, of_b = _timed(a), _timed(b)
    pairs = tuple(_pair(of_a[key], of_b[key], countries) for key in of_a if key in of_b)
    only_a, only_b = _only(of_a, of_b), _only(of_b, of_a)
    return Comparison(a, b, tuple(differences(a, b)), pairs, only_a, only_b, countries)


def _only(one: dict[str, CaseRecord], other: dict[str, CaseRecord]) -> tuple[str, ...]:
    """The cases of one that the other has not: by study where it has none of that study, else each with its sizes."""
    common = {study_of(record) for record in other.values()}
    alone = [record for key, record in one.items() if key not in other]
    counts = Counter(study_of(record) for record in alone if study_of(record) not in common)
    sizes: dict[str, list[str]] = {}
    for record in alone:
        if study_of(record) in common:
            sizes.setdefault(full_name(record), []).append(str(figures.size_of(record)))
    return (
        *(f"{name} at {', '.join(at)}" for name, at in sizes.items()),
        *(f"all of {study} ({text.count(number, 'case', 'cases')})" for study, number in counts.items()),
    )


def full_name(record: CaseRecord) -> str:
    """With the study, unless it is the ladder, and the block sizes or the schedule that alone tell some cases apart."""
    study = study_of(record)
    parameters = ", ".join(f"{key} {value}" for key, value in record.get("parameters", {}).items())
    start = "" if study == LADDER else f"{study}: "
    return start + name_of(record) + (f" ({parameters})" if parameters else "")


def _timed(result: Result) -> dict[str, CaseRecord]:
    return {case_key(record): record for record in result["cases"] if record["status"] == "ok"}


def _pair(a: CaseRecord, b: CaseRecord, countries: tuple[str, str] | None) -> Pair:
    joules, note = _joules(a, b)
    return Pair(a, b, ratio_of_medians(a["seconds"], b["seconds"]), joules, note)


def _joules(a: CaseRecord, b: CaseRecord) -> tuple[Interval | None, str | None]:
    of_a, of_b = joules_of(a), joules_of(b)
    if of_a is None or of_b is None:
        return None, None
    if of_a[0] <= 0 or of_b[0] <= 0:
        return None, "not above zero"
    if of_a[1] is None or of_b[1] is None:
        return None, "no uncertainty in the file: no verdict"
    quantities = (Quantity(value, u or 0.0, "J", Provenance.DERIVED) for value, u in (of_b, of_a))
    return ratio_of_quantities(*quantities), None


def grams_per_million(record: CaseRecord, country: str) -> float | None:
    """g CO2e of a million calls on a country's grid; None without joules."""
    found = joules_of(record)
    if found is None:
        return None
    joules = Quantity(found[0] * 1e6, (found[1] or 0.0) * 1e6, "J", Provenance.DERIVED)
    return carbon.co2e(joules, country).value


def differences(a: Result, b: Result) -> Iterator[Difference]:
    """Machine, versions, flags, commit, request and energy source, as far as they are not the same."""
    facts_a, facts_b = dict(_facts(a)), dict(_facts(b))
    for what in dict.fromkeys((*facts_a, *facts_b)):
        left, right = facts_a.get(what, text.NONE), facts_b.get(what, text.NONE)
        if left != right:
            yield Difference(what, left, right)


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    yield from _leaves(result["machine"], "")
    yield "commit", _commit(result)
    yield from _leaves({k: v for k, v in result["request"].items() if k not in IGNORED}, "asked for ")
    yield from _leaves(result["protocol"], "protocol ")
    yield "joules from", result["energy"]["source"] or "nowhere"
    yield "load before the run", ", ".join(f"{load:.1f}" for load in result["load_average"]) or "unknown"
    yield "started", result["started"]


def _commit(result: Result) -> str:
    source = result["source"]
    return f"{(source['commit'] or 'unknown')[:10]}{', modified' if source['modified'] else ''}"


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            shown = str(key).replace("_", " ")
            yield from _leaves(item, f"{name}{shown}" if not name or name.endswith(" ") else f"{name} {shown}")
    elif isinstance(value, (list, tuple)) and value:
        yield name, ", ".join("x".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for v in value)
    elif value is not None and not isinstance(value, (list, tuple)):
        yield name, str(value)
