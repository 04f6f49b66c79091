"""pytest plugin: patches NumPy for a whole session and writes down what came of it.

FRUGALBLAS_CONFORMANCE_LEVEL is a level of `patch_numpy`, or "none"; FRUGALBLAS_CONFORMANCE_RESULT is the JSON to write:
the outcomes of the tests by name, and the products by the door they came in.
"""

import json
import os
from collections import Counter
from pathlib import Path

import frugalblas
from frugalblas import _core

outcomes: Counter[str] = Counter()
failed: list[str] = []


def pytest_configure(config):
    level = os.environ["FRUGALBLAS_CONFORMANCE_LEVEL"]
    if level != "none":
        frugalblas.patch_numpy(level)
    _core.count_products(True)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.outcome] += 1
        if report.outcome == "failed":
            failed.append(report.nodeid)


def pytest_sessionfinish(session):
    result = {"outcomes": outcomes, "failed": failed, "products": _core.products()}
    Path(os.environ["FRUGALBLAS_CONFORMANCE_RESULT"]).write_text(json.dumps(result))
