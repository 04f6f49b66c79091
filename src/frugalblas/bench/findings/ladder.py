"""What each rung gained over the one before it, in words."""

from __future__ import annotations

from .. import figures, text
from ..figures import Row
from ..records import Result


def ladder(result: Result) -> list[str]:
    """Sentences computed from the samples; empty when nothing can be compared."""
    kinds = {card["name"]: card["kind"] for card in result["strategies"]}
    size = figures.main_size(result)
    if size is None:
        return []
    rows = figures.rows(result, size)
    sentences = [s for s in (_one_thread(rows, kinds), _team(rows, kinds)) if s is not None]
    if sentences:
        sentences[0] = f"At {size}, {sentences[0]}"
    return sentences + _interpreted(result, kinds)


def _one_thread(rows: list[Row], kinds: dict[str, str]) -> str | None:
    """From the first compiled rung to the fastest one, on one thread."""
    compiled = [row for row in rows if row.threads == 1 and kinds[row.record["strategy"]] in ("scalar", "vector")]
    if not compiled:
        return None
    first, best = compiled[0], max(compiled, key=lambda row: row.gflops)
    ratio = figures.interleaved_ratio(best.record, first.record, figures.flops_rate)
    parts = [f"{_times(ratio)} {first.strategy}"] if first is not best and ratio is not None else []
    if best.peak_share is not None:
        parts.append(f"{best.peak_share * 100:.0f} % of this core's FMA peak")
    if best.openblas_share is not None:
        parts.append(f"{best.openblas_share * 100:.0f} % of OpenBLAS")
    if not parts:
        return None
    verb = "is" if first is not best else "reaches"
    return f"on one thread, {best.strategy} {verb} {text.listed(parts)}."


def _team(rows: list[Row], kinds: dict[str, str]) -> str | None:
    """What more threads bring to the strategy whose threads cooperate."""
    team = [row for row in rows if kinds[row.record["strategy"]] == "team"]
    many = max((row for row in team if row.threads > 1), key=lambda row: row.threads, default=None)
    if many is None:
        return None
    one = next((row for row in team if row.threads == 1 and row.strategy == many.strategy), None)
    ratio = one and figures.interleaved_ratio(many.record, one.record, figures.flops_rate)
    parts = [f"{_times(ratio)} itself on one"] if ratio else []
    if many.openblas_share is not None:
        parts.append(f"{many.openblas_share * 100:.0f} % of OpenBLAS on as many")
    return f"{many.strategy} on {many.threads} threads is {text.listed(parts)}." if parts else None


def _interpreted(result: Result, kinds: dict[str, str]) -> list[str]:
    """The first compiled rung against the first interpreted one, at the largest size that has both."""
    timed = [record["strategy"] for record in result["cases"] if record["status"] == "ok"]
    slow = next((name for name, kind in kinds.items() if kind == "interpreted" and name in timed), None)
    fast = next((name for name, kind in kinds.items() if kind == "scalar" and name in timed), None)
    for size in reversed(figures.sizes(result)):
        rows = {row.record["strategy"]: row.record for row in reversed(figures.rows(result, size)) if row.threads == 1}
        if slow in rows and fast in rows:
            ratio = figures.interleaved_ratio(rows[fast], rows[slow], figures.flops_rate)
            return [f"At {size}, {fast} is {_times(ratio)} {slow}."]
    return []


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.0f}x" if ratio >= 9.95 else f"{ratio:.2g}x"
