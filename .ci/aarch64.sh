#!/usr/bin/env bash
# Cross-compiles the core for aarch64 and runs the registry test on an emulated CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

. .ci/packages.sh
if ! { command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64-static; } >"$build/log"; then
  debian_packages g++-aarch64-linux-gnu qemu-user-static
fi

# Without the compiler study, which repeats the same sources at other flags.
cmake -S . -B "$build" -G Ninja -DFRUGALBLAS_PYTHON=OFF -DFRUGALBLAS_TESTS=ON -DFRUGALBLAS_STUDY=OFF \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ >"$build/log"
cmake --build "$build" -j2 >"$build/log" || { cat "$build/log"; exit 1; }

# passive: with more threads than CPUs, spinning ones only hold up the others.
OMP_WAIT_POLICY=passive qemu-aarch64-static -L /usr/aarch64-linux-gnu "$build/team_test"
OMP_WAIT_POLICY=passive qemu-aarch64-static -L /usr/aarch64-linux-gnu "$build/packed_test"
OMP_WAIT_POLICY=passive qemu-aarch64-static -L /usr/aarch64-linux-gnu "$build/registry_test" --quick
