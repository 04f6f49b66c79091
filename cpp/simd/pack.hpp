// pack.hpp: copies a block of A or B into panels in exactly the order the register tile reads them.
//
// A block (mc,kc) becomes row panels, each k-major: panel p holds rows p*MR..., element (i,k) at [k*mr + i].
// B block (kc,nc) becomes column panels, each k-major: element (k,j) at [k*width + j], width = whole registers.
// Packing costs one pass over the data and reads any strides; afterwards every load of the tile is sequential, so the
// prefetchers keep up, no TLB entry is wasted, and the block cannot evict itself through cache-set conflicts.
#pragma once
#include "tile.hpp"

namespace fb::FB_VARIANT {

// dst[k*width + i] = src[i*i_stride + k*k_stride] for i < width, with `width` known at compile time.
template <int width>
static void pack_panel(index_t kc, const float* src, index_t i_stride, index_t k_stride, float* dst) {
  if (i_stride == 1) {
    for (index_t k = 0; k < kc; ++k, src += k_stride, dst += width)
#pragma GCC unroll 64
      for (int i = 0; i < width; ++i) dst[i] = src[i];
  } else if (k_stride == 1) {
    for (index_t k = 0; k < kc; ++k, ++src, dst += width)
#pragma GCC unroll 64
      for (int i = 0; i < width; ++i) dst[i] = src[i * i_stride];
  } else {
    for (index_t k = 0; k < kc; ++k, src += k_stride, dst += width)
      for (int i = 0; i < width; ++i) dst[i] = src[i * i_stride];
  }
}

// The same for a panel of `count` < width vectors; surplus lanes repeat the last one. Repeating real data, where zeros
// would do for the result, keeps 0 * inf from raising a floating-point flag that the product itself does not raise.
static inline void pack_edge(int count, int width, index_t kc, const float* src, index_t i_stride, index_t k_stride,
                             float* dst) {
  for (index_t k = 0; k < kc; ++k, src += k_stride, dst += width)
    for (int i = 0; i < width; ++i) dst[i] = src[(i < count ? i : count - 1) * i_stride];
}

// Panel starting at row `ir` of a block with mc rows: dst (kc,mr).
static inline void pack_a_panel(index_t mc, index_t kc, const ConstMatrix& A, index_t ir, float* block) {
  const int mr = static_cast<int>(min(MR, mc - ir));
  const float* src = A.data + ir * A.row_stride;
  float* dst = block + ir * kc;
  if (mr == MR)
    pack_panel<MR>(kc, src, A.row_stride, A.col_stride, dst);
  else
    pack_edge(mr, mr, kc, src, A.row_stride, A.col_stride, dst);
}

// Panel starting at column `jr` of a block with nc columns: dst (kc,NR), or (kc,nr rounded up to registers) at the
// edge.
static inline void pack_b_panel(index_t nc, index_t kc, const ConstMatrix& B, index_t jr, float* block) {
  const int nr = static_cast<int>(min(NR, nc - jr));
  const float* src = B.data + jr * B.col_stride;
  float* dst = block + jr * kc;
  if (nr == NR)
    pack_panel<NR>(kc, src, B.col_stride, B.row_stride, dst);
  else
    pack_edge(nr, static_cast<int>(round_up(nr, VL)), kc, src, B.col_stride, B.row_stride, dst);
}

}  // namespace fb::FB_VARIANT
