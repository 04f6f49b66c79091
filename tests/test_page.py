"""The page in a real browser: nothing on the console, no request, every chart visible, in four looks."""

import io
import json
import re
from pathlib import Path

import browser
import made_up
import pytest

from frugalblas.bench import charts, report, schema
from frugalblas.bench.charts import palette
from frugalblas.bench.report import Assumptions

pytest.importorskip("vl_convert", reason="vl-convert-python is not installed: pip install 'frugalblas[bench]'")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; it comes with matplotlib")

if browser.find() is None:
    pytest.skip(f"no browser here (looked for {', '.join(browser.NAMES)})", allow_module_level=True)

LOOKS = {
    "desktop, light": {"width": 1200, "height": 900},
    "desktop, dark": {"width": 1200, "height": 900, "dark": True},
    "phone, light": {"width": 390, "height": 844, "phone": True},
    "phone, dark": {"width": 390, "height": 844, "phone": True, "dark": True},
}
BOXES = """[...document.querySelectorAll('.plot')].map(e => {
  const r = e.getBoundingClientRect();
  return [e.closest('figure').id, r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY];
})"""
DRAWN_PIXELS = 15  # of exactly one colour: a single marker covers 64, of which its edges are blended with the ground


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    running = browser.Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield running
    running.close()


@pytest.fixture(scope="module")
def text():
    return report.render(made_up.every_study(), Assumptions(("FRA", "POL"), 1000.0))


def channels(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def missing_colours(result, picture, boxes, dark=False):
    """Which colours of its series cannot be seen in the box of each chart. Empty if all is well."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    wanted = palette.DARK if dark else palette.LIGHT
    by_id = {chart.id: chart for chart in charts.of(result)}
    assert {box[0] for box in boxes} == set(by_id)
    faults = []
    for ident, *box in boxes:
        left, top, right, bottom = (round(edge) for edge in box)
        if right - left < 200 or bottom - top < 60 or right > image.width:
            faults.append(f"{ident}: its box is {right - left} x {bottom - top}")
            continue
        seen = {colour: n for n, colour in image.crop((left, top, right, bottom)).getcolors(1 << 24)}
        chart = by_id[ident]
        if chart.kind == "heat":  # as many shades as cells differ
            shades = [colour for colour, n in seen.items() if n >= DRAWN_PIXELS]
            faults += [] if len(shades) > 3 else [f"{ident}: {len(shades)} colours"]
            continue
        # Curves may lie upon each other: the last one drawn is seen whole, and most of the others. Bars do not.
        colours = {channels(wanted[s.style.colour]) for s in chart.series if not s.curve}
        visible = {c for c in colours if seen.get(c, 0) >= DRAWN_PIXELS}
        if len(visible) < (len(colours) if chart.kind == "bars" else (len(colours) + 1) // 2):
            faults.append(f"{ident}: {len(visible)} of {len(colours)} colours are visible")
    return faults


def test_every_chart_is_visible_and_the_page_is_silent(chromium, text, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    with chromium.page(path) as page:
        for name, look in LOOKS.items():
            page.look(**look)
            page.open()
            assert page.run("document.documentElement.dataset.charts") == "drawn", name
            assert (
                missing_colours(made_up.every_study(), page.picture(), page.run(BOXES), look.get("dark", False)) == []
            ), name
            assert page.run("document.documentElement.scrollWidth") <= look["width"], f"{name}: scrolls sideways"
        seen = page.seen()
        assert seen.errors == []
        assert seen.requests == []
        check_controls(page)
        check_download(page)
        page.look(800, 1000, media="print")
        page.run("dispatchEvent(new Event('beforeprint'))")
        assert page.run("[...document.querySelectorAll('details.numbers')].every(d => d.open)")
        assert page.run("getComputedStyle(document.querySelector('.axes')).display") == "none"
        assert page.seen().errors == []


def check_controls(page):
    """A click on a name takes its marks away and brings them back; a click on an axis changes its ticks."""
    marks = "document.querySelectorAll('#sizes-size-gflop_s .mark-symbol path').length"
    first = "document.querySelector('#sizes-size-gflop_s button[data-series]')"
    before = page.run(marks)
    page.run(f"{first}.click()")
    page.wait(f"{marks} < {before}")
    assert page.run(f"{first}.getAttribute('aria-pressed')") == "false"
    page.run(f"{first}.click()")
    page.wait(f"{marks} === {before}")
    ticks = "[...document.querySelectorAll('#sizes-size-gflop_s .role-axis-label text')].map(t => t.textContent).join()"
    logarithmic = page.run(ticks)
    page.run("document.querySelector('#sizes-size-gflop_s input[data-axis=y][value=linear]').click()")
    page.wait(f"{ticks} !== {json.dumps(logarithmic)}")


def check_download(page):
    """The link holds the very result, which the program reads again."""
    link = "document.getElementById('download')"
    assert page.run(f"{link}.getAttribute('download')").endswith(".json")
    kept = page.run("document.getElementById('result').textContent")  # of what the link is made
    assert page.run(f"{link}.href").startswith("blob:")
    assert schema.parse(kept, "page") == made_up.every_study()


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("requests", lambda text: text.replace("<main>", '<main><img src="http://localhost:9/a.png" alt="">', 1)),
        ("errors", lambda text: text.replace("<main>", "<main><script>console.error('no')</script>", 1)),
        ("errors", lambda text: text.replace('"type":"line"', '"type":"lime"')),
        ("charts", lambda text: text.replace("<style>", "<style>.plot svg { visibility: hidden }", 1)),
        ("charts", lambda text: re.sub(r"(--c\d): #\w+", r"\1: transparent", text)),
        ("charts", lambda text: text.replace('"points":[', '"points":[],"lost":[')),
    ],
)
def test_a_broken_page_is_noticed(chromium, tmp_path, fault, change):
    """The checks above can fail: each of these pages has one fault, and it is found."""
    whole = report.render(made_up.ladder())
    broken = change(whole)
    assert broken != whole
    path = tmp_path / "page.html"
    path.write_text(broken, encoding="utf-8")
    with chromium.page(path) as page:
        page.look(**LOOKS["desktop, light"])
        page.open()
        seen = page.seen()
        if fault == "charts":
            assert missing_colours(made_up.ladder(), page.picture(), page.run(BOXES)) != []
        else:
            assert getattr(seen, fault) != [] or page.run("document.documentElement.dataset.charts") == "failed"


def test_without_scripts_the_tables_are_open(chromium, text, tmp_path):
    path = Path(tmp_path / "page.html")
    path.write_text(text, encoding="utf-8")
    with chromium.page(path) as page:
        page.look(**LOOKS["phone, light"])
        page.open(scripts=False)
        page.call("DOM.enable")
        root = page.call("DOM.getDocument")["root"]["nodeId"]
        tables = page.call("DOM.querySelectorAll", nodeId=root, selector="details.numbers[open] table")["nodeIds"]
        assert len(tables) == len(charts.of(made_up.every_study()))
