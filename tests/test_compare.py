"""Two runs side by side: pairs, intervals, verdicts, and what differs."""

import itertools
import json
import random
import statistics

import made_up
import pytest

from frugalblas import cli
from frugalblas.bench import report, schema
from frugalblas.bench.compare import compare, median_interval, ratio_of_medians, render
from frugalblas.bench.compare.ratio import LEVEL, ratio_of_quantities
from frugalblas.energy.quantity import Provenance, Quantity


def run(*arguments):
    try:
        return cli.main(list(arguments))
    except SystemExit as stop:
        return stop.code


def test_order_statistics_cover_the_median_as_often_as_they_say():
    """Exact, by counting: of n samples each is below the median or above it, all 2^n ways alike."""
    for n in range(1, 13):
        low, high, coverage = median_interval(range(n), 0.975)
        below = [sum(ways) for ways in itertools.product((0, 1), repeat=n)]
        covered = sum(low + 1 <= count <= high for count in below) / 2**n
        assert coverage == pytest.approx(covered)
        assert high == n - 1 - low
        narrower = sum(low + 2 <= count <= high - 1 for count in below) / 2**n
        assert narrower < 0.975, "a narrower pair would have done"
        assert coverage >= 0.975 or low == 0


def test_the_interval_of_a_ratio_holds_the_true_one_often_enough():
    """Of skewed samples; the binomial bound is four standard deviations below the stated level."""
    generator, hits, trials = random.Random(3), 0, 2000
    for _ in range(trials):
        a, b = ([scale * (1 + generator.expovariate(20)) for _ in range(9)] for scale in (2.0, 1.0))
        interval = ratio_of_medians(a, b)
        hits += interval.low <= 2.0 <= interval.high
        assert interval.coverage >= LEVEL
    assert hits / trials > LEVEL - 4 * (LEVEL * (1 - LEVEL) / trials) ** 0.5


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([1.0 + i / 100 for i in range(9)], [1.0 + i / 90 for i in range(9)], "no difference"),
        ([2.0 + i / 100 for i in range(9)], [1.0 + i / 100 for i in range(9)], "more"),
        ([0.5 + i / 100 for i in range(9)], [1.0 + i / 100 for i in range(9)], "less"),
        ([2.0, 2.1], [1.0, 1.1], "too few samples"),
        ([1.0, 2.0], [1.1, 1.9], "no difference"),
    ],
)
def test_verdicts(a, b, verdict):
    interval = ratio_of_medians(a, b)
    assert interval.verdict == verdict
    assert interval.value == statistics.median(a) / statistics.median(b)


def test_joules_are_compared_with_their_uncertainty():
    def joules(value, u):
        return Quantity(value, u, "J", Provenance.DERIVED)

    interval = ratio_of_quantities(joules(2.0, 0.02), joules(1.0, 0.01))
    assert interval.value == 2.0
    assert interval.high - interval.value == pytest.approx(1.959964 * 2.0 * (2 * 0.01**2) ** 0.5, rel=1e-6)
    assert ratio_of_quantities(joules(1.01, 0.02), joules(1.0, 0.01)).verdict == "no difference"


def test_a_run_does_not_differ_from_itself():
    result = made_up.ladder()
    found = compare(result, result)
    assert found.differences == found.only_a == found.only_b == ()
    assert {pair.speed.verdict for pair in found.pairs} == {"no difference"}
    assert len(found.pairs) == len(result["cases"])


def test_what_differs_is_listed_and_what_only_one_has():
    a, b = made_up.ladder(1), made_up.ladder(2, slow_down=1.5)
    b["machine"] = {**b["machine"], "numpy": "2.5", "cpu": {**b["machine"]["cpu"], "cpus": 4}}
    b["source"] = {"commit": "fedcba9876", "modified": True}
    b["cases"] = [case for case in b["cases"] if case["strategy"] != "vector"]
    found = compare(a, b)
    assert {(d.what, d.a, d.b) for d in found.differences} >= {
        ("numpy", "2.4", "2.5"),
        ("cpu cpus", "8", "4"),
        ("commit", "0123456789", "fedcba9876, modified"),
    }
    assert found.only_a == ("vector at 128, 512, 1024",)
    assert {pair.speed.verdict for pair in found.pairs} == {"less"}
    text = render.as_text(found, 80)
    assert text.index("What differs:") < text.index("strategy")
    assert "only in A: vector at 128" in text
    assert "slower" in text
    assert max(map(len, text.splitlines())) <= 80
    measured = made_up.ladder(simulated=True)
    assert max(map(len, render.as_text(compare(measured, measured, ("FRA", "POL")), 80).splitlines())) <= 80
    assert "A GFLOP/s" in render.as_text(found, 120)


def test_every_case_of_every_study_has_a_name_of_its_own():
    result = made_up.every_study()
    names = [(pair.name, pair.size) for pair in compare(result, result).pairs]
    assert len(set(names)) == len(names) == len(result["cases"])
    assert len(render.chart(compare(result, result)).y.categories) == render.DRAWN < len(names)


def test_long_values_are_shown_where_they_differ_and_a_missing_study_as_one():
    a, b = made_up.every_study(), made_up.ladder()
    long = "OpenBLAS 0.3.31.188.0 USE64BITINT DYNAMIC_ARCH NO_AFFINITY {} MAX_THREADS=64"
    facts = ({**made_up.FACTS, "openblas": {"config": long.format(name)}} for name in ("Haswell", "SkylakeX"))
    a, b = ({**result, "machine": machine} for result, machine in zip((a, b), facts, strict=True))
    shown = " ".join(render.as_text(compare(a, b), 80).split())
    assert "openblas config: …" in shown
    assert "Haswell" in shown.partition("->")[0]
    assert "SkylakeX" in shown
    sizes = sum(case["study"] == "sizes" for case in a["cases"])
    assert f"all of sizes ({sizes} cases)" in shown
    assert "sizes: " not in shown.partition("only in A: ")[2]


def test_joules_without_uncertainty_get_no_verdict_and_none_get_a_reason():
    a = made_up.ladder(simulated=True)
    b = json.loads(json.dumps(a))
    for case in b["cases"]:
        if case.get("energy"):
            case["energy"]["joules_per_call_u"] = None
    found = compare(a, b)
    assert "no uncertainty in the file: no verdict" in render.as_text(found, 120)
    assert "No joules to compare. A: no counters" in render.as_text(compare(made_up.ladder(), a), 200)


def test_two_countries_weigh_the_same_joules_differently():
    result = made_up.ladder(simulated=True)
    head, body = render.carbon_rows(compare(result, result, ("FRA", "POL")))
    assert head[2:4] == ["A in France", "B in Poland"]
    assert len(body) == sum(case["joules_per_call"] is not None for case in result["cases"])
    assert {row[-1] for row in body} == {f"{661.926 / 56.039:.3g}"}


def test_the_command_prints_and_writes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "runtime", lambda: "/* the library */")
    paths = []
    for name, result in (("a", made_up.ladder(1)), ("b", made_up.ladder(2))):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(schema.to_json(result), encoding="utf-8")
    page = tmp_path / "page.html"
    assert run("compare", *map(str, paths), "--report", str(page)) == 0
    assert "no difference" in capsys.readouterr().out
    assert "Two runs side by side" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{good}", "{folder}/absent.json"], "cannot be read: No such file"),
        (["{bad}", "{good}"], "is not complete JSON"),
        (["{good}", "{good}", "--report", "{folder}"], "cannot be written: Is a directory"),
        (["{good}", "{good}", "--country", "FRA,POL,DEU"], "names 3 countries"),
        (["{good}", "{good}", "--country", "Atlantis"], "no carbon intensity for 'Atlantis'"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, said, tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(schema.to_json(made_up.ladder()), encoding="utf-8")
    bad.write_text(good.read_text()[:500])
    words = [word.format(good=good, bad=bad, folder=tmp_path) for word in arguments]
    assert run("compare", *words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
