// run.hpp: computes the job of a BLAS call. BLAS has no way to fail, so these always give the answer.
#pragma once
#include "../gemm.hpp"

namespace fb::blas {

// C = alpha * A·B + beta * C; any of M, N, K may be 0, and alpha too.
void run(Gemm job);

// The same for the triangle i <= j (upper) or i >= j of a square C; the other is neither read nor written.
void run_triangle(Gemm job, bool upper);

}  // namespace fb::blas
