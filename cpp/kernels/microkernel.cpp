// microkernel — a tile of C held in registers, A and B read in place.
//
// Course v5. An MR x NR tile of C lives in registers for the whole K loop, so each element loaded from A serves NR FMAs
// and each from B serves MR: the FMA units, not the loads, set the pace. Nothing is copied if the rows of B are
// contiguous, which also makes this the rung of choice for products too small to repay packing.
// Still wasted, on large matrices: each step of k reads B from another row, another page, and once the columns of B no
// longer fit the cache they are fetched again for every MR rows of C. `blocked` copies them into cache-sized panels.
#include "../algorithm.hpp"
#include "../simd/pack.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static Blocks blocks(const Gemm&) { return {MR, NR, 0, 0, 0}; }

// Tiles are numbered down the columns of C, so that neighbours share the NR columns of B they read.
static void multiply_tile(const Gemm& g, index_t tile_rows, index_t t) {
  const Cut rows = row_panels(g.M), registers = column_panels(g.N);
  const index_t i = rows.start(t % tile_rows), j = registers.start(t / tile_rows) * VL;
  const int mr = static_cast<int>(rows.size(t % tile_rows));
  const int nr = static_cast<int>(min(registers.size(t / tile_rows) * VL, g.N - j));
  const TileOperands operands = {at(g.A, i, 0).data, g.A.row_stride, g.A.col_stride, at(g.B, 0, j).data,
                                 g.B.row_stride};
  if (nr % VL == 0)
    tile<Source::direct>(mr, nr, g.K, operands, g.alpha, g.beta, at(g.C, i, j));
  else
    tile<Source::direct_edge>(mr, nr, g.K, operands, g.alpha, g.beta, at(g.C, i, j));
}

static void multiply_tiles(const Gemm& g) {
  const index_t tile_rows = row_panels(g.M).count(), tiles = tile_rows * column_panels(g.N).count();
  if (g.threads == 1) {  // no team: opening one costs more than a small product
    for (index_t t = 0; t < tiles; ++t) multiply_tile(g, tile_rows, t);
    return;
  }
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (index_t t = 0; t < tiles; ++t) multiply_tile(g, tile_rows, t);
}

static void run(const Gemm& job) {
  Gemm g = with_adjacent_columns(job);
  if (g.B.col_stride == 1 || g.N == 1) return multiply_tiles(g);
  const Workspace workspace(g.K * g.N);
  for (index_t j = 0; j < g.N; ++j)
    for (index_t k = 0; k < g.K; ++k) workspace.data()[k * g.N + j] = *at(g.B, k, j).data;
  g.B = {workspace.data(), g.N, 1};  // (K,N)
  multiply_tiles(g);
}

constinit const Algorithm microkernel = {
    .summary = "an MR x NR tile of C held in registers, A and B read in place",
    .course = "v5",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
