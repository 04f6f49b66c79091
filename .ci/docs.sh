#!/usr/bin/env bash
# The documentation: built with warnings as errors, links inside it followed, its Python blocks run.
# Needs the virtual environment .venv with frugalblas in it. About 1 minute. No network but for pip.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv/bin
tools=$(mktemp)
trap 'rm -f "$tools"' EXIT
# The tools of the extra [docs], without building the package again.
"$venv/python" -c 'import importlib.metadata as metadata
for line in metadata.requires("frugalblas"):
    if "extra == \"docs\"" in line and not line.startswith("frugalblas"): print(line.split(";")[0])' >"$tools"
"$venv/pip" install --quiet -r "$tools"
"$venv/python" docs/make_course.py --check
rm -rf docs/_build docs/_generated
"$venv/python" -m sphinx --fail-on-warning --keep-going -q docs docs/_build
"$venv/python" docs/check_links.py docs/_build
PYTHONPATH=docs "$venv/python" -m pytest -q -p code_blocks -p no:cacheprovider -p no:run-parallel README.md docs
