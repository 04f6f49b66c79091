// skinny — few rows of C: B goes by once, at the speed of main memory, and nothing is copied.
//
// Not of the course. With a handful of rows every element of B meets so few FMAs that fetching it sets the pace, and
// packing it would cost as much as the product. So several rows of B at a time are added to their sums, which stay in
// cache, in long runs that hardware prefetchers follow. That is how up to FEW rows are computed, and with AVX2 all of
// them; else more have tiles as wide as the registers allow, each of which asks for the next one's share of every row
// while it computes (tile.hpp).
// The few may be rows or columns of C, as long as rows of the large operand are contiguous; elsewhere `dot` is for
// them. Still wasted: sums are loaded and stored for every few rows of B; in tiles, from some nine rows on, B is read
// again for every MR of them, and `blocked` with its copy is faster.
#include <cstdint>

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

constexpr index_t FEW = 4;  // rows for which B is added to sums, or with AVX2 any number of them

// How B is added to the sums: `rows` of C at a time, `depth` rows of B, whose elements of A stay in registers beside
// the sums. Then the same rows of B, which are in L1 by now, are added to other rows' sums.
struct Pass {
  int rows, depth;
};
// With AVX2, on a Zen 1: 4 rows of B instead of 2 for 3 rows of C are 1.2 to 1.35 times as fast, 6 instead of 4 for 2
// rows 1.05 times. Else a register of A for half of them; more were not measured.
constexpr Pass one_row = {1, avx2 ? 8 : REGISTERS / 4}, two_rows = {2, avx2 ? 6 : REGISTERS / 4},
               four_rows = {4, avx2 ? 2 : REGISTERS / 8}, more_rows = avx2 ? Pass{3, 4} : four_rows;
static bool by_sums(const Gemm& g) { return avx2 || g.M <= FEW; }

// An Intel core with AVX-512 does not get all that L3 and main memory have to give by its hardware prefetchers, so each
// row of B asks for what it will want so many columns on. Measured on a Xeon by reading alone, GB/s from main memory
// and from L3: 8 rows at a time 15 and 27, 4 of them that ask for 2 KiB ahead 19 and 30. The product is 1.05 to 1.15
// times as fast from main memory, 1.01 to 1.1 from L3, 1.1 to 1.2 from L2, where 96 columns ahead are enough. It is L2
// of the core which reads these columns, so the depth follows the thread count, but not the bits: every sum is one
// chain over k. On AMD's cores not measured.
constexpr bool may_ask_soon = VL == 16;
static bool asks_soon() { return may_ask_soon && tuned_for_intel(); }
static bool beyond_l2(const Gemm& g) { return g.N / g.threads > cache_sizes().l2 / index_t{sizeof(float)} / g.K; }
static index_t columns_ahead(const Gemm& g) { return beyond_l2(g) ? 512 : 96; }
constexpr int FAR_DEPTH = 4;

static Pass pass_for(const Gemm& g) {
  const Pass pass = g.M == 1 ? one_row : g.M == 2 ? two_rows : g.M == 4 ? four_rows : more_rows;
  return asks_soon() && beyond_l2(g) ? Pass{pass.rows, FAR_DEPTH} : pass;
}

// Columns at a time. With AVX2 as many as half of L2 has room for the sums of, because a long run of B counts for more:
// on a Zen 1, 1.1 to 1.3 times as fast from main memory as sums in L1, and as fast from L3. Intel's cores with AVX-512
// so, too: on a Xeon with an L2 of 2 MiB, 1.0 to 1.25 times as fast. Else half of L1.
static index_t run_columns(const Gemm& g) {
  const index_t bytes = (avx2 || (VL == 16 && tuned_for_intel()) ? cache_sizes().l2 : cache_sizes().l1d) / 2;
  return max(LINE, bytes / (g.M * index_t{sizeof(float)}) / LINE * LINE);
}

// The tile, and how long a part of K its panels have: what of B may be on its way to it, half of L2.
static Blocks blocks(const Gemm& job) {
  const Gemm g = streaming_job(job);
  if (g.M > 0 && by_sums(g)) {
    const Pass pass = pass_for(g);
    return {min(g.M, pass.rows), VL, 0, pass.depth, min(run_columns(g), round_up(g.N, VL))};
  }
  const index_t mr = min(g.M ? g.M : 1, MR), nr = wide(static_cast<int>(mr)) * VL;
  const index_t kc_max = min(512, cache_sizes().l2 / 2 / (nr * index_t{sizeof(float)}));
  return {mr, nr, 0, equal_part(job.K, kc_max, 1), 0};
}

enum class Asks { nothing, next_rows, soon };

// What of B is asked for. Asks::next_rows: so many rows, so far apart; Asks::soon: what is so many columns on.
struct Ahead {
  const float* row;
  index_t rows, stride;
  index_t columns;
};

// sums(mr,count) += A(mr,depth)·B(depth,count)
template <int mr, int depth, Asks asks>
__attribute__((always_inline)) static inline void add_rows(index_t count, const ConstMatrix& A, const ConstMatrix& B,
                                                           float* sums, index_t sums_row, const Ahead ahead) {
  float a[mr][depth];
  for (int i = 0; i < mr; ++i)
    for (int k = 0; k < depth; ++k) a[i][k] = *at(A, i, k).data;
  index_t j = 0;
  const auto add_columns = [&](index_t end, index_t soon) __attribute__((always_inline)) {
    for (; j + VL <= end; j += VL) {
      if (asks == Asks::next_rows && j % LINE == 0)
#pragma GCC unroll 4
        for (int r = 0; r < depth; ++r)
          if (r < ahead.rows) __builtin_prefetch(ahead.row + r * ahead.stride + j, 0, 2);
      vec sum[mr];
#pragma GCC unroll 4
      for (int i = 0; i < mr; ++i) sum[i] = load(sums + i * sums_row + j);
#pragma GCC unroll 8
      for (int k = 0; k < depth; ++k) {
        const float* const p = B.data + k * B.row_stride + j;
        if (asks == Asks::soon) __builtin_prefetch(p + soon);
        vec b = load(p);
        if (mr > 1) keep_in_register(b);
#pragma GCC unroll 4
        for (int i = 0; i < mr; ++i) sum[i] += a[i][k] * b;
      }
#pragma GCC unroll 4
      for (int i = 0; i < mr; ++i) store(sums + i * sums_row + j, sum[i]);
    }
  };
  if (asks == Asks::soon) add_columns(count - ahead.columns, ahead.columns);
  add_columns(count, depth * B.row_stride + min(ahead.columns - count, 0));  // the beginning of the rows that come next
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

// The same for rows(M,depth) of A, `most` of them at a time; the groups share out the rows of B to be asked for.
template <int most, int depth, Asks asks>
static inline void add_all_rows(index_t count, index_t M, index_t groups, const ConstMatrix& A, const ConstMatrix& B,
                                float* sums, index_t sums_row, index_t to_come, index_t soon) {
  index_t asked = 0;
  for (index_t i = 0; i < M; --groups) {
    const int mr = static_cast<int>(next_part(M - i, most));
    const index_t mine = groups == 1 ? to_come - asked : min(to_come - asked, groups < depth ? depth / 2 : 1);
    const Ahead ahead = {at(B, depth + asked, 0).data, mine, B.row_stride, soon};
    asked += mine;
    const ConstMatrix a = at(A, i, 0);
    float* const c = sums + i * sums_row;
    if (mr == most)
      add_rows<most, depth, asks>(count, a, B, c, sums_row, ahead);
    else if (most == 4 && mr == 3)
      add_rows<3, depth, asks>(count, a, B, c, sums_row, ahead);
    else if (mr == 2)
      add_rows<2, depth, asks>(count, a, B, c, sums_row, ahead);
    else
      add_rows<1, depth, asks>(count, a, B, c, sums_row, ahead);
    i += mr;
  }
}

// Columns first..first+count-1 of C; sums (M,sums_row); soon: columns ahead, for AsksSoon.
template <int most, int depth, bool AsksSoon>
static void multiply_run(const Gemm& g, index_t first, index_t count, float* sums, index_t sums_row, index_t soon) {
  for (index_t i = 0; i < g.M; ++i)
    for (index_t j = 0; j < count; ++j) sums[i * sums_row + j] = 0;
  const index_t groups = ceil_div(g.M, most);
  // From three rows of C on, computing leaves hardware prefetchers too little time to begin anew at every row of B, so
  // the next ones are asked for: 1.1 to 1.15 times as fast from main memory on a Zen 1, for fewer rows 0.75 to 1.0.
  // On AMD's cores with AVX-512 not measured.
  constexpr Asks asks = AsksSoon ? Asks::soon : avx2 && most > 2 ? Asks::next_rows : Asks::nothing;
  index_t k = 0;
  for (; k + depth <= g.K; k += depth) {
    const ConstMatrix A = at(g.A, 0, k), B = at(g.B, k, first);
    const index_t to_come = min(depth, g.K - k - depth);
    if (g.M == most)  // with few columns the groups are felt
      add_rows<most, depth, asks>(count, A, B, sums, sums_row, {at(B, depth, 0).data, to_come, B.row_stride, soon});
    else
      add_all_rows<most, depth, asks>(count, g.M, groups, A, B, sums, sums_row, to_come, soon);
  }
  for (; k < g.K; ++k)
    add_all_rows<most, 1, Asks::nothing>(count, g.M, groups, at(g.A, 0, k), at(g.B, k, first), sums, sums_row, 0, 0);
  for (index_t i = 0; i < g.M; ++i) {
    const float* const sum = sums + i * sums_row;
    const Matrix C = at(g.C, i, first);
    if (C.col_stride == 1 && g.beta == 0) {  // by whole registers
      float* const __restrict c = C.data;
      for (index_t j = 0; j < count; ++j) c[j] = g.alpha * sum[j];
      continue;
    }
    for (index_t j = 0; j < count; ++j) {
      float& c = *at(C, 0, j).data;
      c = g.beta == 0 ? g.alpha * sum[j] : g.alpha * sum[j] + g.beta * c;
    }
  }
}

using MultiplyRun = void (*)(const Gemm&, index_t, index_t, float*, index_t, index_t);
template <bool AsksSoon>
static MultiplyRun multiply_run_for(Pass pass) {
  const bool far = AsksSoon && pass.depth == FAR_DEPTH;
  if (pass.rows == 1)
    return far ? multiply_run<1, FAR_DEPTH, AsksSoon> : multiply_run<one_row.rows, one_row.depth, AsksSoon>;
  if (pass.rows == 2)
    return far ? multiply_run<2, FAR_DEPTH, AsksSoon> : multiply_run<two_rows.rows, two_rows.depth, AsksSoon>;
  if (pass.rows == four_rows.rows) return multiply_run<four_rows.rows, four_rows.depth, AsksSoon>;
  return multiply_run<more_rows.rows, more_rows.depth, AsksSoon>;
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
  const bool sums = by_sums(g);
  const index_t run = run_columns(g), sums_row = round_up(min(run, g.N), LINE);
  // Half a page away from B, modulo whole pages, which rows a power of two apart are: a load waits for an earlier store
  // to an address with the same low 12 bits, and such stores just ahead of B double the time, measured on a Zen 1.
  constexpr index_t PAGE = 1024;
  const index_t for_thread = round_up(g.M * sums_row, PAGE);
  const Workspace workspace(sums ? g.threads * for_thread + PAGE : 0);
  const auto offset = [](const float* p) {
    return static_cast<index_t>(reinterpret_cast<std::uintptr_t>(p) / sizeof(float));
  };
  float* const all_sums = workspace.data() + ((offset(g.B.data) + PAGE / 2 - offset(workspace.data())) & (PAGE - LINE));
  const auto multiply_columns = [&](index_t first, index_t last, index_t thread) {
    if (!sums) return multiply_tiles(g, block.KC, first, last);
    const MultiplyRun multiply =
        asks_soon() ? multiply_run_for<may_ask_soon>(pass_for(g)) : multiply_run_for<false>(pass_for(g));
    for (index_t j = first; j < last; j += run)
      multiply(g, j, min(run, last - j), all_sums + thread * for_thread, sums_row, columns_ahead(g));
  };
  if (g.threads == 1) return multiply_columns(0, g.N, 0);

  // Whole tiles, or lines of C; each thread its own columns.
  const index_t share = round_up(ceil_div(g.N, g.threads), max(block.NR, LINE));
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const TeamThread team_thread(g.team);
    multiply_columns(min(g.N, t * share), min(g.N, (t + 1) * share), t);
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
