#!/usr/bin/env bash
# Runs the registry test under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# The compiler study repeats the same sources at other flags, so the levels are enough. At their -O3 the instrumented
# register tiles take minutes to compile, at -O1 seconds.
# Only the levels that this CPU can run; elsewhere than on x86-64 all there are.
levels=
if [ "$(uname -m)" = x86_64 ]; then
  levels=v2
  if grep -qw avx2 /proc/cpuinfo; then levels+=";v3"; fi
  if grep -qw avx512bw /proc/cpuinfo; then levels+=";v4"; fi
fi
cmake -S . -B "$build" -G Ninja -DFRUGALBLAS_PYTHON=OFF -DFRUGALBLAS_TESTS=ON -DFRUGALBLAS_STUDY=OFF \
  -DFRUGALBLAS_O1=ON "-DFRUGALBLAS_LEVELS=$levels" \
  -DCMAKE_CXX_FLAGS="-g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" >"$build/log"
cmake --build "$build" -j2 >"$build/log" || { cat "$build/log"; exit 1; }

# passive: with more threads than CPUs, spinning ones only hold up the others.
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
"$build/team_test"
"$build/packed_test"
"$build/registry_test" --quick
# What is chosen for the cores of another maker than this CPU's, which matters with AVX-512 alone.
if grep -qw avx512bw /proc/cpuinfo; then
  if grep -q GenuineIntel /proc/cpuinfo; then other=generic; else other=intel; fi
  FRUGALBLAS_TUNING=$other "$build/registry_test" --quick v4
fi
