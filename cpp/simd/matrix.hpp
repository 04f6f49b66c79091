// matrix.hpp: views of a job: sub-matrices, transposes, the orientation a row-wise kernel wants.
#pragma once
#include "../gemm.hpp"

namespace fb::FB_VARIANT {

static inline ConstMatrix at(const ConstMatrix& m, index_t i, index_t j) {
  return {m.data + i * m.row_stride + j * m.col_stride, m.row_stride, m.col_stride};
}
static inline Matrix at(const Matrix& m, index_t i, index_t j) {
  return {m.data + i * m.row_stride + j * m.col_stride, m.row_stride, m.col_stride};
}

// Rows [first, first + count) of C, as a job of its own.
static inline Gemm rows(const Gemm& g, index_t first, index_t count) {
  Gemm strip = g;
  strip.M = count;
  strip.A = at(g.A, first, 0);
  strip.C = at(g.C, first, 0);
  return strip;
}
// Columns [first, first + count) of C, as a job of its own.
static inline Gemm columns(const Gemm& g, index_t first, index_t count) {
  Gemm strip = g;
  strip.N = count;
  strip.B = at(g.B, 0, first);
  strip.C = at(g.C, 0, first);
  return strip;
}

// Kernels store rows of C a register at a time; a column-major C becomes row-major by transposing the job.
static inline bool is_column_major(const Matrix& C) { return C.col_stride != 1 && C.row_stride == 1; }
static inline Gemm with_adjacent_columns(const Gemm& g) { return is_column_major(g.C) ? transpose(g) : g; }

// C = alpha * (sums of `chunks` parts of K, each (M,N), in their order) + beta * C. Uses up the sums.
static inline void add_up(const Gemm& g, index_t chunks, float* sums) {
  const index_t count = g.M * g.N;
  for (index_t chunk = 1; chunk < chunks; ++chunk)
    for (index_t n = 0; n < count; ++n) sums[n] += sums[chunk * count + n];
  for (index_t i = 0; i < g.M; ++i)
    for (index_t j = 0; j < g.N; ++j) {
      float& c = *at(g.C, i, j).data;
      const float product = g.alpha * sums[i * g.N + j];
      c = g.beta == 0 ? product : product + g.beta * c;
    }
}

}  // namespace fb::FB_VARIANT
