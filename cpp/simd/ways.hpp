// ways.hpp: how `blocked` and `openmp` fetch the operands of a job: in place or by way of packed panels, and what they
// ask for ahead. It follows from the shape, the strides and the CPU; where it is a matter of copies alone, from the
// number of threads too, but never where it decides about the parts of K (b_in_place, b_by_panels, and packs_a of a job
// that is neither), and so about bits.
#pragma once
#include <cstdint>

#include "../cpu.hpp"
#include "../orientation.hpp"
#include "pack.hpp"

namespace fb::FB_VARIANT {

// Whether B leaves no room in L2 for anything else.
static inline bool b_beyond_l2(const Gemm& g) { return g.N > cache_sizes().l2 / 2 / index_t{sizeof(float)} / g.K; }

// Where rows are few, copying rows of B into panels is a large part of the work, each 512-bit store taking the FMA
// units a cycle. So the tiles read them in place, a column of tiles at a time, while they ask for the next one.
// Measured against copying on a Zen 5: 1.05 to 1.07 times as fast at 64 rows, 1.3 at 16; no gain above 128 rows, nor
// for squares. With AVX2, whose stores take nothing from the FMA units, copying is 1.2 to 1.5 times as fast, measured
// on a Zen 3; with SSE2 and NEON neither was measured. On an Intel core with AVX-512 that is so up to 24 rows, or 16 if
// B is in L2; for more see b_by_panels.
static inline bool b_in_place(const Gemm& g) {
  const index_t most = VL == 16 && tuned_for_intel() ? b_beyond_l2(g) ? 3 * MR : 2 * MR : 16 * MR;
  return reads_b_in_place && !g.of_square && g.B.col_stride == 1 && g.M <= most && g.N >= 2 * g.M;
}

// Whether what is asked for of a B in place must not go further than L2: where its rows are a multiple of 4 KiB apart,
// and so share few sets of L1, and come from main memory faster than these few rows of A use them. Measured on a Zen 5:
// 1.2 times as fast at 16x4096x4096, 1.1 with 32 rows, 1.0 with 64; with a B of 16 MiB in L3, or rows that do not share
// sets, into L1 is 1.0 to 1.4 times as fast. On Intel's cores that was not measured.
static inline bool b_into_l2(const Gemm& g) {
  const bool share_sets = g.B.row_stride % 1024 == 0 && g.M <= 4 * MR;
  return tuned_for_intel() || (share_sets && g.N > cache_sizes().l3 / index_t{sizeof(float)} / g.K);
}

// Whether columns of a panel of A lie each within a cache line: of all panels but the last, which begins anywhere.
static inline bool columns_within_lines(const ConstMatrix& A) {
  const auto first = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(A.data) / sizeof(float));
  return LINE % MR == 0 && first % MR == 0 && A.col_stride % MR == 0;
}

// Packing A takes the time of some 13 columns of C, measured on a Zen 5: a twentieth of so many.
constexpr index_t columns_worth_packing = 256;

// The tile reads rows of A in place where their elements are adjacent: a panel of MR rows is MR sequential streams. It
// reads columns in place, a cache line for every step of k, where A is not much larger than L1: measured, 1.04 to 1.15
// times as fast up to 160^3, but 0.93 at 384^3. Beside a B in place it does so where columns share pages, too, if
// panels are few, each thread has few columns of C, or columns of panels do not straddle cache lines. Where they do,
// and there is more of all, packing is 1.01 to 1.06 times as fast on a Zen 5. Any other A is packed.
static inline bool columns_in_place(const Gemm& g) {
  if (g.A.row_stride != 1 || g.A.col_stride == 1) return false;
  if (b_in_place(g)) {
    const bool share_pages = g.A.col_stride <= 256;  // four to a page of 4 KiB
    const bool little = g.M <= 4 * MR || g.N < columns_worth_packing * g.threads;
    return share_pages && (little || columns_within_lines(g.A));
  }
  return g.M * g.K <= 2 * cache_sizes().l1d / index_t{sizeof(float)};
}

// With AVX2, rows of an A beyond L2 are packed too, and multiplied in groups of panels that stay in L2 beside the strip
// of B: A is fetched from L3 in long runs, by fewer strips. Measured on a Zen 3 (32 KiB of L1, 512 of L2): 1.14 times
// as fast at 2048^3, 1.06 at 1000^3, no gain at 768^3, nor for up to 128 columns, which leave packing too little to
// win.
static inline bool rows_in_groups(const Gemm& g) {
  return avx2 && g.N > 128 && g.M > 2 * cache_sizes().l2 / index_t{sizeof(float)} / g.K;
}
static inline bool packs_a(const Gemm& g) { return (g.A.col_stride != 1 && !columns_in_place(g)) || rows_in_groups(g); }

// The job or its transpose, whichever the loops suit better. Rows of C should be contiguous, to be stored by registers,
// unless scattering it saves more.
static inline Gemm oriented(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  return better_turned(g, VL) ? transpose(g) : g;
}

// Whether panels of B come from L2 later than tiles load them, which therefore ask for them, see tile.hpp: Intel's
// cores with AVX-512. On an earlier Xeon with an L1 and L2 as large nothing was gained; on AMD's cores not measured.
static inline bool panels_late() { return asks_for_panels && tuned_for_intel(); }

// Whether A arrives late and should be asked for a panel ahead: from main memory, where it leaves no room in L3 for
// anything else; and, if a panel meets more than one column of tiles, which pay for the asking, from L3. Measured on a
// Zen 5 with an L2 of 1 MiB, run by run: 1.01 to 1.05 times as fast from 1200^3 to 2048^3, 1.02 to 1.10 at
// 2048x128x2048, 1.00 to 1.12 at 4096x64x1024; nothing at 1024^3 and below, and 0.85 with 16 columns. A group of panels
// comes from afar for its first column of tiles only: asking in all of them, as is done elsewhere, is 0.94 times as
// fast at 2048^3 on a Zen 1.
static inline bool a_is_far(const Gemm& g) {
  if (study || panels_late()) return false;
  const index_t bytes = g.M * g.K * index_t{sizeof(float)};
  return bytes > cache_sizes().l3 / 2 || (g.N > NR && bytes > 4 * cache_sizes().l2);
}

// Whether B arrives late: with AVX2, which copies its rows (see b_in_place), from beyond L2. Then groups of row
// panels take their turns with a panel of B, as they do where A is packed: the first tile copies it, the others ask for
// rows of the next one. Measured on a Zen 3: 1.2 times as fast at 64x3136x576, 1.1 at 128x768x3072, 1.01 at 1024^3, but
// 0.95 where B has some four times the size of L2. On a Zen 4 held to AVX2, 1.03 to 1.12 times; on such a Zen 5, whose
// tiles that copy ask for the next panel early enough, 0.96 to 0.99.
static inline bool b_is_far(const Gemm& g) {
  return avx2 && asks_for_b && g.B.col_stride == 1 && g.K * g.N * index_t{sizeof(float)} > 6 * cache_sizes().l2;
}

// Rows of a far B that are a multiple of 4 KiB apart share sets of L1 and L2: what is asked for evicts itself before
// it is copied. So whole rows of a strip are copied at once, in long runs: on a Zen 3, 1.3 to 1.5 times as fast at
// 16x4096x4096, 1.0 from 64 rows on; on a Zen 1, 1.3 times at 64x4096x4096, 1.17 at 128 rows, 1.04 at 512, 1.0 at 2048.
static inline bool packs_rows_of_b(const Gemm& g) { return b_is_far(g) && g.B.row_stride % 1024 == 0; }

// On an Intel core with AVX-512, stores take nothing from the FMA units, but of the loads that a row in place needs,
// those that straddle two cache lines count twice. So B is copied into a single panel again and again, which all panels
// of A, in L2 together, meet while it is there: the first tile copies, the others ask for the next columns, each for
// some rows of it, for a core can have only so many lines on their way from L3. Measured on an Intel Xeon with 2 MiB of
// L2, against rows in place: 1.2 to 1.25 times as fast at 64x3136x576, 128x768x3072, 127x1021x251 and 64x512x512, 1.05
// to 1.15 with 25 to 32 rows of a B beyond L2; against strips of B in L2, 1.05 to 1.1 at 196x512x4608 and
// 256x4096x4096, 0.93 to 0.99 with 512 rows. With a short K it is runs along rows of C that count: then strips are 1.02
// to 1.2 times as fast from 128 rows on, 1.0 with 64.
static inline bool b_by_panels(const Gemm& g) {
  if (g.M > 256 || (g.M > 64 && g.K <= 64)) return false;
  return asks_for_b && !avx2 && tuned_for_intel() && !g.of_square && !b_in_place(g) && g.B.col_stride == 1 &&
         g.N >= 2 * g.M;
}

// How the operands of a job are fetched. Decided for all of it, also where a thread takes rows or columns of its own.
struct Ways {
  bool b_in_place, b_into_l2, b_by_panels, far_a, far_b, rows_of_b, groups;
};
static inline Ways ways(const Gemm& g) {
  return {.b_in_place = b_in_place(g),
          .b_into_l2 = b_into_l2(g),
          .b_by_panels = b_by_panels(g),
          .far_a = a_is_far(g),
          .far_b = b_is_far(g),
          .rows_of_b = packs_rows_of_b(g),
          .groups = rows_in_groups(g)};
}

}  // namespace fb::FB_VARIANT
