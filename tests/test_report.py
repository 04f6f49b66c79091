"""What is on the page and in the figures, without a browser: numbers, words, escapes, refusals."""

import html
import html.parser
import itertools
import json
import re
import sys

import made_up
import numpy as np
import pytest

from frugalblas import cli
from frugalblas.bench import charts, figures, outputs, plots, render, report, sampling, schema
from frugalblas.bench.cases import RequestError
from frugalblas.bench.charts import palette
from frugalblas.bench.findings import findings
from frugalblas.bench.report import Assumptions, vega, whatif
from frugalblas.bench.report.html import element, embedded_json, table
from frugalblas.energy import carbon
from frugalblas.energy.quantity import Provenance, Quantity

EVERY = [study[0] for study in made_up.STUDIES]
HOSTILE = '</script><script>alert("&\u2028")</script><!--'


@pytest.fixture
def no_runtime(monkeypatch):
    """The page without its charting library, which takes seconds to pack."""
    monkeypatch.setattr(report, "runtime", lambda: "/* the library */")


def run(*arguments):
    try:
        return cli.main(list(arguments))
    except SystemExit as stop:
        return stop.code


class Outline(html.parser.HTMLParser):
    """Every element with its attributes, and the text of scripts by their id."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self._script = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id", "") if tag == "script" else None

    def handle_endtag(self, tag):
        self._script = None

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[self._script] = data


# -- charts --


@pytest.mark.parametrize("study", EVERY)
def test_every_study_has_charts_that_say_what_they_show(study):
    drawn = charts.of(made_up.every_study(), study)
    assert drawn
    for chart in drawn:
        assert chart.study == study
        assert all((chart.title, chart.caption, chart.x.title, chart.y.title))
        assert re.fullmatch(r"[\w-]+", chart.id)
        head, body = chart.table()
        assert len(body) == sum(len(s.points) for s in chart.series if not s.curve)
        assert {len(row) for row in body} == {len(head)}
    idents = [chart.id for chart in charts.of(made_up.every_study())]
    assert len(set(idents)) == len(idents)


def test_every_point_is_a_case_and_every_case_a_point():
    result = made_up.every_study()
    for study, title in (
        ("sizes", "size"),
        ("flags", "build_variant"),
        ("shapes", "M_x_N_x_K"),
        ("threads", "threads"),
    ):
        chart = next(c for c in charts.of(result, study) if f"{study}-{title}-gflop_s" == c.id)
        shown = sorted(point.y for series in chart.series for point in series.points)
        cases = [case for case in figures.of_study(result, study)["cases"] if not case.get("series")]
        assert shown == sorted(figures.gflops(case) for case in cases)
        for series in chart.series:
            for point in series.points:
                assert point.low <= point.y <= point.high


def test_a_file_of_the_first_version_has_the_ladder():
    result = made_up.ladder()
    assert "studies" not in result
    bars, lines = charts.of(result)
    assert [bars.kind, lines.kind] == ["bars", "lines"]
    assert {p.y for s in bars.series for p in s.points} == set(bars.y.categories)
    assert [r.label for r in bars.references] == ["FMA peak, 1 thread", "FMA peak, 8 threads"]


def test_a_study_cut_to_one_point_is_drawn_as_bars():
    result = made_up.every_study()
    cut = {**result, "cases": [c for c in result["cases"] if c["study"] != "threads" or c["threads"] == 2]}
    drawn = charts.of(cut, "threads")
    assert {chart.kind for chart in drawn} == {"bars"}
    assert len(drawn[0].y.categories) == 4


def test_caches_are_marked_where_three_matrices_fill_them():
    (chart,) = charts.of(made_up.every_study(), "sizes")
    marks = {r.label: r.value for r in chart.references if r.axis == "x"}
    assert marks == {"L2 full": pytest.approx((1048576 / 12) ** 0.5), "L3 full": pytest.approx((33554432 / 12) ** 0.5)}


def test_without_joules_no_chart_of_joules():
    assert not [c for c in charts.of(made_up.ladder()) if "energy" in c.id or "watt" in c.id]
    measured = [c.id for c in charts.of(made_up.ladder(simulated=True))]
    assert [ident for ident in measured if "energy" in ident] == ["ladder-energy_per_call-1024"]


def test_the_count_of_threads_at_which_a_joule_buys_most_is_marked():
    (chart,) = (c for c in charts.of(made_up.every_study(), "threads") if c.title.startswith("What a joule buys"))
    best = max((p for s in chart.series for p in s.points), key=lambda point: point.y)
    assert [r.value for r in chart.references if r.label == "sweet spot: openmp"] == [best.x]


def test_the_front_holds_what_nothing_beats():
    (chart,) = charts.of(made_up.every_study(), "precision")
    (front,) = [series for series in chart.series if series.curve]
    points = [(p.x, p.y) for s in chart.series if not s.curve for p in s.points]
    expected = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)}
    assert {(p.x, p.y) for p in front.points} == expected
    assert len(expected) < len(points)


def test_the_energy_per_flop_and_per_byte_come_back_from_a_straight_line():
    line = charts.roofline.fits(energies(made_up.every_study(), 20, 300))["blocked"]
    assert line.level == pytest.approx(20)
    assert line.slope == pytest.approx(300)
    assert max(line.u_level, line.u_slope) < 1e-6


def linear(colour):
    """sRGB without its curve (IEC 61966-2-1)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SEEN = {  # Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113
    "by most people": np.eye(3),
    "by protanopes": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "by deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "by tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
JUST_NOTICEABLE = 2.3  # CIE 1976 delta E of neighbouring patches (Mahy and others 1994, doi:10.1002/col.5080190207)


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN)
def test_colours_stay_apart_for_the_colour_blind(colours, eyes):
    """Marks are small and apart: five times what is just noticed side by side."""

    def lab(colour):
        white = XYZ @ np.ones(3)
        xyz = XYZ @ np.clip(np.array(SEEN[eyes]) @ linear(colour), 0, 1) / white
        f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(lab(one) - lab(other)) > 5 * JUST_NOTICEABLE, (one, other)


@pytest.mark.parametrize(("colours", "ground"), [(palette.LIGHT, "#ffffff"), (palette.DARK, "#181b21")])
def test_every_colour_stands_out_from_its_ground(colours, ground):
    """WCAG 2.2, 1.4.11: 3:1, by its formula for relative luminance."""

    def luminance(colour):
        return XYZ[1] @ linear(colour)

    for colour in colours:
        light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def every_label():
    """Shapes with every strategy on one thread, two and four, each also in batches."""
    maker = made_up.Maker()
    for name in made_up.SPEED:
        for threads in (1, 2, 4):
            for series in (None, "batch of 256"):
                for size in (16, 32):
                    maker.case("shapes", name, size, threads, **({"series": series} if series else {}))
    shapes = next(study for study in made_up.STUDIES if study[0] == "shapes")
    name, title, question, course = shapes
    study = {"name": name, "title": title, "question": question, "course": course, "axis": "shape", "notes": []}
    return {**maker.result, "studies": [study]}


@pytest.mark.parametrize("result", [made_up.every_study(), every_label()], ids=["every study", "every label"])
def test_no_two_series_of_a_chart_look_the_same(result):
    for chart in charts.of(result):
        looks = [series.style for series in chart.series if not series.curve]
        assert len(set(looks)) == len(looks), chart.id


def energies(result, pj_per_flop, pj_per_byte, wobble=0.0):
    """The roofline of a result in which every case costs just so much, up and down by `wobble` in turn."""
    cases = []
    for i, case in enumerate(figures.of_study(result, "roofline")["cases"]):
        flops, bytes_ = 2 * case["M"] ** 3, 12 * case["M"] ** 2
        cost = (pj_per_flop * flops + pj_per_byte * bytes_) * 1e-12 * (1 + wobble * (-1) ** i)
        cases.append({**case, "joules_per_call": cost, "energy": None})
    return {**result, "cases": cases}


def test_the_fitted_energy_is_drawn_with_its_interval():
    result = made_up.every_study()
    exact, wide = (
        next(c for c in charts.of(energies(result, 20, 300, wobble), "roofline") if c.id == "roofline-energy")
        for wobble in (0.0, 0.1)
    )
    for chart in (exact, wide):
        data = {series.name: series for series in chart.series if not series.curve}
        fits = [series for series in chart.series if series.fit]
        assert [series.name for series in fits] == list(data)
        for fit in fits:
            assert fit.style == data[fit.name].style
            assert (fit.points[0].x, fit.points[-1].x) == (8.0, 320.0)  # flop/byte at 48 and 1920
            assert all(p.low <= p.y <= p.high for p in fit.points)
    for point in (p for series in exact.series if series.fit for p in series.points):
        assert (point.y, point.low, point.high) == pytest.approx([20 + 300 / point.x] * 3)
    assert all(p.high > 1.02 * p.y for series in wide.series if series.fit for p in series.points)


def test_the_interval_of_the_fit_covers_the_truth_as_often_as_it_says():
    """Of 400 lines through four points with normal errors, 380 are expected to lie within it; 6 is one sigma."""
    random, true = np.random.default_rng(0), 20 + 300 * np.array([0.25, 0.12, 0.025, 0.006])
    within = 0
    for errors in random.standard_normal((400, 4)):
        x = (true - 20) / 300
        middle, half = charts.roofline._line(list(zip(x, true + errors, strict=True))).at(0.1)
        within += abs(middle - (20 + 300 * 0.1)) <= half
    assert 360 < within < 400


def test_simulated_counters_draw_a_fit_on_the_page_and_in_the_figures(tmp_path):
    chart = next(c for c in charts.of(made_up.every_study(), "roofline") if c.id == "roofline-energy")
    drawn = vega.drawing(chart)
    assert {row["series"] for row in drawn["datasets"]["fits"]} == {"transposed", "blocked"}
    for spec in drawn["specs"].values():
        marks = [layer["mark"]["type"] for layer in spec["layer"] if layer["data"] == {"name": "fits"}]
        assert marks == ["area", "line"]
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    axes = figure.Figure().add_subplot()
    plots.draw(chart, axes)
    bands = [part for part in axes.collections if part.get_alpha() == plots.BAND_ALPHA]
    assert len(bands) == 2


# -- what was found, in words --


@pytest.mark.parametrize("study", EVERY)
def test_a_terminal_and_the_page_say_the_same_of_every_study(study, no_runtime):
    result = made_up.every_study()
    sentences = findings(result, study)
    assert sentences
    shown, on_page = " ".join(render(result).split()), report.render(result)
    for sentence in sentences:
        assert sentence in shown
        assert html.escape(sentence) in on_page


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("sizes", "From 96 to 1824, blocked is fastest at 10 of 10 sizes; the most is 109 GFLOP/s, blocked at 1632."),
        ("threads", "At 960, openmp is fastest on 12 threads: 8.35x one thread."),
        ("threads", "A joule buys openmp most on 1 thread, not on the 12 where it is fastest."),
        ("flags", "Flags matter most to vector: at 1920, O3_native_fastmath_unroll is 10.1x O0."),
        ("gpu", "At 4096, openblas with operands and result on the host reaches 10 % of what its kernel does."),
        ("precision", "At 2048, openblas, tf32 is 3.99x openblas, with 2250x its error."),
        ("power", "At rest the counters show 45.1 W; hot adds 34.1 W."),
    ],
)
def test_findings_follow_from_the_samples(study, said):
    assert said in findings(made_up.every_study(), study)


def test_the_roof_is_that_of_memory_or_of_arithmetic():
    """Of 14 GB/s and 117 GFLOP/s: 8 flop/byte at 48 leave 112, 80 at 480 leave 117."""
    result = made_up.every_study()
    kept = [case for case in result["cases"] if case["M"] in (48, 480)]
    peaks = [{**peak, **dict.fromkeys("MNK", n)} for peak in result["peaks"] for n in (48, 480)]
    low, high, *_ = findings({**result, "cases": kept, "peaks": peaks}, "roofline")
    assert low.startswith("At 48, 8.00 flop/byte, memory sets the roof; blocked reaches 5")
    assert high.startswith("At 480, 80.0 flop/byte, arithmetic sets the roof; blocked reaches 8")


def test_nothing_is_said_of_what_was_not_measured():
    result = {**made_up.every_study(), "cases": [], "peaks": [], "traces": []}
    assert {study: findings(result, study) for study in EVERY} == {study: [] for study in EVERY}
    assert charts.of(result) == []


# -- the page --


def test_the_page_says_where_its_numbers_come_from(no_runtime):
    text = report.render(made_up.ladder())
    for said in ("Made-up CPU", "0123456789", "no counters: this machine is made up", "OpenBLAS 0.3.31", "3.11"):
        assert said in text
    assert "blocked is 6" in text  # 112 / 1.7 is 66
    for sentence in findings(made_up.ladder(), "ladder"):
        assert html.escape(sentence) in text


def test_the_result_is_in_the_page_and_reads_as_it_was(no_runtime):
    outline = Outline(report.render(made_up.every_study()))
    assert schema.parse(outline.scripts["result"], "page") == made_up.every_study()


def test_nothing_in_the_page_points_elsewhere(no_runtime):
    for tag, attributes in Outline(report.render(made_up.every_study())).elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert "default-src 'none'" in report.POLICY


def test_what_a_file_says_cannot_become_markup(no_runtime):
    result = made_up.ladder()
    clean = [tag for tag, _ in Outline(report.render(result)).elements]
    hostile = json.loads(json.dumps(result).replace("naive", json.dumps(HOSTILE)[1:-1]))
    hostile["machine"]["cpu"]["model"] = hostile["energy"]["reason"] = HOSTILE
    outline = Outline(report.render(schema.validate(hostile)))
    assert [tag for tag, _ in outline.elements] == clean
    assert schema.parse(outline.scripts["result"], "page") == hostile


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_run_without_a_measurement_is_still_a_page(interrupted, no_runtime):
    result = made_up.ladder() | {"cases": [], "peaks": [], "interrupted": interrupted}
    text = report.render(result)
    assert "Nothing of this study was measured." in text
    assert ("The run was interrupted" in text) is interrupted


def test_what_went_wrong_is_on_the_page(no_runtime):
    result = made_up.ladder()
    spoiled = {"status": "wrong", "note": "3 elements are wrong", "seconds": [], "started_seconds": []}
    result["cases"][2] |= spoiled
    text = report.render(result)
    assert "WRONG: naive at 128: 3 elements are wrong" in text


def test_noise_stands_above_the_figures(no_runtime):
    result = made_up.ladder()
    for case in result["cases"]:
        case["seconds"] = [seconds * (1 + i) for i, seconds in enumerate(case["seconds"])]
    text = report.render(result)
    assert 0 < text.index("Noisy: samples spread by") < text.index('class="tiles"')


def test_simulated_joules_are_called_that(no_runtime):
    assert "simulated counter: no energy was measured" not in report.render(made_up.ladder())
    assert "simulated counter: no energy was measured" in report.render(made_up.ladder(simulated=True))


def test_one_strategy_looks_the_same_in_every_chart_and_on_any_threads():
    looks = {}
    for result in (made_up.every_study(), every_label()):
        for chart in charts.of(result):
            for series in chart.series if chart.kind in ("lines", "points") else ():
                name = series.name.partition(",")[0]
                if not series.curve and series.name in (name, f"{name}, 2 threads") and name in made_up.SPEED:
                    looks.setdefault(name, set()).add((series.style.colour, series.style.marker))
    assert all(len(found) == 1 for found in looks.values()), looks
    assert set(looks) == set(made_up.SPEED)


def test_a_trace_is_drawn_stretch_by_stretch_and_thinned():
    readings = [(0.001 * i, 50.0 if 1000 <= i < 3000 else 20.0) for i in range(4000)]
    marks = [("idle", 0, 999), ("blocked on 1", 1000, 2999), ("idle", 3000, 3999)]
    trace = {
        "study": "power",
        "source": "cpu: package-0, net of idle",
        "seconds": [7 + at for at, _ in readings],
        "watts": [watts for _, watts in readings],
        "marks": [{"name": n, "begin_seconds": 7 + b / 1000, "end_seconds": 7 + e / 1000} for n, b, e in marks],
    }
    result = {**made_up.every_study(), "traces": [trace]}
    (chart,) = charts.of(result, "power")
    assert [series.name for series in chart.series] == ["idle", "blocked on 1"]
    idle, hot = (series.points for series in chart.series)
    assert {point.part for point in idle} == {0, 2}
    assert {point.y for point in idle} == {20.0}
    assert {point.y for point in hot} == {50.0}
    assert 0 <= idle[0].x < 0.01
    assert 400 < len(idle) + len(hot) <= 600
    assert "mean of 7 readings" in chart.caption
    assert "net of idle" not in chart.caption
    assert findings(result, "power") == ["At rest the counters show 20.0 W; blocked on 1 adds 30.0 W."]


def test_columns_without_a_figure_are_left_out_of_the_table(no_runtime):
    assert "J per call" not in str(report.summary.main_table(made_up.ladder()))
    assert "J per call" in str(report.summary.main_table(made_up.ladder(simulated=True)))


def test_markup_is_escaped_unless_it_is_ours():
    assert element("p", "<b>", element("i", "&"), class_='"') == '<p class="&quot;">&lt;b&gt;<i>&amp;</i></p>'
    assert element("input", checked=True, disabled=False, value=None) == "<input checked>"
    assert "</script>" not in embedded_json({"a": HOSTILE})[:-9]
    assert json.loads(embedded_json([HOSTILE]).partition(">")[2].rpartition("<")[0]) == [HOSTILE]
    assert "&lt;b&gt;" in table(["a"], [["<b>"]])


def test_specifications_hold_for_every_choice_of_axes():
    for chart in charts.of(made_up.every_study()):
        drawn = vega.drawing(chart)
        assert drawn["start"] in drawn["specs"]
        assert len(drawn["specs"]) == 2 ** (chart.x.may_switch + chart.y.may_switch)
        json.dumps(drawn, allow_nan=False)


# -- what if --


def test_the_break_even_is_the_ratio_of_joules():
    def joules(value, u):
        return Quantity(value, u, "J", Provenance.DERIVED, ("counter",))

    times = whatif.break_even(joules(12.0, 0.12), joules(3.0, 0.06))
    assert times.value == pytest.approx(4.0)
    assert times.relative_u == pytest.approx((0.01**2 + 0.02**2) ** 0.5)
    assert whatif.kwh(joules(3.6, 0.1), 1e6).value == pytest.approx(1.0)


def test_carbon_is_that_of_the_energy_module(no_runtime):
    result = made_up.ladder(simulated=True)
    text = report.render(result, Assumptions(("FRA",), 1000.0))
    frugal = whatif.what_if(result).uses[0]
    million = carbon.co2e(frugal.joules * 1e6, "FRA")
    year = carbon.co2e(frugal.joules * (1000.0 * carbon.SECONDS_PER_YEAR), "FRA")
    for quantity, factor in ((million, 1.0), (year, 1e-3)):
        assert report.carbon_lines.figure(quantity, True, factor) in text
    assert "the saving is gone" in text
    assert carbon.ATTRIBUTION in text


def test_without_joules_there_is_no_what_if(no_runtime):
    text = report.render(made_up.ladder(), Assumptions(("FRA",), 1000.0))
    assert "No joules, hence no kilowatt-hours and no CO2e" in text
    assert "g CO2e" not in text


# -- files and refusals --


def test_figures_are_written_as_png_and_svg(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'frugalblas[bench]'")
    written = plots.write(made_up.ladder(), tmp_path / "figures")
    assert sorted(written) == sorted((tmp_path / "figures").iterdir())
    assert {path.suffix for path in written} == {".png", ".svg"}
    assert len(written) == 2 * len(charts.of(made_up.ladder()))
    for path in written:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")
        if path.suffix == ".svg":
            assert "GFLOP/s" in path.read_text(encoding="utf-8")


def kept(tmp_path, result):
    path = tmp_path / "run.json"
    path.write_text(schema.to_json(result), encoding="utf-8")
    return str(path)


def test_a_kept_run_becomes_a_page(tmp_path, capsys, no_runtime):
    page = tmp_path / "page.html"
    assert run("bench", "--from", kept(tmp_path, made_up.ladder()), "--report", str(page)) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Made-up CPU" in capsys.readouterr().out


def test_a_measured_run_becomes_a_page_even_if_nobody_reads_the_table(tmp_path, monkeypatch, no_runtime):
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 0.0005)

    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr("frugalblas.bench.command.show", gone)
    page = tmp_path / "page.html"
    options = cli.parser().parse_args(["bench", "--algo", "naive", "--sizes", "16", "--report", str(page)])
    with pytest.raises(BrokenPipeError):
        options.run(options)
    outline = Outline(page.read_text(encoding="utf-8"))
    result = schema.parse(outline.scripts["result"], "page")
    assert [case["strategy"] for case in result["cases"]] == ["naive"]
    assert result["cases"][0]["status"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "/nowhere/page.html"], "--report: '/nowhere/page.html' cannot be written: No such file"),
        (["--report", "{folder}"], "cannot be written: Is a directory"),
        (["--plots", "{file}"], "--plots: nothing can be written into"),
        (["--report", "{folder}/p.html", "--json", "{folder}/p.html"], "name the same file"),
        (["--report", "{folder}/p.html", "--country", "Frannce"], "no carbon intensity for 'Frannce'"),
        (["--report", "{folder}/p.html", "--per-year", "-1"], "'-1' is not a rate; expected calls per second"),
        (["--country", "FRA"], "--country is about the page: it needs --report FILE"),
    ],
)
def test_what_cannot_be_written_is_refused_before_measuring(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("frugalblas.bench.runner.run", lambda *_: pytest.fail("measured all the same"))
    file = tmp_path / "file"
    file.write_text("whole")
    words = [word.format(folder=tmp_path, file=file) for word in arguments]
    assert run("bench", "--algo", "naive", "--sizes", "16", *words) == 2
    assert said in capsys.readouterr().err
    assert file.read_text() == "whole"


@pytest.mark.parametrize(
    ("option", "module", "package"),
    [("--report", "vl_convert", "vl-convert-python"), ("--plots", "matplotlib", "matplotlib")],
)
def test_a_missing_library_is_named_with_the_fix(option, module, package, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs.importlib.util, "find_spec", lambda name: None if name == module else object())
    values = dict.fromkeys(("report", "plots", "country", "per_year", "json"))
    options = type("Options", (), {**values, option[2:]: str(tmp_path / "out")})
    with pytest.raises(RequestError, match=rf"{option} needs {package}, .*pip install 'frugalblas\[bench\]'"):
        outputs.prepare(options)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'frugalblas\[bench\]'"):
        plots.write(made_up.ladder(), tmp_path) if option == "--plots" else vega.runtime.__wrapped__()


def test_a_full_disk_leaves_the_earlier_page_whole(tmp_path, capsys, monkeypatch, no_runtime):
    page = tmp_path / "page.html"
    page.write_text("earlier")

    def full(_):
        raise OSError(28, "No space left on device")

    path = kept(tmp_path, made_up.ladder())
    monkeypatch.setattr("frugalblas.bench.destination.os.fsync", full)
    assert run("bench", "--from", path, "--report", str(page)) == 1
    assert "--report: " in (said := capsys.readouterr().err)
    assert "was not written: No space left on device" in said
    assert page.read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "run.json"]
