// gemm.hpp: the job, as a kernel sees it.
//
// Every build variant includes this header, so it holds plain aggregates and declarations only: a function
// defined here would exist once per instruction set, and the linker would keep a single copy for all of them.
#pragma once
#include <cstdint>

namespace fb {

using index_t = std::int64_t;  // 64-bit everywhere: a stride times an index passes 2^31 long before memory runs out

// Strides count elements, not bytes. Any value is legal: negative (reversed views), zero (broadcast views).
struct ConstMatrix {
  const float* data;
  index_t row_stride, col_stride;
};
struct Matrix {
  float* data;
  index_t row_stride, col_stride;
};

// Memory that will be wanted after a job, for a rung to ask for meanwhile: up to three runs of floats.
struct Upcoming {
  struct Run {
    const float* data;
    index_t floats;
  } runs[3];
};

// C = alpha * A·B + beta * C, with A (M,K), B (K,N), C (M,N).
// Checked before any kernel sees it, so kernels may rely on every line below.
struct Gemm {
  index_t M, N, K;   // all >= 1: empty products are answered before the registry
  ConstMatrix A, B;  // never overlap C
  Matrix C;          // no two elements share an address
  float alpha;       // != 0: a zero alpha is answered before the registry
  float beta;        // == 0: C is uninitialised, write only
  int threads;       // >= 1
  // Where the threads of a team put the floating-point exceptions they raise (team.hpp); nullptr: nobody asks.
  int* raised = nullptr;
  // C is part of a larger, square product, whose bits it must have: K is cut as it is there, whatever C's own shape.
  bool of_square = false;
  class Team* team = nullptr;          // of its threads, for each of them to join; nullptr without one
  const Upcoming* upcoming = nullptr;  // the next product of a batch; nullptr: nothing is known of one
};

// The same job as transpose(C) = transpose(B)·transpose(A): only names change, nothing moves.
static inline Gemm transpose(const Gemm& g) {
  return {.M = g.N,
          .N = g.M,
          .K = g.K,
          .A = {g.B.data, g.B.col_stride, g.B.row_stride},
          .B = {g.A.data, g.A.col_stride, g.A.row_stride},
          .C = {g.C.data, g.C.col_stride, g.C.row_stride},
          .alpha = g.alpha,
          .beta = g.beta,
          .threads = g.threads,
          .raised = g.raised,
          .of_square = g.of_square,
          .team = g.team,
          .upcoming = g.upcoming};
}

// The tiles a rung cuts a job into; zero where it has no such level.
// Register tile MR x NR; cache blocks MC rows of A, KC of the shared dimension, NC columns of B.
struct Blocks {
  index_t MR, NR, MC, KC, NC;
};

}  // namespace fb
