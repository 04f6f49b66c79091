// transposed — a transposed copy of B, so that the inner loop reads straight through memory.
//
// Course v3. K·N elements are copied once so that 2·M·N·K operations can read A and B with stride 1. Now the compiler
// can vectorise the inner loop, if it may reorder the sum: float addition is not associative, and only a flag such as
// -fassociative-math permits it (compare `transposed@O3` with `transposed@O3_fastmath`).
// The copy is gone through in strips of columns that stay in L2 while all rows of A pass; the course takes it whole,
// and waits for L3. Still wasted: every FMA needs two loads. `vector` says by hand what is left to the compiler here;
// `microkernel` reuses what it has loaded.
#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/matrix.hpp"
#include "../simd/vec.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static float inner_product(index_t K, const float* a, const float* b) {
  float sum = 0;
  for (index_t k = 0; k < K; ++k) sum += a[k] * b[k];
  return sum;
}

static void run(const Gemm& g) {
  const bool copy_a = g.A.col_stride != 1;  // a row of A that is not contiguous is copied too
  const Workspace workspace(g.N * g.K + (copy_a ? g.M * g.K : 0));
  float* const bt = workspace.data();  // (N,K)
  float* const at_ = bt + g.N * g.K;   // (M,K) if copied

#pragma omp parallel num_threads(g.threads)
  {
    const TeamThread team_thread(g.team);
#pragma omp for schedule(static)
    for (index_t j = 0; j < g.N; ++j)
      for (index_t k = 0; k < g.K; ++k) bt[j * g.K + k] = *at(g.B, k, j).data;
    const index_t strip = cache_sizes().l2 / 2 / (g.K * index_t{sizeof(float)}) + 1;  // columns that fit half of L2
    for (index_t first = 0; first < g.N; first += strip) {
#pragma omp for schedule(static) nowait  // a thread has the same rows in every strip
      for (index_t i = 0; i < g.M; ++i) {
        const float* a = at(g.A, i, 0).data;
        if (copy_a) {
          for (index_t k = 0; first == 0 && k < g.K; ++k) at_[i * g.K + k] = a[k * g.A.col_stride];
          a = at_ + i * g.K;
        }
        for (index_t j = first; j < min(g.N, first + strip); ++j) {
          float* c = at(g.C, i, j).data;
          const float sum = inner_product(g.K, a, bt + j * g.K);
          *c = g.beta == 0 ? g.alpha * sum : g.alpha * sum + g.beta * *c;
        }
      }
    }
  }
}

constinit const Algorithm transposed = {
    .summary = "a transposed copy of B makes the inner loop contiguous, and the compiler vectorises it",
    .course = "v3",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = run,
};

}  // namespace fb::FB_VARIANT
