// microkernel — a tile of C held in registers, A and B read in place.
//
// Course v5. An MR x NR tile of C lives in registers for the whole K loop, so each element loaded from A serves NR FMAs
// and each from B serves MR: the FMA units, not the loads, set the pace. Nothing is copied if the rows of B are
// contiguous, which also makes this the rung of choice for products too small to repay packing.
// Still wasted, on large matrices: each step of k reads B from another row, another page, and once the columns of B no
// longer fit the cache they are fetched again for every MR rows of C. `blocked` copies them into cache-sized panels.
#include "../algorithm.hpp"
#include "../flags.hpp"
#include "../simd/pack.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static Blocks blocks(const Gemm&) { return {MR, NR, 0, 0, 0}; }

// Rows of a tile of nv registers: narrow ones are taller, as many as there are accumulators for, so that there are
// fewer of them. Addresses of more than 12 rows would not stay in registers.
constexpr int TALLEST = 12;
constexpr int height(index_t nv) {
  const int rows = MR * NV / static_cast<int>(nv);
  return rows < TALLEST ? rows : TALLEST;
}

struct TallTable {
  TileFunction at[TALLEST * NV];  // [(mr - 1) * NV + nv - 1]
};
template <int mr, int nv, Source source>
constexpr TileFunction tall_tile() {
  if constexpr (mr <= height(nv)) return compute_tile<mr, nv, source>;
  return nullptr;
}
template <Source source, int... i>
constexpr TallTable make_tall_table(Indices<i...>) {
  return {{tall_tile<i / NV + 1, i % NV + 1, source>()...}};
}
template <Source source>
constexpr TallTable tall_table = make_tall_table<source>(typename IndicesBelow<TALLEST * NV>::type{});

// Tiles first..last-1, numbered down the columns of C, so that neighbours share the columns of B they read.
static inline void multiply_tiles(const Gemm& g, index_t first, index_t last) {
  index_t tile = 0;
  for (index_t j = 0; j < g.N;) {
    const index_t nv = next_part(ceil_div(g.N - j, VL), NV);
    const int nr = static_cast<int>(min(nv * VL, g.N - j));
    const TallTable& table = nr % VL == 0 ? tall_table<Source::direct> : tall_table<Source::direct_edge>;
    for (index_t i = 0; i < g.M; ++tile) {
      const int mr = static_cast<int>(next_part(g.M - i, height(nv)));
      if (tile >= first && tile < last)
        run_tile(table.at[(mr - 1) * NV + nv - 1], mr, nr, g.K,
                 {at(g.A, i, 0).data, g.A.row_stride, g.A.col_stride, at(g.B, 0, j).data, g.B.row_stride}, g.alpha,
                 g.beta, at(g.C, i, j));
      i += mr;
    }
    j += nr;
  }
}

static void multiply(const Gemm& g) {
  // All tiles without a team: opening one costs more than a small product.
  if (g.threads == 1) return multiply_tiles(g, 0, g.M * g.N);
  index_t tiles = 0;
  const Cut columns = column_panels(g.N);
  for (index_t p = 0; p < columns.count(); ++p) tiles += ceil_div(g.M, height(columns.size(p)));
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const FlagsOfThread flags(g.raised);
    multiply_tiles(g, tiles * t / g.threads, tiles * (t + 1) / g.threads);
  }
}

static void multiply_upright(const Gemm& job) {
  if (job.B.col_stride == 1 || job.N == 1) return multiply(job);
  const Workspace workspace(job.K * job.N);
  for (index_t j = 0; j < job.N; ++j)
    for (index_t k = 0; k < job.K; ++k) workspace.data()[k * job.N + j] = *at(job.B, k, j).data;
  Gemm g = job;
  g.B = {workspace.data(), g.N, 1};  // (K,N)
  multiply(g);
}

// Without a copy of the job where none is needed: that is a tenth of the time of a 16 x 16 product.
static void run(const Gemm& job) {
  if (is_column_major(job.C)) return multiply_upright(transpose(job));
  multiply_upright(job);
}

constinit const Algorithm microkernel = {
    .summary = "an MR x NR tile of C held in registers, A and B read in place",
    .course = "v5",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
