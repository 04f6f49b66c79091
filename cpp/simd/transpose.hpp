// transpose.hpp: a square of registers transposed in registers.
#pragma once
#include "vec.hpp"

namespace fb::FB_VARIANT {

// The transpose of a square (W,W). Stage h swaps the off-diagonal h x h blocks within every 2h x 2h block, so after
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
static inline void transpose_in_registers(Register<W>* r) {
  using Lanes = typename IndicesBelow<W>::type;
  if constexpr (W >= 16) swap_blocks<8>(r, Lanes{});
  if constexpr (W >= 8) swap_blocks<4>(r, Lanes{});
  swap_blocks<2>(r, Lanes{});
  swap_blocks<1>(r, Lanes{});
}
// src: W pointers, of each of which W elements from k on are read.
template <int W>
static inline void transpose_square(const float* const* src, index_t k, float* dst, index_t dst_stride) {
  Register<W> r[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) r[i] = load_register<W>(src[i] + k);
  transpose_in_registers<W>(r);
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) store_register<W>(dst + i * dst_stride, r[i]);
}

}  // namespace fb::FB_VARIANT
