#!/usr/bin/env bash
# NumPy's and SciPy's own test suites on frugalblas, from their packages; every test must pass and enough products must
# have reached us. About 3 minutes. Needs the virtual environment .venv with frugalblas in it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv/bin
"$venv/pip" install --quiet scipy hypothesis pytest  # what the suites themselves need
"$venv/python" tests/conformance/run.py
"$venv/python" docs/make_conformance.py --check
