// blocking.hpp: the cache blocks MC, KC, NC of `blocked` and `openmp`, and the product of a block of A with a strip of
// B.
#pragma once
#include "../cpu.hpp"
#include "pack.hpp"
#include "ways.hpp"

namespace fb::FB_VARIANT {

// Cuts `total` into equal parts of whole multiples of `unit`, none larger than `most` (or one unit, if that is larger):
// no thin slice is left at the end, which would pay a whole pass over its operands for little work.
static inline index_t equal_part(index_t total, index_t most, index_t unit) {
  const index_t units = most < unit ? 1 : most / unit;
  return round_up(ceil_div(total, ceil_div(total, units * unit)), unit);
}

// An MR x KC panel of A is read NC/NR times and should stay in L1, while B streams past it: half of L1. Longer parts of
// K are cheaper, each costs a load and a store of all of C; beyond 768 steps nothing was gained, on a Zen 3 beyond 512.
static inline index_t kc_max() { return min(avx2 ? 512 : 768, cache_sizes().l1d / 2 / (MR * index_t{sizeof(float)})); }

// Floats of a packed strip of B: it is read M/MR times and must stay in L2, beside the panels of A and C, or beside a
// group of panels.
static inline index_t strip_floats(const Gemm& g) {
  const index_t l2 = cache_sizes().l2 / index_t{sizeof(float)};
  return rows_in_groups(g) ? l2 / 4 * 3 : l2 / 2;
}
// Steps in a part of K. With one or two columns of tiles a panel of A is read once or twice only, and it counts for
// more that its rows are long streams, at least for an Intel core with AVX-512: measured on a Xeon, as long as half of
// L2 holds B, 1.1 to 1.5 times as fast with up to 16 columns, 1.0 to 1.15 with 17 to 48; twice as long, 1.0 to 1.08
// with 61 to 96. On AMD's cores, where tiles ask for rows of the next panel, not measured. Not where rows are not much
// more than columns, nor parts of a square, whose transpose should have the same bits.
static inline index_t kc_most(const Gemm& g) {
  const bool narrow = panels_late() && !g.of_square && g.N <= 2 * NR && g.M >= 4 * g.N && !packs_a(g);
  return !narrow ? kc_max() : g.N > NR ? 2 * kc_max() : max(kc_max(), strip_floats(g) / round_up(g.N, VL));
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
    const index_t fitting = cache.l2 / 4 / (g.M * bytes);  // as a group of panels, see panels_in_group
    // Of rows a multiple of 1 KiB apart, more would evict each other before they are copied: measured on a Xeon with an
    // L2 of 16 ways, 1.02 times as fast at 128x768x3072, 1.15 to 1.3 where rows are a multiple of 4 KiB apart.
    const index_t most = g.B.row_stride % 256 == 0 ? min(384, kc_max()) : kc_max();
    return {MR, NR, round_up(g.M, MR), equal_part(g.K, min(fitting, most), 1), g.N};
  }
  const index_t KC = equal_part(g.K, kc_most(g), 1);
  // A short K makes the strip wide, and runs along the rows of C long: 1.15 to 1.4 times as fast at K = 16 with C in
  // memory.
  const index_t NC = equal_part(g.N, strip_floats(g) / KC, NR);
  // The MC x KC block of A is read N/NC times; where it is packed it must stay in L3, which other cores and tenants
  // share: a quarter, and at most 8 MiB, to keep scratch memory in bounds.
  const index_t mc_max = min(cache.l3 / 4, 8 << 20) / (kc_max() * bytes);
  const index_t MC = equal_part(g.M, mc_max, MR);
  return {MR, NR, MC, KC, NC};
}

// Scratch memory of a job: floats of a packed block of A, and of a packed strip of B.
static inline index_t a_floats(const Gemm& g, const Blocks& block) { return packs_a(g) ? block.MC * block.KC : 0; }
static inline index_t b_floats(const Gemm& g, const Blocks& block) {
  return b_in_place(g) ? 0 : block.KC * (b_by_panels(g) ? NR : round_up(min(block.NC, g.N), VL));
}

// Room for so many floats of one thread's scratch memory, so far from the next thread's that tiles, which ask for rows
// beyond the last of a panel, and hardware prefetchers, which go on for some lines, seldom fetch what another is
// writing. Measured on a Xeon, two threads: up to 1.5 times as fast with panels of 27 rows, which had lain side by
// side; elsewhere not measured.
static inline index_t apart(index_t floats) {
  constexpr index_t PAGE = 1024;  // 4 KiB
  return floats ? round_up(floats + SOON * NR, PAGE) : 0;
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

// One row panel of A with all of a packed strip: rows ir..ir+mr-1. A loop of its own, because with a short K all that
// is done around a tile shows: measured on a Zen 1 at 1000x1000x16 and 4096x4096x16, 1.05 to 1.08 times as fast.
static inline void multiply_panel(const StripProduct& s, const TileTable& tiles, TileOperands& op, index_t ir, int mr) {
  take_rows(op, s, ir, mr);
  const TileFunction* const of_rows = tiles.at + (mr - 1) * NV;
  op.b = s.b_strip;
  for (index_t jr = 0; jr < s.nc;) {
    const int nv = static_cast<int>(next_part(ceil_div(s.nc - jr, VL), NV));
    op.b_k = nv * VL;
    run_tile(of_rows[nv - 1], mr, static_cast<int>(min(op.b_k, s.nc - jr)), s.kc, op, s.alpha, s.beta, at(s.C, ir, jr));
    jr += op.b_k;
    op.b += op.b_k * s.kc;
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
  const bool fetching = copying && (s.ways.far_b || s.ways.b_by_panels);
  const index_t group = s.ways.b_by_panels ? last - first : s.ways.groups || s.ways.far_b ? panels_in_group(s.kc) : 1;
  // Tiles of the first group that ask for rows of the next panel of B, how many rows each, and, if not in passes, after
  // how many steps one: a whole number of rounds. Some rows may be left out; with a round fewer, so that none is,
  // measured on a Zen 1, 16x1000x1000 takes 1.8 times as long, 24x1000x1000 1.2 times, 64x3136x576 and 128x768x3072 1.0
  // to 1.07.
  const index_t asking = fetching ? min(group, last - first) - 1 : 0, share = asking ? ceil_div(s.kc, asking) : 0;
  constexpr index_t round = steps_of(Source::next_b);
  const index_t every = max(round, round_up(asking, round));
  const bool direct = !s.a_block && s.A.col_stride != 1;
  const Source panels = panels_late() ? Source::asking_packed : Source::packed;
  const Source rows = panels_late() ? Source::asking_rows : Source::rows;
  const TileTable& near = tile_table(s.a_block ? panels : direct ? Source::direct : rows);
  const TileTable& far = s.ways.far_a && !direct ? tile_table(s.a_block ? Source::far_packed : Source::far_rows) : near;
  const TileTable& usual = s.ways.groups ? near : far;  // the first column of tiles fetches a group
  TileOperands op = operands(s);
  const auto multiply_tile = [&](index_t ir, int mr, index_t turn, index_t jr, int nv) {
    const int nr = static_cast<int>(min(nv * VL, s.nc - jr));
    float* const panel = s.ways.b_by_panels ? s.b_strip : s.b_strip + jr * s.kc;
    const TileTable* table = jr == 0 ? &far : &usual;
    take_rows(op, s, ir, mr);
    op.b = panel;
    op.b_k = nv * VL;
    if (!copying || turn > asking) {
      // nothing but multiply, as most tiles do
    } else if (turn > 0) {
      table = &tile_table(Source::next_b);
      const bool none_left = s.ways.b_by_panels && jr + nr == s.nc;  // but the next part of K
      op.ahead = (none_left ? at(s.B, s.kc + (turn - 1) * share, 0) : at(s.B, (turn - 1) * share, jr + nr)).data;
      op.ahead_k = s.B.row_stride;
      op.every = asks_in_passes(Source::next_b) ? share : every;
    } else if (nr % VL) {
      pack_b_panel(nr, s.kc, at(s.B, 0, jr), panel);
    } else {
      table = &tile_table(Source::copying);
      op.b = s.B.data + jr;
      op.b_k = s.B.row_stride;
      op.b_copy = panel;
      // What comes next; in a panel that has been asked for, a few rows further on, from L2.
      op.ahead = op.b + (asking ? SOON * op.b_k : nr);
    }
    run_tile(table->at[(mr - 1) * NV + nv - 1], mr, nr, s.kc, op, s.alpha, s.beta, at(s.C, ir, jr));
  };
  const index_t registers = ceil_div(s.nc, VL);
  for (index_t begin = first; begin < last; begin += group) {
    const index_t end = min(last, begin + group), top = row_cut.start(begin);
    if (group == 1 && !s.ways.b_by_panels && (!copying || begin > first)) {
      multiply_panel(s, usual, op, top, static_cast<int>(next_part(s.mc - top, MR)));
      continue;
    }
    for (index_t r = 0; r < registers;) {
      const int nv = static_cast<int>(next_part(registers - r, NV));
      for (index_t q = begin, ir = top; q < end; ++q) {
        const int mr = static_cast<int>(next_part(s.mc - ir, MR));
        multiply_tile(ir, mr, q - first, r * VL, nv);
        ir += mr;
      }
      r += nv;
    }
  }
}

// The product where B is read in place, one column of tiles after the other. Each tile asks for some rows of the next.
static inline void multiply_in_place(const StripProduct& s) {
  const index_t panels = row_panels(s.mc).count(), share = ceil_div(s.kc, panels);
  // Few rows of B are streams that the hardware follows, and asking would be felt: measured on a Zen 4, without it 1.02
  // to 1.15 times as fast with a B of 12544 columns; beyond, 0.8 to 1.0. On Intel's cores not measured.
  const bool follows = VL == 16 && s.kc <= 64 && s.kc * s.mc <= 4096 && !tuned_for_intel();
  const TileTable& whole = tile_table(follows            ? Source::direct
                                      : s.ways.b_into_l2 ? Source::fetching_l2
                                                         : Source::fetching);
  TileOperands op = operands(s);
  op.b_k = op.ahead_k = s.B.row_stride;
  constexpr index_t round = steps_of(Source::fetching);
  op.every = asks_in_passes(Source::fetching) ? share : max(round, panels / round * round);
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
