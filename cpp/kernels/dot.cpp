// dot — inner products: the lanes of a register lie along K.
//
// Not of the course, though it is what the inner loop of `vector` does, in a tile. Where both a row of A and a column
// of B are contiguous, an element of C is a dot product of two streams; a tile of some of them shares their loads. That
// suits products in which one matrix is read once and its columns are contiguous (few rows or columns of C), and those
// whose C is so small that lanes along N would run empty; operands that are not contiguous are copied, chunk by chunk.
// K is cut into chunks that follow from the shape, so that threads find work also where C is a single tile; chunks are
// added up in their order, and the result has the same bits for any number of threads.
// Still wasted: a horizontal sum for every element and chunk, which only a long K repays.
#include <omp.h>

#include "../algorithm.hpp"
#include "../simd/matrix.hpp"
#include "../simd/transpose.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr int DOT_MR = 4, DOT_NR = REGISTERS == 32 ? 6 : 8;
// Columns of a tile of mr rows: 24 accumulators, 4 of A, 1 of B; or, of 16 registers, up to 8 accumulators for any
// number of rows. With 2 columns a single row is 0.8 times as fast, measured on a Zen 3 from main memory and from L3.
constexpr int columns_of(int mr) { return REGISTERS == 32 ? DOT_NR : DOT_NR / mr; }
constexpr index_t CHUNK = 4096;  // steps of K: 10 streams of 16 KiB stay in L2, and 256 FMAs repay a horizontal sum

// The sum of all lanes, halving until one is left.
template <int... lane>
static inline float sum_of_lanes(Register<2 * sizeof...(lane)> v, Indices<lane...>) {
  constexpr int half = sizeof...(lane);
  if constexpr (half == 1)
    return v[0] + v[1];
  else
    return sum_of_lanes(__builtin_shufflevector(v, v, lane...) + __builtin_shufflevector(v, v, (half + lane)...),
                        typename IndicesBelow<half / 2>::type{});
}

// mr x nr dot products of length kc; row i of a starts at a + i*a_row, column j of b at b + j*b_column.
template <int mr, int nr>
static void dot_tile(index_t kc, const float* a, index_t a_row, const float* b, index_t b_column, float* c,
                     index_t c_row) {
  vec acc[mr][nr] = {};
  index_t k = 0;
  for (; k + VL <= kc; k += VL) {
    vec a_part[mr];
#pragma GCC unroll 8
    for (int i = 0; i < mr; ++i) a_part[i] = load(a + i * a_row + k);
#pragma GCC unroll 8
    for (int j = 0; j < nr; ++j) {
      const vec b_part = load(b + j * b_column + k);
#pragma GCC unroll 8
      for (int i = 0; i < mr; ++i) acc[i][j] += a_part[i] * b_part;
    }
  }
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nr; ++j) {
      float sum = sum_of_lanes(acc[i][j], IndicesBelow<VL / 2>::type{});
      for (index_t rest = k; rest < kc; ++rest) sum += a[i * a_row + rest] * b[j * b_column + rest];
      c[i * c_row + j] = sum;
    }
}  // c (mr,nr)

using DotFunction = void (*)(index_t kc, const float*, index_t, const float*, index_t, float*, index_t);
struct DotTable {
  DotFunction at[DOT_MR * DOT_NR];
};
template <int... i>
constexpr DotTable make_dot_table(Indices<i...>) {
  return {{i % DOT_NR < columns_of(i / DOT_NR + 1) ? dot_tile<i / DOT_NR + 1, i % DOT_NR + 1> : nullptr...}};
}
constexpr DotTable dot_table = make_dot_table(IndicesBelow<DOT_MR * DOT_NR>::type{});

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

// A piece of work: this many columns, all rows of C, one chunk of K.
static index_t group_columns(const Gemm& g) { return min(g.N, 4 * columns_of(static_cast<int>(min(DOT_MR, g.M)))); }

static Blocks blocks(const Gemm&) { return {DOT_MR, columns_of(DOT_MR), 0, CHUNK, 0}; }

// Sums of steps pc..pc+CHUNK-1 of K, columns first..first+count-1: partial (M,N). `rows` are those of A, contiguous.
static void multiply_piece(const Gemm& g, const ConstMatrix& rows, index_t pc, index_t first, index_t count,
                           float* scratch, float* partial) {
  const index_t kc = min(CHUNK, g.K - pc);
  ConstMatrix columns = {g.B.data + first * g.B.col_stride, g.B.col_stride, g.B.row_stride};  // as rows
  if (columns.col_stride == 1) {
    columns = at(columns, 0, pc);
  } else {
    copy_rows(columns, count, pc, kc, scratch, CHUNK);
    columns = {scratch, CHUNK, 1};
  }
  for (index_t i = 0; i < g.M; i += DOT_MR) {
    const index_t mr = min(DOT_MR, g.M - i);
    const index_t columns_at_once = columns_of(static_cast<int>(mr));
    for (index_t j = 0; j < count; j += columns_at_once) {
      const index_t nr = min(columns_at_once, count - j);
      dot_table.at[(mr - 1) * DOT_NR + nr - 1](kc, at(rows, i, pc).data, rows.row_stride, at(columns, j, 0).data,
                                               columns.row_stride, partial + i * g.N + first + j, g.N);
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = flat_job(job);
  const bool copy_a = g.A.col_stride != 1, copy_b = g.B.row_stride != 1;
  const index_t columns = group_columns(g), groups = ceil_div(g.N, columns), chunks = ceil_div(g.K, CHUNK);
  const index_t sums = chunks * g.M * g.N, a_copy = copy_a ? g.M * g.K : 0, scratch = copy_b ? columns * CHUNK : 0;
  const Workspace workspace(sums + a_copy + g.threads * scratch);
  float* const partial = workspace.data();
  const ConstMatrix rows = copy_a ? ConstMatrix{partial + sums, g.K, 1} : g.A;
  const auto copy_chunk = [&](index_t chunk) {
    const index_t pc = chunk * CHUNK;
    copy_rows(g.A, g.M, pc, min(CHUNK, g.K - pc), partial + sums + pc, g.K);
  };
  const auto multiply = [&](index_t piece, index_t thread) {
    const index_t chunk = piece / groups, first = piece % groups * columns;
    multiply_piece(g, rows, chunk * CHUNK, first, min(columns, g.N - first), partial + sums + a_copy + thread * scratch,
                   partial + chunk * g.M * g.N);
  };
  if (g.threads == 1) {
    for (index_t chunk = 0; copy_a && chunk < chunks; ++chunk) copy_chunk(chunk);
    for (index_t piece = 0; piece < chunks * groups; ++piece) multiply(piece, 0);
  } else {
#pragma omp parallel num_threads(g.threads)
    {
      const TeamThread team_thread(g.team);
#pragma omp for schedule(static)  // its closing barrier: the rows are complete
      for (index_t chunk = 0; chunk < (copy_a ? chunks : 0); ++chunk) copy_chunk(chunk);
#pragma omp for schedule(static) nowait
      for (index_t piece = 0; piece < chunks * groups; ++piece) multiply(piece, omp_get_thread_num());
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
