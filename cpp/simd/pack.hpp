// pack.hpp: copies a block of A or B into panels in exactly the order the register tile reads them.
//
// A block (mc,kc) becomes row panels, each k-major: element (i,k) of a panel of mr rows at [k*mr + i].
// B block (kc,nc) becomes column panels, each k-major: element (k,j) at [k*width + j], width = whole registers.
// Packing costs one pass over the data and reads any strides; afterwards every load of the tile is sequential, so the
// prefetchers keep up, no TLB entry is wasted, and the block cannot evict itself through cache-set conflicts.
#pragma once
#include "matrix.hpp"
#include "tile.hpp"

namespace fb::FB_VARIANT {

// A length cut into whole parts, the last two evened out so that none is thin: a tile of one row takes a third of the
// time of a whole one for an eighth of its work. Where a part starts follows from its number alone, so that threads
// can share the parts out.
struct Cut {
  index_t total, whole;
  index_t count() const { return ceil_div(total, whole); }
  index_t start(index_t part) const {
    const index_t last = count() - 1;
    if (part > last) return total;
    if (part < last || last == 0) return part * whole;
    return (last - 1) * whole + ceil_div(total - (last - 1) * whole, 2);
  }
  index_t size(index_t part) const { return start(part + 1) - start(part); }
};

// The size of the first part of what is left: goes through a Cut in order without its divisions, which cost a small
// tile a tenth of its time.
static inline index_t next_part(index_t rest, index_t whole) {
  return rest >= 2 * whole ? whole : rest > whole ? rest - rest / 2 : rest;
}

// The row panels of an A block of mc rows, and the column panels of a B block of nc columns, in registers.
static inline Cut row_panels(index_t mc) { return {mc, MR}; }
static inline Cut column_panels(index_t nc) { return {ceil_div(nc, VL), NV}; }

// dst (W,W) = transpose of src (W,W). Stage h swaps the off-diagonal h x h blocks within every 2h x 2h block, so after
// log2(W) stages every element has crossed the diagonal: W * log2(W) shuffles for W * W elements.
template <int h, int... lane>
static inline void swap_blocks(Register<sizeof...(lane)>* r, Indices<lane...>) {
  constexpr int W = sizeof...(lane);
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if (i & h) continue;
    const Register<W> upper = r[i], lower = r[i + h];
    r[i] = __builtin_shufflevector(upper, lower, ((lane & h) ? W + lane - h : lane)...);
    r[i + h] = __builtin_shufflevector(upper, lower, ((lane & h) ? W + lane : lane + h)...);
  }
}
template <int W>
static inline void transpose_square(const float* const* src, index_t k, float* dst, index_t dst_stride) {
  using Lanes = typename IndicesBelow<W>::type;
  Register<W> r[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) r[i] = load_register<W>(src[i] + k);
  if constexpr (W >= 16) swap_blocks<8>(r, Lanes{});
  if constexpr (W >= 8) swap_blocks<4>(r, Lanes{});
  swap_blocks<2>(r, Lanes{});
  swap_blocks<1>(r, Lanes{});
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) store_register<W>(dst + i * dst_stride, r[i]);
}

// dst[i] = src[i] for i < width, in registers as wide as fit.
template <int width>
static inline void copy(const float* src, float* dst) {
  constexpr int W = width >= VL ? VL : width >= 8 ? 8 : width >= 4 ? 4 : 1;
  store_register<W>(dst, load_register<W>(src));
  if constexpr (width > W) copy<width - W>(src + W, dst + W);
}

// One panel of `width` vectors of which the first `count` exist: dst[k*width + i] = src[i*i_stride + k*k_stride].
// Surplus lanes repeat the last vector. Repeating real data, where zeros would do for the result, keeps 0 * inf from
// raising a floating-point flag that the product itself does not raise.
template <int width>
static void pack_panel(int count, index_t kc, const float* src, index_t i_stride, index_t k_stride, float* dst) {
  if (i_stride == 1 && count == width) {
    for (index_t k = 0; k < kc; ++k) copy<width>(src + k * k_stride, dst + k * width);
    return;
  }
  const float* vectors[width];
  for (int i = 0; i < width; ++i) vectors[i] = src + (i < count ? i : count - 1) * i_stride;
  index_t k = 0;
  if constexpr (width >= 4) {
    // As large as the registers allow: a square then uses up every cache line it touches, before a long stride between
    // the vectors can evict it.
    constexpr int W = width >= VL ? VL : width >= 8 && VL >= 8 ? 8 : 4;
    if (k_stride == 1)
      for (; k + W <= kc; k += W)
        for (int i = 0; i < width; i += W) {
          const int first = i + W <= width ? i : width - W;  // the last two may overlap, and agree where they do
          transpose_square<W>(vectors + first, k, dst + k * width + first, width);
        }
  }
  for (; k < kc; ++k)
    for (int i = 0; i < width; ++i) dst[k * width + i] = vectors[i][k * k_stride];
}

using PackFunction = void (*)(int count, index_t kc, const float* src, index_t i_stride, index_t k_stride, float* dst);
// Panels of A may have any number of rows up to MR; panels of B any number of registers up to NV.
struct PackTable {
  PackFunction rows[MR], registers[NV];
};
template <int... mr, int... nv>
constexpr PackTable make_pack_table(Indices<mr...>, Indices<nv...>) {
  return {{pack_panel<mr + 1>...}, {pack_panel<(nv + 1) * VL>...}};
}
constexpr PackTable pack_table = make_pack_table(IndicesBelow<MR>::type{}, IndicesBelow<NV>::type{});

// A column of a panel of A is half a cache line or less. Where columns of A are contiguous, this many panels are packed
// side by side, so that a line is used up before the next column, a long stride away, can evict it. Not more, because
// the panels they are written to are a multiple of 4 KiB apart and share the 8 ways of their sets of L1.
constexpr index_t SIDE = 6;

// Up to SIDE panels from panel p of an A block with mc rows: dst (rows,kc).
static inline void pack_a_panels(index_t mc, index_t kc, const ConstMatrix& A, index_t p, float* block) {
  const Cut panels = row_panels(mc);
  if (A.row_stride == 1 && panels.start(p + SIDE) == (p + SIDE) * MR) {
    for (index_t k = 0; k < kc; ++k) {
      const float* const column = A.data + p * MR + k * A.col_stride;
      for (index_t q = 0; q < SIDE; ++q) copy<MR>(column + q * MR, block + (p + q) * MR * kc + k * MR);
    }
    return;
  }
  for (const index_t end = min(p + SIDE, panels.count()); p < end; ++p) {
    const index_t ir = panels.start(p);
    const int mr = static_cast<int>(panels.size(p));
    pack_table.rows[mr - 1](mr, kc, at(A, ir, 0).data, A.row_stride, A.col_stride, block + ir * kc);
  }
}
static inline void pack_a_block(index_t mc, index_t kc, const ConstMatrix& A, float* block) {
  for (index_t p = 0; p < row_panels(mc).count(); p += SIDE) pack_a_panels(mc, kc, A, p, block);
}

// Strip of B with nc columns: dst (kc,nc) in panels, the width of the last rounded up to registers.
static inline void pack_strip(index_t nc, index_t kc, const ConstMatrix& B, float* strip) {
  const Cut panels = column_panels(nc);
  for (index_t p = 0; p < panels.count(); ++p) {
    const index_t jr = panels.start(p) * VL, nv = panels.size(p);
    const int nr = static_cast<int>(min(nv * VL, nc - jr));
    pack_table.registers[nv - 1](nr, kc, at(B, 0, jr).data, B.col_stride, B.row_stride, strip + jr * kc);
  }
}

}  // namespace fb::FB_VARIANT
