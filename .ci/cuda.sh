#!/usr/bin/env bash
# The CUDA kernels without a GPU: run on the emulator, with and without seeded faults, and compiled for every chip; the
# page of what was measured. Without nvcc the compiling is left out. Needs an environment with the extra [test] in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

python3 docs/make_gpu.py --check

# Runs the kernels as they are and the golden vectors first; then each fault must be caught.
python3 tests/cuda_mutants.py

if ! command -v nvcc >"$build/log"; then
  echo "cuda.sh: no nvcc on PATH, so nothing was compiled for a GPU"
  exit 0
fi
# Two small programs that toolkits put together from PyPI lack.
python3 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm 2>"$build/log" || { cat "$build/log"; exit 1; }
"$build/venv/bin/python" cuda/census.py
# As CMake compiles it for all of them: one kernel, and the module's table of contents.
cmake -S . -B "$build/all" -G Ninja -DFRUGALBLAS_CUDA=ON -DFRUGALBLAS_STUDY=OFF -DPython_EXECUTABLE="$(command -v python)" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" >"$build/log"
cmake --build "$build/all" --target cuda/CMakeFiles/_cuda.dir/kernels/cuda_naive.cu.o \
  cuda/CMakeFiles/_cuda.dir/bindings.cpp.o >"$build/log" || { cat "$build/log"; exit 1; }
# What bench/gpu/tune.py makes of the kernels compiles too: of each kernel, one of many.
python3 bench/gpu/tune.py --compile-only "$build/tune" --only cuda_tiled "as it is" --only "tf32 <4, 2> DEPTH_BYTES=64 STAGES=4 read"
