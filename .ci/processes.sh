#!/usr/bin/env bash
# Threads and processes as other libraries use them, and the tests of calls by many threads at once, each test run by
# several threads. About 1 minute. Needs the virtual environment .venv with frugalblas in it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv/bin
"$venv/pip" install --quiet joblib distributed dask torch==2.13.0 pytest-run-parallel
"$venv/python" -m pytest -q -n 2 tests/test_ecosystem.py
# What sets process-wide state (set_num_threads, patches, counters) belongs to one thread and is left out.
"$venv/python" -m pytest -q -n 2 --parallel-threads=4 --iterations=2 tests/test_matmul.py tests/test_contract.py \
  tests/test_aliasing.py -k "not hypothesis and not any_shapes and not rules_are_numpys"
