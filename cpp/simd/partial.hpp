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
//
// load_ends and store_ends take n elements too, in lanes of their own choice, the same for both and for equal n.
#if defined(__AVX512F__)
static inline __mmask16 lanes_below(int n) { return static_cast<__mmask16>((1u << n) - 1); }
static inline vec load_partial(const float* p, int n) {
  return _mm512_mask_loadu_ps(_mm512_set1_ps(p[n - 1]), lanes_below(n), p);
}
static inline void store_partial(float* p, vec v, int n) { _mm512_mask_storeu_ps(p, lanes_below(n), v); }
static inline vec load_ends(const float* p, int n) { return load_partial(p, n); }
static inline void store_ends(float* p, vec v, int n) { store_partial(p, v, n); }
#elif defined(__AVX2__)
static inline __m256i lanes_below(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec load_partial(const float* p, int n) {
  const __m256i mask = lanes_below(n);
  return _mm256_blendv_ps(_mm256_set1_ps(p[n - 1]), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
static inline void store_partial(float* p, vec v, int n) { _mm256_maskstore_ps(p, lanes_below(n), v); }
// The first half of the lanes begins at p and the second ends with the n elements, so that they overlap; of two or
// three elements, quarters do. A masked load keeps a Zen 1 busy for 8 cycles; this way C of 3 to 7 columns is 1.1 to
// 2.1 times as fast there.
static inline vec load_ends(const float* p, int n) {
  const auto halves = [](__m128 first, __m128 second) __attribute__((always_inline)) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(first), second, 1);
  };
  if (n >= 4) return halves(_mm_loadu_ps(p), _mm_loadu_ps(p + n - 4));
  if (n == 1) {
    vec all = _mm256_set1_ps(*p);
    asm("" : "+x"(all));  // a product with one element known to be in all lanes would be computed once, and not fused
    return all;
  }
  const __m128 first = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m128 both = _mm_loadh_pi(first, reinterpret_cast<const __m64*>(p + n - 2));
  return halves(both, both);
}
static inline void store_ends(float* p, vec v, int n) {
  const __m128 first = _mm256_castps256_ps128(v);
  if (n >= 4) {
    _mm_storeu_ps(p, first);
    _mm_storeu_ps(p + n - 4, _mm256_extractf128_ps(v, 1));
  } else if (n == 1) {
    _mm_store_ss(p, first);
  } else {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), first);
    _mm_storeh_pi(reinterpret_cast<__m64*>(p + n - 2), first);
  }
}
#else
static_assert(VL == 4);
static inline vec load_partial(const float* p, int n) { return vec{p[0], p[n > 1], p[n > 2 ? 2 : n - 1], p[n - 1]}; }
static inline void store_partial(float* p, vec v, int n) {
  for (int l = 0; l < n; ++l) p[l] = v[l];
}
static inline vec load_ends(const float* p, int n) { return load_partial(p, n); }
static inline void store_ends(float* p, vec v, int n) { store_partial(p, v, n); }
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
