// repeat — calls a BLAS function many times in a row, so that no interpreter stands between two calls.

#include <stdint.h>

typedef void (*cblas_sgemm_t)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*,
                              int);
typedef int (*dnnl_sgemm_t)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t,
                            float, float*, int64_t);

void repeat_cblas(long calls, cblas_sgemm_t sgemm, int trans_a, int trans_b, int M, int N, int K, const float* A,
                  int lda, const float* B, int ldb, float* C, int ldc) {
  const int row_major = 101;
  for (; calls > 0; --calls) sgemm(row_major, trans_a, trans_b, M, N, K, 1.0f, A, lda, B, ldb, 0.0f, C, ldc);
}

// Stops at the first status that is not success, and returns it.
int repeat_dnnl(long calls, dnnl_sgemm_t sgemm, int trans_a, int trans_b, int64_t M, int64_t N, int64_t K,
                const float* A, int64_t lda, const float* B, int64_t ldb, float* C, int64_t ldc) {
  int status = 0;
  for (; calls > 0 && status == 0; --calls)
    status = sgemm((char)trans_a, (char)trans_b, M, N, K, 1.0f, A, lda, B, ldb, 0.0f, C, ldc);
  return status;
}
