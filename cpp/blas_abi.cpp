// blas_abi.cpp: the BLAS names: sgemm, sgemv, ssyrk and C's batch of sgemm as Fortran and C programs call them.
//
// A shell around libfrugalblas.so: it reads the arguments, reports illegal ones to xerbla and runs the job. Each name
// exists in the spellings that NumPy, SciPy, PyTorch and distributions import: with 32-bit integers or, under a suffix,
// 64-bit ones, and with the prefix of the OpenBLAS in SciPy's and NumPy's wheels. The hidden lengths that Fortran
// passes after the last argument are not declared, so callers may or may not pass them.
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "blas/observe.hpp"
#include "blas/run.hpp"
#include "blas/xerbla.hpp"
#include "blas_job.hpp"

using namespace fb::blas;
using fb::Gemm;
using fb::index_t;

namespace {

using i32 = std::int32_t;
using i64 = std::int64_t;

// Who called under which name: what a report of illegal arguments needs.
struct Caller {
  const char* xerbla;
  const void* address;
};

// ---- Fortran: everything by pointer, column-major

template <class Int>
void fortran_gemm(const Caller& caller, const char* transa, const char* transb, const Int* m, const Int* n,
                  const Int* k, const float* alpha, const float* a, const Int* lda, const float* b, const Int* ldb,
                  const float* beta, float* c, const Int* ldc) {
  const char ta = transpose_letter(*transa), tb = transpose_letter(*transb);
  if (const int bad = check_gemm(ta, tb, *m, *n, *k, *lda, *ldb, *ldc))
    return report_fortran({"SGEMM ", bad, bad, caller.xerbla, caller.address});
  run(gemm(column_major, ta, tb, *m, *n, *k, *alpha, a, *lda, b, *ldb, *beta, c, *ldc));
}

template <class Int>
void fortran_gemv(const Caller& caller, const char* trans, const Int* m, const Int* n, const float* alpha,
                  const float* a, const Int* lda, const float* x, const Int* incx, const float* beta, float* y,
                  const Int* incy) {
  const char t = transpose_letter(*trans);
  if (const int bad = check_gemv(t, *m, *n, *lda, *incx, *incy))
    return report_fortran({"SGEMV ", bad, bad, caller.xerbla, caller.address});
  if (*m == 0 || *n == 0) return;  // unlike gemm, which scales C even if K is 0
  run(gemv(column_major, t, *m, *n, *alpha, a, *lda, x, *incx, *beta, y, *incy));
}

template <class Int>
void fortran_syrk(const Caller& caller, const char* uplo, const char* trans, const Int* n, const Int* k,
                  const float* alpha, const float* a, const Int* lda, const float* beta, float* c, const Int* ldc) {
  const char triangle = triangle_letter(*uplo), t = transpose_letter(*trans);
  if (const int bad = check_syrk(triangle, t, *n, *k, *lda, *ldc))
    return report_fortran({"SSYRK ", bad, bad, caller.xerbla, caller.address});
  run_triangle(syrk(column_major, t, *n, *k, *alpha, a, *lda, *beta, c, *ldc), triangle == 'U');
}

// ---- CBLAS: by value, either order
//
// The reference implementation hands a row-major call to Fortran as the column-major one that computes the transpose:
// letters turned, m and n and the operands exchanged. It checks what it hands over, so when several arguments are
// illegal that decides which one is reported, and so it does here.

constexpr bool legal(int order) { return order == row_major || order == column_major; }
constexpr char turned(char letter) { return letter == 'N' ? 'T' : letter == 'T' ? 'N' : letter == 'U' ? 'L' : 'U'; }

// Numbers that Fortran sees for the arguments that were exchanged, and the numbers they have in the C call.
struct Exchange {
  int a, b;
};

int natural(int number, std::initializer_list<Exchange> exchanged) {
  for (const Exchange& e : exchanged) {
    if (number == e.a) return e.b;
    if (number == e.b) return e.a;
  }
  return number;
}

// `fortran` is the number of the argument in the call that Fortran would get, which has no `order`.
void report(const Caller& caller, const char* routine, int order, int fortran,
            std::initializer_list<Exchange> exchanged) {
  const int number = fortran + 1;
  report_cblas(
      {routine, order == row_major ? natural(number, exchanged) : number, number, caller.xerbla, caller.address});
}

// An illegal order or letter: reported under its own number in either order.
void report(const Caller& caller, const char* routine, int number) {
  report_cblas({routine, number, number, caller.xerbla, caller.address});
}

template <class Int>
void cblas_gemm(const Caller& caller, int order, int transa, int transb, Int m, Int n, Int k, float alpha,
                const float* a, Int lda, const float* b, Int ldb, float beta, float* c, Int ldc) {
  const char ta = transpose_letter(transa), tb = transpose_letter(transb);
  if (!legal(order) || !ta || !tb) return report(caller, "cblas_sgemm", !legal(order) ? 1 : !ta ? 2 : 3);
  const int bad =
      order == column_major ? check_gemm(ta, tb, m, n, k, lda, ldb, ldc) : check_gemm(tb, ta, n, m, k, ldb, lda, ldc);
  if (bad) return report(caller, "cblas_sgemm", order, bad, {{4, 5}, {9, 11}});  // m and n, lda and ldb
  run(gemm(static_cast<Order>(order), ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
}

template <class Int>
void cblas_gemv(const Caller& caller, int order, int trans, Int m, Int n, float alpha, const float* a, Int lda,
                const float* x, Int incx, float beta, float* y, Int incy) {
  const char t = transpose_letter(trans);
  if (!legal(order) || !t) return report(caller, "cblas_sgemv", !legal(order) ? 1 : 2);
  const int bad =
      order == column_major ? check_gemv(t, m, n, lda, incx, incy) : check_gemv(turned(t), n, m, lda, incx, incy);
  if (bad) return report(caller, "cblas_sgemv", order, bad, {{3, 4}});  // m and n
  if (m == 0 || n == 0) return;
  run(gemv(static_cast<Order>(order), t, m, n, alpha, a, lda, x, incx, beta, y, incy));
}

template <class Int>
void cblas_syrk(const Caller& caller, int order, int uplo, int trans, Int n, Int k, float alpha, const float* a,
                Int lda, float beta, float* c, Int ldc) {
  const char triangle = triangle_letter(uplo), t = transpose_letter(trans);
  if (!legal(order) || !triangle || !t) return report(caller, "cblas_ssyrk", !legal(order) ? 1 : !triangle ? 2 : 3);
  const int bad = order == column_major ? check_syrk(triangle, t, n, k, lda, ldc)
                                        : check_syrk(turned(triangle), turned(t), n, k, lda, ldc);
  if (bad) return report(caller, "cblas_ssyrk", order, bad, {});
  run_triangle(syrk(static_cast<Order>(order), t, n, k, alpha, a, lda, beta, c, ldc), triangle == 'U');
}

// The batch of MKL and OpenBLAS: arrays of pointers to matrices, in groups of one shape. PyTorch's bmm calls it. All
// of it is checked before any C is written.
template <class Int>
struct Groups {
  const int *ta, *tb;
  const Int *m, *n, *k, *lda, *ldb, *ldc, *size;
  const float *alpha, *beta;
};

template <class Int>
bool check_groups(const Caller& caller, int order, const Groups<Int>& all, Int count) {
  constexpr const char* name = "cblas_sgemm_batch";
  if (!legal(order) || count < 0) return report(caller, name, !legal(order) ? 1 : 15), false;
  for (Int g = 0; g < count; ++g) {
    const char ta = transpose_letter(all.ta[g]), tb = transpose_letter(all.tb[g]);
    if (!ta || !tb || all.size[g] < 0) return report(caller, name, !ta ? 2 : !tb ? 3 : 16), false;
    const int bad = order == column_major
                        ? check_gemm(ta, tb, all.m[g], all.n[g], all.k[g], all.lda[g], all.ldb[g], all.ldc[g])
                        : check_gemm(tb, ta, all.n[g], all.m[g], all.k[g], all.ldb[g], all.lda[g], all.ldc[g]);
    if (bad) return report(caller, name, order, bad, {{4, 5}, {9, 11}}), false;
  }
  return true;
}

template <class Int>
void cblas_gemm_batch(const Caller& caller, int order, const Groups<Int>& all, Int count, const float* const* a,
                      const float* const* b, float* const* c) {
  if (!check_groups(caller, order, all, count)) return;
  for (Int g = 0; g < count; ++g) {
    const Gemm job =
        gemm(static_cast<Order>(order), transpose_letter(all.ta[g]), transpose_letter(all.tb[g]), all.m[g], all.n[g],
             all.k[g], all.alpha[g], nullptr, all.lda[g], nullptr, all.ldb[g], all.beta[g], nullptr, all.ldc[g]);
    run(job, all.size[g], a, b, c);
    a += all.size[g], b += all.size[g], c += all.size[g];
  }
}

}  // namespace

// ---- the names

#define FB_EXPORT __attribute__((visibility("default")))

// In libfrugalblas_observe.so every call is counted, and forwarded if that is asked for.
#ifdef FB_OBSERVE
using fb::observe::Call;
using fb::observe::Routine;
#define OBSERVED(routine, name, type, m, n, k, ...)                                   \
  const Call observed(#name, __builtin_return_address(0), Routine::routine, m, n, k); \
  if (void* const original = observed.original()) return reinterpret_cast<type*>(original)(__VA_ARGS__);
#else
#define OBSERVED(...)
#endif

// A forwarded Fortran call has the hidden lengths of its letters, as Fortran wants them.
#define FORTRAN_GEMM(Int, name, xerbla)                                                                             \
  FB_EXPORT void name(const char* ta, const char* tb, const Int* m, const Int* n, const Int* k, const float* alpha, \
                      const float* a, const Int* lda, const float* b, const Int* ldb, const float* beta, float* c,  \
                      const Int* ldc) {                                                                             \
    using Original [[maybe_unused]] =                                                                               \
        void(const char*, const char*, const Int*, const Int*, const Int*, const float*, const float*, const Int*,  \
             const float*, const Int*, const float*, float*, const Int*, std::size_t, std::size_t);                 \
    OBSERVED(gemm, name, Original, *m, *n, *k, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1, 1)          \
    fortran_gemm<Int>({xerbla, __builtin_return_address(0)}, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); \
  }
#define FORTRAN_GEMV(Int, name, xerbla)                                                                              \
  FB_EXPORT void name(const char* t, const Int* m, const Int* n, const float* alpha, const float* a, const Int* lda, \
                      const float* x, const Int* incx, const float* beta, float* y, const Int* incy) {               \
    using Original [[maybe_unused]] =                                                                                \
        void(const char*, const Int*, const Int*, const float*, const float*, const Int*, const float*, const Int*,  \
             const float*, float*, const Int*, std::size_t);                                                         \
    OBSERVED(gemv, name, Original, *m, *n, 1, t, m, n, alpha, a, lda, x, incx, beta, y, incy, 1)                     \
    fortran_gemv<Int>({xerbla, __builtin_return_address(0)}, t, m, n, alpha, a, lda, x, incx, beta, y, incy);        \
  }
#define FORTRAN_SYRK(Int, name, xerbla)                                                                                \
  FB_EXPORT void name(const char* uplo, const char* t, const Int* n, const Int* k, const float* alpha, const float* a, \
                      const Int* lda, const float* beta, float* c, const Int* ldc) {                                   \
    using Original [[maybe_unused]] =                                                                                  \
        void(const char*, const char*, const Int*, const Int*, const float*, const float*, const Int*, const float*,   \
             float*, const Int*, std::size_t, std::size_t);                                                            \
    OBSERVED(syrk, name, Original, *n, *n, *k, uplo, t, n, k, alpha, a, lda, beta, c, ldc, 1, 1)                       \
    fortran_syrk<Int>({xerbla, __builtin_return_address(0)}, uplo, t, n, k, alpha, a, lda, beta, c, ldc);              \
  }

#define CBLAS_GEMM(Int, name, xerbla)                                                                              \
  FB_EXPORT void name(int order, int ta, int tb, Int m, Int n, Int k, float alpha, const float* a, Int lda,        \
                      const float* b, Int ldb, float beta, float* c, Int ldc) {                                    \
    OBSERVED(gemm, name, decltype(name), m, n, k, order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)     \
    cblas_gemm<Int>({xerbla, __builtin_return_address(0)}, order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, \
                    ldc);                                                                                          \
  }
#define CBLAS_GEMV(Int, name, xerbla)                                                                                 \
  FB_EXPORT void name(int order, int t, Int m, Int n, float alpha, const float* a, Int lda, const float* x, Int incx, \
                      float beta, float* y, Int incy) {                                                               \
    OBSERVED(gemv, name, decltype(name), m, n, 1, order, t, m, n, alpha, a, lda, x, incx, beta, y, incy)              \
    cblas_gemv<Int>({xerbla, __builtin_return_address(0)}, order, t, m, n, alpha, a, lda, x, incx, beta, y, incy);    \
  }
#define CBLAS_SYRK(Int, name, xerbla)                                                                             \
  FB_EXPORT void name(int order, int uplo, int t, Int n, Int k, float alpha, const float* a, Int lda, float beta, \
                      float* c, Int ldc) {                                                                        \
    OBSERVED(syrk, name, decltype(name), n, n, k, order, uplo, t, n, k, alpha, a, lda, beta, c, ldc)              \
    cblas_syrk<Int>({xerbla, __builtin_return_address(0)}, order, uplo, t, n, k, alpha, a, lda, beta, c, ldc);    \
  }

// The calls of a batch are its products. Groups of several shapes are counted together.
#ifdef FB_OBSERVE
#define OBSERVED_BATCH(name, Int, groups, count, ...)                                                           \
  index_t products = 0;                                                                                         \
  double flops = 0;                                                                                             \
  for (Int g = 0; g < count; ++g) {                                                                             \
    products += (groups).size[g];                                                                               \
    flops += 2.0 * static_cast<double>((groups).m[g]) * static_cast<double>((groups).n[g]) *                    \
             static_cast<double>((groups).k[g]) * static_cast<double>((groups).size[g]);                        \
  }                                                                                                             \
  const bool one = count == 1;                                                                                  \
  const Call observed(#name, __builtin_return_address(0), Routine::gemm_batch, one ? index_t{*(groups).m} : -1, \
                      one ? index_t{*(groups).n} : -1, one ? index_t{*(groups).k} : -1, products, flops);       \
  if (void* const original = observed.original()) return reinterpret_cast<decltype(name)*>(original)(__VA_ARGS__);
#else
#define OBSERVED_BATCH(...)
#endif
#define CBLAS_GEMM_BATCH(Int, name, xerbla)                                                                            \
  FB_EXPORT void name(int order, const int* ta, const int* tb, const Int* m, const Int* n, const Int* k,               \
                      const float* alpha, const float** a, const Int* lda, const float** b, const Int* ldb,            \
                      const float* beta, float** c, const Int* ldc, Int count, const Int* size) {                      \
    const Groups<Int> groups{ta, tb, m, n, k, lda, ldb, ldc, size, alpha, beta};                                       \
    OBSERVED_BATCH(name, Int, groups, count, order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, count, size) \
    cblas_gemm_batch<Int>({xerbla, __builtin_return_address(0)}, order, groups, count, a, b, c);                       \
  }

// Who imports what, besides programs linked with a plain BLAS: NumPy's wheels scipy_cblas_*64_, SciPy's scipy_*_ (and
// through its Cython interface scikit-learn), PyTorch sgemm_, sgemv_ and cblas_sgemm_batch.
extern "C" {
FORTRAN_GEMM(i32, sgemm_, "xerbla_")
FORTRAN_GEMM(i32, scipy_sgemm_, "scipy_xerbla_")
FORTRAN_GEMM(i64, sgemm_64_, "xerbla_64_")
FORTRAN_GEMM(i64, scipy_sgemm_64_, "scipy_xerbla_64_")
FORTRAN_GEMV(i32, sgemv_, "xerbla_")
FORTRAN_GEMV(i32, scipy_sgemv_, "scipy_xerbla_")
FORTRAN_GEMV(i64, sgemv_64_, "xerbla_64_")
FORTRAN_GEMV(i64, scipy_sgemv_64_, "scipy_xerbla_64_")
FORTRAN_SYRK(i32, ssyrk_, "xerbla_")
FORTRAN_SYRK(i32, scipy_ssyrk_, "scipy_xerbla_")
FORTRAN_SYRK(i64, ssyrk_64_, "xerbla_64_")
FORTRAN_SYRK(i64, scipy_ssyrk_64_, "scipy_xerbla_64_")

CBLAS_GEMM(i32, cblas_sgemm, "cblas_xerbla")
CBLAS_GEMM(i32, scipy_cblas_sgemm, "scipy_cblas_xerbla")
CBLAS_GEMM(i64, cblas_sgemm64_, "cblas_xerbla64_")
CBLAS_GEMM(i64, cblas_sgemm_64, "cblas_xerbla_64")
CBLAS_GEMM(i64, scipy_cblas_sgemm64_, "scipy_cblas_xerbla64_")
CBLAS_GEMM_BATCH(i32, cblas_sgemm_batch, "cblas_xerbla")
CBLAS_GEMV(i32, cblas_sgemv, "cblas_xerbla")
CBLAS_GEMV(i32, scipy_cblas_sgemv, "scipy_cblas_xerbla")
CBLAS_GEMV(i64, cblas_sgemv64_, "cblas_xerbla64_")
CBLAS_GEMV(i64, cblas_sgemv_64, "cblas_xerbla_64")
CBLAS_GEMV(i64, scipy_cblas_sgemv64_, "scipy_cblas_xerbla64_")
CBLAS_SYRK(i32, cblas_ssyrk, "cblas_xerbla")
CBLAS_SYRK(i32, scipy_cblas_ssyrk, "scipy_cblas_xerbla")
CBLAS_SYRK(i64, cblas_ssyrk64_, "cblas_xerbla64_")
CBLAS_SYRK(i64, cblas_ssyrk_64, "cblas_xerbla_64")
CBLAS_SYRK(i64, scipy_cblas_ssyrk64_, "scipy_cblas_xerbla64_")
}
