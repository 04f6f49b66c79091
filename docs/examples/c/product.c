/* product.c: multiplies two matrices with the C interface of frugalblas, and checks the result.
 *
 * cc product.c $(pkg-config --cflags --libs frugalblas)
 */
#include <frugalblas.h>
#include <stdio.h>

enum { M = 3, N = 2, K = 4 };

int main(void) {
  const float A[M][K] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
  const float B[N][K] = {{1, 0, 1, 0}, {0, 1, 0, 1}}; /* transposed: row j is column j of the right operand */
  float C[M][N];
  int i, j;

  /* Strides of B exchanged: the transpose is multiplied, and nothing is copied. */
  frugalblas_status status = frugalblas_sgemm(M, N, K, 1.0f, &A[0][0], K, 1, &B[0][0], 1, K, 0.0f, &C[0][0], N, 1,
                                              NULL, 0);
  if (status != FRUGALBLAS_SUCCESS) {
    fprintf(stderr, "frugalblas: %s\n", frugalblas_status_message(status));
    return 1;
  }
  for (i = 0; i < M; ++i)
    for (j = 0; j < N; ++j)
      if (C[i][j] != A[i][j] + A[i][j + 2]) {
        fprintf(stderr, "C[%d][%d] is %g\n", i, j, C[i][j]);
        return 1;
      }
  printf("frugalblas %s, %s kernels, %d threads: right\n", frugalblas_version(), frugalblas_variant_name(),
         frugalblas_get_num_threads());
  return 0;
}
