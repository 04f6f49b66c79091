// cuda_runtime.h: as much of the CUDA language and runtime as the kernels use, for a C++ compiler without CUDA.
//
// The folder of this file comes first on the include path, so the kernels' own #include lines find it. Nothing of the
// CUDA toolkit is needed.
#pragma once
#include <cmath>
#include <cstring>
#include <functional>

#include "emulator.hpp"
#include "host_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define threadIdx (fb::emu::current().index)
#define blockIdx (fb::emu::block_index())

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  fb::emu::block_barrier(where);
}
inline void __syncwarp(std::source_location where = std::source_location::current()) { fb::emu::warp_barrier(where); }

// Both overloads of CUDA's min that the kernels use.
inline long min(long a, long b) { return a < b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline long max(long a, long b) { return a > b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

namespace fb::cuda::emu {

// The emulator's twin of launch() in launch.h: runs the grid to its end before it returns.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t,
                   const Arguments&... arguments) {
  fb::emu::run_grid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes, [&] { kernel(arguments...); });
  return cudaSuccess;
}

}  // namespace fb::cuda::emu
