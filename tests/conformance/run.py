"""Runs NumPy's and SciPy's own test suites, from their installed packages, with their products on frugalblas.

    python tests/conformance/run.py [--json FILE] [WORD ...]     only suites whose name contains a word

Two run at a time, the longest first. A suite counts only if all its tests pass and at least a minimum of products
reached the kernels: a patch that had come off would pass every test. Exit code 1 otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 500
AT_ONCE = 2
LONGEST = ("TestDot", "test_linalg")


@dataclass(frozen=True)
class Suite:
    name: str
    level: str
    """Of `patch_numpy`, or "none"."""
    arguments: tuple[str, ...]
    """For pytest."""
    minimum: int
    """Products that must reach us: about half of what did when this was written."""


def _numpy(name: str, module: str, select: str, minimum: dict[str, int]) -> list[Suite]:
    arguments = ("--pyargs", module, *(("-k", select) if select else ()))
    return [Suite(f"NumPy {name}", level, arguments, n) for level, n in minimum.items()]


SUITES = [
    Suite("NumPy TestMatmul on frugalblas.matmul", "none", (str(HERE / "numpy_on_matmul.py"),), 8),
    *_numpy(
        "TestMatmul, TestMatmulOperator, TestMatmulInplace",
        "numpy._core.tests.test_multiarray",
        "TestMatmul",
        {"ufunc": 50, "blas": 50},
    ),
    *_numpy(
        "TestDot, TestInner, TestVdot",
        "numpy._core.tests.test_multiarray",
        "TestDot or TestInner or TestVdot",
        {"blas": 20},
    ),
    *_numpy("test_einsum", "numpy._core.tests.test_einsum", "", {"blas": 20}),
    *_numpy("test_linalg", "numpy.linalg.tests.test_linalg", "", {"ufunc": 1000, "blas": 1000}),
    Suite("SciPy test_blas", "blas", ("--pyargs", "scipy.linalg.tests.test_blas"), 1),
]


def run(suite: Suite) -> dict[str, str | int]:
    """One row of the page."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        # An empty configuration: these suites have filters and marks of their own, and ours would not fit them.
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "FRUGALBLAS_CONFORMANCE_LEVEL": suite.level,
            "FRUGALBLAS_CONFORMANCE_RESULT": str(result),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(Path(folder, "pytest.ini")), "-p", "plugin"]
        command += ["-p", "no:cacheprovider", "--rootdir", folder, *suite.arguments]
        try:
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            return row(suite, 0, 0, f"no end after {TIMEOUT_SECONDS} s")
        if not result.exists():
            print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
            return row(suite, 0, 0, f"pytest ended with {done.returncode} before it ran a test")
        found = json.loads(result.read_text())
    passed, calls = found["outcomes"].get("passed", 0), sum(found["products"].values())
    if found["failed"] or done.returncode:
        print(done.stdout[-6000:], file=sys.stderr)
        return row(suite, passed, calls, f"{len(found['failed'])} failed, the first {found['failed'][:1]}")
    if calls < suite.minimum:
        return row(suite, passed, calls, f"only {calls} products reached frugalblas")
    return row(suite, passed, calls, "passed")


def row(suite: Suite, tests: int, calls: int, result: str) -> dict[str, str | int]:
    what = "called directly" if suite.level == "none" else f"patch_numpy(level='{suite.level}')"
    return {
        "suite": suite.name,
        "what": what,
        "tests": tests,
        "calls": calls,
        "minimum": suite.minimum,
        "result": result,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the rows for docs/make_conformance.py")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    chosen = [suite for suite in SUITES if not options.words or any(word in suite.name for word in options.words)]
    rows = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        longest_first = sorted(chosen, key=lambda suite: not any(word in suite.name for word in LONGEST))
        futures = {suite: pool.submit(run, suite) for suite in longest_first}
        for suite in chosen:
            rows.append(futures[suite].result())
            print("{suite:55} {what:28} {tests:5} tests {calls:7} products  {result}".format(**rows[-1]), flush=True)
    title = f"NumPy {version('numpy')} and SciPy {version('scipy')}, from their packages"
    if options.json:
        options.json.write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    return 0 if rows and all(r["result"] == "passed" for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
