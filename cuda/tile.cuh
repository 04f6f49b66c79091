// tile.cuh: what several CUDA kernels share.
#pragma once
#include "launch.h"
#include "ptx.cuh"

namespace fb::cuda {

// An operand of any order: element (i, j) is data[i * row_stride + j * col_stride].
template <class T>
struct View {
  const T* data;
  index_t row_stride, col_stride;
};

template <class T>
inline View<T> view(const Operand& m) {
  const T* data = static_cast<const T*>(m.data);
  return m.transposed ? View<T>{data, 1, m.ld} : View<T>{data, m.ld, 1};
}

// Where a block's tile lies in C, in tiles.
struct Place {
  index_t row, col;
};

// Block rows that are computed together. Blocks that run at the same time then share what they read: a group of 8 x 17
// of the 132 resident tiles needs 25 panels of A and B from L2, where 4 whole rows of a wide C would need 4 + 33.
constexpr index_t GROUP = 8;

// The order in which blocks take tiles: down a group of GROUP block rows, then one column on.
__device__ __forceinline__ Place grouped(index_t block, index_t tile_rows, index_t tile_cols) {
  const index_t group = block / (GROUP * tile_cols);
  const index_t first_row = group * GROUP;
  const index_t rows = min(GROUP, tile_rows - first_row);  // the last group may be lower
  const index_t within = block - first_row * tile_cols;
  return {first_row + within % rows, within / rows};
}

// alpha * sum + beta * C, without reading C if beta is 0.
__device__ __forceinline__ void store(float* c, float sum, float alpha, float beta) {
  *c = beta == 0 ? alpha * sum : alpha * sum + beta * *c;
}

// The same for four neighbours; `c` is aligned to 16 bytes.
__device__ __forceinline__ void store(float4* c, float4 sum, float alpha, float beta) {
  float4 old = make_float4(0, 0, 0, 0);
  if (beta != 0) old = *c;
  sum.x = beta == 0 ? alpha * sum.x : alpha * sum.x + beta * old.x;
  sum.y = beta == 0 ? alpha * sum.y : alpha * sum.y + beta * old.y;
  sum.z = beta == 0 ? alpha * sum.z : alpha * sum.z + beta * old.z;
  sum.w = beta == 0 ? alpha * sum.w : alpha * sum.w + beta * old.w;
  *c = sum;
}

inline bool aligned(const void* data, std::size_t bytes) { return reinterpret_cast<std::uintptr_t>(data) % bytes == 0; }

// True if every row of C may be written in pieces of 16 bytes, none of them across its end.
inline bool vector_stores(const Job& job) { return aligned(job.C, 16) && job.ldc % 4 == 0 && job.N % 4 == 0; }

}  // namespace fb::cuda
