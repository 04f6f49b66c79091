/* product_blas.c: the same product as a program that knows only BLAS would ask for it. */
#include <stdio.h>

/* As in any cblas.h. */
enum { CblasRowMajor = 101, CblasNoTrans = 111, CblasTrans = 112 };
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);

int main(void) {
  const float A[2][3] = {{1, 2, 3}, {4, 5, 6}}, B[2][3] = {{1, 1, 1}, {0, 1, 0}};
  float C[2][2];
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 2, 2, 3, 1.0f, &A[0][0], 3, &B[0][0], 3, 0.0f, &C[0][0], 2);
  if (C[0][0] != 6 || C[0][1] != 2 || C[1][0] != 15 || C[1][1] != 5) return 1;
  puts("cblas_sgemm: right");
  return 0;
}
