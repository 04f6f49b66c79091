"""The energy of the whole machine during a run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..energy import Meter, discover

LABEL = "of the whole machine during the run, not of the products alone"


class MachineEnergy:
    """Counts from when it is made to `end`."""

    def __init__(self, scope: Any, sysfs_root: str) -> None:
        """Open the counters. scope and sysfs_root: see `frugalblas energy`."""
        with ExitStack() as stack:
            sources = discover(sysfs_root=sysfs_root)
            for source in sources:
                stack.callback(source.close)
            self._meter = stack.enter_context(Meter(scope, sources=sources, on_missing="none"))
            self._reading = stack.enter_context(self._meter.region("run"))
            self._open = stack.pop_all()

    def end(self) -> dict[str, Any]:
        """The energy, as ``reading`` and ``text``, or the ``reason`` why it is not known."""
        self._open.close()
        reading = self._reading
        what = {"reading": reading.as_dict(), "scope": self._meter.scope, "label": LABEL}
        if reading.gross is None:
            return {**what, "reason": str(reading.problem) if reading.problem else _reason(self._meter)}
        return {**what, "text": f"{self._meter.scope} energy {reading.gross}, {reading.power}: {LABEL}"}


def unavailable(scope: Any, sysfs_root: str) -> dict[str, Any]:
    """The ``reason`` why a machine on which no counter was seen has no energy to show."""
    sources = discover(sysfs_root=sysfs_root)
    try:
        with Meter(scope, sources=sources, on_missing="none") as meter:
            return {"reason": _reason(meter) or "the machine got a counter during the run"}
    finally:
        for source in sources:
            source.close()


def _reason(meter: Meter) -> str:
    """Why there is no energy; several sources often have one reason: "powercap: none; perf: none"."""
    sources: dict[str, list[str]] = {}
    for missing in meter.selection.missing:
        source, _, reason = missing.partition(": ")
        sources.setdefault(reason or missing, []).append(source)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in sources.items())
