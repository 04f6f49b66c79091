// accumulate — three nested loops, the sum kept in a register.
//
// Course v2. `sum` is a local variable, so the compiler may keep it in a register: one store per element of C instead
// of one per step. The gain is small here, and that is the lesson: the time goes into waiting for B, whose next element
// down a column is always in another cache line. `transposed` turns that walk into a straight one.
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
      float sum = 0;
      for (index_t k = 0; k < g.K; ++k) sum += a[k * g.A.col_stride] * b[k * g.B.row_stride];
      *c = g.beta == 0 ? g.alpha * sum : g.alpha * sum + g.beta * *c;
    }
  }
}

constinit const Algorithm accumulate = {
    .summary = "three nested loops, the sum kept in a register",
    .course = "v2",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = run,
};

}  // namespace fb::FB_VARIANT
