"""DoctorReport: the findings of the doctor, for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .quantity import Reason

SCHEMA = 1


@dataclass(frozen=True)
class DoctorReport:
    """The findings. ``exit_code``: 0 a CPU counter is readable, 3 only something else (GPU, wattmeter), 4 nothing."""

    machine: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]
    scopes: Mapping[str, Mapping[str, Any]]
    findings: Sequence[str]
    exit_code: int
    verdict: str

    def json(self) -> dict[str, Any]:
        """Everything, ready for json.dumps; the layout is versioned by ``schema``."""
        return {
            "schema": SCHEMA,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "machine": dict(self.machine),
            "sources": [dict(source) for source in self.sources],
            "scopes": {scope: dict(facts) for scope, facts in self.scopes.items()},
            "findings": list(self.findings),
        }

    def text(self) -> str:
        """The same for people, without the fine print of ``json()``."""
        lines = [self.verdict, ""]
        for source in self.sources:
            lines.append(f"{source['name']}: {source['reason']}" + (f": {source['hint']}" if source["hint"] else ""))
            for zone in source["zones"]:
                lines.append(f"  {zone['id']} ({zone['name']}): {_facts(zone)}")
        usable = [scope for scope, facts in self.scopes.items() if facts["usable"]]
        lines += ["", f"scopes that can be measured: {', '.join(usable) or 'none'}", *self.findings]
        return "\n".join(lines) + "\n"


def _facts(zone: Mapping[str, Any]) -> str:
    """One zone in a line of text."""
    if zone["reason"] != Reason.OK.code:
        return f"{zone['reason']}: {zone['hint']}"
    parts = []
    if zone["watts"] is not None:
        parts.append(f"{zone['watts']:.3g} W now, ticks every {zone['tick_s'] * 1e3:.3g} ms")
        parts.append(f"steps of {zone['step_uj']} µJ, {zone['latency_s'] * 1e6:.3g} µs a read")
    if zone["wraps_after_s"] is not None:
        parts.append(f"wraps after {zone['wraps_after_s'] / 60:.3g} min at this power")
    if zone["read_every_s"] is not None:
        parts.append(f"kept by a read every {zone['read_every_s']:.3g} s")
    return "; ".join([*parts, *([zone["hint"]] if zone["hint"] else [])]) or "can be read"
