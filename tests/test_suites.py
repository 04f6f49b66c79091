"""The pytest-benchmark suites of bench/: they can be run, and they check what they time."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITES = Path(__file__).resolve().parent.parent / "bench"
SPOIL = """
import frugalblas

real = frugalblas.sgemm

def sgemm(*args, **options):
    C = real(*args, **options)
    C[0, 0] += 1
    return C

frugalblas.sgemm = sgemm
"""

pytestmark = pytest.mark.skipif(
    not (SUITES / "conftest.py").exists(), reason="the suites are not here: an installed package is being tested"
)


def run(*arguments):
    """Once through, without timing."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-disable"]
    command += ["--sizes", "48", "--slowest", "1e9"]  # however busy the machine is, nothing is skipped
    return subprocess.run([*command, *arguments], cwd=SUITES.parent, capture_output=True, text=True, timeout=300)


def test_every_suite_runs():
    done = run("--algo", "python,numpy,naive,openmp", "bench")  # Numba compiles for seconds
    assert done.returncode == 0, done.stdout


def test_a_wrong_result_is_not_timed(tmp_path, monkeypatch):
    (tmp_path / "spoil.py").write_text(SPOIL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("-p", "spoil", "--algo", "naive", "bench/test_sgemm.py")
    assert done.returncode == 1
    assert "C[0,0] is" in done.stdout


def test_a_bad_option_is_a_usage_error():
    done = run("--algo", "nave", "bench/test_sgemm.py")
    assert done.returncode != 0
    assert "did you mean naive?" in done.stdout + done.stderr
