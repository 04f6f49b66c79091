// tile.hpp: the register tile, C(mr,nr) = alpha * A(mr,kc)·B(kc,nr) + beta * C(mr,nr).
//
// MR x NR accumulators stay in registers for the whole K loop. One step of k loads one row of B (NV registers) and,
// for each of the MR rows, broadcasts one element of A and issues NV FMAs: MR * NV FMAs for NV + MR loads, where the
// dot product of the rung before does one FMA for two loads. Edge tiles are their own instantiations: no padding in M,
// and in N only the surplus lanes of a row's last register, which are never stored.
// Every element of C is the same chain of FMAs over k whatever tile it falls in, so tiles never change a result's bits.
#pragma once
#include "vec.hpp"

namespace fb::FB_VARIANT {

// MR * NV accumulators + NV registers of B + 1 or 2 for the broadcast of A must fit the register file, and
// MR * NV >= FMA latency (4 or 5 cycles) x FMA units (2) keeps every unit busy.
#if defined(__AVX512F__)
constexpr int MR = 14, NV = 2;  // 28 + 2 + 1 of 32 registers
#elif defined(__aarch64__)
constexpr int MR = 8, NV = 3;  // 24 + 3 + 2 of 32
#else
constexpr int MR = 6, NV = 2;  // 12 + 2 + 2 of 16
#endif
constexpr int NR = NV * VL;

// Element (i,k) of A is a[i*a_row + k*a_k]; row k of B starts at b[k*b_k] and its elements are adjacent.
struct TileOperands {
  const float* a;
  index_t a_row, a_k;
  const float* b;
  index_t b_k;
};

enum class Source {
  packed,       // panels of pack.hpp: a_row = 1, a_k = mr, b_k = nv*VL, known at compile time
  direct,       // the matrices themselves, nv whole registers wide
  direct_edge,  // the same where only `tail` lanes of the last register belong to B
};

// `tail` is the number of lanes of the last register that belong to C, 1..VL.
template <int mr, int nv, Source source>
static void compute_tile(index_t kc, const TileOperands& op, float alpha, float beta, float* c, index_t c_row,
                         int tail) {
  const index_t a_row = source == Source::packed ? 1 : op.a_row;
  const index_t a_k = source == Source::packed ? mr : op.a_k;
  const index_t b_k = source == Source::packed ? nv * VL : op.b_k;
  const float* a = op.a;
  const float* b = op.b;
  // The tile of C is far away and needed only at the end: ask for it now, behind the whole K loop.
  for (int i = 0; i < mr; ++i)
    for (int v = 0; v < nv; ++v) __builtin_prefetch(c + i * c_row + v * VL, 1);
  vec acc[mr][nv] = {};
  for (index_t k = 0; k < kc; ++k, a += a_k, b += b_k) {
    vec b_row[nv];  // (1,nr)
#pragma GCC unroll 4
    for (int v = 0; v < nv; ++v)
      b_row[v] = source == Source::direct_edge && v == nv - 1 ? load_partial(b + v * VL, tail) : load(b + v * VL);
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) acc[i][v] += a[i * a_row] * b_row[v];
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < nv; ++v) {
      float* p = c + i * c_row + v * VL;
      const bool whole = v < nv - 1 || tail == VL;
      vec sum = alpha * acc[i][v];
      if (beta != 0) sum += beta * (whole ? load(p) : load_partial(p, tail));
      if (whole)
        store(p, sum);
      else
        store_partial(p, sum, tail);
    }
}  // C (mr,nr)

using TileFunction = void (*)(index_t kc, const TileOperands&, float alpha, float beta, float* c, index_t c_row,
                              int tail);
// All sizes of tile: at[(mr - 1) * NV + nv - 1].
struct TileTable {
  TileFunction at[MR * NV];
};
template <int...>
struct Indices {};
template <int n, int... rest>
struct IndicesBelow : IndicesBelow<n - 1, n - 1, rest...> {};
template <int... all>
struct IndicesBelow<0, all...> {
  using type = Indices<all...>;
};
template <Source source, int... i>
constexpr TileTable make_tile_table(Indices<i...>) {
  return {{compute_tile<i / NV + 1, i % NV + 1, source>...}};
}
template <Source source>
constexpr TileTable tile_table = make_tile_table<source>(typename IndicesBelow<MR * NV>::type{});

// One tile of any size into a C of any strides: where the rows of C are not adjacent in memory, by way of a local tile.
template <Source source>
static inline void tile(int mr, int nr, index_t kc, const TileOperands& op, float alpha, float beta, const Matrix& C) {
  const int nv = (nr + VL - 1) / VL;
  const int tail = nr - (nv - 1) * VL;
  const TileFunction function = tile_table<source>.at[(mr - 1) * NV + nv - 1];
  if (C.col_stride == 1) return function(kc, op, alpha, beta, C.data, C.row_stride, tail);
  float local[MR * NR];
  function(kc, op, alpha, 0, local, NR, tail);
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nr; ++j) {
      float& c = C.data[i * C.row_stride + j * C.col_stride];
      c = beta == 0 ? local[i * NR + j] : local[i * NR + j] + beta * c;
    }
}

}  // namespace fb::FB_VARIANT
