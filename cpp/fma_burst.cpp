// fma_burst.cpp: nothing but FMAs, to measure the peak that every rung is a share of.
#include "simd/tile_table.hpp"

namespace fb::FB_VARIANT {

// Runs `steps` steps of MR x NV independent multiply-adds in registers, the shape of the register tile without its
// loads, and returns the floating-point operations done. The caller holds the clock.
double fma_burst(index_t steps) {
  vec sum[MR][NV];
  for (int i = 0; i < MR; ++i)
    for (int v = 0; v < NV; ++v) sum[i][v] = vec{} + static_cast<float>(i * NV + v);
  vec scale = vec{} + 0.5f, one = vec{} + 1.0f;  // converges to 2: neither denormals nor infinities
  asm volatile("" : "+m"(scale), "+m"(one));     // not constants, as far as the compiler knows
  for (index_t s = 0; s < steps; ++s)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sum[i][v] = sum[i][v] * scale + one;
  asm volatile("" : : "m"(sum));  // the sums count as used
  return 2.0 * VL * MR * NV * static_cast<double>(steps);
}

}  // namespace fb::FB_VARIANT
