"""bench/drop_in.py: what it writes. What it measures depends on the machine, so no test looks at the figures."""

import json
import shutil
import subprocess
import sys

import pytest
from tree import ROOT

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "bench").is_dir(), reason="bench/ is not here: an installed package is being tested"
    ),
    pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed (Debian: gcc)"),
]


def measure(*options):
    command = [sys.executable, ROOT / "bench" / "drop_in.py", *options]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100)


def test_every_round_is_kept_and_the_verdict_is_that_of_the_worst_size(tmp_path):
    file = tmp_path / "new" / "drop_in.json"
    options = ["--only", "squares", "--sizes", "2,40", "--rounds", "3", "--threads", "1", "--json", file]
    done = measure(*options)
    found = json.loads(file.read_text())
    assert found["schema"] == "frugalblas.drop_in/1"
    (table,) = found["squares"]
    assert [row["n"] for row in table["rows"]] == [2, 40]
    for row in table["rows"]:
        assert len(row["seconds"]["numpy"]) == len(row["seconds"]["frugalblas"]) >= 3
        assert row["bystander_cpus"] >= 0
        low, high = row["quartiles"]
        assert low <= row["ratio"] <= high
    assert table["worst"] == min(row["ratio"] for row in table["rows"])
    assert done.returncode == (0 if table["worst"] >= 0.95 else 1), done.stderr
    assert f"worst: {table['worst']:.3f}" in done.stdout


@pytest.mark.parametrize("options", [["--only", "speed"], ["--rounds", "1"]])
def test_bad_options_are_refused(options):
    done = measure(*options)
    assert done.returncode == 2
    assert options[1] in done.stderr
