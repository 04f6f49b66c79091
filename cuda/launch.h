// launch.h: the job of a CUDA rung, as its launcher sees it, and how a launcher starts a kernel.
//
// The seam between host and device. The host side (runtime.cpp, bindings.cpp) makes a Job of two arrays; a launcher in
// kernels/ turns it into grids on the job's stream and returns at once. A launcher allocates nothing, synchronises
// nothing and keeps nothing; it is the same code in front of a GPU and in front of the emulator (emu/).
#pragma once
#ifdef FB_EMULATE
#include "emu/cuda_runtime.h"
#else
#include <cuda_runtime.h>
#endif
#include <cstddef>
#include <cstdint>

namespace fb::cuda {

using index_t = std::int64_t;

enum class Type { fp32, fp16, bf16 };             // what the elements of an operand are in memory
enum class Precision { fp32, tf32, fp16, bf16 };  // what the multipliers see
enum class Accumulate { fp32, fp16 };             // what the running sum is kept in

// Element (i, j) is data[i * ld + j], or data[j * ld + i] if transposed. `ld` counts elements and is at least 1.
struct Operand {
  const void* data;
  index_t ld;
  bool transposed;
  Type type;
};

// C = alpha * A·B + beta * C. Checked before a launcher sees it, so launchers may rely on every line below.
struct Job {
  index_t M, N, K;                           // M, N >= 1; K >= 0, and 0 where alpha is 0: then A and B are not read
  Operand A, B;                              // A (M,K), B (K,N); of type fp32, or of the type that `precision` names
  float* C;                                  // (M,N), row-major; overlaps neither operand
  index_t ldc;                               // >= N
  float alpha, beta;                         // beta == 0: C is uninitialised, write only
  Precision precision;                       // one that the rung's card lists
  Accumulate accumulate = Accumulate::fp32;  // fp16 only with precision fp16
  int capability = 90;                       // of the device: 90 is compute capability 9.0
  int processors = 132;                      // its streaming multiprocessors: decides the tile, never the bits
  int tile = -1;              // place in the rung's list of tiles; -1: the launcher's choice. For tests and sweeps
  void* workspace = nullptr;  // workspace_bytes(job), aligned to 256, alive until the stream is past the job
  cudaStream_t stream = nullptr;
};

// What kernels/<name>.cu offers the host.
struct Kernel {
  std::size_t (*workspace_bytes)(const Job&);  // nullptr: needs none
  cudaError_t (*run)(const Job&);              // enqueues the job; cudaSuccess, or what the runtime said
  std::size_t (*shared_bytes)(const Job&);     // dynamic shared memory of one block; nullptr: none
  int tiles;                                   // how many tiles Job::tile may name; 0: it has none
  bool side_by_side = true;                    // jobs on two streams at once give the same bits as in turn
};

__host__ __device__ constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
__host__ __device__ constexpr index_t round_up(index_t a, index_t b) { return ceil_div(a, b) * b; }

#ifdef FB_EMULATE
using emu::launch;
#elif defined(__CUDACC__)
// Starts `kernel` on the stream. Blocks that want more than 48 KiB of dynamic shared memory must ask for it first.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                   const Arguments&... arguments) {
  if (shared_bytes > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    if (error != cudaSuccess) return cudaGetLastError();  // the same; the next launch must not find it
  }
  // clang-format off
  kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
  // clang-format on
  return cudaGetLastError();
}
#endif

}  // namespace fb::cuda

// The rungs: one per CUDA or CUDA_LIBRARY line of the list.
namespace fb::cuda {
#define CUDA(name) extern const Kernel name;
#define CUDA_LIBRARY(name) extern const Kernel name;
#include "../cpp/for_each_algorithm.inc"
}  // namespace fb::cuda
