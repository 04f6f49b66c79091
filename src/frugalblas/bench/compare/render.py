"""A comparison as text for a terminal and as a page."""

from __future__ import annotations

import itertools

from frugalblas.energy import carbon

from .. import figures, text
from ..charts import Axis, Chart, Point, Reference, Series
from ..charts.palette import style_number
from ..charts.points import joules_of, plus_minus
from ..page import WIDE
from ..records import Result
from ..report import draw, page, vega
from ..report import html as markup
from ..report.html import Html, element, join
from ..report.summary import SIMULATED, is_simulated
from .pairs import Comparison, Pair, grams_per_million
from .ratio import Interval

COVERS = (
    "Ratios are of medians, B over A. The interval holds the true one with 95 % at least (order statistics of both "
    "sets of samples). It covers the scatter within each run; the two were not interleaved, so what differed between "
    "them (clock, temperature, other programs) is not in it: repeat both runs to see that."
)
BEFORE = 8  # characters of two long values that are shown before they differ
DRAWN = 40  # bars at most: more are no picture
FASTER = {"more": "faster", "less": "slower"}
HUNGRIER = {"more": "more joules", "less": "fewer joules"}


def label(result: Result) -> str:
    """A run in a few words."""
    commit = result["source"]["commit"]
    model = result["machine"].get("cpu", {}).get("model", "unknown CPU")
    return f"{model}, {result['started'][:16].replace('T', ' ')}{f', {commit[:10]}' if commit else ''}"


def said(interval: Interval) -> str:
    """``1.23 (1.20 to 1.26)``."""
    return f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"


def verdict(interval: Interval, words: dict[str, str]) -> str:
    """In words; "more" and "less" are replaced by what they mean here."""
    return words.get(interval.verdict, interval.verdict)


def rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and body of the table of speeds."""
    head = ["strategy", "size", "A GFLOP/s", "B GFLOP/s", "B / A", "verdict"]
    body = []
    for pair in comparison.pairs:
        a, b = (text.number(figures.gflops(record)) for record in (pair.a, pair.b))
        body.append([pair.name, pair.size, a, b, said(pair.speed), verdict(pair.speed, FASTER)])
    return head, body


def energy_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and body of the table of joules, empty if no pair has any."""
    head = ["strategy", "size", "A J per call", "B J per call", "B / A", "verdict"]
    body = []
    for pair in comparison.pairs:
        found = [joules_of(record) for record in (pair.a, pair.b)]
        if found[0] is None or found[1] is None:
            continue
        row = [pair.name, pair.size, *(plus_minus(value, u) for value, u in filter(None, found))]
        if pair.joules is None:
            row += [text.NONE, pair.joules_note or text.NONE]
        else:
            row += [said(pair.joules), verdict(pair.joules, HUNGRIER)]
        body.append(row)
    return head, body


def carbon_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and body of the table of CO2e, empty without countries or joules."""
    if comparison.countries is None:
        return [], []
    places = [carbon.intensity(place) for place in comparison.countries]
    head = ["g CO2e per million calls", "size", *(f"{run} in {p.country}" for run, p in zip("AB", places, strict=True))]
    body = []
    for pair in comparison.pairs:
        a, b = (grams_per_million(r, p.iso3) for r, p in zip((pair.a, pair.b), places, strict=True))
        if a is not None and b is not None:
            body.append([pair.name, pair.size, text.number(a), text.number(b), f"{b / a:.3g}"])
    return [*head, "B / A"], body


def summary(comparison: Comparison) -> list[str]:
    """The outcome in words."""
    pairs = comparison.pairs
    if not pairs:
        return ["The two runs have no case in common."]
    faster, slower = ([p for p in pairs if verdict(p.speed, FASTER) == word] for word in ("faster", "slower"))
    same = [p for p in pairs if p.speed.verdict == "no difference"]
    unsure = len(pairs) - len(faster) - len(slower) - len(same)
    counts = [f"{len(faster)} faster in B", f"{len(slower)} slower", f"{len(same)} without a difference"]
    counts += [f"{unsure} with too few samples to tell"] if unsure else []
    sentences = [f"Of {text.count(len(pairs), 'case', 'cases')}: {', '.join(counts)}."]
    for found, what in ((faster, "gain"), (slower, "loss")):
        if found:
            most = max(found, key=_distance)
            sentences.append(f"The largest {what}: {most.name} at {most.size}, {said(most.speed)} times as fast.")
    return sentences


def _distance(pair: Pair) -> float:
    return pair.speed.value if pair.speed.value > 1 else 1 / pair.speed.value


def no_joules(comparison: Comparison) -> str | None:
    """Why there is no table of joules."""
    if energy_rows(comparison)[1]:
        return None
    reasons = [
        f"{name}: {reason}"
        for name, result in (("A", comparison.a), ("B", comparison.b))
        if (reason := figures.why_no_joules(result))
    ]
    return "No joules to compare. " + ("; ".join(reasons) or "No case has any in both.")


def carbon_note(comparison: Comparison) -> str | None:
    """Which grids, and that they are estimates."""
    if comparison.countries is None:
        return None
    grids = (carbon.intensity(place) for place in comparison.countries)
    listed = ", ".join(f"{g.country} {g.g_per_kwh:g} g/kWh ({g.year})" for g in grids)
    return f"CO2e is estimated from the yearly mean of each grid: {listed}. {carbon.ATTRIBUTION}."


def as_text(comparison: Comparison, width: int) -> str:
    """For a terminal."""
    blocks = [[f"A: {label(comparison.a)}", f"B: {label(comparison.b)}"]]
    if _simulated(comparison):
        blocks.append([SIMULATED])
    if comparison.differences:
        blocks.append(["What differs:"] + [_difference(d.what, d.a, d.b, width) for d in comparison.differences])
    blocks.append([line for s in summary(comparison) for line in text.paragraph(s, width)])
    for head, body in (rows(comparison), energy_rows(comparison)):
        if body and width < WIDE:  # what is left out is in the files, and on the page
            head, body = [*head[:2], *head[4:]], [[*row[:2], *row[4:]] for row in body]
        blocks.append(text.table([head], body, left=2) if body else [])
    head, body = carbon_rows(comparison)
    blocks.append(text.table([head], body, left=2) if body else [])
    notes = [no_joules(comparison), carbon_note(comparison)]
    notes += [
        f"only in {name}: {'; '.join(only)}"
        for name, only in (("A", comparison.only_a), ("B", comparison.only_b))
        if only
    ]
    blocks.append([line for note in (*notes, COVERS) if note for line in text.paragraph(note, width)])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _difference(what: str, a: str, b: str, width: int) -> str:
    room = max(20, (width - len(what) - 12) // 2)
    same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
    if max(len(a), len(b)) > room and same > room // 2:  # what they have in common may go, the difference may not
        a, b = (f"…{value[same - BEFORE :]}" for value in (a, b))
    short = [value if len(value) <= room else f"{value[: room - 1]}…" for value in (a, b)]
    return f"  {what}: {short[0] or text.NONE} -> {short[1] or text.NONE}"


def chart(comparison: Comparison) -> Chart | None:
    """The ratios with their intervals; of many, the largest differences."""
    if not comparison.pairs:
        return None
    largest = sorted(comparison.pairs, key=_distance, reverse=True)[:DRAWN]
    caption = "Ratio of medians. Whiskers: 95 % interval."
    if len(largest) < len(comparison.pairs):
        caption += f" The {DRAWN} largest differences of {len(comparison.pairs)}; all are in the table."
    groups: dict[str, list[Point]] = {}
    order = []
    chosen = {id(pair) for pair in largest}
    for pair in (pair for pair in comparison.pairs if id(pair) in chosen):
        name = f"{pair.name}, {pair.size}"
        order.append(name)
        hover = (said(pair.speed), verdict(pair.speed, FASTER))
        point = Point(pair.speed.value, name, pair.speed.low, pair.speed.high, hover)
        groups.setdefault(verdict(pair.speed, FASTER), []).append(point)
    colours = {"faster": 2, "slower": 1, "no difference": 6}
    series = tuple(Series(name, style_number(colours.get(name, 5)), tuple(points)) for name, points in groups.items())
    return Chart(
        "ratios",
        "compare",
        "How many times as fast B is as A",
        caption,
        "dots",
        Axis("B / A (times)", "linear", may_switch=True),
        Axis("case", "category", categories=tuple(dict.fromkeys(order))),
        series,
        (Reference("x", 1.0, "equal"),),
        ("B / A (95 % interval)", "verdict"),
    )


def as_page(comparison: Comparison) -> str:
    """One self-contained HTML page."""
    drawn = chart(comparison)
    found = [(d.what, d.a, d.b) for d in comparison.differences]
    speed, joules, grams = rows(comparison), energy_rows(comparison), carbon_rows(comparison)
    notes = [note for note in (carbon_note(comparison), COVERS) if note]
    sections: list[object] = [
        element("ul", *(element("li", s) for s in summary(comparison)), class_="findings"),
        element("h2", "What differs"),
        element("div", markup.table(["", "A", "B"], found, left=3), class_="panel wrap")
        if found
        else element("p", "Nothing that the files know of."),
        element("h2", "Speed"),
        draw.figure(drawn) if drawn else None,
        element("div", markup.table(*speed, left=2), class_="panel") if speed[1] else None,
        element("h2", "Energy"),
        element("div", markup.table(*joules, left=2), class_="panel")
        if joules[1]
        else element("p", no_joules(comparison)),
        element("div", markup.table(*grams, left=2), class_="panel") if grams[1] else None,
        *(element("p", note, class_="small") for note in notes),
        *_only(comparison),
    ]
    top = element(
        "header",
        element("p", "frugalblas compare", class_="eyebrow"),
        element("h1", "Two runs side by side"),
        *(element("p", f"{n}: {label(r)}", class_="sub") for n, r in (("A", comparison.a), ("B", comparison.b))),
        element("p", SIMULATED, class_="banner") if _simulated(comparison) else None,
        class_="top",
    )
    body = join((top, element("main", *sections), element("footer", "Made by frugalblas.")))
    return page("frugalblas compare", body, [vega.drawing(drawn)] if drawn else [])


def _simulated(comparison: Comparison) -> bool:
    return any(is_simulated(result) for result in (comparison.a, comparison.b))


def _only(comparison: Comparison) -> list[Html]:
    found = []
    for name, only in (("A", comparison.only_a), ("B", comparison.only_b)):
        if only:
            found.append(element("p", element("b", f"Only in {name}: "), "; ".join(only), class_="small"))
    return found
