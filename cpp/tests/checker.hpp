// checker.hpp: products with a known answer, and the judge of what a rung stored.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "../gemm.hpp"

namespace fb::test {

// Memory that is no element holds a NaN that no arithmetic makes: who reads it spoils a result, who overwrites it
// shows.
constexpr std::uint32_t canary_bits = 0x7fc0cafe;
inline const float canary = std::bit_cast<float>(canary_bits);

#ifdef __SANITIZE_ADDRESS__
constexpr index_t GUARD = 0;  // AddressSanitizer guards both ends of the allocation, against reads too
#else
constexpr index_t GUARD = 64;  // floats around C: four of the widest registers
#endif

#define FB_NOT_SANITIZED __attribute__((noinline, no_sanitize("address", "undefined", "thread")))

// How a matrix (rows,cols) lies in memory.
enum class Layout { c_order, f_order, padded, padded_f, reversed, reversed_f, general, equal_rows, equal_columns };

// A matrix in an allocation of exactly the size it needs, plus `guard` floats at both ends.
struct Array {
  index_t rows, cols, row_stride, col_stride, origin;
  std::vector<float> memory;

  Array(Layout layout, index_t rows_, index_t cols_, index_t guard) : rows(rows_), cols(cols_) {
    switch (layout) {
      case Layout::c_order:
        row_stride = cols, col_stride = 1;
        break;
      case Layout::f_order:
        row_stride = 1, col_stride = rows;
        break;
      case Layout::padded:
        row_stride = cols + 3, col_stride = 1;
        break;  // a slice of a wider matrix
      case Layout::padded_f:
        row_stride = 1, col_stride = rows + 5;
        break;
      case Layout::reversed:
        row_stride = -cols, col_stride = -1;
        break;
      case Layout::reversed_f:
        row_stride = -1, col_stride = -rows;
        break;
      case Layout::general:
        row_stride = 2 * cols + 1, col_stride = 2;
        break;  // every second column: none is 1
      case Layout::equal_rows:
        row_stride = 0, col_stride = 1;
        break;  // broadcast along the rows
      case Layout::equal_columns:
        row_stride = 1, col_stride = 0;
        break;
    }
    const index_t i_span = (rows - 1) * row_stride, j_span = (cols - 1) * col_stride;
    origin = guard - (i_span < 0 ? i_span : 0) - (j_span < 0 ? j_span : 0);
    memory.assign(static_cast<std::size_t>(2 * guard + std::abs(i_span) + std::abs(j_span) + 1), canary);
  }
  float& at(index_t i, index_t j) { return memory[static_cast<std::size_t>(origin + i * row_stride + j * col_stride)]; }
  float at(index_t i, index_t j) const { return const_cast<Array*>(this)->at(i, j); }
};

enum class Values { finite, special };  // special: a NaN in each matrix and an infinity in A

// alpha * A·B + beta * C0, and all that is needed to check it for any alpha and beta.
struct Problem {
  index_t M, N, K;
  Array A, B, C0;                          // C0: what C holds before the call, if beta is not zero
  std::vector<double> product, magnitude;  // A·B and |A|·|B|, (M,N)
  std::vector<bool> in_c;                  // which floats of C0.memory are elements of C

  Problem(index_t M_, index_t N_, index_t K_, Layout a, Layout b, Layout c, Values values = Values::finite)
      : M(M_), N(N_), K(K_), A(a, M, K, 0), B(b, K, N, 0), C0(c, M, N, GUARD) {
    std::minstd_rand random(static_cast<unsigned>(M * 7919 + N * 104729 + K));
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (Array* m : {&A, &B, &C0})
      for (index_t i = 0; i < m->rows; ++i)
        for (index_t j = 0; j < m->cols; ++j) m->at(i, j) = uniform(random);
    if (values == Values::special) {
      A.at(M / 3, K - 1) = NAN;
      A.at(M - 1, K / 2) = INFINITY;
      B.at(K / 3, N - 1) = NAN;
      C0.at(0, N / 2) = NAN;
    }
    multiply();
    in_c.resize(C0.memory.size());
    for (index_t i = 0; i < M; ++i)
      for (index_t j = 0; j < N; ++j)
        in_c[static_cast<std::size_t>(C0.origin + i * C0.row_stride + j * C0.col_stride)] = true;
  }

  // Row by row, so that the compiler vectorises it: one element after the other, this took half the time of all tests.
  void multiply() {
    const auto size = [](index_t rows, index_t cols) { return static_cast<std::size_t>(rows * cols); };
    std::vector<double> b(size(K, N));
    for (index_t k = 0; k < K; ++k)
      for (index_t j = 0; j < N; ++j) b[size(k, N) + static_cast<std::size_t>(j)] = B.at(k, j);
    product.assign(size(M, N), 0);
    magnitude.assign(size(M, N), 0);
    for (index_t i = 0; i < M; ++i)
      for (index_t k = 0; k < K; ++k)
        add_row(N, A.at(i, k), b.data() + k * N, product.data() + i * N, magnitude.data() + i * N);
  }

  // sums += a * row, and so for their magnitudes. Unknown to sanitizers, whose checks would take the time.
  FB_NOT_SANITIZED static void add_row(index_t n, double a, const double* row, double* sums, double* magnitudes) {
    for (index_t j = 0; j < n; ++j) {
      const double term = a * row[j];  // exact: 24 + 24 bits fit in 53
      sums[j] += term;
      magnitudes[j] += std::abs(term);
    }
  }

  // C as the call finds it. If beta is zero its elements are canaries too: reading one, or writing none, is seen.
  Array before(float beta) const {
    Array c = C0;
    if (beta == 0) c.memory.assign(c.memory.size(), canary);
    return c;
  }

  double expected(index_t i, index_t j, float alpha, float beta) const {
    const double sum = alpha * product[static_cast<std::size_t>(i * N + j)];
    return beta == 0 ? sum : sum + double{beta} * C0.at(i, j);
  }

  // The most that the right element may be off. A sum of K products in any order, with or without FMA, errs by at most
  // gamma_K |A||B|, gamma_n = n*u / (1 - n*u), u = 2^-24; alpha, beta and their sum round twice more (N. Higham,
  // Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 and 3.5):
  //   |C - C64| <= gamma_{K+2} (|alpha| |A||B| + |beta| |C0|) + 2u |C64|
  // The last term covers the roundings of C64 itself. The bound holds for any order of the sums, so also for code built
  // with -ffast-math.
  double bound(index_t i, index_t j, float alpha, float beta) const {
    constexpr double u = 0x1p-24;
    const double nu = static_cast<double>(K + 2) * u, gamma = nu / (1 - nu);
    const double terms = std::abs(alpha) * magnitude[static_cast<std::size_t>(i * N + j)];
    return gamma * (beta == 0 ? terms : terms + std::abs(double{beta} * C0.at(i, j))) +
           2 * u * std::abs(expected(i, j, alpha, beta));
  }

  // What is wrong with C, the same array as before(beta) after the call: its first wrong element, or the first float
  // written outside it; empty if all is well.
  std::string first_error(const Array& c, float alpha, float beta) const {
    char text[160];
    for (index_t i = 0; i < M; ++i)
      for (index_t j = 0; j < N; ++j) {
        const double want = expected(i, j, alpha, beta), got = c.at(i, j);
        const bool right = std::isnan(want)   ? std::isnan(got)
                           : std::isinf(want) ? got == want
                                              : std::abs(got - want) <= bound(i, j, alpha, beta);
        if (right) continue;
        std::snprintf(text, sizeof text, "C(%td,%td) is %.9g, should be %.9g +- %.1e", std::ptrdiff_t{i},
                      std::ptrdiff_t{j}, got, want, bound(i, j, alpha, beta));
        return text;
      }
    for (std::size_t n = 0; n < c.memory.size(); ++n)
      if (!in_c[n] && std::bit_cast<std::uint32_t>(c.memory[n]) != canary_bits) {
        std::snprintf(text, sizeof text, "wrote outside C, at C.data[%td]", static_cast<std::ptrdiff_t>(n) - c.origin);
        return text;
      }
    return {};
  }
};

}  // namespace fb::test
