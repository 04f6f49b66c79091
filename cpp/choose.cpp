// choose.cpp: what algo="auto" means.
#include <algorithm>
#include <cstring>

#include "core.hpp"
#include "cpu.hpp"
#include "orientation.hpp"
#include "small_products.hpp"

namespace fb {

// Up to so much work, and with so many rows for each thread, `blocked` on a team is ahead of `openmp`, though each
// thread packs all of B: no barriers, no sharing out. Measured on two threads of an Intel Xeon: 1.2 to 1.33 times as
// fast at 128^3, 1.14 at 192^3. With more work, a thread that others hold up is worth helping. Their results have the
// same bits.
constexpr double side_by_side_flops = 1 << 26;
constexpr index_t side_by_side_rows = 32;
// With an A that `openmp` packs for all threads to read, up to 512^3: 1.04 to 1.1 times as fast on a later Intel Xeon,
// 1.03 to 1.12 on a Zen 4, and there 1.02 to 1.05 with so short a K that its barriers follow each other closely.
constexpr double side_by_side_packing_flops = 1 << 28;
constexpr index_t side_by_side_steps = 128;

// A register tile of this many rows or columns does not repay copying the large operand.
constexpr index_t few_rows = 8;
// Below this many steps of K the horizontal sums of `dot` cost more than they bring.
constexpr index_t dot_steps = 128;
// But beside so many columns that lie as `dot` reads them, or of one row as `skinny` does, they are as fast or faster
// from here on, `dot` of 3 and 4 rows from twice as many: measured with AVX2 on a Zen 1, 1.2 to 5 times as fast. `dot`
// does not go on to a C beyond 256 KiB, because it has sums of its own, which one thread copies. With AVX-512 see
// dots() and tiles_in_place().
constexpr index_t short_dot_steps = 16, few_columns = 32, short_dot_elements = 1 << 16;

// Up to so many steps of K, storing C takes longer than computing it; C being this large, which is a matter of rows and
// columns enough to run along.
constexpr index_t outer_steps = 4, outer_elements = 256 * 256;

// Whether `auto` computes with that instruction set. That the CPU has a better one makes no difference: what is
// measured here are kernels, more than cores. Without a default the best level computes, see blas/run.cpp.
static bool computes_with(const char* level) {
  const Variant* const variant = frugalblas_default_variant(nullptr);
  return variant ? !std::strcmp(variant->level, level) : cpu_supports(level);
}

// Their places in the list, looked up once: comparing names takes as long as a small product.
struct Rungs {
  int microkernel = frugalblas_find_entry("microkernel"), blocked = frugalblas_find_entry("blocked"),
      openmp = frugalblas_find_entry("openmp"), skinny = frugalblas_find_entry("skinny"),
      dot = frugalblas_find_entry("dot"), deep = frugalblas_find_entry("deep"), outer = frugalblas_find_entry("outer");
};
static const Rungs& rungs() {
  static const Rungs all;
  return all;
}
constexpr int none = -1;

// Measured on a Zen 3, what follows is another matter without AVX-512.
static bool has_avx512() {
  static const bool has = computes_with("v4");
  return has;
}

static bool has_avx2() {
  static const bool has = has_avx512() || computes_with("v3");
  return has;
}

static index_t lanes() { return has_avx512() ? 16 : has_avx2() ? 8 : 4; }

static bool has_only_avx2() { return has_avx2() && !has_avx512(); }

// Intel's cores with AVX-512, whose L3 is far and whose stores cost little, are another matter, see simd/ways.hpp, too.
static bool is_intel() {
  static const bool is = has_avx512() && tuned_for_intel();
  return is;
}

// A small C offers a team too few tiles; if K is long, that is cut instead.
constexpr index_t deep_steps = 2048, tiny_deep_steps = 512;
// Rows and columns up to which `deep` takes a job. With AVX-512 it packs no rows of B, nor of A transposed: where both
// are contiguous, it is 1.05 to 1.4 times as fast as `blocked` on one thread too; with one of them, 1.02 to 1.1 times;
// measured on a Zen 5. From main memory, the longer runs of `blocked` are as fast or faster, unless `deep` asks in its
// tiles: then that is 1.0 to 1.5 times as fast up to 128x128, but 0.9 at 16x64 and 32x64 with rows of A; measured on a
// Zen 4. With AVX2 the two are as fast on one thread, and `deep` is up to 1.2 times as fast on two; measured on a Zen
// 3. On a Zen 1 so, too, but from main memory, with rows contiguous or not, it is 1.0 to 1.6 times as fast on one
// thread, 1.1 to 2 on two.
static index_t deep_edge(const Gemm& g) {
  const bool far = (g.M + g.N) * g.K > cache_sizes().l3 / 2 / index_t{sizeof(float)};
  const int contiguous = (g.A.row_stride == 1) + (g.B.col_stride == 1);
  if (has_only_avx2()) return far || contiguous == 2 ? 128 : 64;
  const Gemm turned = loading_rows(g);
  // As asks_in_tiles() of kernels/deep.cpp has it.
  const bool asks = has_avx512() && rows_adjoin(turned, lanes()) && (!is_intel() || turned.N > lanes());
  if (far && asks) {
    const bool narrow = contiguous == 1 && std::min(g.M, g.N) <= 32 && std::max(g.M, g.N) <= 64 && g.M < g.N;
    return narrow ? 16 : 128;
  }
  if (contiguous == 2) return far ? 64 : 128;
  return contiguous == 1 && !far ? 64 : 16;
}

// Asking what the caller did before takes some 0.1 us. On the two Xeons with AVX-512 that were measured, a product of
// 64^3 takes 3 us and never gained by a team, one of 96^3 does.
static double least_for_a_team() { return is_intel() ? 2 * small_team_flops : small_team_flops; }

// Whether storing C sets the pace: `row`: elements in a row of it, as it lies. Measured on a Zen 4, `outer` over
// `blocked` and `microkernel`: with AVX-512 1.2 times as fast beyond half of L3; nearer, 1.0 to 1.2 with one step and
// rows of 500 elements, two and 1000, else 0.5 to 0.95. Held to AVX2 1.0 to 2 times as fast, 0.7 to 0.95 with rows of
// 67 elements. On a Xeon with AVX-512 1.1 to 1.7 times as fast from 64 MiB of C on, 0.9 to 1.0 up to 36 MiB, and 0.4 to
// 0.7 with rows of 20 elements.
static bool outer_pays(const Gemm& g, index_t row) {
  if (is_intel()) return row >= 1000 && g.M * g.N > (48 << 20) / index_t{sizeof(float)};
  const bool far = g.M * g.N > cache_sizes().l3 / 2 / index_t{sizeof(float)};
  if (far || tuned_for_intel() || !has_avx2()) return true;
  return has_avx512() ? g.K <= 2 && row >= 500 * g.K : row >= 128;
}

// A product whose matrices stay in L2 together needs no copies: measured on a Zen 5 with AVX-512, `microkernel` is 1.02
// to 1.07 times as fast as `blocked` from 100^3 to 288^3, with A transposed up to 1.2. Not measured with an L2 beyond
// 1 MiB. On a Zen 3 it is 0.76 to 0.98 times as fast from 96^3 on: there, three matrices as large as L1. But with AVX2
// and columns of A in place, it is 1.01 to 1.04 times as fast from 96^3 to 128^3, from main memory 1.0 to 1.2; measured
// on a Zen 1.
//
// A small C of up to 16 rows or columns may have more steps, until `deep` takes it: measured on a Zen 4, 1.05 to 1.5
// times as fast as `blocked`, whose tiles are no taller where they are narrow. So is a larger one, but `blocked` would
// cut its K, and bits would depend on how operands and C lie. On Intel's cores not measured.
constexpr index_t small_steps = 512, small_edge = 64;
static index_t small_elements(bool columns_of_a = false) {
  const CacheSizes& cache = cache_sizes();
  const index_t in_l1 = has_only_avx2() && columns_of_a ? 6 : 3;
  return (has_avx512() ? std::min<index_t>(cache.l2, 1 << 20) : in_l1 * cache.l1d) / index_t{sizeof(float)};
}

// Columns of a panel, for which `microkernel`, if it has to copy B, goes to less trouble than `blocked`: measured on a
// Zen 4, 1.05 to 2 times as fast, most where there is least to do. Not measured with SSE2 and NEON.
static index_t panel_columns() { return has_avx512() ? 48 : has_avx2() ? 24 : 0; }

// Whether columns of A, which `microkernel` would read in place once for every panel of B, do not stay in L1, or share
// few of its sets: measured on an Intel Xeon, `blocked` is 1.05 to 1.1 times as fast at 128^3 and from 208^3 on.
static bool columns_leave_l1(const Gemm& g, bool upright) {
  const index_t row = upright ? g.A.row_stride : g.B.col_stride, column = upright ? g.A.col_stride : g.B.row_stride;
  const bool beyond_l1 = (upright ? g.M : g.N) * g.K > 3 * cache_sizes().l1d / index_t{sizeof(float)};
  return is_intel() && row == 1 && column != 1 && (column % 128 == 0 || beyond_l1) && std::min(g.M, g.N) > few_rows;
}

// Whether rows of B, which `microkernel` would read in place once for every panel of A, do not stay in L1: a panel of
// 48 columns and the line more that each row touches, beside the panel of A; of rows a multiple of 512 bytes apart it
// has half of the sets. Measured on a later Xeon with the rows of NumPy's arrays, which straddle lines, `blocked`
// is 1.05 to 1.15 times as fast there from 64 rows of A on, with rows that do not 0.95 to 1.05; with fewer 0.9 to 1.0.
static bool rows_leave_l1(const Gemm& g, bool upright) {
  const index_t along = upright ? g.N : g.M, across = upright ? g.M : g.N;
  const index_t row = upright ? g.B.row_stride : g.A.col_stride, share = row % 128 == 0 ? 2 : 1;
  const index_t of_a_step = std::min<index_t>(along, 48) + 16 + 8;
  return is_intel() && across >= 64 && g.K * of_a_step * share > cache_sizes().l1d / index_t{sizeof(float)};
}

// Whether few columns call for tiles as tall as they are narrow: those of `blocked` leave most accumulators idle then,
// with AVX2 all but 4, and copying B is little. Measured on a Zen 3: 1.1 to 2.4 times as fast. Rows of A a multiple of
// 4 KiB apart share a set of L1, which holds 8 lines, so tiles of them are 8 high: on a Zen 1, 1.04 to 1.16 times.
static bool narrow(const ConstMatrix& A, index_t columns, bool rows_of_c) {
  return !has_avx512() && columns <= few_rows && A.col_stride == 1 && rows_of_c;
}

// Whether rows or columns are so few that packing the large operand does not pay. How that one lies decides, whatever
// the strides of C.
static bool few_to_read(const Gemm& g) {
  return (g.M <= few_rows && g.B.col_stride == 1) || (g.N <= few_rows && g.A.row_stride == 1) ||
         narrow(g.A, g.N, g.C.col_stride == 1) ||
         narrow({g.B.data, g.B.col_stride, g.B.row_stride}, g.M, g.C.row_stride == 1);
}

// Elements of a large operand up to which few rows or columns are left to the tiles of `microkernel`, which read it in
// place, and from where on `skinny` is for them; `adjacent`: C's along the many, `share_sets`: the large operand's
// rows. With AVX2, measured on a Zen 1, `skinny` over `microkernel`: 1 row 1.1 to 2.5 times as fast, 2 rows 0.7 to 1.0
// up to 64 KiB, 3 up to L2 0.6 to 0.95, 4 up to 4 MiB, half of L3 there, 0.6 to 1.0, 5 to 8 0.7 to 1.0; beyond that 1.0
// to 5.
//
// With AVX-512, measured on a Zen 4: up to 256 columns and half of L2, 1.04 to 1.8 times as fast as `skinny`, 3 and 4
// rows up to 2.8; those also with more columns up to twice L2, 0.97 to 1.17, unless rows share sets. On Intel's cores,
// whose L3 is farther, not that; nothing of it was measured there.
static index_t tiles_in_place(index_t few, index_t many, bool adjacent, bool share_sets) {
  const CacheSizes& cache = cache_sizes();
  if (has_avx512()) {
    const index_t bytes = few > 4                                 ? cache.l2
                          : few > 2 && !share_sets && !is_intel() ? 2 * cache.l2
                          : many <= 256                           ? cache.l2 / 2
                                                                  : 0;
    return bytes / index_t{sizeof(float)};
  }
  if (!has_avx2()) return few > 4 ? cache.l2 / index_t{sizeof(float)} : 0;
  const bool far = few >= 4 && adjacent && !share_sets;
  const index_t bytes = far                     ? std::min<index_t>(cache.l3 / 2, 8 * cache.l2)
                        : few > 4               ? cache.l2
                        : few == 1 || !adjacent ? 0
                        : few == 2              ? cache.l2 / 8
                                                : cache.l2;
  return bytes / index_t{sizeof(float)};
}

// Of few rows, or columns, beside a large operand: whether `blocked` is the one for them, which reads that in place and
// asks for it ahead. For 5 to 8 of them, on an Intel Xeon, in parts of K so short that the hardware fetches all rows of
// a part: 1.2 to 1.9 times as fast as `skinny` from 2048x8x2048 on, 1.0 to 1.3 from 700x8x700; 0.9 to 0.95 up to 128
// columns, 0.8 to 0.9 with the rows of C scattered. On a Zen 5, beyond half of L3, from 3 on: 1.2 to 2.2 times as fast
// at 3 and 4 rows, on two threads up to 3 times, but 0.9 where rows of the large operand share sets of the caches; 1.0
// to 1.5 at 5 to 8. With AVX2, where `blocked` copies rows, 0.6 to 0.9 times, measured on a Zen 1. With SSE2 and NEON
// nothing was measured.
static bool few_in_blocks(const Gemm& g) {
  const bool wide = g.M <= g.N, adjacent = (wide ? g.C.col_stride : g.C.row_stride) == 1;
  const index_t few = std::min(g.M, g.N), many = std::max(g.M, g.N), large = many * g.K;
  if (!has_avx512() || g.K < dot_steps) return false;
  const bool share_sets = (wide ? g.B.row_stride : g.A.col_stride) % 1024 == 0;
  if (many <= 128) return false;
  if (is_intel()) return few > 4 && adjacent && large > small_elements();
  return few > (share_sets ? 4 : 2) && large > cache_sizes().l3 / 2 / index_t{sizeof(float)};
}

// Whether threads should share rows of the job as `blocked` turns it (oriented() in simd/ways.hpp), each copying all of
// B. Of a wide B that is too much: measured on a later Xeon with AVX-512, `openmp`, whose threads take columns, is 1.0
// to 1.15 times as fast from four times as many columns as rows on, but 0.9 to 0.98 if A has to be packed. On AMD's
// cores not measured.
static bool shares_rows(const Gemm& job, bool upright, int threads) {
  Gemm g = upright ? job : transpose(job);
  if (better_turned(g, lanes())) g = transpose(g);
  if (is_intel() && g.N / 4 >= g.M && g.A.col_stride == 1 && g.B.col_stride == 1) return false;
  return g.M >= side_by_side_rows * threads;
}

// Where a store of a whole register takes two cycles, copying an operand costs much of what few tiles bring in by
// reading a copy. Measured on a Zen 1, `microkernel` over `blocked`: with up to 2 MiB of B, whose rows do not share
// sets, 1.2 to 1.26 times as fast at 12 and 16 rows, 1.03 to 1.05 at 48 and 64; from 4 MiB or 1500 steps on 0.75
// to 1.0. With up to 4 MiB of A, whose columns meet a single tile of two whole registers, 1.0 to 1.38; less full, or
// two tiles, 0.7 to 1.2.
static bool copying_is_dear(const Gemm& job, bool upright) {
  if (!computes_in_halves() || !has_only_avx2()) return false;
  const Gemm g = upright ? job : transpose(job);
  const CacheSizes& cache = cache_sizes();
  const index_t of_a = g.M * g.K * index_t{sizeof(float)}, of_b = g.N * g.K * index_t{sizeof(float)};
  // A is read again for every panel of B, so its columns should lie side by side and not share sets either.
  const bool columns = g.A.row_stride == 1 && g.A.col_stride <= 2 * g.M && g.A.col_stride % 1024 != 0;
  if (columns && g.N == 16) return of_a <= std::min<index_t>(cache.l3 / 2, 8 * cache.l2);
  const bool share_sets = g.B.row_stride % 512 == 0;
  // More steps than `blocked` takes at once would give other bits than if A or B lay otherwise; up to 16 rows, where
  // several rungs take their turns, they may differ anyhow.
  const index_t steps = g.M <= 16 ? 1024 : small_steps;
  return (columns || g.A.col_stride == 1) && g.M <= 64 && g.K <= steps &&
         of_b <= (share_sets ? cache.l2 / 2 : 4 * cache.l2);
}

// Of columns of A beside few rows of B, both contiguous: whether `microkernel` is the one for them, which reads both in
// place and stores rows of C; `blocked` has to pack A or to scatter C. Measured on a Zen 4: 1.04 to 2.3 times as fast,
// held to AVX2 1.02 to 3.2; with more steps, or a larger A, 0.5 to 1.1; where lanes run empty, 0.7 with more than 16
// steps. On a Xeon with AVX-512, from 16 to 48 columns, 1.02 to 1.9 times as fast; with more steps or columns, or lanes
// that run empty, 0.5 to 1.0.
static bool tall_on_columns(const Gemm& job, bool upright) {
  if (!has_avx2()) return false;
  const Gemm g = upright ? job : transpose(job);
  if (is_intel()) return g.N >= 16 && g.N <= 48 && g.M >= 4 * g.N && g.K <= (lanes_used(g.N, lanes()) >= 896 ? 64 : 16);
  if (g.K > 384 || g.N > 64 || g.M < 8 * g.N || (lanes_used(g.N, lanes()) < 768 && g.K > 16)) return false;
  const bool near = g.M * g.K <= 2 * cache_sizes().l2 / index_t{sizeof(float)};
  if (near) return g.K <= (has_avx512() ? 384 : 128);  // no more than `blocked` takes at once
  return g.K <= (has_avx512() || g.N <= 32 ? 128 : 64);
}

// Of more rows than few, and a B with contiguous rows that take more than 4 MiB, half of L3 there: whether `skinny` is
// the one for them. Measured on a Zen 1, where `blocked` spends much of its time on copying B: 1.0 to 1.3 times as fast
// up to 12 rows, up to 24 if rows of B share sets of the caches; with more rows 0.8 to 1.0 times.
static bool streams_many(const Gemm& g) {
  if (!computes_in_halves() || !has_only_avx2() || g.K < dot_steps) return false;
  const bool share_sets = g.B.row_stride % 1024 == 0;
  return g.M <= (share_sets ? 24 : 12) && g.N * g.K > tiles_in_place(few_rows, g.N, true, false);
}

// A product with few rows, B large; `transposed`: which were columns before.
static int flat_rung(const Gemm& g, bool transposed, bool blocks) {
  const bool rows_contiguous = g.B.col_stride == 1, columns_contiguous = g.B.row_stride == 1 && !rows_contiguous;
  const index_t few = g.M, many = g.N;
  if (few > few_rows) return rows_contiguous && streams_many(g) ? rungs().skinny : none;
  const index_t in_place = tiles_in_place(few, many, g.C.col_stride == 1, g.B.row_stride % 1024 == 0);
  const index_t registers = g.K / short_dot_steps;
  // With AVX-512, one row with few steps is left to tiles unless it comes from main memory: measured on a Zen 4, 1.0 to
  // 2.3 times as fast as `skinny`, there 0.55 times.
  const bool far = many > cache_sizes().l3 / 2 / index_t{sizeof(float)} / std::max<index_t>(1, g.K);
  if (many >= few_columns && rows_contiguous && few == 1 && many * g.K >= 1024 &&
      (has_avx512() ? far && registers > 1 : registers > 0))
    return rungs().skinny;
  if (many >= few_columns && columns_contiguous && few <= 4 &&
      registers >= (few > 2 && (!has_avx512() || is_intel()) ? 2 : 1) && few * many <= short_dot_elements)
    return rungs().dot;
  if (g.K < dot_steps) return none;
  // Tiny C, long K: lanes along the columns of C would run empty.
  if (few <= 4 && many <= 4) return rungs().dot;
  // Up to 4 of them, `dot` reads columns faster than `blocked` reads them as rows of A, which only the transposed job
  // can. With AVX2, also 5 to 7 of them, where its tiles leave lanes empty, and 8 if they lie along K: measured on a
  // Zen 1, 1.3 to 2 times and 1.0 to 1.3 times as fast.
  if (columns_contiguous) {
    const bool faster = has_only_avx2() && many >= few_columns && (few < few_rows || g.A.col_stride == 1);
    return few <= 4 || !transposed || faster ? rungs().dot : none;
  }
  if (!rows_contiguous || blocks) return none;
  return many * g.K > in_place ? rungs().skinny : none;
}

// Whether `dot` is the one for rows of A and columns of B that are contiguous, so that tiles need no broadcast and
// nothing is copied, and of which there are more than flat_rung has it for, or fewer steps of K. Measured with AVX2 on
// a Zen 1: up to 64x64, 1.1 to 1.45 times as fast as `deep`, 1.0 to 1.2 times as `blocked`; 0.9 with half as many
// steps.
constexpr index_t dots_edge = 64;
static bool dots_of_avx2(const Gemm& g, index_t few, index_t many) {
  return few > few_rows && many <= dots_edge && g.K >= (few <= 16 ? 512 : 1024);
}
// From how many steps on `dot` is ahead on Intel's cores with AVX-512: measured on a Xeon, 1.0 to 3 times as fast up to
// 8 rows, 0.9 to 1.4 with 9 and 10; with half as many steps 0.7 to 0.95, with more rows 0.5 to 1.0.
static index_t dot_steps_of_intel(index_t few) {
  return few <= 2 ? short_dot_steps : few <= 4 ? 32 : few <= 6 ? 64 : few <= few_rows ? 128 : 256;
}
// With AVX-512, measured on a Zen 4 against the better of `blocked`, which has to transpose B or leaves lanes empty,
// and `microkernel`: up to 8 rows 1.0 to 3.1 times as fast, with fewer steps 0.5 to 0.8; more of them 1.0 to 1.9 times,
// with half as many steps 0.8 to 1.0.
static bool dots_of_avx512(const Gemm& g, index_t few, index_t many) {
  if (few > 0 && many > short_dot_elements / few) return false;
  if (is_intel()) return few <= 10 && g.K >= dot_steps_of_intel(few);
  if (few <= 4) return g.K >= 32 || many > 24 || few == 1;
  if (few <= few_rows) return g.K >= 64 || (g.K >= 32 && many >= 24);
  // Then `blocked` turns the job and reads B as rows of A: only lanes that its columns leave empty are an advantage.
  if (many >= 8 * few && few <= 64) return few <= 24 && few != 16 && g.K >= 64;
  const index_t steps = few < 16 ? 64 : few < 32 ? 128 : few <= 40 ? 256 : 512;
  return g.K >= steps && few < 64 && many <= 256;
}
// The same if only the large operand lies so, and `dot` copies the other: from how many steps on it is ahead follows
// from the lanes that `few` columns leave empty. Measured on a Zen 4 from 40 to 2000 rows: 1.05 to 3 times as fast,
// most at 5 columns and with many steps; 0.8 to 1.0 with half as many. On a Xeon 1.05 to 2 times as fast up to 8, with
// more of them 0.6 to 1.0.
static bool dots_beside_copy(const Gemm& g, index_t few, index_t many) {
  if (few <= 4 || few > 24 || many < few_columns || many < 2 * few) return false;  // up to 4 as flat_rung has it
  if (many > short_dot_elements / few) return false;
  if (few > cache_sizes().l3 / 4 / index_t{sizeof(float)} / g.K) return false;  // the copy should stay in L3
  if (is_intel()) return few <= few_rows && g.K >= dot_steps_of_intel(few);
  const index_t steps = few <= 8                ? 64
                        : few <= 10             ? 128
                        : few <= 12             ? 256
                        : few > 16 && few <= 20 ? 128
                        : few > 16 && few <= 24 ? 256
                                                : 0;
  return steps > 0 && g.K >= steps;
}
static bool dots(const Gemm& g) {
  if (!has_avx2()) return false;
  const bool rows = g.A.col_stride == 1 && g.A.row_stride != 1, columns = g.B.row_stride == 1 && g.B.col_stride != 1;
  const bool large = g.M <= g.N ? columns : rows;
  const index_t few = std::min(g.M, g.N), many = std::max(g.M, g.N);
  if (few == 1) {  // a vector lies along K whatever its other stride is, which says nothing, and must decide nothing
    return has_avx512() && many > 1 && large && dots_of_avx512(g, few, many);
  }
  if (rows && columns) return has_avx512() ? dots_of_avx512(g, few, many) : dots_of_avx2(g, few, many);
  return has_avx512() && large && dots_beside_copy(g, few, many);
}

// Whether `deep` is ahead of the flat rungs. They run along the many columns, of which there are few here, and `dot`
// copies an operand that does not lie as it reads it. At up to 4x4 `deep` has two chunks side by side: measured on a
// Zen 1, 1.35 times as fast if `dot` copies one operand, 2.2 if both. Measured on a Zen 3, K of 4096 to 65536, NN and
// TN: 3 times as fast at 4x16, 2 at 4x32, 1.2 to 1.5 at 8x64; 0.9 at 2x64, 0.7 at 1x16. With AVX-512, measured on an
// Intel Xeon: 1.5 to 1.7 at 4x4, 4 to 5 at 3x8 and 4x8, 1.1 to 1.7 at 4x16, 1.0 to 1.4 at 4x32; 0.7 at 4x64 and 0.9 at
// 2x16.
static bool deep_before_flat(const Gemm& g) {
  if (!has_avx2()) return false;
  const index_t few = std::min(g.M, g.N), many = std::max(g.M, g.N);
  const bool rows_of_a = g.A.row_stride == 1, rows_of_b = g.B.col_stride == 1;  // contiguous, as `deep` loads them
  if (many <= 4) return few > 1 && (rows_of_a || rows_of_b);
  const bool enough = has_avx512() ? few > 2 && many <= 32 : few > 2 || (few == 2 && many <= 32);
  return enough && (g.M <= g.N ? rows_of_b : rows_of_a);
}

}  // namespace fb

using namespace fb;

// The rung follows from the shape and the strides alone, so that a result never depends on the thread count; only
// whether a team is opened depends on that, and on what the caller did before (small_products.hpp).
fb::Choice frugalblas_choose(const fb::Gemm* job) {
  // Broadcast operands may have any size. Above this one nothing is decided otherwise, and no product of two overflows.
  constexpr index_t most = 1 << 30;
  if (std::max({job->M, job->N, job->K}) > most) {
    Gemm smaller = *job;
    smaller.M = std::min(job->M, most);
    smaller.N = std::min(job->N, most);
    smaller.K = std::min(job->K, most);
    return frugalblas_choose(&smaller);
  }

  const double flops = flops_of(*job);
  const bool enough =
      flops >= sleeping_team_flops || (flops >= least_for_a_team() && job->threads > 1 && small_team_pays(flops));
  const int threads = enough ? job->threads : 1;

  // Where memory sets the pace, work is better counted in elements: storing one takes the time of 64 flops,
  // an estimate on the high side: 0.18 ns at 4096x4096x1, that of 29 flops, on an Intel Xeon.
  const int memory_threads =
      flops + 64.0 * static_cast<double>(job->M) * static_cast<double>(job->N) >= team_flops ? job->threads : 1;

  const bool wide = job->M <= job->N;
  const bool blocks = few_in_blocks(*job);
  const index_t edge = std::max(job->M, job->N), few = std::min(job->M, job->N);
  int flat = none;
  // Of the smallest products none is flat, and they would feel the time it takes to write a transposed job down.
  if (job->K >= dot_steps || (job->K >= short_dot_steps && edge >= few_columns && few <= 4))
    flat = wide ? flat_rung(*job, false, blocks) : flat_rung(transpose(*job), true, blocks);
  if (job->K >= short_dot_steps && dots(*job)) flat = rungs().dot;
  const index_t enough_steps = edge <= 4 ? tiny_deep_steps : deep_steps;
  if (job->K >= enough_steps && edge <= deep_edge(*job) && (flat == none || deep_before_flat(*job)))
    return {rungs().deep, threads, "small C, long K: chunks of K are what can be shared out"};
  if (flat != none) return {flat, threads, "flat: reading the large operand sets the pace"};

  // Rows of B in place, as they must be for `microkernel` to copy nothing. C decides which operand that is.
  const bool upright = job->C.col_stride == 1 || job->C.row_stride != 1;
  if (job->K <= outer_steps && job->M * job->N >= outer_elements && few > few_rows &&
      (job->C.col_stride == 1 || job->C.row_stride == 1) && outer_pays(*job, upright ? job->N : job->M))
    return {rungs().outer, memory_threads, "short K: writing C sets the pace"};

  const index_t elements = job->M * job->K + job->K * job->N + job->M * job->N;
  const bool in_place = upright ? job->B.col_stride == 1 : job->A.row_stride == 1;
  const bool columns_of_a = (upright ? job->A.row_stride : job->B.col_stride) == 1;
  const bool rows_share_sets = (upright ? job->B.row_stride : job->A.col_stride) % 1024 == 0;
  // If the other operand offers rows, `microkernel` reads those and scatters C, which pays for the smallest, and with
  // enough steps where rows of C would leave lanes empty: measured on a Zen 4, 1.25 to 2 times as fast.
  const index_t along = upright ? job->N : job->M, across = upright ? job->M : job->N;
  const bool rather_turned =
      edge <= panel_columns() / 2 ||
      (has_avx2() && job->K >= 64 && 8 * lanes_used(along, lanes()) < 7 * lanes_used(across, lanes()));
  const bool one_panel = columns_of_a ? rather_turned : along <= panel_columns();
  const bool taller = has_avx512() && edge <= small_edge && few <= 16 && !rows_share_sets;
  const index_t most_steps = taller ? deep_steps - 1 : small_steps;
  const bool little = job->K <= most_steps && elements <= small_elements(columns_of_a);
  const bool leaves_l1 = columns_leave_l1(*job, upright) || rows_leave_l1(*job, upright);
  const bool small = in_place ? (little && !leaves_l1) || copying_is_dear(*job, upright) ||
                                    (columns_of_a && tall_on_columns(*job, upright))
                              : little && one_panel;
  if (small || (few_to_read(*job) && !blocks))
    return {rungs().microkernel, threads, "small: packing would cost more than it saves"};
  const bool packs_a = (upright ? job->A.col_stride : job->B.row_stride) != 1;
  const bool longer = has_avx512() && (packs_a || (job->K <= side_by_side_steps && !is_intel()));
  const double side_by_side = longer ? side_by_side_packing_flops : side_by_side_flops;
  if (threads > 1 && flops <= side_by_side && shares_rows(*job, upright, threads))
    return {rungs().blocked, threads, "a team, each thread with rows of its own"};
  if (threads == 1)
    return {rungs().blocked, 1, job->threads == 1 ? "one thread" : "no team for so little work, or not yet"};
  return {rungs().openmp, threads, "enough work for a team"};
}
