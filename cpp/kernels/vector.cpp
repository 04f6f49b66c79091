// vector — the dot products of `transposed`, written with SIMD registers.
//
// Course v4. `vec` holds VL floats and `sum += a * b` is one FMA on all of them, so nothing depends on what the
// compiler dares to reorder. An FMA takes 4 cycles and two can start in every cycle, so one running sum would leave
// seven of eight slots empty; SUMS independent ones fill as many as the loads allow. Still wasted: two loads per FMA,
// where a core can start as many FMAs as loads. `microkernel` computes a tile of C instead of one element.
#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/matrix.hpp"
#include "../simd/vec.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr int SUMS = 4;  // latency 4 x 1 FMA per cycle: with two loads each, no more than one can start

static float inner_product(index_t registers, const float* a, const float* b) {
  vec sum[SUMS] = {};
  index_t r = 0;
  for (; r + SUMS <= registers; r += SUMS)
#pragma GCC unroll 8
    for (int s = 0; s < SUMS; ++s) sum[s] += load(a + (r + s) * VL) * load(b + (r + s) * VL);
  for (; r < registers; ++r) sum[0] += load(a + r * VL) * load(b + r * VL);
  const vec total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  float result = 0;
  for (int l = 0; l < VL; ++l) result += total[l];
  return result;
}

// dst[k] = src[k*stride] for k < K, then zeros up to whole registers: they add nothing to a sum.
static void copy_padded(index_t K, index_t K_padded, const float* src, index_t stride, float* dst) {
  for (index_t k = 0; k < K; ++k) dst[k] = src[k * stride];
  for (index_t k = K; k < K_padded; ++k) dst[k] = 0;
}

static void run(const Gemm& g) {
  const index_t K = round_up(g.K, VL);
  const Workspace workspace((g.N + g.M) * K);
  float* const columns_of_b = workspace.data();     // (N,K)
  float* const rows_of_a = columns_of_b + g.N * K;  // (M,K)

#pragma omp parallel num_threads(g.threads)
  {
    const TeamThread team_thread(g.team);
#pragma omp for schedule(static)
    for (index_t j = 0; j < g.N; ++j) copy_padded(g.K, K, at(g.B, 0, j).data, g.B.row_stride, columns_of_b + j * K);
    const index_t strip = cache_sizes().l2 / 2 / (K * index_t{sizeof(float)}) + 1;  // columns that fit half of L2
    for (index_t first = 0; first < g.N; first += strip) {
#pragma omp for schedule(static) nowait  // a thread has the same rows in every strip
      for (index_t i = 0; i < g.M; ++i) {
        float* a = rows_of_a + i * K;
        if (first == 0) copy_padded(g.K, K, at(g.A, i, 0).data, g.A.col_stride, a);
        for (index_t j = first; j < min(g.N, first + strip); ++j) {
          float* c = at(g.C, i, j).data;
          const float sum = inner_product(K / VL, a, columns_of_b + j * K);
          *c = g.beta == 0 ? g.alpha * sum : g.alpha * sum + g.beta * *c;
        }
      }
    }
  }
}

constinit const Algorithm vector = {
    .summary = "the same dot products with explicit vector-extension FMA and several running sums",
    .course = "v4",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = run,
};

}  // namespace fb::FB_VARIANT
