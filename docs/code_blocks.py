"""A pytest plugin: the Python blocks of README.md and the pages are run. `PYTHONPATH=docs pytest -p code_blocks docs`.

Blocks of a page share their names, top to bottom. What a page leaves out for its readers' sake is in an invisible
block: `<!-- invisible-code-block: python`, with `-->` on a line of its own after it. A block that needs what no test
machine has is preceded by `<!-- skip: next "why" -->`.
"""

import os
import shutil
import tempfile
from pathlib import Path

import sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent


def enter(namespace):
    """A folder of its own for each page, with bench/ and the kept runs that pages speak of: a page may write files."""
    namespace["_before"], namespace["_folder"] = os.getcwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)
    os.symlink(ROOT / "bench", "bench")
    for name in ("run.json", "other.json"):
        shutil.copy(ROOT / "bench" / "results" / "ladder_xeon.json", name)


def leave(namespace):
    """Back to where pytest was."""
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pytest_collect_file = sybil.Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    path=str(ROOT),
    setup=enter,
    teardown=leave,
).pytest()
