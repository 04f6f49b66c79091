"""The page of a run: one self-contained HTML file, readable in any browser from disk, with nothing to download.

docs/report.md says what is on it and why the charts are drawn by Vega-Lite.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from .. import charts, figures, schema
from ..charts import palette
from ..destination import Destination
from ..records import Result, StudyRecord
from . import carbon_lines, draw, summary, vega
from .html import Html, element, embedded_json, embedded_json_text, join
from .vega import MissingLibrary, runtime
from .whatif import Assumptions

# Scripts and styles of this file only, and no connection of any kind. Vega compiles its expressions: 'unsafe-eval'.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def write(result: Result, path: str | Path, assumptions: Assumptions | None = None) -> None:
    """Write the page, aside and then renamed.

    Raises OSError if it cannot be written, :class:`MissingLibrary` (an ImportError) without vl-convert-python,
    KeyError for a country that is not in the table.
    """
    Destination(str(path)).write(render(result, assumptions))


def render(result: Result, assumptions: Assumptions | None = None) -> str:
    """The text of the page."""
    every = charts.of(result)
    document = schema.to_json(result)
    sections = [
        _study(result, study, [c for c in every if c.study == study["name"]]) for study in figures.studies(result)
    ]
    body = join(
        (
            _top(result),
            element(
                "main",
                summary.tiles(result),
                summary.found(result, summary.first_study(result)),
                summary.caveats(result),
                _contents(result),
                *sections,
                summary.main_table(result),
                carbon_lines.section(result, assumptions or Assumptions()),
                summary.machine(result),
                _raw(result, document),
            ),
            element("footer", "Made by frugalblas. Charts: Vega and Vega-Lite (BSD-3-Clause), embedded in this file."),
            embedded_json_text(document, id="result"),
        )
    )
    return page(f"frugalblas bench: {summary.title(result)}", body, [vega.drawing(chart) for chart in every])


def page(title: str, body: Html, drawings: list[dict[str, object]]) -> str:
    """A whole document around a body, with the charts it is to draw."""
    script = element("script", Html(runtime())) if drawings else None
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),  # or a browser asks for /favicon.ico
        element("style", Html(style())),
    )
    tail = (embedded_json(drawings, id="charts"), script, element("script", Html(resource("page.js"))))
    return "<!doctype html>\n" + element("html", head, element("body", body, *tail), lang="en") + "\n"


@cache
def resource(name: str) -> str:
    """A file beside this one."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def style() -> str:
    """The style sheet with the palette in it."""
    text = resource("page.css")
    for i, (light, dark) in enumerate(zip(palette.LIGHT, palette.DARK, strict=True)):
        text = text.replace(f"LIGHT{i}", light).replace(f"DARK{i}", dark)
    return text


def _top(result: Result) -> Html:
    machine = result["machine"]
    commit = result["source"]["commit"]
    about = [result["started"].replace("T", " ").replace("+00:00", " UTC"), f"frugalblas {machine.get('version', '?')}"]
    about += [f"commit {commit[:10]}"] if commit else []
    return element(
        "header",
        element("p", "frugalblas bench", class_="eyebrow"),
        element("h1", summary.title(result)),
        element("p", " · ".join(about), class_="sub"),
        *(element("p", said, class_="banner") for said in summary.banners(result)),
        class_="top",
    )


def _contents(result: Result) -> Html | None:
    """Links to the studies, if there are several."""
    studies = figures.studies(result)
    links = (element("a", study["title"], href=f"#study-{study['name']}") for study in studies)
    return element("nav", *links, aria_label="studies") if len(studies) > 1 else None


def _study(result: Result, study: StudyRecord, drawn: list[charts.Chart]) -> Html:
    course = f"Exercises of the course: {study['course']}." if study["course"] else None
    empty = None if drawn else element("p", "Nothing of this study was measured.", class_="small")
    return element(
        "section",
        element("h2", study["title"]),
        element("p", study["question"], class_="question") if study["question"] else None,
        element("p", course, class_="small") if course else None,
        None if study["name"] == summary.first_study(result) else summary.found(result, study["name"]),
        *(draw.figure(chart) for chart in drawn),
        empty,
        *(element("p", note, class_="small") for note in study["notes"]),
        id=f"study-{study['name']}",
    )


def _raw(result: Result, document: str) -> Html:
    name = f"frugalblas-{result['started'][:10]}.json"
    link = element("a", f"Download {name}", id="download", class_="button", download=name, href="#result")
    said = (
        f"Every sample of this run, {len(document) / 1024:.0f} KiB, is in this file. "
        "Show its table again, or make this page again, with "
    )
    command = element("code", f"frugalblas bench --from {name}")
    return element(
        "section",
        element("h2", "The raw numbers"),
        element("div", element("p", said, command, "."), link, class_="panel"),
    )


__all__ = ["Assumptions", "MissingLibrary", "render", "write"]
