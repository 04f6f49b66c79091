"""Measures the strategies on this machine: what ``frugalblas bench`` runs.

Declarative cases (`cases`, `plan`) go through one runner (`runner`, `sampling`, `check`, `budget`) into one result
(`schema`), from which everything shown is computed (`figures`, `findings`, `page`). The protocol and the JSON are
described in docs/bench.md.
"""

from .cases import Case, RequestError, Size, Strategy
from .page import render
from .plan import Plan, blank_result
from .runner import run
from .schema import SCHEMA, BadResult, Destination, Result, read, to_json, validate

__all__ = [
    "SCHEMA",
    "BadResult",
    "Case",
    "Destination",
    "Plan",
    "RequestError",
    "Result",
    "Size",
    "Strategy",
    "blank_result",
    "read",
    "render",
    "run",
    "to_json",
    "validate",
]
