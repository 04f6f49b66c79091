// run.hpp: computes the job of a BLAS call. BLAS has no way to fail, so these always give the answer.
#pragma once
#include "../core.hpp"

namespace fb::blas {

// C = alpha * A·B + beta * C, for each item; any of M, N, K may be 0, and alpha too. Threads are decided here.
void run(Batch batch);
inline void run(const Gemm& job) { run(Batch{job, 1, 0, 0, 0}); }
// The same for `count` matrices that pointers name, each of the job's shape and strides.
void run(const Gemm& job, index_t count, const float* const* a, const float* const* b, float* const* c);

// The same for the triangle i <= j (upper) or i >= j of a square C; the other is neither read nor written.
void run_triangle(Gemm job, bool upper);

}  // namespace fb::blas
