// blas_job.hpp: what a BLAS call asks for: its arguments checked in the reference's order, and the job as a Gemm.
//
// Matrices as BLAS has them: an order, a leading dimension, a letter for the transpose. Numbers of arguments are those
// of the Fortran interface, from 1; CBLAS has `order` before them, so one more.
#pragma once
#include "gemm.hpp"

namespace fb::blas {

// Values of CBLAS's enumerations.
enum Order { row_major = 101, column_major = 102 };

// 'N' or 'T' for anything that means so in Fortran, 0 for what is illegal. A conjugate transpose of reals is a
// transpose.
constexpr char transpose_letter(char c) {
  return c == 'N' || c == 'n' ? 'N' : c == 'T' || c == 't' || c == 'C' || c == 'c' ? 'T' : 0;
}
constexpr char triangle_letter(char c) { return c == 'U' || c == 'u' ? 'U' : c == 'L' || c == 'l' ? 'L' : 0; }
// The same for CblasNoTrans, CblasTrans, CblasConjTrans, and for CblasUpper, CblasLower.
constexpr char transpose_letter(int cblas) { return cblas == 111 ? 'N' : cblas == 112 || cblas == 113 ? 'T' : 0; }
constexpr char triangle_letter(int cblas) { return cblas == 121 ? 'U' : cblas == 122 ? 'L' : 0; }

constexpr index_t at_least_1(index_t n) { return n < 1 ? 1 : n; }

// Number of the first illegal argument of a column-major call; 0 if there is none.
constexpr int check_gemm(char ta, char tb, index_t m, index_t n, index_t k, index_t lda, index_t ldb, index_t ldc) {
  return !ta                                   ? 1
         : !tb                                 ? 2
         : m < 0                               ? 3
         : n < 0                               ? 4
         : k < 0                               ? 5
         : lda < at_least_1(ta == 'N' ? m : k) ? 8
         : ldb < at_least_1(tb == 'N' ? k : n) ? 10
         : ldc < at_least_1(m)                 ? 13
                                               : 0;
}
constexpr int check_gemv(char t, index_t m, index_t n, index_t lda, index_t incx, index_t incy) {
  return !t ? 1 : m < 0 ? 2 : n < 0 ? 3 : lda < at_least_1(m) ? 6 : incx == 0 ? 8 : incy == 0 ? 11 : 0;
}
constexpr int check_syrk(char uplo, char t, index_t n, index_t k, index_t lda, index_t ldc) {
  return !uplo                                ? 1
         : !t                                 ? 2
         : n < 0                              ? 3
         : k < 0                              ? 4
         : lda < at_least_1(t == 'N' ? n : k) ? 7
         : ldc < at_least_1(n)                ? 10
                                              : 0;
}

// op(X), stored with leading dimension `ld`.
constexpr ConstMatrix operand(Order order, char trans, const float* data, index_t ld) {
  return (order == column_major) == (trans == 'N') ? ConstMatrix{data, 1, ld} : ConstMatrix{data, ld, 1};
}
constexpr Matrix result(Order order, float* data, index_t ld) {
  return order == column_major ? Matrix{data, 1, ld} : Matrix{data, ld, 1};
}

// The jobs; `threads` is for the caller to set.
constexpr Gemm gemm(Order order, char ta, char tb, index_t m, index_t n, index_t k, float alpha, const float* a,
                    index_t lda, const float* b, index_t ldb, float beta, float* c, index_t ldc) {
  return {m, n, k, operand(order, ta, a, lda), operand(order, tb, b, ldb), result(order, c, ldc), alpha, beta, 1};
}

// y = alpha * op(A)·x + beta * y. The vector is always B, so that x·A and transpose(A)·x are the same job.
// A negative increment walks a vector from its end, where BLAS's pointer does not point.
constexpr Gemm gemv(Order order, char trans, index_t m, index_t n, float alpha, const float* a, index_t lda,
                    const float* x, index_t incx, float beta, float* y, index_t incy) {
  const index_t rows = trans == 'N' ? m : n, inner = trans == 'N' ? n : m;
  if (incx < 0) x -= (inner - 1) * incx;
  if (incy < 0) y -= (rows - 1) * incy;
  return {rows, 1, inner, operand(order, trans, a, lda), {x, incx, 1}, {y, incy, 1}, alpha, beta, 1};
}

// alpha * op(A)·transpose(op(A)) + beta * C, all of it; syrk asks for one triangle.
constexpr Gemm syrk(Order order, char trans, index_t n, index_t k, float alpha, const float* a, index_t lda, float beta,
                    float* c, index_t ldc) {
  const ConstMatrix A = operand(order, trans, a, lda);
  return {n, n, k, A, {A.data, A.col_stride, A.row_stride}, result(order, c, ldc), alpha, beta, 1};
}

}  // namespace fb::blas
