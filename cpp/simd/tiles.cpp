// tiles.cpp: the register tiles there are, compiled once for all rungs of this build.
//
// Every size of every source of operands is an instantiation of compute_tile (tile.hpp) of its own: some 140 small
// functions, more than twice that with AVX-512 and NEON, and half the time that a build takes to compile. Rungs take
// them out of the table by size.
#include "tile.hpp"
#include "transpose.hpp"

namespace fb::FB_VARIANT {

constexpr int most_rows(Source source, int nv) {
  return source == Source::columns || source == Source::direct || source == Source::direct_edge ? height(nv) : MR;
}
constexpr bool is_used(Source source) {
  if (source == Source::far_packed || source == Source::far_rows || source == Source::columns) return !study;
  if (source == Source::asking_packed || source == Source::asking_rows) return asks_for_panels;
  if (source == Source::next_b) return asks_for_b;
  if (source == Source::fetching || source == Source::fetching_l2) return reads_b_in_place;
  return true;
}

template <Source source, int mr, int nv>
constexpr TileFunction tile_of_size() {
  if constexpr (is_used(source) && mr <= most_rows(source, nv)) return compute_tile<mr, nv, source>;
  return nullptr;
}
template <Source source, int... i>
constexpr TileTable table(Indices<i...>) {
  return {{tile_of_size<source, i / NV + 1, i % NV + 1>()...}};
}
template <int... source>
constexpr TileTables tables(Indices<source...>) {
  return {{table<static_cast<Source>(source)>(IndicesBelow<TALL * NV>::type{})...}};
}
constinit const TileTables tile_tables = tables(IndicesBelow<SOURCES>::type{});

// Rows i..i+count-1 of `tile`, up to W of them, to adjacent elements of the nr columns of C. Lanes beyond `count`
// repeat the last row, and columns beside the nr may be read, but nothing is computed with them.
template <int W, int count>
__attribute__((always_inline)) static inline void scatter_rows(int i, int nr, const float* tile, int tile_row,
                                                               float beta, const Matrix& C) {
  for (int j = 0; j < nr; j += W) {
    Register<W> r[W];
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) r[q] = load_register<W>(tile + (i + (q < count ? q : count - 1)) * tile_row + j);
    transpose_in_registers<W>(r);
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) {
      if (j + q >= nr) break;
      float* const c = C.data + i + (j + q) * C.col_stride;
      if (beta != 0) {
        Register<W> old = c[count - 1] - Register<W>{};
        __builtin_memcpy(&old, c, count * sizeof(float));
        r[q] += beta * old;
      }
      __builtin_memcpy(c, &r[q], count * sizeof(float));
    }
  }
}

void scatter_tile(TileFunction function, int mr, int nr, index_t kc, const TileOperands& op, float alpha, float beta,
                  const Matrix& C) {
  const int tail = (nr - 1) % VL + 1, row = nr - tail + VL;
  float local[REGISTERS * VL];  // as many as can be accumulated in registers
  function(kc, op, {local, row, alpha, 0, tail});
  if (C.row_stride == 1) {  // as in a transposed job
    int i = 0;
    constexpr int WIDE = VL >= 8 ? 8 : 4;  // no wider than a register
    for (; i + WIDE <= mr; i += WIDE) scatter_rows<WIDE, WIDE>(i, nr, local, row, beta, C);
    for (; i + 4 <= mr; i += 4) scatter_rows<4, 4>(i, nr, local, row, beta, C);
    if (mr - i == 3) scatter_rows<4, 3>(i, nr, local, row, beta, C);
    if (mr - i == 2) scatter_rows<4, 2>(i, nr, local, row, beta, C);
    if (mr - i == 1) scatter_rows<4, 1>(i, nr, local, row, beta, C);
    return;
  }
  for (int j = 0; j < nr; ++j)
    for (int i = 0; i < mr; ++i) {
      float& c = C.data[i * C.row_stride + j * C.col_stride];
      const float product = local[i * row + j];
      c = beta == 0 ? product : product + beta * c;
    }
}

}  // namespace fb::FB_VARIANT
