// naive — three nested loops, the sum kept in C.
//
// Course v1. The definition of the product, written down: for every element of C, walk along a row of A and down a
// column of B. Two things are wasted. Each step loads and stores C, because the compiler cannot prove that C shares no
// memory with A or B; and each step down B lands in another cache line, of which it uses 4 bytes of 64.
// `accumulate` removes the first, `transposed` the second.
#include "../algorithm.hpp"
#include "../simd/matrix.hpp"
#include "../team.hpp"

namespace fb::FB_VARIANT {

static void run(const Gemm& g) {
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (index_t i = 0; i < g.M; ++i) {
    const TeamThread team_thread(g.team);
    for (index_t j = 0; j < g.N; ++j) {
      const float* a = at(g.A, i, 0).data;
      const float* b = at(g.B, 0, j).data;
      float* c = at(g.C, i, j).data;
      const float old = g.beta == 0 ? 0 : g.beta * *c;
      *c = 0;
      for (index_t k = 0; k < g.K; ++k) *c += a[k * g.A.col_stride] * b[k * g.B.row_stride];
      *c = g.alpha * *c + old;
    }
  }
}

constinit const Algorithm naive = {
    .summary = "three nested loops, the sum kept in C",
    .course = "v1",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = run,
};

}  // namespace fb::FB_VARIANT
