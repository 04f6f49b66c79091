// mma.h: nvcuda::wmma, the warp's matrix fragments, as the kernels use them.
//
// A fragment is spread over the warp: element e of it belongs to lane e % 32. Which lane holds what is NVIDIA's secret,
// so kernels must not care; what they may rely on is checked: all 32 lanes come, with the same address and stride.
// Products are exact in float and added to the sum one k after the other, rounded to the accumulator's type each time.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "emulator.hpp"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32 {};
}  // namespace precision

namespace detail {

constexpr int LANES = 32;

// How an element type lies in memory.
template <class T>
struct Storage {
  using type = T;
};
template <>
struct Storage<precision::tf32> {
  using type = float;
};

inline float widen(half x) { return __half2float(x); }
inline float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float widen(float x) { return x; }
inline void narrow(float x, half& to) { to = __float2half_rn(x); }
inline void narrow(float x, float& to) { to = x; }

// What the multipliers see of a memory element: of a TF32 one the upper 19 bits.
template <class T>
float operand(typename Storage<T>::type x) {
  float value = widen(x);
  if constexpr (std::is_same_v<T, precision::tf32>) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= ~std::uint32_t{0x1fff};
    std::memcpy(&value, &bits, 4);
  }
  return value;
}

}  // namespace detail

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  static constexpr int ROWS = std::is_same_v<Use, matrix_b> ? K : M;
  static constexpr int COLS = std::is_same_v<Use, matrix_a> ? K : N;
  static constexpr bool column_major = std::is_same_v<Layout, col_major>;
  using element = T;
  float mine[ROWS * COLS / detail::LANES];  // this lane's elements; NaN until filled

  fragment() {
    for (float& x : mine) x = NAN;
  }
};

template <class F>
void fill_fragment(F& f, typename F::element value) {
  for (float& x : f.mine) x = detail::widen(value);
}

namespace detail {

struct Place {
  const void* memory;
  unsigned ld;
  layout_t layout;
};

inline int lane() { return static_cast<int>(fb::emu::current().number % LANES); }

// All lanes come, with the same arguments. Afterwards each reads or writes its own elements: that another lane has done
// so too is certain only behind a barrier, as on a GPU.
template <class T>
void agree(const T* memory, unsigned ld, layout_t layout, std::source_location where) {
  if (reinterpret_cast<std::uintptr_t>(memory) % 32) fb::emu::fail("a fragment in memory not aligned to 32 bytes");
  if (ld * sizeof(T) % 16) fb::emu::fail("a fragment's stride of %u elements is no multiple of 16 bytes", ld);
  const Place mine{memory, ld, layout};
  fb::emu::collective(
      &mine,
      [](const void* const* lanes) {
        const Place& first = *static_cast<const Place*>(lanes[0]);
        for (int i = 1; i < LANES; ++i) {
          const Place& other = *static_cast<const Place*>(lanes[i]);
          if (other.memory != first.memory || other.ld != first.ld || other.layout != first.layout)
            fb::emu::fail("lane %d passes another address, stride or layout than lane 0", i);
        }
      },
      where);
}

inline unsigned offset(int row, int col, unsigned ld, bool column_major) {
  return column_major ? static_cast<unsigned>(col) * ld + static_cast<unsigned>(row)
                      : static_cast<unsigned>(row) * ld + static_cast<unsigned>(col);
}

}  // namespace detail

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f, const typename detail::Storage<T>::type* memory,
                      unsigned ld, std::source_location where = std::source_location::current()) {
  using F = fragment<Use, M, N, K, T, Layout>;
  detail::agree(memory, ld, mem_row_major, where);
  for (int e = detail::lane(); e < F::ROWS * F::COLS; e += detail::LANES)
    f.mine[e / detail::LANES] =
        detail::operand<T>(memory[detail::offset(e / F::COLS, e % F::COLS, ld, F::column_major)]);
}

template <int M, int N, int K, class T>
void store_matrix_sync(T* memory, const fragment<accumulator, M, N, K, T>& f, unsigned ld, layout_t layout,
                       std::source_location where = std::source_location::current()) {
  detail::agree(memory, ld, layout, where);
  for (int e = detail::lane(); e < M * N; e += detail::LANES)
    detail::narrow(f.mine[e / detail::LANES], memory[detail::offset(e / N, e % N, ld, layout == mem_col_major)]);
}

template <int M, int N, int K, class In, class A_Layout, class B_Layout, class Acc>
void mma_sync(fragment<accumulator, M, N, K, Acc>& d, const fragment<matrix_a, M, N, K, In, A_Layout>& a,
              const fragment<matrix_b, M, N, K, In, B_Layout>& b, const fragment<accumulator, M, N, K, Acc>& c,
              std::source_location where = std::source_location::current()) {
  using D = fragment<accumulator, M, N, K, Acc>;
  using A = fragment<matrix_a, M, N, K, In, A_Layout>;
  using B = fragment<matrix_b, M, N, K, In, B_Layout>;
  struct Arguments {
    D* d;
    const A* a;
    const B* b;
    const D* c;
  } mine{&d, &a, &b, &c};
  fb::emu::collective(
      &mine,
      [](const void* const* lanes) {
        const auto lane = [&](int e) -> const Arguments& {
          return *static_cast<const Arguments*>(lanes[e % detail::LANES]);
        };
        float left[M * K], right[K * N], sum[M * N];
        for (int e = 0; e < M * K; ++e) left[e] = lane(e).a->mine[e / detail::LANES];
        for (int e = 0; e < K * N; ++e) right[e] = lane(e).b->mine[e / detail::LANES];
        for (int e = 0; e < M * N; ++e) sum[e] = lane(e).c->mine[e / detail::LANES];
        for (int i = 0; i < M; ++i)
          for (int k = 0; k < K; ++k)
            for (int j = 0; j < N; ++j) {
              Acc rounded;
              detail::narrow(sum[i * N + j] + left[i * K + k] * right[k * N + j], rounded);
              sum[i * N + j] = detail::widen(rounded);
            }
        for (int e = 0; e < M * N; ++e) lane(e).d->mine[e / detail::LANES] = sum[e];
      },
      where);
}

}  // namespace nvcuda::wmma
