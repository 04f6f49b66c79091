"""The roof over a case: what the arithmetic and the memory of this machine allow, both measured."""

from __future__ import annotations

import statistics

from . import figures
from .cases import Size
from .records import CaseRecord, Result


def intensity(size: Size) -> float:
    """Flops per byte if each matrix crosses the memory bus once."""
    return size.flops / (4 * (size.M * size.K + size.K * size.N + size.M * size.N))


def bandwidths(result: Result) -> dict[tuple[int, str], float]:
    """GB/s by threads and kind of access, at the median sample."""
    return {
        (record["threads"], record["what"]): record["bytes_per_sample"] / statistics.median(record["seconds"]) / 1e9
        for record in result.get("bandwidths") or []
        if record["seconds"]
    }


def fastest_access(result: Result) -> dict[int, tuple[float, str]]:
    """GB/s by threads of the fastest kind of access measured, and its name."""
    found: dict[int, tuple[float, str]] = {}
    for (threads, what), rate in bandwidths(result).items():
        found[threads] = max(found.get(threads, (0.0, "")), (rate, what))
    return found


def roof(result: Result, record: CaseRecord) -> tuple[float, bool] | None:
    """GFLOP/s that nothing on as many threads can exceed at this size, and whether memory sets it.

    None where the peak or the bandwidth was not measured.
    """
    peak = figures.peak_of(result, record)
    access = fastest_access(result).get(record["threads"])
    if peak is None or access is None:
        return None
    memory, arithmetic = access[0] * intensity(figures.size_of(record)), figures.peak_gflops(peak)
    return min(memory, arithmetic), memory < arithmetic
