// tile_table.hpp: the register tiles as loops see them: how large they are, what they read and write, and all of them
// by size. What they do is in tile.hpp, which tiles.cpp compiles once for all rungs but skinny.cpp.
#pragma once
#include "vec.hpp"

namespace fb::FB_VARIANT {

// MR * NV accumulators + NV registers of B + 1 or 2 for the broadcast of A must fit the register file, and
// MR * NV >= FMA latency (4 or 5 cycles) x FMA units (2) keeps every unit busy.
#if defined(__AVX512F__)
// 24 + 3 + 1 of 32. Measured on Zen 5 against 14 x 2 (28 + 2 + 1): 2 % faster, for it loads 11 operands to 24 FMAs
// where that loads 16 to 28.
constexpr int MR = 8, NV = 3;
#elif defined(__aarch64__)
constexpr int MR = 8, NV = 3;  // 24 + 3 + 2 of 32
#elif defined(__FMA__)
constexpr int MR = 4, NV = 3;  // 12 + 3 + 1 of 16: 7 loads to 12 FMAs, where 6 x 2 takes 8
#else
constexpr int MR = 6, NV = 2;  // 12 + 2 + 1 of 16, and one for products, which are not fused with the sum
#endif
constexpr int NR = NV * VL;
constexpr int LINE = 64 / sizeof(float);  // elements of a cache line

// Element (i,k) of A is a[i*a_row + k*a_k]; row k of B starts at b[k*b_k] and its elements are adjacent.
struct TileOperands {
  const float* a;
  index_t a_row, a_k;
  const float* b;
  index_t b_k;
  float* b_copy = nullptr;  // Source::copying: the panel to fill
  // Source::fetching, fetching_l2, next_b: rows that will be wanted later, ahead_k from one to the next, one at every
  // `every` steps, or if the tile asks in passes as many rows as `every` says; copying, with AVX2 or AVX-512: what to
  // ask for at the first step.
  const float* ahead = nullptr;
  index_t ahead_k = 0;
  index_t every = 0;
};

enum class Source {
  packed,         // panels of pack.hpp: a_row = 1, a_k = mr, b_k = nv*VL, known at compile time
  far_packed,     // the same, for panels of A that come from beyond L2
  rows,           // rows of A in place, a_k = 1, against a packed panel of B
  far_rows,       // the same, for an A that comes from beyond L2
  asking_packed,  // like packed; rows of the panel of B are asked for some steps ahead, and the next panel of A
  asking_rows,    // like rows; rows of the panel of B are asked for some steps ahead
  next_b,   // any strides of A, a packed panel of B; a row of the panel to be copied next is asked for now and then
  copying,  // any strides of A, rows of B in whole registers, and what was read is left as a panel for the next tiles
  direct,   // any strides of A, any distance between rows of B; nv whole registers wide
  columns,  // like direct, for columns of A in place: a_row = 1, known at compile time
  direct_edge,  // like direct, any number of columns
  fetching,     // like direct; a row of what is read next is asked for now and then
  fetching_l2,  // the same, into L2 only
  streaming,    // like direct, for a B that comes from main memory; its sizes are in kernels/skinny.cpp
};
// What a build may do with B, see ways.hpp: with AVX2 a copy is always cheaper, with AVX-512 the CPU decides.
constexpr bool reads_b_in_place = !avx2 && !study;
constexpr bool asks_for_b = VL >= 8 && !study;
constexpr bool asks_for_panels = VL == 16 && !study;
constexpr int SOON = 8;  // steps after which a row of a panel is loaded that is asked for from L2, or stored
// Steps of k in one round of a tile's loop. With 12 FMAs a step, counting and branching are a seventh of its
// instructions; where a core's front end is shared with another thread, they take that share of the time. Measured on a
// Zen 3 of a cloud: 2 steps are up to 1.2 times as fast as one, 4 another 1.06 from 96^3 to 256^3 and 1.02 at 1024^3, 8
// no faster than 4; but where the distance from step to step is not a constant, addresses do not stay in registers:
// 0.87 at 32^3, so 2 there. One where rows of B are copied: GCC 12 would load the next ones first, and spill for it.
// With the 24 FMAs of AVX-512 there was no difference.
constexpr int steps_of(Source source) {
  if (REGISTERS != 16) return 1;
  // -ffast-math adds up a round in an order of its own, which must not depend on which thread copies B.
  if (study) return 2;
  if (source == Source::copying) return 1;
  const bool constant =
      source == Source::packed || source == Source::far_packed || source == Source::rows || source == Source::far_rows;
  return avx2 && constant ? 4 : 2;
}
// Whether a tile asks for what comes next in passes, see tile.hpp.
constexpr bool asks_in_passes(Source source) {
  return VL == LINE && (source == Source::fetching || source == Source::fetching_l2 || source == Source::next_b);
}
constexpr int SOURCES = static_cast<int>(Source::streaming);  // of those in tile_tables

// Where the tile goes: rows of adjacent elements, c_row apart. By reference, like the operands, so that none of it
// takes a register away from the accumulators during the K loop.
struct TileResult {
  float* c;
  index_t c_row;
  float alpha, beta;
  int tail;  // lanes of the last register that belong to C, 1..VL
};

using TileFunction = void (*)(index_t kc, const TileOperands&, const TileResult&);

// Rows of a tile of nv registers. A panel of A has at most MR. Where there are no panels, narrow tiles are taller, as
// many rows as there are accumulators for, so that there are fewer tiles, but not more than 16: of 24 GCC 12 keeps some
// on the stack, 0.3 to 0.5 times as fast.
constexpr int TALL = 16;
constexpr int height(index_t nv, int most = TALL) {
  const int rows = MR * NV / static_cast<int>(nv);
  return rows < most ? rows : most;
}
// And where A is read in place: of rows that are a multiple of 4 KiB apart a set of L1 holds 8, or 12.
static inline int tallest(const ConstMatrix& A) { return A.row_stride % 1024 ? TALL : 8; }

struct TileTable {
  TileFunction at[TALL * NV];  // [(mr - 1) * NV + nv - 1]; nullptr: no tile is that tall
};
struct TileTables {
  TileTable of[SOURCES];
};
extern const TileTables tile_tables;
static inline const TileTable& tile_table(Source source) { return tile_tables.of[static_cast<int>(source)]; }

// One tile by `function`, by way of a local one, into a C whose rows are not contiguous.
void scatter_tile(TileFunction function, int mr, int nr, index_t kc, const TileOperands& op, float alpha, float beta,
                  const Matrix& C);

// The same into a C of any strides.
static inline void run_tile(TileFunction function, int mr, int nr, index_t kc, const TileOperands& op, float alpha,
                            float beta, const Matrix& C) {
  if (C.col_stride != 1) return scatter_tile(function, mr, nr, kc, op, alpha, beta, C);
  function(kc, op, {C.data, C.row_stride, alpha, beta, (nr - 1) % VL + 1});
}

// One tile of any size.
template <Source source>
static inline void tile(int mr, int nr, index_t kc, const TileOperands& op, float alpha, float beta, const Matrix& C) {
  run_tile(tile_table(source).at[(mr - 1) * NV + (nr - 1) / VL], mr, nr, kc, op, alpha, beta, C);
}

}  // namespace fb::FB_VARIANT
