#!/usr/bin/env bash
# The page of frugalblas bench --report in headless Chromium: installs Chromium and a font, then runs exactly its tests.
# Usage: .ci/page.sh     (under a minute; needs .venv with the extra [test], and root or sudo for the Debian packages)
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

. .ci/packages.sh
if ! command -v chromium >"$log" || ! fc-list 2>"$log" | grep -q DejaVu; then
  debian_packages --no-install-recommends chromium fontconfig fonts-dejavu-core
fi

.venv/bin/python -m pytest -q -p no:cacheprovider tests/test_page.py | tee "$log"
if grep -q skipped "$log"; then
  echo "page.sh: a skipped test has looked at nothing" >&2
  exit 1
fi
