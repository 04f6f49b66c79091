// tiles.cpp: the register tiles there are, compiled once for all rungs of this build.
//
// Every size of every source of operands is an instantiation of compute_tile (tile.hpp) of its own: some 130 small
// functions, twice that with AVX-512 and NEON, and half the time that a build takes to compile. Rungs take them out of
// the table by size.
#include "tile.hpp"
#include "transpose.hpp"

namespace fb::FB_VARIANT {

constexpr int most_rows(Source source, int nv) {
  return source == Source::columns || source == Source::direct || source == Source::direct_edge ? height(nv) : MR;
}
constexpr bool is_used(Source source) {
  if (source == Source::far_packed || source == Source::far_rows || source == Source::columns) return !study;
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

// Rows i..i+W-1 of `tile`, as many as there are groups of W of them, to adjacent elements of the nr columns of C.
// Returns the row that comes next. Columns beside the nr may be read, but nothing is computed with them.
template <int W>
static int scatter_rows(int i, int mr, int nr, const float* tile, int tile_row, float beta, const Matrix& C) {
  for (; i + W <= mr; i += W)
    for (int j = 0; j < nr; j += W) {
      Register<W> r[W];
#pragma GCC unroll 8
      for (int q = 0; q < W; ++q) r[q] = load_register<W>(tile + (i + q) * tile_row + j);
      transpose_in_registers<W>(r);
#pragma GCC unroll 8
      for (int q = 0; q < W; ++q) {
        if (j + q >= nr) break;
        float* const c = C.data + i + (j + q) * C.col_stride;
        store_register<W>(c, beta == 0 ? r[q] : r[q] + beta * load_register<W>(c));
      }
    }
  return i;
}

void scatter_tile(TileFunction function, int mr, int nr, index_t kc, const TileOperands& op, float alpha, float beta,
                  const Matrix& C) {
  const int tail = (nr - 1) % VL + 1, row = nr - tail + VL;
  float local[REGISTERS * VL];  // as many as can be accumulated in registers
  function(kc, op, {local, row, alpha, 0, tail});
  int first = 0;
  if (C.row_stride == 1) {  // as in a transposed job
    if (VL >= 8) first = scatter_rows<8>(first, mr, nr, local, row, beta, C);
    first = scatter_rows<4>(first, mr, nr, local, row, beta, C);
  }
  for (int j = 0; j < nr; ++j)
    for (int i = first; i < mr; ++i) {
      float& c = C.data[i * C.row_stride + j * C.col_stride];
      const float product = local[i * row + j];
      c = beta == 0 ? product : product + beta * c;
    }
}

}  // namespace fb::FB_VARIANT
