// pack.cpp: see pack.hpp. Panels of every width, compiled once for all rungs of this build.
#include "pack.hpp"
#include "partial.hpp"
#include "transpose.hpp"

namespace fb::FB_VARIANT {

// dst[i] = src[i] for i < width, in registers as wide as fit.
template <int width>
static inline void copy(const float* src, float* dst) {
  constexpr int W = width >= VL ? VL : width >= 8 ? 8 : width >= 4 ? 4 : 1;
  store_register<W>(dst, load_register<W>(src));
  if constexpr (width > W) copy<width - W>(src + W, dst + W);
}

// Steps k and so on of `width` contiguous vectors, as many as there are squares of W of them, then smaller ones: with
// fewer steps than a register has lanes, element by element took 2 to 3 times as long. Returns the step that comes
// next.
template <int width, int W>
__attribute__((always_inline)) static inline index_t pack_squares(index_t k, index_t kc, const float* const* vectors,
                                                                  float* dst) {
  for (; k + W <= kc; k += W)
    for (int i = 0; i < width; i += W) {
      const int first = i + W <= width ? i : width - W;  // the last two may overlap, and agree where they do
      transpose_square<W>(vectors + first, k, dst + k * width + first, width);
    }
  if constexpr (W > 4) k = pack_squares<width, W / 2>(k, kc, vectors, dst);
  return k;
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
  if constexpr (width % VL == 0)
    if (i_stride == 1) {  // the last register is not whole
      for (index_t k = 0; k < kc; ++k) {
        const float* const row = src + k * k_stride;
        if constexpr (width > VL) copy<width - VL>(row, dst + k * width);
        store(dst + k * width + width - VL, load_partial(row + width - VL, count - (width - VL)));
      }
      return;
    }
  const float* vectors[width];
  for (int i = 0; i < width; ++i) vectors[i] = src + (i < count ? i : count - 1) * i_stride;
  index_t k = 0;
  if constexpr (width >= 4) {
    // As large as the registers allow: a square then uses up every cache line it touches, before a long stride between
    // the vectors can evict it.
    constexpr int W = width >= VL ? VL : width >= 8 && VL >= 8 ? 8 : 4;
    if (k_stride == 1) k = pack_squares<width, W>(k, kc, vectors, dst);
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

void pack_a_panels(index_t mc, index_t kc, const ConstMatrix& A, index_t p, float* block) {
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

void pack_a_block(index_t mc, index_t kc, const ConstMatrix& A, float* block) {
  for (index_t p = 0; p < row_panels(mc).count(); p += SIDE) pack_a_panels(mc, kc, A, p, block);
}

void pack_b_panel(index_t nc, index_t kc, const ConstMatrix& B, float* panel) {
  pack_table.registers[ceil_div(nc, VL) - 1](static_cast<int>(nc), kc, B.data, B.col_stride, B.row_stride, panel);
}

void pack_strip(index_t nc, index_t kc, const ConstMatrix& B, float* strip) {
  const Cut panels = column_panels(nc);
  for (index_t p = 0; p < panels.count(); ++p) {
    const index_t jr = panels.start(p) * VL;
    pack_b_panel(min(panels.size(p) * VL, nc - jr), kc, at(B, 0, jr), strip + jr * kc);
  }
}

void pack_strip_by_rows(index_t nc, index_t kc, const ConstMatrix& B, float* strip) {
  constexpr index_t AHEAD = 4;    // rows: measured on a Zen 3, 2 to 4 are alike, none is 0.8 times as fast
  const index_t whole = nc / NR;  // panels as wide as can be, which are the first ones; the last two may be narrower
  const index_t rest = column_panels(nc).count() > whole ? max(0, whole - 1) : whole;
  for (index_t k = 0; k < kc; ++k) {
    const float* const row = at(B, k, 0).data;
    for (index_t p = 0; p < rest; ++p) {
      for (index_t j = 0; j < NR; j += LINE) __builtin_prefetch(row + AHEAD * B.row_stride + p * NR + j);
      copy<NR>(row + p * NR, strip + p * NR * kc + k * NR);
    }
  }
  pack_strip(nc - rest * NR, kc, at(B, 0, rest * NR), strip + rest * NR * kc);
}

}  // namespace fb::FB_VARIANT
