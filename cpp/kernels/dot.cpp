// dot — inner products: the lanes of a register lie along K.
//
// Not of the course, though it is what the inner loop of `vector` does, in a tile. Where both a row of A and a column
// of B are contiguous, an element of C is a dot product of two streams; a tile of some of them shares their loads. That
// suits products in which one matrix is read once and its columns are contiguous (few rows or columns of C), and those
// whose C is so small that lanes along N would run empty; operands that are not contiguous are copied, chunk by chunk.
// K is cut into chunks that follow from the shape, so that threads find work also where C is a single tile; chunks are
// added up in their order, and the result has the same bits for any number of threads.
// Still wasted: the sums of lanes, some three instructions for every element and chunk, as long as K is short.
#include <omp.h>

#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/matrix.hpp"
#include "../simd/transpose.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr int DOT_MR = 4, DOT_NR = REGISTERS == 32 ? 6 : 8;
// Columns of a tile of mr rows: 24 accumulators, 4 of A, 1 of B; or, with AVX2, up to 12 accumulators, and a load for
// every 1.7 FMAs. A single row wants 8: with 2 columns it is 0.8 times as fast, measured on a Zen 3 from main memory
// and from L3. 3 columns for 4 rows instead of 2 are 1.1 to 1.35 times as fast on a Zen 1. Where a product needs a
// register of its own before it is added, up to 8 accumulators.
constexpr int columns_of(int mr) {
  constexpr int of_avx2[DOT_MR] = {8, 6, 4, 3};
  return REGISTERS == 32 ? DOT_NR : avx2 ? of_avx2[mr - 1] : DOT_NR / mr;
}
// Steps of K in a chunk: 10 streams of 16 KiB stay in L2. Of a single element, whose streams are read once, four times
// as many: 1.15 to 1.2 times as fast on a Zen 1.
static index_t chunk_steps(const Gemm& g) { return g.M == 1 && g.N == 1 && !g.of_square ? 16384 : 4096; }

using Lanes = typename IndicesBelow<VL>::type;

// Sums that take turns for an element of a C that has so few: an FMA takes 4 or 5 cycles, and a core begins one or two
// in each. Of a larger C, small tiles have one each like the others, so that it has the same bits wherever an element
// is.
constexpr index_t ALONE = 4;
constexpr int sums_in_turn(int elements) { return elements > 2 ? 2 : elements > 1 ? 4 : 8; }

// Lane l of the result: the sum of all lanes of v[l].
template <int... lane>
static inline Register<4> sums_of_lanes(const vec* v, Indices<lane...>) {
  // Neighbours of two registers, in every four lanes: first theirs, then the other's.
  const auto add_neighbours = [](vec x, vec y) __attribute__((always_inline)) {
    return __builtin_shufflevector(x, y, ((lane & 2 ? VL : 0) + (lane & ~3) + 2 * (lane & 1))...) +
           __builtin_shufflevector(x, y, ((lane & 2 ? VL : 0) + (lane & ~3) + 2 * (lane & 1) + 1)...);
  };
  const vec four = add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
  constexpr int half = VL / 2, quarter = VL / 4;  // where others of the four begin, if there are any
  Register<4> sum = __builtin_shufflevector(four, four, 0, 1, 2, 3);
  if (VL >= 8) sum += __builtin_shufflevector(four, four, half, half + 1, half + 2, half + 3);
  if (VL == 16)
    sum +=
        __builtin_shufflevector(four, four, quarter, quarter + 1, quarter + 2, quarter + 3) +
        __builtin_shufflevector(four, four, half + quarter, half + quarter + 1, half + quarter + 2, half + quarter + 3);
  return sum;
}

// Of fewer steps than a register has lanes.
__attribute__((noinline)) static void short_dots(int mr, int nr, index_t kc, const float* a, index_t a_row,
                                                 const float* b, index_t b_column, float* c, index_t c_row) {
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nr; ++j) {
      float sum = 0;
      for (index_t k = 0; k < kc; ++k) {
        asm("" : "+r"(k));  // vectors of it would not be fused
        sum += a[i * a_row + k] * b[j * b_column + k];
      }
      c[i * c_row + j] = sum;
    }
}  // c (mr,nr)

// The last n lanes of a register that ends at p + n, the others zero; 0 < n < VL.
template <int... lane>
static inline vec load_last(const float* p, index_t n, Indices<lane...>) {
  typedef int mask __attribute__((vector_size(sizeof(vec))));
  const mask counted = mask{lane...} >= static_cast<int>(VL - n);
  return reinterpret_cast<vec>(reinterpret_cast<mask>(load(p + n - VL)) & counted);
}

// mr x nr dot products of length kc; row i of a starts at a + i*a_row, column j of b at b + j*b_column. `alone`: all of
// C. `asks`: columns of b ask for what they will want `soon` steps on; what follows their last step is `after` behind
// their first one.
template <int mr, int nr, bool alone, bool asks>
static void dot_tile(index_t kc, const float* a, index_t a_row, const float* b, index_t b_column, float* c,
                     index_t c_row, index_t soon, index_t after) {
  if (kc < VL) return short_dots(mr, nr, kc, a, a_row, b, b_column, c, c_row);
  constexpr int turns = alone ? sums_in_turn(mr * nr) : 1, fours = (mr * nr + 3) / 4;
  vec acc[turns][4 * fours] = {};
  index_t k = 0, ahead = soon;
  const auto add = [&](vec* sums, auto part) __attribute__((always_inline)) {
    // What there are fewer of stays in registers while the others come, one by one.
    constexpr int fewer = mr < nr ? mr : nr, others = mr < nr ? nr : mr;
    vec kept[fewer];
#pragma GCC unroll 8
    for (int n = 0; n < fewer; ++n) {
      kept[n] = part(mr < nr ? a + n * a_row : b + n * b_column);
      if (asks && mr >= nr) __builtin_prefetch(b + n * b_column + k + ahead);
      keep_in_register(kept[n]);
    }
#pragma GCC unroll 8
    for (int m = 0; m < others; ++m) {
      vec other = part(mr < nr ? b + m * b_column : a + m * a_row);
      if (asks && mr < nr) __builtin_prefetch(b + m * b_column + k + ahead);
      if (fewer > 1) keep_in_register(other);
#pragma GCC unroll 8
      for (int n = 0; n < fewer; ++n) sums[mr < nr ? n * nr + m : m * nr + n] += kept[n] * other;
    }
  };
  const auto add_steps = [&](index_t end) __attribute__((always_inline)) {
    for (; k + turns * VL <= end; k += turns * VL)
#pragma GCC unroll 8
      for (int turn = 0; turn < turns; ++turn) add(acc[turn], [&](const float* p) { return load(p + k + turn * VL); });
  };
  if (asks) add_steps(kc - soon);
  ahead = after + soon - kc;
  add_steps(kc);
  if constexpr (turns > 1)
    for (; k + VL <= kc; k += VL) add(acc[0], [&](const float* p) { return load(p + k); });
  if (k < kc) add(acc[0], [&](const float* p) { return load_last(p + k, kc - k, Lanes{}); });
#pragma GCC unroll 8
  for (int half = turns / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int turn = 0; turn < half; ++turn)
#pragma GCC unroll 8
      for (int e = 0; e < mr * nr; ++e) acc[turn][e] += acc[turn + half][e];
  float sums[4 * fours];
#pragma GCC unroll 8
  for (int four = 0; four < fours; ++four)
    store_register<4>(sums + 4 * four, sums_of_lanes(acc[0] + 4 * four, Lanes{}));
#pragma GCC unroll 8
  for (int i = 0; i < mr; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < nr; ++j) c[i * c_row + j] = sums[i * nr + j];
}  // c (mr,nr)

using DotFunction = void (*)(index_t kc, const float*, index_t, const float*, index_t, float*, index_t, index_t soon,
                             index_t after);
struct DotTable {
  DotFunction at[DOT_MR * DOT_NR];
};
template <bool alone, bool asks, int mr, int nr>
constexpr DotFunction dot_of_size() {
  if constexpr (nr <= columns_of(mr) && (!alone || mr * nr <= ALONE)) return dot_tile<mr, nr, alone, asks>;
  return nullptr;
}
template <bool alone, bool asks, int... i>
constexpr DotTable make_dot_table(Indices<i...>) {
  return {{dot_of_size<alone, asks, i / DOT_NR + 1, i % DOT_NR + 1>()...}};
}
constexpr auto all_sizes = IndicesBelow<DOT_MR * DOT_NR>::type{};
constexpr DotTable dot_table = make_dot_table<false, false>(all_sizes);
constexpr DotTable asking_table = make_dot_table<false, (VL == 16)>(all_sizes);
constexpr DotTable alone_table = make_dot_table<true, false>(all_sizes);

// Copies `count` rows of `m`, steps k0..k0+kc-1: to (count,kc), rows `stride` apart.
static void copy_rows(const ConstMatrix& m, index_t count, index_t k0, index_t kc, float* to, index_t stride) {
  constexpr int W = 4;
  const ConstMatrix part = at(m, 0, k0);
  for (index_t i = 0; i < count;) {
    index_t k = 0;
    const bool square = part.row_stride == 1 && i + W <= count;  // four rows and four steps at a time
    if (square)
      for (; k + W <= kc; k += W) {
        const float* steps[W];
        for (int s = 0; s < W; ++s) steps[s] = part.data + (k + s) * part.col_stride;
        transpose_square<W>(steps, i, to + i * stride + k, stride);
      }
    const index_t end = square ? i + W : i + 1;
    for (index_t r = i; r < end; ++r)
      for (index_t rest = k; rest < kc; ++rest) to[r * stride + rest] = *at(part, r, rest).data;
    i = end;
  }
}

static Gemm flat_job(const Gemm& job) { return job.M <= job.N ? job : transpose(job); }  // few rows, many columns

// How many steps ahead columns of B in place ask for what they will want, on an Intel core with AVX-512, as in
// skinny.cpp: from beyond L2, and from L2; 0 for not at all, where B stays in L1 or so many rows meet a column that
// they find it near. With 192 from main memory it is 1.2 to 1.35 times as slow, with 256 to 512 there is no difference.
constexpr index_t FAR = 384, NEAR = 128;
static index_t steps_ahead(const Gemm& g) {
  const auto b_beyond = [&](index_t cache) { return g.N > cache / index_t{sizeof(float)} / g.K; };
  if (VL != 16 || !tuned_for_intel() || g.B.row_stride != 1 || !b_beyond(g.M * cache_sizes().l1d)) return 0;
  return b_beyond(cache_sizes().l2) ? FAR : NEAR;
}
// Whether columns are read to their end before others are begun, chunk by chunk: those from beyond L2, if the rows of A
// stay there meanwhile. That and asking are together 1.02 to 1.06 times as fast from L3, up to 1.15 from main memory;
// asking alone 1.1 to 1.2 from L2.
static bool columns_first(const Gemm& g, index_t soon) {
  return soon == FAR && g.M * g.K <= cache_sizes().l2 / 2 / index_t{sizeof(float)};
}

// A piece of work: this many columns, all rows of C, one chunk of K.
static index_t group_columns(const Gemm& g, bool by_columns) {
  return min(g.N, (by_columns ? 1 : 4) * columns_of(static_cast<int>(min(DOT_MR, g.M))));
}

static Blocks blocks(const Gemm& g) { return {DOT_MR, columns_of(DOT_MR), 0, chunk_steps(g), 0}; }

// Sums of the chunk of K that begins at pc, columns first..first+count-1: partial (M,N). `rows` are those of A,
// contiguous; soon: steps that columns of B ask ahead, or 0; by_columns: the next chunk of the same columns comes next.
static void multiply_piece(const Gemm& g, const ConstMatrix& rows, index_t pc, index_t first, index_t count,
                           index_t soon, bool by_columns, float* scratch, float* partial) {
  const index_t steps = chunk_steps(g), kc = min(steps, g.K - pc);
  ConstMatrix columns = {g.B.data + first * g.B.col_stride, g.B.col_stride, g.B.row_stride};  // as rows
  if (columns.col_stride == 1) {
    columns = at(columns, 0, pc);
  } else {
    copy_rows(columns, count, pc, kc, scratch, steps);
    columns = {scratch, steps, 1};
  }
  const bool alone = g.N <= ALONE && g.M * g.N <= ALONE && !g.of_square;  // a flat job: no more rows than columns
  const DotTable& table = alone ? alone_table : soon ? asking_table : dot_table;
  for (index_t i = 0; i < g.M; i += DOT_MR) {
    const index_t mr = min(DOT_MR, g.M - i);
    const index_t columns_at_once = columns_of(static_cast<int>(mr));
    for (index_t j = 0; j < count; j += columns_at_once) {
      const index_t nr = min(columns_at_once, count - j);
      const bool goes_on = by_columns && pc + kc < g.K;
      const index_t after = goes_on ? kc : nr * columns.row_stride - (by_columns ? pc : 0);
      table.at[(mr - 1) * DOT_NR + nr - 1](kc, at(rows, i, pc).data, rows.row_stride, at(columns, j, 0).data,
                                           columns.row_stride, partial + i * g.N + first + j, g.N, soon, after);
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = flat_job(job);
  const bool copy_a = g.A.col_stride != 1, copy_b = g.B.row_stride != 1;
  const index_t steps = chunk_steps(g), chunks = ceil_div(g.K, steps);
  const index_t soon = steps_ahead(g);
  const bool by_columns = columns_first(g, soon);
  const index_t columns = group_columns(g, by_columns), groups = ceil_div(g.N, columns);
  const index_t sums = chunks * g.M * g.N, a_copy = copy_a ? g.M * g.K : 0, scratch = copy_b ? columns * steps : 0;
  const Workspace workspace(sums + a_copy + g.threads * scratch);
  float* const partial = workspace.data();
  const ConstMatrix rows = copy_a ? ConstMatrix{partial + sums, g.K, 1} : g.A;
  const auto copy_chunk = [&](index_t chunk) {
    const index_t pc = chunk * steps;
    copy_rows(g.A, g.M, pc, min(steps, g.K - pc), partial + sums + pc, g.K);
  };
  const auto multiply = [&](index_t chunk, index_t group, index_t thread) {
    const index_t first = group * columns;
    multiply_piece(g, rows, chunk * steps, first, min(columns, g.N - first), soon, by_columns,
                   partial + sums + a_copy + thread * scratch, partial + chunk * g.M * g.N);
  };
  const index_t runs = by_columns ? groups : chunks, pieces = by_columns ? chunks : groups;
  const auto multiply_in_turn = [&](index_t run, index_t piece, index_t thread) {
    by_columns ? multiply(piece, run, thread) : multiply(run, piece, thread);
  };
  if (g.threads == 1) {
    for (index_t chunk = 0; copy_a && chunk < chunks; ++chunk) copy_chunk(chunk);
    for (index_t run = 0; run < runs; ++run)
      for (index_t piece = 0; piece < pieces; ++piece) multiply_in_turn(run, piece, 0);
  } else {
#pragma omp parallel num_threads(g.threads)
    {
      const TeamThread team_thread(g.team);
#pragma omp for schedule(static)  // its closing barrier: the rows are complete
      for (index_t chunk = 0; chunk < (copy_a ? chunks : 0); ++chunk) copy_chunk(chunk);
#pragma omp for schedule(static) nowait
      for (index_t piece = 0; piece < chunks * groups; ++piece)
        multiply_in_turn(piece / pieces, piece % pieces, omp_get_thread_num());
    }
  }
  add_up(g, chunks, partial);
}

constinit const Algorithm dot = {
    .summary = "inner products with the lanes along K, for a C that is flat or tiny",
    .course = "",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
