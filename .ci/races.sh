#!/usr/bin/env bash
# Looks for data races: Clang's ThreadSanitizer with Archer, which tells it what OpenMP synchronises. About 2 minutes.
#
# Without Archer every barrier of the OpenMP runtime, which is not instrumented, reads as a race; GCC's libgomp has no
# such interface, so this is LLVM's runtime with the same kernels. First the detector is tested: it must find a race that
# is there, and none where a barrier orders the accesses.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
archer=/usr/lib/llvm-16/lib/libarcher.so

. .ci/packages.sh
if ! command -v clang++-16 >"$build/log" || ! [ -e "$archer" ]; then debian_packages clang-16 libomp-16-dev; fi
export OMP_TOOL_LIBRARIES=$archer OMP_WAIT_POLICY=passive
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 die_after_fork=0"

program() {  # the body of a parallel region
  printf '%s\n' '#include <cstdio>' 'int main() {' 'int x[8] = {}, sum = 0;' '#pragma omp parallel num_threads(4)' '{' \
    "$@" '}' 'std::printf("%d %d\n", x[0], sum);' '}' >"$build/program.cpp"
  clang++-16 -O1 -g -fopenmp -fsanitize=thread "$build/program.cpp" -o "$build/program"
}
program 'for (int i = 0; i < 1000; ++i) x[0] += i;'
if "$build/program" >"$build/program.log" 2>&1; then
  echo "ThreadSanitizer did not find the race it was shown" >&2
  exit 1
fi
program '#pragma omp for' 'for (int i = 0; i < 8; ++i) x[i] = i;' '#pragma omp critical' 'sum += x[7];'
if ! "$build/program" >"$build/program.log" 2>&1; then
  cat "$build/program.log"
  echo "ThreadSanitizer sees a race where a barrier orders the accesses: Archer is not at work" >&2
  exit 1
fi

# One level is enough: the others are the same sources. -O1 as in sanitize.sh.
cmake -S . -B "$build" -G Ninja -DFRUGALBLAS_PYTHON=OFF -DFRUGALBLAS_TESTS=ON -DFRUGALBLAS_STUDY=OFF \
  -DFRUGALBLAS_LEVELS=v2 -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16 \
  -DFRUGALBLAS_O1=ON -DCMAKE_CXX_FLAGS="-g1 -fsanitize=thread" >"$build/log"
cmake --build "$build" -j2 >"$build/log" || { cat "$build/log"; exit 1; }
"$build/team_test"
"$build/packed_test"
"$build/registry_test" --quick v2
