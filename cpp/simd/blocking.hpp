// blocking.hpp: the cache blocks MC, KC, NC of `blocked` and `openmp`, and the product of two packed blocks.
#pragma once
#include "../cpu.hpp"
#include "pack.hpp"

namespace fb::FB_VARIANT {

// Cuts `total` into equal parts of whole multiples of `unit`, none larger than `most` (or one unit, if that is larger):
// no thin slice is left at the end, which would pay a whole pass over its operands for little work.
static inline index_t equal_part(index_t total, index_t most, index_t unit) {
  const index_t units = most < unit ? 1 : most / unit;
  return round_up(ceil_div(total, ceil_div(total, units * unit)), unit);
}

// Block sizes follow the shape and the caches, never the thread count: results do not depend on it.
static inline Blocks cache_blocks(const Gemm& g) {
  const CacheSizes& cache = cache_sizes();
  constexpr index_t bytes = sizeof(float);
  // A KC x NR panel of B is read MC/MR times and should stay in L1, beside the A panel and C tile streaming past: half
  // of L1. But never fewer than 256 steps of k, to be worth the load and store of the tile of C that each part of K
  // costs: wide AVX-512 panels then come from L2, which can still deliver them.
  constexpr index_t kc_min = 256;
  const index_t kc_l1 = cache.l1d / 2 / (NR * bytes);
  const index_t kc_max = kc_l1 > kc_min ? kc_l1 : kc_min;
  const index_t KC = equal_part(g.K, kc_max, 1);
  // The packed MC x KC block of A is read NC/NR times and must stay in L2, beside the panels of B: half of L2.
  const index_t MC = equal_part(g.M, cache.l2 / 2 / (kc_max * bytes), MR);
  // The packed KC x NC block of B is read M/MC times and must stay in L3, which other cores and tenants share: a
  // quarter, and at most 8 MiB, to keep scratch memory in bounds.
  const index_t NC = equal_part(g.N, min(cache.l3 / 4, 8 << 20) / (kc_max * bytes), NR);
  return {MR, NR, MC, KC, NC};
}

// C(mc,nr) += A(mc,kc)·B(kc,nr): one panel of packed B, resident in L1, against the whole packed block of A.
static inline void multiply_panel(index_t mc, int nr, index_t kc, const float* a_block, const float* b_panel,
                                  float alpha, float beta, const Matrix& C) {
  for (index_t ir = 0; ir < mc; ir += MR) {
    const int mr = static_cast<int>(min(MR, mc - ir));
    const TileOperands operands = {a_block + ir * kc, 1, mr, b_panel, 0};
    tile<Source::packed>(mr, nr, kc, operands, alpha, beta, {C.data + ir * C.row_stride, C.row_stride, C.col_stride});
  }
}

}  // namespace fb::FB_VARIANT
