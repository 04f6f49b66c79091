"""What stands above the charts: figures to remember, findings in words, caveats, machine."""

from __future__ import annotations

from typing import Any

from .. import figures, page, text
from ..charts.points import name_of
from ..findings import findings
from ..records import Result
from .html import Html, element, join, table
from .whatif import what_if

NOISY = "noisy"  # how page.notes begins a warning about the samples
ABSENT = ("skipped", "not here", "not run")  # how page.notes begins a line about what was not measured


SIMULATED = "The joules come from a simulated counter: no energy was measured."


def title(result: Result) -> str:
    """The machine."""
    return str(result["machine"].get("cpu", {}).get("model", "unknown CPU"))


def is_simulated(result: Result) -> bool:
    """Whether the joules come from a simulated counter: then nothing of them was measured."""
    return "simulated" in (result["energy"]["source"] or "").lower()


def first_study(result: Result) -> str:
    """The study that the figures to remember are taken from: the ladder, or else the first."""
    names = [study["name"] for study in figures.studies(result)]
    return "ladder" if "ladder" in names else names[0]


def first_part(result: Result) -> Result:
    """Its cases."""
    return figures.of_study(result, first_study(result))


def tiles(result: Result) -> Html:
    """A few large figures."""
    part = first_part(result)
    size = figures.main_size(part)
    if size is None:
        return Html("")
    kinds = {card["name"]: card["kind"] for card in part["strategies"]}
    rows = figures.rows(part, size)
    compiled = [r for r in rows if kinds[r.record["strategy"]] in ("scalar", "vector", "team")]
    alone = [r for r in compiled if r.threads == 1 and kinds[r.record["strategy"]] in ("scalar", "vector")]
    found: list[tuple[str, str, str]] = []
    if compiled:
        best = max(compiled, key=lambda row: row.gflops)
        found.append((text.number(best.gflops), "GFLOP/s", f"{name_of(best.record)}, at {size}"))
    if alone:
        best = max(alone, key=lambda row: row.gflops)
        if best.peak_share is not None:
            found.append((f"{best.peak_share * 100:.0f}", "%", f"of one core's FMA peak: {best.strategy}"))
        ratio = figures.interleaved_ratio(best.record, alone[0].record, figures.flops_rate)
        if best is not alone[0] and ratio:
            found.append(
                (f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2g}", "x", f"{alone[0].strategy}, on one thread")
            )
        if best.openblas_share is not None:
            found.append((f"{best.openblas_share * 100:.0f}", "%", "of OpenBLAS on one thread"))
    uses = what_if(result).uses
    if uses:
        found.append((f"{uses[0].joules.value:.3g}", "J", f"a call, the least: {uses[0].name}"))
    items = (
        element("li", element("b", value, " ", element("small", unit)), element("span", what))
        for value, unit, what in found
    )
    return element("ul", *items, class_="tiles")


def found(result: Result, study: str) -> Html:
    """The findings of one study."""
    sentences = findings(result, study)
    return element("ul", *(element("li", s) for s in sentences), class_="findings") if sentences else Html("")


def banners(result: Result) -> list[str]:
    """What takes the meaning from the figures below, hence stands above them."""
    said = [SIMULATED] if is_simulated(result) else []
    said += ["The run was interrupted: not everything was measured."] if result["interrupted"] else []
    return said + [note[0].upper() + note[1:] for note in page.notes(result) if note.startswith(NOISY)]


def caveats(result: Result) -> Html:
    """Everything else a reader must know before trusting a figure."""
    items = [note for note in page.notes(result) if not note.startswith(NOISY)]
    commit, modified = result["source"]["commit"], result["source"]["modified"]
    if commit and modified:
        items.append(f"the source was modified after commit {commit[:10]}: this run cannot be repeated from it alone")
    absent = [item for item in items if item.startswith(ABSENT)]
    items = [item for item in items if item not in absent]
    if not items and not absent:
        return Html("")
    left_out = element("summary", f"Not measured: {text.count(len(absent), 'thing', 'things')}, and why")
    return element(
        "section",
        element("h2", "Before you trust these figures"),
        _listed(items),
        element("details", left_out, _listed(absent)) if absent else None,
        class_="caveats",
    )


def _listed(items: list[str]) -> Html:
    return element("ul", *(element("li", item[0].upper() + item[1:]) for item in items)) if items else Html("")


def main_table(result: Result) -> Html:
    """The table of the terminal, at the size with the whole ladder."""
    part = first_part(result)
    size = figures.main_size(part)
    if size is None:
        return Html("")
    rows = figures.rows(part, size)
    shown = [column for column in page.columns(wide=True) if any(column[2](row) != text.NONE for row in rows)]
    head = [" ".join((first + " " + second).split()).replace("Open- BLAS", "of OpenBLAS") for first, second, _ in shown]
    body = [[cell(row) for _, _, cell in shown] for row in rows]
    return element(
        "section",
        element("h2", f"The table, at {size}"),
        element("div", table(head, body, left=2), element("p", page.COLUMNS_EXPLAINED, class_="small"), class_="panel"),
    )


def machine(result: Result) -> Html:
    """What ran where: CPU, caches, builds, libraries, versions, commit, protocol."""
    found: dict[str, Any] = result["machine"]
    cpu: dict[str, Any] = found.get("cpu", {})
    caches = cpu.get("cache_bytes") or {}
    source = result["source"]
    version = str(found.get("version", "?"))
    if source["commit"]:
        version += f", commit {source['commit']}{' (modified)' if source['modified'] else ''}"
    facts: list[tuple[str, object]] = [
        ("processor", f"{cpu.get('model', 'unknown')}, {cpu.get('cpus', '?')} CPUs"),
        ("instruction set level", found.get("variant")),
        ("caches", ", ".join(f"{name} {_bytes(size)}" for name, size in caches.items() if size)),
        ("frugalblas", version),
        ("OpenBLAS", (found.get("openblas") or {}).get("config")),
        ("NumPy, Python", f"{found.get('numpy', '?')}, {found.get('python', '?')}"),
        ("platform", found.get("platform")),
        ("build", "; ".join(f"{k} {v}" for k, v in (found.get("build") or {}).items() if isinstance(v, (str, int)))),
        ("load before the run", ", ".join(f"{load:.2f}" for load in result["load_average"])),
        ("started", f"{result['started']}, took {result['elapsed_seconds']:.0f} s"),
        ("asked for", f"{result['request']['seconds']:g} s, seed {result['request']['seed']}"),
        ("joules from", result["energy"]["source"] or f"nowhere: {figures.why_no_joules(result)}"),
    ]
    return element(
        "section",
        element("h2", "Machine and versions"),
        element(
            "div",
            element("dl", join(join((element("dt", k), element("dd", v))) for k, v in facts if v)),
            class_="panel",
        ),
    )


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:g} {unit}"
