#!/usr/bin/env bash
# The page of frugalblas bench --report in headless Chromium: installs Chromium and a font, then runs exactly its tests.
# Usage: .ci/page.sh     (needs the environment .venv with the extra [test], and root or sudo for the Debian packages)
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null || ! fc-list 2>/dev/null | grep -q .; then
  apt=(apt-get); [ "$(id -u)" = 0 ] || apt=(sudo apt-get)
  "${apt[@]}" -qq update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" -qq install -y --no-install-recommends chromium fontconfig fonts-dejavu-core >/dev/null
fi
# A skip would pass without having looked at anything.
.venv/bin/python -m pytest -q -p no:cacheprovider tests/test_page.py -o addopts="--strict-markers --strict-config" -rs |
  tee /dev/stderr | { ! grep -q "skipped"; }
