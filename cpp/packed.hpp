// packed.hpp: a B that was packed beforehand, and what each build of the kernels can do with it.
//
// Build variants include this header: plain aggregates only, as in gemm.hpp.
#pragma once
#include "gemm.hpp"

namespace fb {

// One build's way with packed operands. The layout is its own affair: another build's panels mean nothing to it.
struct PackedKernel {
  Blocks (*blocks)(index_t K, index_t N);
  index_t (*floats)(index_t K, index_t N);  // how long the panels are
  void (*pack)(index_t K, index_t N, const ConstMatrix& B, int threads, float* panels);
  void (*unpack)(index_t K, index_t N, const float* panels, float* B);  // B (K,N), C order
  // The product, B being the packed one: job.B is not read. May throw std::bad_alloc before its first write to C.
  void (*run)(const Gemm& job, const float* panels);
};

struct Variant;

// A copy of a B (K,N) in panels, for one build. Never changes, so any thread may read it at any time.
struct Packed {
  index_t K, N;            // either may be zero
  index_t floats;          // of `panels`
  const Variant* variant;  // the build whose panels these are
  const PackedKernel* kernel;
  float* panels;  // 64-byte aligned
};

}  // namespace fb
