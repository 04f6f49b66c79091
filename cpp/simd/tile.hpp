// tile.hpp: the register tile, C(mr,nr) = alpha * A(mr,kc)·B(kc,nr) + beta * C(mr,nr).
//
// MR x NR accumulators stay in registers for the whole K loop. One step of k loads one row of B (NV registers) and,
// for each of the MR rows, broadcasts one element of A and issues NV FMAs: MR * NV FMAs for NV + MR loads, where the
// dot product of the rung before does one FMA for two loads. Edge tiles are their own instantiations: no padding in M,
// and in N only the surplus lanes of a row's last register, which are never stored. Where B is read in place, that
// register, if it is not the only one, ends with the row, and computes again what the one before it computes, too; with
// AVX2 the two halves of a single one overlap so (partial.hpp).
// Every element of C is the same chain of FMAs over k whatever tile it falls in, so tiles never change a result's bits.
#pragma once
#include "partial.hpp"
#include "tile_table.hpp"

namespace fb::FB_VARIANT {

template <int mr, int nv, Source source>
static void compute_tile(index_t kc, const TileOperands& op, const TileResult& result) {
  constexpr bool packed = source == Source::packed || source == Source::far_packed || source == Source::asking_packed;
  constexpr bool columns = source == Source::columns;
  const index_t a_row = packed || columns ? 1 : op.a_row;
  constexpr bool rows = source == Source::rows || source == Source::far_rows || source == Source::asking_rows;
  const index_t a_k = packed ? mr : rows ? 1 : op.a_k;
  constexpr bool next_b = source == Source::next_b;
  constexpr bool asks_for_next = next_b || source == Source::fetching || source == Source::fetching_l2;
  constexpr bool asks_soon = source == Source::asking_packed || source == Source::asking_rows || (next_b && VL == 16);
  const index_t b_k = packed || rows || next_b ? nv * VL : op.b_k;
  const int tail = result.tail;
  constexpr bool edge = source == Source::direct_edge, overlaps = edge && nv > 1, ends = edge && nv == 1;
  const index_t last = overlaps ? (nv - 2) * VL + tail : (nv - 1) * VL;  // where the last register of a row begins
  const auto column = [&](int v) __attribute__((always_inline)) { return v == nv - 1 ? last : v * VL; };
  // Rows of A, each reached from the group of four that it is in: a pointer to every fourth, a_row and its multiples up
  // to three are all that takes registers. Of an offset for each of 12 rows GCC 12 keeps some in vector registers and
  // fetches them back at every step, 3 to 5 % of the time on a Zen 4. Those of up to 8 rows find room.
  constexpr int GROUP = packed || columns || mr <= 8 ? mr : 4, GROUPS = (mr + GROUP - 1) / GROUP;
  const float* a[GROUPS];
  for (int n = 0; n < GROUPS; ++n) {
    a[n] = op.a + n * GROUP * a_row;
    asm("" : "+r"(a[n]));  // as far as the compiler knows, unrelated
  }
  const auto a_at = [&](int i) __attribute__((always_inline)) { return a[i / GROUP] + i % GROUP * a_row; };
  const float* b = op.b;
  float* b_copy = op.b_copy;
  // The tile of C is far away and needed only at the end: ask for it now, behind the whole K loop. Not where operands
  // are read in place, as those of small products are, whose C is near.
  constexpr bool in_place = source == Source::direct || source == Source::direct_edge || columns;
  if (!in_place) {
    const float* c = result.c;
    asm("" : "+r"(c));  // addresses found anew at the end, rather than kept on the stack during the loop
    for (int i = 0; i < mr; ++i, c += result.c_row)
      for (int v = 0; v < nv; ++v) __builtin_prefetch(c + v * VL, 1);
  }
  vec acc[mr][nv] = {};
  constexpr bool copies = source == Source::copying;
  const float* ahead = op.ahead;
  const index_t beside = copies && asks_for_b ? op.ahead - op.b : nv * VL;
  const auto step = [&](index_t k) __attribute__((always_inline)) {
    // Where A is far, its rows arrive too late: ask for the next panel's, a cache line every so many
    // steps.
    if (source == Source::far_rows && k % LINE == 0)
#pragma GCC unroll 16
      for (int i = 0; i < mr; ++i) __builtin_prefetch(a_at(i) + mr * a_row);
    // The next panel begins where this one ends. With AVX2, a column of it is a quarter of a line.
    if ((source == Source::far_packed && (!avx2 || k % (LINE / MR) == 0)) || source == Source::asking_packed)
      __builtin_prefetch(a[0] + mr * kc);
    if (columns && !avx2) __builtin_prefetch(a[0] + 2 * mr - 1);  // for the next tile, of the rows below

    vec b_row[nv];  // (1,nr)
#pragma GCC unroll 4
    for (int v = 0; v < nv; ++v) {
      vec loaded = ends ? load_ends(b, tail) : load(b + column(v));
      if (VL == 16 && (mr == 2 || mr == 3)) keep_in_register(loaded);  // with more rows it stays there anyhow
      b_row[v] = loaded;
      // An Intel core with AVX-512 is through with a step before the panel's next rows have come from L2 by themselves,
      // and a store waits for its line, too: measured on a Xeon, 1.02 to 1.06 times as fast, the tile that copies 1.1.
      // From 4 to 16 steps ahead there is no difference. On AMD's cores, which have the second of the two as well, it
      // was not measured.
      if (asks_soon) __builtin_prefetch(b + (SOON * nv + v) * VL);
      if (copies && asks_for_panels) __builtin_prefetch(b_copy + (SOON * nv + v) * VL);
      if (copies) store(b_copy + v * VL, b_row[v]);
      // No hardware prefetcher follows a panel down a wide matrix. The next panel is beside this one, and a whole pass
      // over k is long enough to fetch its part of this row. Of a far B, that has been done: see blocking.hpp.
      if (copies || source == Source::streaming) __builtin_prefetch(b + beside + (v + 1) * VL - 1);
    }
    if (copies) b_copy += nv * VL;
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i) {
      const vec a_element = broadcast(*a_at(i));
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) multiply_add(acc[i][v], a_element, b_row[v]);
    }
#pragma GCC unroll 4
    for (int n = 0; n < GROUPS; ++n) a[n] += a_k;
    b += b_k;
  };
  const auto ask = [](const float* p) __attribute__((always_inline)) {
    if (source == Source::fetching)
      __builtin_prefetch(p);
    else
      __builtin_prefetch(p, 0, 2);
  };
  constexpr int steps = steps_of(source);
  index_t k = 0;
  if constexpr (asks_in_passes(source)) {
    // One line of each of so many rows, a line a step; then the next line of each: a few loops to a tile, where a row
    // every so many steps makes dozens. Measured on a Zen 4, that was felt: 1.03 to 1.05 times as fast at 10 to 16
    // rows, 1.05 to 1.13 deep from main memory, 1.00 to 1.01 at 64 rows and more. If a tile is too short for it, all
    // lines of a row. The last column of each line's worth is asked for: where rows straddle lines, the first ones came
    // with the columns before.
    if (op.every * nv <= kc) {
      for (int v = 0; v < nv; ++v) {
        const float* line = ahead + v * VL + LINE - 1;
        asm("" : "+r"(line));  // a pointer of its own, not found anew from the others
        for (const index_t end = k + op.every; k < end; ++k) {
          ask(line);
          line += op.ahead_k;
          step(k);
        }
      }
    } else {
      for (const index_t end = min(op.every, kc); k < end; ++k) {
#pragma GCC unroll 4
        for (int v = 0; v < nv; ++v) ask(ahead + v * VL + LINE - 1);
        ahead += op.ahead_k;
        step(k);
      }
    }
    for (; k < kc; ++k) step(k);
  } else {
    do {
      index_t end = kc;
      if (asks_for_next) {
#pragma GCC unroll 4
        for (int j = LINE - 1; j < nv * VL; j += LINE) ask(ahead + j);
        if (nv * VL % LINE) ask(ahead + nv * VL - 1);
        if (next_b) ask(ahead);
        ahead += op.ahead_k;
        end = min(kc, k + op.every);
      }
      for (; k + steps <= end; k += steps)
#pragma GCC unroll 8
        for (int s = 0; s < steps; ++s) step(k + s);
      for (; k < end; ++k) step(k);
    } while (asks_for_next && k < kc);
  }
  const float alpha = result.alpha, beta = result.beta;
  if (alpha != 1)
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) acc[i][v] *= alpha;
  if (beta != 0)
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) {
        const float* p = result.c + i * result.c_row + column(v);
        acc[i][v] += beta * (v < nv - 1 || overlaps ? load(p) : ends ? load_ends(p, tail) : load_partial(p, tail));
      }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i) {
    float* row = result.c + i * result.c_row;
#pragma GCC unroll 4
    for (int v = 0; v < nv - 1; ++v) store(row + v * VL, acc[i][v]);
    if (overlaps || tail == VL)
      store(row + last, acc[i][nv - 1]);
    else if (ends)
      store_ends(row + last, acc[i][nv - 1], tail);
    else
      store_partial(row + last, acc[i][nv - 1], tail);
  }
}  // C (mr,nr)

}  // namespace fb::FB_VARIANT
