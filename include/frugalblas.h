/* frugalblas.h: the C interface of libfrugalblas.so.
 *
 * One function multiplies float32 matrices of any strides with any compiled strategy of the library; the rest says what
 * there is and how many threads it may use. Names and meanings here stay as they are within a major version. Other
 * frugalblas_* symbols of the library are its own affair and may change with every release.
 *
 * Compile and link with `pkg-config --cflags --libs frugalblas`, or in CMake find_package(frugalblas) and
 * target_link_libraries(... frugalblas::frugalblas); `frugalblas config` prints where those files are.
 */
#ifndef FRUGALBLAS_H
#define FRUGALBLAS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns. Anything but FRUGALBLAS_SUCCESS means that C was not written. */
typedef enum frugalblas_status {
  FRUGALBLAS_SUCCESS = 0,
  FRUGALBLAS_BAD_SIZE = 1,    /* M, N or K is negative */
  FRUGALBLAS_BAD_POINTER = 2, /* a matrix that would be read or written is NULL */
  FRUGALBLAS_BAD_ALGO = 3,    /* no such strategy or variant, or an interpreted one */
  FRUGALBLAS_UNAVAILABLE = 4, /* the strategy exists and cannot run on this machine */
  FRUGALBLAS_BAD_THREADS = 5, /* negative, or more than frugalblas_max_threads() */
  FRUGALBLAS_NO_MEMORY = 6,   /* the strategy's working copies do not fit */
  FRUGALBLAS_TOO_LARGE = 7,   /* a passthrough's library counts in 32 bits */
  FRUGALBLAS_BAD_STRIDE = 8   /* two elements of C would share an address */
} frugalblas_status;

/* C = alpha * A·B + beta * C, with A (M,K), B (K,N), C (M,N).
 *
 * Element (i,j) of a matrix X is X[i * x_row_stride + j * x_col_stride]; strides count floats and may be negative, and
 * those of A and B zero. So a row-major matrix has strides (ld, 1), a column-major one (1, ld), and exchanging the two
 * transposes. C may not overlap A or B.
 *
 * beta == 0: C is not read. alpha == 0 or K == 0: A and B are not read. NaN and Inf propagate.
 *
 * algo: NULL or "auto" for the fastest strategy for the shape; else "blocked", "openmp", "blocked@v3", ...: a name from
 * frugalblas_algo_name(), with a variant if wanted. threads: 0 for frugalblas_get_num_threads(); else exactly that many
 * for a named strategy, at most that many for "auto". Results have the same bits for any number of threads,
 * passthroughs ("openblas") excepted.
 *
 * Any thread may call at any time.
 */
frugalblas_status frugalblas_sgemm(int64_t M, int64_t N, int64_t K, float alpha, const float* A, int64_t a_row_stride,
                                   int64_t a_col_stride, const float* B, int64_t b_row_stride, int64_t b_col_stride,
                                   float beta, float* C, int64_t c_row_stride, int64_t c_col_stride, const char* algo,
                                   int threads);

/* A copy of B (K,N) in the order in which the kernels read it, for products that use the same B many times. It takes about
 * as much memory as B, never changes, and may be used by any thread until it is freed.
 */
typedef struct frugalblas_packed frugalblas_packed;

/* Packs B on at most `threads` threads (0: the default). *packed is the copy, or NULL if anything but SUCCESS is
 * returned; K or N may be 0.
 */
frugalblas_status frugalblas_pack(int64_t K, int64_t N, const float* B, int64_t b_row_stride, int64_t b_col_stride,
                                  int threads, frugalblas_packed** packed);

/* frugalblas_sgemm with a packed B, which knows its K and N, and has a kernel of its own in place of algo. */
frugalblas_status frugalblas_sgemm_packed(int64_t M, float alpha, const float* A, int64_t a_row_stride,
                                          int64_t a_col_stride, const frugalblas_packed* B, float beta, float* C,
                                          int64_t c_row_stride, int64_t c_col_stride, int threads);

/* NULL is allowed. */
void frugalblas_free_packed(frugalblas_packed* packed);

/* One English sentence about a status. Never NULL. */
const char* frugalblas_status_message(frugalblas_status status);

/* "0.1.0" */
const char* frugalblas_version(void);

/* The name of compiled strategy `index`, from 0, in the order of the course; NULL beyond the last. */
const char* frugalblas_algo_name(int index);

/* The build of the kernels that calls use: "v2", "v3", "v4" or "neon"; NULL if none runs on this CPU. */
const char* frugalblas_variant_name(void);

/* Threads a call may use by default: what was set, else OMP_NUM_THREADS, else the CPUs this process may use. */
int frugalblas_get_num_threads(void);
/* Sets that, for the process: 1 to frugalblas_max_threads(); 0 returns to the default. Others are clamped. */
void frugalblas_set_num_threads(int n);
int frugalblas_max_threads(void);

/* Returns the scratch memory (at most 32 MiB) that the calling thread keeps between calls. */
void frugalblas_free_workspace(void);

#ifdef __cplusplus
}
#endif
#endif
