#!/usr/bin/env bash
# Builds the core with the oldest Clang that is supported, warnings as errors, and runs the registry test on its OpenMP.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

. .ci/packages.sh
if ! command -v clang++-16 >"$build/log" || ! [ -e /usr/lib/llvm-16/lib/libomp.so ]; then
  debian_packages clang-16 libomp-16-dev
fi

cmake -S . -B "$build" -G Ninja -DFRUGALBLAS_PYTHON=OFF -DFRUGALBLAS_TESTS=ON \
  -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16 -DCMAKE_CXX_FLAGS="-Werror -Wshadow" >"$build/log"
cmake --build "$build" -j2 >"$build/log" || { cat "$build/log"; exit 1; }

# passive: with more threads than CPUs, spinning ones only hold up the others.
export OMP_WAIT_POLICY=passive
"$build/team_test"
"$build/packed_test"
"$build/registry_test" --quick
