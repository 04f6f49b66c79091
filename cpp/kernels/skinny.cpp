// skinny — few rows of C: B goes by once, at the speed of main memory, and nothing is copied.
//
// Not of the course. With a handful of rows every element of B meets so few FMAs that fetching it sets the pace, and
// packing it would cost as much as the product. Up to FEW rows: several rows of B at a time are added to their sums in
// L1, in long runs that hardware prefetchers follow. More: tiles as wide as the registers allow, each of which asks for
// the next one's share of every row while it computes (tile.hpp).
// The few may be rows or columns of C, as long as rows of the large operand are contiguous; elsewhere `dot` is for
// them. Still wasted: from some nine rows on, with AVX2 from five, B is read again for every MR of them, and `blocked`
// with its copy is faster.
#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../simd/partial.hpp"
#include "../simd/tile.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

// Registers of columns in a tile of mr rows: mr * nv accumulators, nv of B, and one or two for the broadcast of A. More
// than 12 gained nothing: a run of 768 bytes is long.
constexpr int wide(int mr) { return (REGISTERS - 2) / (mr + 1) < 12 ? (REGISTERS - 2) / (mr + 1) : 12; }

struct WideTable {
  TileFunction of_rows[MR];
};
template <int... i>
constexpr WideTable make_wide_table(Indices<i...>) {
  return {{compute_tile<i + 1, wide(i + 1), Source::streaming>...}};
}
constexpr WideTable wide_table = make_wide_table(IndicesBelow<MR>::type{});

// The job with as few rows as it has rows or columns, and contiguous rows of B; or with M = 0, if there is none such.
static Gemm streaming_job(const Gemm& job) {
  const bool rows_of_b = job.B.col_stride == 1, columns_of_a = job.A.row_stride == 1;
  if (rows_of_b && (job.M <= job.N || !columns_of_a)) return job;
  if (columns_of_a) return transpose(job);
  return {};
}

constexpr index_t FEW = 4;  // rows whose sums are kept in cache while B is added to them
// Rows of B added at a time, as many as their elements of A find registers beside the sums: on a Zen 1, 4 instead of 2
// for 3 rows of C are 1.2 to 1.35 times as fast, 6 instead of 4 for 2 rows 1.05 times. Elsewhere not measured: they
// fill half of the registers.
constexpr int depth_of(int mr) {
  constexpr int of_avx2[FEW] = {8, 6, 4, 2};
  return avx2 ? of_avx2[mr - 1] : REGISTERS / 4 / (mr > 2 ? 2 : 1);
}
// From so many rows of C on, B's next rows are asked for ahead: computing leaves prefetchers too little time to begin
// anew at every row. 1.1 to 1.15 times as fast from main memory on a Zen 1, with fewer rows 0.75 to 1.0. With AVX-512
// not measured.
constexpr int ASKING_ROWS = avx2 ? 3 : FEW + 1;

// The tile, and how long a part of K its panels have: what of B may be on its way to it, half of L2.
static Blocks blocks(const Gemm& job) {
  const Gemm g = streaming_job(job);
  const index_t mr = min(g.M ? g.M : 1, MR), nr = wide(static_cast<int>(mr)) * VL;
  const index_t kc_max = min(512, cache_sizes().l2 / 2 / (nr * index_t{sizeof(float)}));
  return {mr, nr, 0, equal_part(job.K, kc_max, 1), 0};
}

// sums(mr,count) += A(mr,depth)·B(depth,count)
template <int mr, int depth>
static void add_rows(index_t count, const ConstMatrix& A, const ConstMatrix& B, float* sums, index_t sums_row) {
  float a[mr][depth];
  for (int i = 0; i < mr; ++i)
    for (int k = 0; k < depth; ++k) a[i][k] = *at(A, i, k).data;
  index_t j = 0;
  for (; j + VL <= count; j += VL) {
    vec sum[mr];
#pragma GCC unroll 4
    for (int i = 0; i < mr; ++i) sum[i] = load(sums + i * sums_row + j);
#pragma GCC unroll 8
    for (int k = 0; k < depth; ++k) {
      const float* const p = B.data + k * B.row_stride + j;
      if (mr >= ASKING_ROWS && j % LINE == 0) __builtin_prefetch(p + depth * B.row_stride, 0, 2);
      const vec b = load(p);
#pragma GCC unroll 4
      for (int i = 0; i < mr; ++i) sum[i] += a[i][k] * b;
    }
#pragma GCC unroll 4
    for (int i = 0; i < mr; ++i) store(sums + i * sums_row + j, sum[i]);
  }
  const int rest = static_cast<int>(count - j);
  if (rest == 0) return;
  vec sum[mr];
  for (int i = 0; i < mr; ++i) sum[i] = load_ends(sums + i * sums_row + j, rest);
  for (int k = 0; k < depth; ++k) {
    const vec b = load_ends(B.data + k * B.row_stride + j, rest);
    for (int i = 0; i < mr; ++i) sum[i] += a[i][k] * b;
  }
  for (int i = 0; i < mr; ++i) store_ends(sums + i * sums_row + j, sum[i], rest);
}

// Up to FEW rows of C, columns first..last-1; sums (mr,N).
template <int mr>
static void multiply_few(const Gemm& g, index_t first, index_t last, float* sums) {
  constexpr int DEPTH = depth_of(mr);
  for (int i = 0; i < mr; ++i)
    for (index_t j = first; j < last; ++j) sums[i * g.N + j] = 0;
  index_t k = 0;
  for (; k + DEPTH <= g.K; k += DEPTH)
    add_rows<mr, DEPTH>(last - first, at(g.A, 0, k), at(g.B, k, first), sums + first, g.N);
  for (; k < g.K; ++k) add_rows<mr, 1>(last - first, at(g.A, 0, k), at(g.B, k, first), sums + first, g.N);
  for (int i = 0; i < mr; ++i) {
    const float* const sum = sums + i * g.N;
    if (g.C.col_stride == 1 && g.beta == 0) {  // by whole registers
      float* const __restrict c = at(g.C, i, 0).data;
      for (index_t j = first; j < last; ++j) c[j] = g.alpha * sum[j];
      continue;
    }
    for (index_t j = first; j < last; ++j) {
      float& c = *at(g.C, i, j).data;
      c = g.beta == 0 ? g.alpha * sum[j] : g.alpha * sum[j] + g.beta * c;
    }
  }
}

// More rows, columns first..last-1 of C.
static void multiply_tiles(const Gemm& g, index_t KC, index_t first, index_t last) {
  for (index_t ic = 0; ic < g.M; ic += MR) {
    const int mr = static_cast<int>(min(MR, g.M - ic)), nr = wide(mr) * VL;
    for (index_t pc = 0; pc < g.K; pc += KC) {
      const index_t kc = min(KC, g.K - pc);
      const float beta = pc == 0 ? g.beta : 1;
      for (index_t jc = first; jc < last;) {
        const int width = static_cast<int>(min(last - jc, nr));
        const ConstMatrix A = at(g.A, ic, pc), B = at(g.B, pc, jc);
        const TileOperands op = {A.data, A.row_stride, A.col_stride, B.data, B.row_stride};
        const Matrix C = at(g.C, ic, jc);
        const int rest = static_cast<int>(min(width, NR));  // of a last, narrower tile, in steps of the usual ones
        jc += width == nr ? nr : rest;
        if (width == nr)
          run_tile(wide_table.of_rows[mr - 1], mr, nr, kc, op, g.alpha, beta, C);
        else if (rest % VL == 0)
          tile<Source::direct>(mr, rest, kc, op, g.alpha, beta, C);
        else
          tile<Source::direct_edge>(mr, rest, kc, op, g.alpha, beta, C);
      }
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = streaming_job(job);
  if (g.M == 0) return blocked.run(job);  // neither operand can be streamed: it has to be packed
  const Blocks block = blocks(job);
  const Workspace workspace(g.M <= FEW ? g.M * g.N : 0);
  constexpr decltype(&multiply_few<1>) few[] = {multiply_few<1>, multiply_few<2>, multiply_few<3>, multiply_few<4>};
  static_assert(sizeof few / sizeof few[0] == FEW);
  // Columns at a time: their sums stay in L1, or near it where runs of B twice as long as that bring more: on a Zen 1
  // 1.1 to 1.3 times as fast from main memory, as fast from L3.
  const index_t run = cache_sizes().l1d * (avx2 ? 4 : 1) / 2 / (g.M * index_t{sizeof(float)});
  const auto multiply_columns = [&](index_t first, index_t last) {
    if (g.M > FEW) return multiply_tiles(g, block.KC, first, last);
    for (index_t j = first; j < last; j += run) few[g.M - 1](g, j, min(last, j + run), workspace.data());
  };
  if (g.threads == 1) return multiply_columns(0, g.N);

  const index_t share = round_up(ceil_div(g.N, g.threads), block.NR);  // whole tiles; each thread its own columns
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const TeamThread team_thread(g.team);
    multiply_columns(min(g.N, t * share), min(g.N, (t + 1) * share));
  }
}

constinit const Algorithm skinny = {
    .summary = "few rows of C: B is streamed once, in long runs, and nothing is copied",
    .course = "",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
