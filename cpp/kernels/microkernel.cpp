// microkernel — a tile of C held in registers, A and B read in place.
//
// Course v5. An MR x NR tile of C lives in registers for the whole K loop, so each element loaded from A serves NR FMAs
// and each from B serves MR: the FMA units, not the loads, set the pace. Nothing is copied if the rows of B are
// contiguous, which also makes this the rung of choice for products too small to repay packing.
// Still wasted, on large matrices: each step of k reads B from another row, another page, and once the columns of B no
// longer fit the cache they are fetched again for every MR rows of C. `blocked` copies them into cache-sized panels.
#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/pack.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static Blocks blocks(const Gemm&) { return {MR, NR, 0, 0, 0}; }

// Registers of columns in a tile. Rows that fit one tile of two registers are not split: 5 and 6 rows are 1.3 times as
// fast so, measured on a Zen 3; with AVX-512, 9 to 12 rows, not measured.
static index_t width(index_t rows) { return avx2 && rows > MR && rows <= height(2) ? 2 : NV; }

// Whether elements of A are read down its columns, and no tile ends within a register.
static bool by_columns(const Gemm& g) { return !study && g.A.row_stride == 1 && g.A.col_stride != 1 && g.N % VL == 0; }

// Whether whole tiles of NV registers ask for the next product of a batch meanwhile, each for as many lines as it has
// steps: all of 96^3, A and B of 48^3. On an Intel core with AVX-512, whose hardware prefetchers do not: measured on a
// Xeon, stacks of 96^3 from L3 1.03 to 1.12 times as fast, of 48^3 0.95 to 1.09. On AMD's cores not measured.
static bool asks_for_upcoming(const Gemm& g) {
  return VL == LINE && !study && g.upcoming && g.threads == 1 && g.K >= NV && tuned_for_intel();
}

// Which part of it the next tile asks for.
struct Asked {
  int run = 0;
  index_t floats = 0;  // of this run

  // Has a tile of NV registers ask for as many lines as it has steps, at most. False if there is nothing left to ask.
  bool set_up(TileOperands& op, const Gemm& g) {
    while (run < 3 && floats >= g.upcoming->runs[run].floats) ++run, floats = 0;
    if (run == 3) return false;
    op.ahead = g.upcoming->runs[run].data + floats;
    op.ahead_k = NR;
    op.every = min(g.K / NV, ceil_div(g.upcoming->runs[run].floats - floats, NR));
    floats += op.every * NR;
    return true;
  }
};

// Tiles first..last-1, numbered down the columns of C, so that neighbours share the columns of B they read.
static inline void multiply_tiles(const Gemm& g, index_t first, index_t last) {
  const bool columns = by_columns(g);
  const int most = tallest(g.A);
  // One for all tiles: setting up a new one each time is 30 cycles, of the some 400 of a tile with K = 32.
  TileOperands op = {nullptr, g.A.row_stride, g.A.col_stride, nullptr, g.B.row_stride};
  index_t tile = 0;
  const bool asks = asks_for_upcoming(g);
  Asked asked;
  for (index_t j = 0; j < g.N;) {
    const index_t nv = next_part(ceil_div(g.N - j, VL), width(g.M));
    const int nr = static_cast<int>(min(nv * VL, g.N - j));
    const TileTable& table = tile_table(columns        ? Source::columns
                                        : nr % VL == 0 ? Source::direct
                                                       : Source::direct_edge);
    op.b = at(g.B, 0, j).data;
    const index_t rows = height(nv, most);
    for (index_t i = 0; i < g.M; ++tile) {
      const int mr = static_cast<int>(next_part(g.M - i, rows));
      if (tile >= first && tile < last) {
        op.a = at(g.A, i, 0).data;
        const bool asking = asks && nv == NV && nr == NR && asked.set_up(op, g);
        const TileTable& now = asking ? tile_table(Source::fetching_l2) : table;
        run_tile(now.at[(mr - 1) * NV + nv - 1], mr, nr, g.K, op, g.alpha, g.beta, at(g.C, i, j));
      }
      i += mr;
    }
    j += nr;
  }
}

static void multiply(const Gemm& g) {
  // All tiles without a team: opening one costs more than a small product.
  if (g.threads == 1) return multiply_tiles(g, 0, g.M * g.N);
  // Rows of their own, if there are enough: threads that write to neighbouring columns of C take cache lines away from
  // each other, because columns need not begin at one.
  if (!study && g.M >= 2 * MR * g.threads) {
    const index_t panels = ceil_div(g.M, MR);
#pragma omp parallel for num_threads(g.threads) schedule(static)
    for (int t = 0; t < g.threads; ++t) {
      const TeamThread team_thread(g.team);
      const index_t first = panels * t / g.threads * MR, last = min(panels * (t + 1) / g.threads * MR, g.M);
      const Gemm own = rows(g, first, last - first);
      multiply_tiles(own, 0, own.M * own.N);
    }
    return;
  }
  index_t tiles = 0;
  const Cut widths = {ceil_div(g.N, VL), width(g.M)};
  for (index_t p = 0; p < widths.count(); ++p) tiles += ceil_div(g.M, height(widths.size(p), tallest(g.A)));
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const TeamThread team_thread(g.team);
    multiply_tiles(g, tiles * t / g.threads, tiles * (t + 1) / g.threads);
  }
}

static void multiply_upright(const Gemm& job) {
  if (job.B.col_stride == 1 || job.N == 1) return multiply(job);
  Gemm g = job;
  if (job.N <= NR) {  // one panel
    const index_t row = round_up(job.N, VL);
    const Workspace workspace(job.K * row);
    pack_strip(job.N, job.K, job.B, workspace.data());
    g.B = {workspace.data(), row, 1};  // (K,N)
    return multiply(g);
  }
  const Workspace workspace(job.K * job.N);
  for (index_t j = 0; j < job.N; ++j)
    for (index_t k = 0; k < job.K; ++k) workspace.data()[k * job.N + j] = *at(job.B, k, j).data;
  g.B = {workspace.data(), g.N, 1};  // (K,N)
  multiply(g);
}

// Whether rows of C would fill half of a register at most, and columns whole ones. With fewer steps scattering C would
// cost more, unless it is a vector. Measured on a Zen 4, the other way: 1.5 to 5 times as fast.
static bool leaves_lanes_empty(index_t rows, index_t columns, index_t steps) {
  return columns <= VL / 2 && rows >= VL && (steps >= 8 || columns == 1);
}

// Without a copy of the job where none is needed: that is a tenth of the time of a 16 x 16 product.
// Reads B in place where it lies so in the job or in its transpose: a copy of it costs more than scattering C. If both
// or neither offer that, C decides, unless that leaves most lanes empty.
static void run(const Gemm& job) {
  const bool upright = job.B.col_stride == 1, turned = job.A.row_stride == 1;
  bool by_columns_of_c = upright == turned ? is_column_major(job.C) : turned;
  if (upright && turned && !study)
    by_columns_of_c =
        by_columns_of_c ? !leaves_lanes_empty(job.N, job.M, job.K) : leaves_lanes_empty(job.M, job.N, job.K);
  if (by_columns_of_c) return multiply_upright(transpose(job));
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
