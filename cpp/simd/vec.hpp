// vec.hpp: one SIMD register of floats, by the compilers' vector extension.
//
// `vec` is as wide as the widest register the variant's instruction set has, so the same kernel source becomes SSE,
// AVX, AVX-512 or NEON code. `acc += a * b` on vecs is one FMA per register where the instruction set has FMA.
// What the vector extension cannot say is in partial.hpp, by intrinsics; here one instruction is spelled out,
// multiply_add.
#pragma once
#include "../gemm.hpp"

namespace fb::FB_VARIANT {

#if defined(__AVX512F__)
constexpr int VL = 16;  // lanes of float32 in one register
#elif defined(__AVX__)
constexpr int VL = 8;
#else
constexpr int VL = 4;  // SSE2 and NEON
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif

// The build for AVX2. What was measured on a Zen 3, and is the other way round on cores with AVX-512, depends on it.
constexpr bool avx2 = VL == 8;

// A flag set of the compiler study: packing and tiles, and none that are there to ask for operands ahead of their use.
// It compares what the compiler makes of the same loops, and has two fifths to two thirds of the tiles to compile.
#if FB_STUDY
constexpr bool study = true;
#else
constexpr bool study = false;
#endif

// W lanes of float32; where the instruction set has no register that wide, the compiler uses several.
template <int W>
struct RegisterOf {
  typedef float aligned __attribute__((vector_size(W * sizeof(float))));
  // The same lanes at an address that need not be aligned, and may hold any float object.
  typedef float unaligned __attribute__((vector_size(W * sizeof(float)), aligned(alignof(float)), may_alias));
};
template <int W>
using Register = typename RegisterOf<W>::aligned;
using vec = Register<VL>;

template <int W>
static inline Register<W> load_register(const float* p) {
  return *reinterpret_cast<const typename RegisterOf<W>::unaligned*>(p);
}
template <int W>
static inline void store_register(float* p, Register<W> v) {
  *reinterpret_cast<typename RegisterOf<W>::unaligned*>(p) = v;
}
static inline vec load(const float* p) { return load_register<VL>(p); }
static inline void store(float* p, vec v) { store_register<VL>(p, v); }
static inline vec broadcast(float x) { return x - vec{}; }  // subtracting zero changes no value, not even -0

// acc += a * b. With AVX2's 16 registers the instruction is spelled out: of a tile that takes them all, GCC 12 moves
// accumulators from one register to another and on to the stack, and reads operands from memory again for every FMA.
static inline void multiply_add(vec& acc, vec a, vec b) {
#if defined(__FMA__) && !defined(__AVX512F__)
  asm("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
#else
  acc += a * b;
#endif
}

// Used by several FMAs, what was loaded would be loaded again by each of them where GCC thinks that as cheap.
template <class Vector>
static inline void keep_in_register(Vector& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
}

// 0, 1, ..., n-1 as template arguments, for tables of instantiations and constant shuffles.
template <int...>
struct Indices {};
template <int n, int... rest>
struct IndicesBelow : IndicesBelow<n - 1, n - 1, rest...> {};
template <int... all>
struct IndicesBelow<0, all...> {
  using type = Indices<all...>;
};

static inline index_t min(index_t a, index_t b) { return a < b ? a : b; }
static inline index_t max(index_t a, index_t b) { return a < b ? b : a; }
static inline index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
static inline index_t round_up(index_t a, index_t b) { return ceil_div(a, b) * b; }

}  // namespace fb::FB_VARIANT
