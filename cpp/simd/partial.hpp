// partial.hpp: part of a register, and stores past the caches, which the vector extension cannot say.
//
// Apart from vec.hpp because the compilers' header of all intrinsics takes longer to compile than most kernels.
#pragma once
#include "vec.hpp"
#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace fb::FB_VARIANT {

// The first n lanes, 0 < n <= VL: never touches memory beyond them. Lanes from n on load as the last of the n: real
// data, so that computing with them raises no floating-point flag that the first n do not raise.
#if defined(__AVX512F__)
static inline __mmask16 lanes_below(int n) { return static_cast<__mmask16>((1u << n) - 1); }
static inline vec load_partial(const float* p, int n) {
  return _mm512_mask_loadu_ps(_mm512_set1_ps(p[n - 1]), lanes_below(n), p);
}
static inline void store_partial(float* p, vec v, int n) { _mm512_mask_storeu_ps(p, lanes_below(n), v); }
#elif defined(__AVX2__)
static inline __m256i lanes_below(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec load_partial(const float* p, int n) {
  const __m256i mask = lanes_below(n);
  return _mm256_blendv_ps(_mm256_set1_ps(p[n - 1]), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
static inline void store_partial(float* p, vec v, int n) { _mm256_maskstore_ps(p, lanes_below(n), v); }
#else
static_assert(VL == 4);
static inline vec load_partial(const float* p, int n) { return vec{p[0], p[n > 1], p[n > 2 ? 2 : n - 1], p[n - 1]}; }
static inline void store_partial(float* p, vec v, int n) {
  for (int l = 0; l < n; ++l) p[l] = v[l];
}
#endif

// Past the caches, to an address that is a multiple of the register's size: whole lines go to memory without being read
// from there first. The order with other stores is undefined until finish_stores().
#if defined(__AVX512F__)
static inline void store_past_caches(float* p, vec v) { _mm512_stream_ps(p, v); }
#elif defined(__AVX__)
static inline void store_past_caches(float* p, vec v) { _mm256_stream_ps(p, v); }
#elif defined(__SSE__)
static inline void store_past_caches(float* p, vec v) { _mm_stream_ps(p, v); }
#else
static inline void store_past_caches(float* p, vec v) { store(p, v); }  // no intrinsic for NEON's stnp
#endif
static inline void finish_stores() {
#if defined(__SSE__)
  _mm_sfence();
#endif
}

}  // namespace fb::FB_VARIANT
