// blocking.hpp: the cache blocks MC, KC, NC of `blocked` and `openmp`, and the product of a block of A with a strip of
// B.
#pragma once
#include <cstdint>

#include "../cpu.hpp"
#include "pack.hpp"

namespace fb::FB_VARIANT {

// Cuts `total` into equal parts of whole multiples of `unit`, none larger than `most` (or one unit, if that is larger):
// no thin slice is left at the end, which would pay a whole pass over its operands for little work.
static inline index_t equal_part(index_t total, index_t most, index_t unit) {
  const index_t units = most < unit ? 1 : most / unit;
  return round_up(ceil_div(total, ceil_div(total, units * unit)), unit);
}

// Whether B leaves no room in L2 for anything else.
static inline bool b_beyond_l2(const Gemm& g) { return g.N > cache_sizes().l2 / 2 / index_t{sizeof(float)} / g.K; }

// Where rows are few, copying rows of B into panels is a large part of the work, each 512-bit store taking the FMA
// units a cycle. So the tiles read them in place, a column of tiles at a time, while they ask for the next one.
// Measured against copying on a Zen 5: 1.05 to 1.07 times as fast at 64 rows, 1.3 at 16; no gain above 128 rows, nor
// for squares. With AVX2, whose stores take nothing from the FMA units, copying is 1.2 to 1.5 times as fast, measured
// on a Zen 3; with SSE2 and NEON neither was measured. On an Intel core with AVX-512 that is so up to 32 rows, or 16 if
// B is in L2; for more see b_by_panels.
static inline bool b_in_place(const Gemm& g) {
  const index_t most = VL == 16 && tuned_for_intel() ? b_beyond_l2(g) ? 4 * MR : 2 * MR : 16 * MR;
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

// The job or its transpose, whichever the loops suit better. Rows of C should be contiguous, to be stored by registers.
// But where C is flat, what counts is the large operand: it should not need a packing pass of its own, so either be A
// with its rows contiguous, or B with its rows contiguous (see multiply_strip).
static inline Gemm oriented(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  const index_t few = min(g.M, g.N), many = few == g.M ? g.N : g.M;
  const ConstMatrix large = few == g.M ? transpose(g).A : g.A;  // as rows of K elements
  const bool packed_now =
      few == g.M ? large.col_stride == 1 && large.row_stride != 1 : large.row_stride == 1 && large.col_stride != 1;
  // Stores to C element by element must be few beside the work: measured, they are below 64 rows or columns.
  return packed_now && few <= 64 && many >= 8 * few ? transpose(g) : g;
}

// Whether A arrives late and should be asked for a panel ahead: from main memory, where it leaves no room in L3 for
// anything else; and, if a panel meets more than one column of tiles, which pay for the asking, from L3. Measured on a
// Zen 5 with an L2 of 1 MiB, run by run: 1.01 to 1.05 times as fast from 1200^3 to 2048^3, 1.02 to 1.10 at
// 2048x128x2048, 1.00 to 1.12 at 4096x64x1024; nothing at 1024^3 and below, and 0.85 with 16 columns.
static inline bool a_is_far(const Gemm& g) {
  if (study) return false;
  const index_t bytes = g.M * g.K * index_t{sizeof(float)};
  return bytes > cache_sizes().l3 / 2 || (g.N > NR && bytes > 4 * cache_sizes().l2);
}

// How AVX2 best fetches B depends on the core: measured on a Zen 3, whose L2 has 512 KiB, and on a Zen 5 with 1 MiB.
// Those of Intel were not, and do as the Zen 3 does.
static inline bool avx2_by_panels() { return avx2 && cache_sizes().l2 >= 1 << 20 && !tuned_for_intel(); }

// Whether B arrives late: with AVX2, which copies its rows (see b_in_place), from beyond L2. Then groups of row
// panels take their turns with a panel of B, as they do where A is packed: the first tile copies it, the others ask for
// rows of the next one. Measured on a Zen 3: 1.2 times as fast at 64x3136x576, 1.1 at 128x768x3072, 1.01 at 1024^3, but
// 0.95 where B has some four times the size of L2. On a Zen 5 it is 0.96 to 0.99 times as fast.
static inline bool b_is_far(const Gemm& g) {
  return avx2 && asks_for_b && !avx2_by_panels() && g.B.col_stride == 1 &&
         g.K * g.N * index_t{sizeof(float)} > 6 * cache_sizes().l2;
}

// Rows of a far B that are a multiple of 4 KiB apart share sets of L1 and L2: what is asked for evicts itself before
// it is copied. Where it makes up much of the time, whole rows of a strip are copied at once, in long runs: 1.3 to 1.5
// times as fast at 16x4096x4096, 1.0 from 64 rows on.
static inline bool packs_rows_of_b(const Gemm& g) { return b_is_far(g) && g.B.row_stride % 1024 == 0 && g.M <= 8 * MR; }

// An MR x KC panel of A is read NC/NR times and should stay in L1, while B streams past it: half of L1. Longer parts of
// K are cheaper, each costs a load and a store of all of C; beyond 768 steps nothing was gained, on a Zen 3 beyond 512.
static inline index_t kc_max() { return min(avx2 ? 512 : 768, cache_sizes().l1d / 2 / (MR * index_t{sizeof(float)})); }

// On an Intel core with AVX-512, stores take nothing from the FMA units, but of the loads that a row in place needs,
// those that straddle two cache lines count twice. So B is copied into a single panel again and again, which all panels
// of A, in L2 together, meet while it is there: the first tile copies, the others ask for the next columns, each for
// some rows of it, for a core can have only so many lines on their way from L3. Measured on an Intel Xeon with 2 MiB of
// L2, against rows in place: 1.2 to 1.25 times as fast at 64x3136x576, 128x768x3072, 127x1021x251 and 64x512x512, 1.0
// at 32 rows; against strips of B in L2, 1.05 to 1.1 at 196x512x4608 and 256x4096x4096, 0.93 to 0.99 with 512 rows.
//
// With AVX2, of whatever size B is, the tile that copies asks for the next panel by itself, and a panel takes half of
// L1. On a Zen 5, against strips: 1.01 to 1.02 at 128x768x3072 and 64x3136x576, 1.02 if they come from main memory.
static inline bool b_by_panels(const Gemm& g) {
  return asks_for_b && (avx2 ? avx2_by_panels() : tuned_for_intel()) && !g.of_square && !b_in_place(g) && g.M <= 256 &&
         g.B.col_stride == 1 && g.N >= 2 * g.M;
}

// Floats of a packed strip of B: it is read M/MR times and must stay in L2, beside the panels of A and C, or beside a
// group of panels.
static inline index_t strip_floats(const Gemm& g) {
  const index_t l2 = cache_sizes().l2 / index_t{sizeof(float)};
  return rows_in_groups(g) ? l2 / 4 * 3 : l2 / 2;
}
// Panels of A in a group: they take a quarter of L2.
static inline index_t panels_in_group(index_t kc) {
  return max(1, cache_sizes().l2 / 4 / (MR * kc * index_t{sizeof(float)}));
}

// Block sizes follow the shape and the caches, never the thread count: results do not depend on it.
static inline Blocks cache_blocks(const Gemm& g) {
  const CacheSizes& cache = cache_sizes();
  constexpr index_t bytes = sizeof(float);
  if (b_in_place(g)) {
    // As many rows of B as the hardware prefetchers of an Intel core follow at a time, each along its columns: measured
    // on a Xeon, 1.2 to 1.7 times as fast as long parts of K at 16x4096x4096, 16x3072x768 and 16x3136x576; with 96 rows
    // 0.75 to 1.0 times, with 48 as fast.
    if (VL == 16 && tuned_for_intel() && b_beyond_l2(g))
      return {MR, NR, round_up(g.M, MR), equal_part(g.K, 64, 1), g.N};
    // What stays in half of L2: two columns of tiles, a row of which may touch one more line, and all rows of A. Where
    // rows of B are a multiple of 4 KiB apart, they share few sets of L2: measured, best with 256 to 384 of them.
    const bool share_sets = g.B.row_stride != 0 && g.B.row_stride % 1024 == 0;
    const index_t fitting = cache.l2 / 2 / ((2 * (NR + LINE) + g.M) * bytes);
    return {MR, NR, round_up(g.M, MR), equal_part(g.K, min(fitting, share_sets ? 384 : kc_max()), 1), g.N};
  }
  if (b_by_panels(g)) {
    const index_t fitting = avx2 ? cache.l1d / 2 / (NR * bytes)
                                 : cache.l2 / 4 / (g.M * bytes);  // as a group of panels, see panels_in_group
    return {MR, NR, round_up(g.M, MR), equal_part(g.K, min(fitting, kc_max()), 1), g.N};
  }
  const index_t KC = equal_part(g.K, kc_max(), 1);
  // A short K makes the strip wide, and runs along the rows of C long: 1.15 to 1.4 times as fast at K = 16 with C in
  // memory.
  const index_t NC = equal_part(g.N, strip_floats(g) / KC, NR);
  // The MC x KC block of A is read N/NC times; where it is packed it must stay in L3, which other cores and tenants
  // share: a quarter, and at most 8 MiB, to keep scratch memory in bounds.
  const index_t mc_max = min(cache.l3 / 4, 8 << 20) / (kc_max() * bytes);
  const index_t MC = equal_part(g.M, mc_max, MR);
  return {MR, NR, MC, KC, NC};
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

// Scratch memory of a job: floats of a packed block of A, and of a packed strip of B.
static inline index_t a_floats(const Gemm& g, const Blocks& block) { return packs_a(g) ? block.MC * block.KC : 0; }
static inline index_t b_floats(const Gemm& g, const Blocks& block) {
  return b_in_place(g) ? 0 : block.KC * (b_by_panels(g) ? NR : round_up(block.NC, VL));
}

// What one block of A and one strip of B contribute to C: C(mc,nc) += A(mc,kc)·B(kc,nc).
struct StripProduct {
  index_t mc, nc, kc;
  ConstMatrix A;
  const float* a_block;  // A packed; null: read A in place
  ConstMatrix B;
  float alpha, beta;
  Matrix C;
  Ways ways;       // of the whole job
  float* b_strip;  // B packed, once `packed` says so; b_by_panels: the panel that is multiplied with
  bool packed = false;
};

// The one of block (ic,pc) of A and strip jc of B. Later parts of K add to what the first one stored.
static inline StripProduct strip_product(const Gemm& g, const Blocks& block, const Ways& ways, index_t ic, index_t pc,
                                         index_t jc, const float* a_block, float* b_strip) {
  return {.mc = min(block.MC, g.M - ic),
          .nc = min(block.NC, g.N - jc),
          .kc = min(block.KC, g.K - pc),
          .A = at(g.A, ic, pc),
          .a_block = a_block,
          .B = at(g.B, pc, jc),
          .alpha = g.alpha,
          .beta = pc == 0 ? g.beta : 1,
          .C = at(g.C, ic, jc),
          .ways = ways,
          .b_strip = b_strip};
}

// What tiles read. One for all of a strip: a tile with K = 64 takes some 400 cycles, and setting up a new one 40 of
// them.
static inline TileOperands operands(const StripProduct& s) {
  return {nullptr, s.a_block ? 1 : s.A.row_stride, s.A.col_stride, nullptr, 0};
}
// Rows ir..ir+mr-1 of A.
static inline void take_rows(TileOperands& op, const StripProduct& s, index_t ir, int mr) {
  if (s.a_block) {
    op.a = s.a_block + ir * s.kc;
    op.a_k = mr;
  } else {
    op.a = s.A.data + ir * s.A.row_stride;
  }
}

// The part of the product in row panels first..last-1 of A; packs the strip if that has not been done.
static inline void multiply_strip(StripProduct& s, index_t first, index_t last) {
  const Cut row_cut = row_panels(s.mc);
  // Contiguous rows of B need no pass of their own: the first tiles to read them copy them.
  const bool copying = !s.packed && s.B.col_stride == 1 && !s.ways.rows_of_b;
  if (!s.packed && s.ways.rows_of_b)
    pack_strip_by_rows(s.nc, s.kc, s.B, s.b_strip);
  else if (!s.packed && !copying)
    pack_strip(s.nc, s.kc, s.B, s.b_strip);
  s.packed = true;
  const bool fetching = copying && (s.ways.far_b || (s.ways.b_by_panels && !avx2));
  const index_t group = s.ways.b_by_panels ? last - first : s.ways.groups || s.ways.far_b ? panels_in_group(s.kc) : 1;
  // Tiles of the first group that ask for rows of the next panel of B, how many rows each, and after how many steps
  // one: a whole number of rounds, the same or fewer, so that none is left out.
  const index_t asking = fetching ? min(group, last - first) - 1 : 0, share = asking ? ceil_div(s.kc, asking) : 0;
  constexpr index_t round = steps_of(Source::next_b);
  const index_t every = max(round, asking / round * round);
  const bool direct = !s.a_block && s.A.col_stride != 1;
  const TileTable& usual = tile_table(s.a_block      ? s.ways.far_a ? Source::far_packed : Source::packed
                                      : direct       ? Source::direct
                                      : s.ways.far_a ? Source::far_rows
                                                     : Source::rows);
  TileOperands op = operands(s);
  const auto multiply_tile = [&](index_t ir, int mr, index_t turn, index_t jr, int nv) {
    const int nr = static_cast<int>(min(nv * VL, s.nc - jr));
    float* const panel = s.ways.b_by_panels ? s.b_strip : s.b_strip + jr * s.kc;
    const TileTable* table = &usual;
    take_rows(op, s, ir, mr);
    op.b = panel;
    op.b_k = nv * VL;
    if (turn == 0 && copying && nr % VL) {
      pack_b_panel(nr, s.kc, at(s.B, 0, jr), panel);
    } else if (turn == 0 && copying) {
      table = &tile_table(Source::copying);
      op.b = s.B.data + jr;
      op.b_k = s.B.row_stride;
      op.b_copy = panel;
      // What comes next; in a panel that has been asked for, a few rows further on, from L2.
      op.ahead = op.b + (asking ? 8 * op.b_k : nr);
    } else if (turn > 0 && turn <= asking) {
      table = &tile_table(Source::next_b);
      const bool none_left = s.ways.b_by_panels && jr + nr == s.nc;  // but the next part of K
      op.ahead = (none_left ? at(s.B, s.kc + (turn - 1) * share, 0) : at(s.B, (turn - 1) * share, jr + nr)).data;
      op.ahead_k = s.B.row_stride;
      op.every = every;
    }
    run_tile(table->at[(mr - 1) * NV + nv - 1], mr, nr, s.kc, op, s.alpha, s.beta, at(s.C, ir, jr));
  };
  const index_t registers = ceil_div(s.nc, VL);
  for (index_t begin = first; begin < last; begin += group) {
    const index_t end = min(last, begin + group);
    for (index_t r = 0; r < registers;) {
      const int nv = static_cast<int>(next_part(registers - r, NV));
      for (index_t q = begin; q < end; ++q)
        multiply_tile(row_cut.start(q), static_cast<int>(row_cut.size(q)), q - first, r * VL, nv);
      r += nv;
    }
  }
}

// The product where B is read in place, one column of tiles after the other. Each tile asks for some rows of the next.
static inline void multiply_in_place(const StripProduct& s) {
  const index_t panels = row_panels(s.mc).count(), share = ceil_div(s.kc, panels);
  const TileTable& whole = tile_table(s.ways.b_into_l2 ? Source::fetching_l2 : Source::fetching);
  TileOperands op = operands(s);
  op.b_k = op.ahead_k = s.B.row_stride;
  constexpr index_t round = steps_of(Source::fetching);
  op.every = max(round, panels / round * round);
  for (index_t jc = 0; jc < s.nc;) {
    const int nv = static_cast<int>(next_part(ceil_div(s.nc - jc, VL), NV));
    const int nr = static_cast<int>(min(nv * VL, s.nc - jc));
    const ConstMatrix next = jc + nr < s.nc ? at(s.B, 0, jc + nr) : at(s.B, s.kc, 0);
    // The last columns, if they are not whole registers, ask for nothing: only the next part of K is left.
    const TileTable& table = nr % VL ? tile_table(Source::direct_edge) : whole;
    op.b = at(s.B, 0, jc).data;
    for (index_t ir = 0, q = 0; ir < s.mc; ++q) {
      const int mr = static_cast<int>(next_part(s.mc - ir, MR));
      take_rows(op, s, ir, mr);
      op.ahead = at(next, q * share, 0).data;
      run_tile(table.at[(mr - 1) * NV + nv - 1], mr, nr, s.kc, op, s.alpha, s.beta, at(s.C, ir, jc));
      ir += mr;
    }
    jc += nr;
  }
}

// All blocks and strips, one after the other: what `blocked` does on one thread, in kernels/blocked.cpp. a_block: room
// for a_floats, or null if that is 0; b_strip: room for b_floats.
void multiply_blocks(const Gemm& g, const Blocks& block, const Ways& ways, float* a_block, float* b_strip);

}  // namespace fb::FB_VARIANT
