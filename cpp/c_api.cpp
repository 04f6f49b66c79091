// c_api.cpp: the functions of include/frugalblas.h that the rest of the library does not need itself.
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "../include/frugalblas.h"
#include "core.hpp"

namespace fb {

struct Strategy {
  frugalblas_status status;
  const Algorithm* algorithm;
};

// "name" or "name@variant".
static Strategy find_strategy(const char* algo) {
  char name[64];
  const char* const at = std::strchr(algo, '@');
  const std::size_t length = at ? static_cast<std::size_t>(at - algo) : std::strlen(algo);
  if (length >= sizeof name) return {FRUGALBLAS_BAD_ALGO, nullptr};
  std::memcpy(name, algo, length);
  name[length] = 0;
  const int entry = frugalblas_find_entry(name);
  if (entry < 0) return {FRUGALBLAS_BAD_ALGO, nullptr};
  const Variant* variant = nullptr;
  if (at && !(variant = frugalblas_find_variant(at + 1))) {
    const Variant* list;
    const int count = frugalblas_variants(&list);
    for (int v = 0; v < count; ++v)
      if (!std::strcmp(list[v].name, at + 1) && list[v].algorithms[entry]) return {FRUGALBLAS_UNAVAILABLE, nullptr};
    return {FRUGALBLAS_BAD_ALGO, nullptr};
  }
  const Algorithm* const algorithm = frugalblas_algorithm(entry, variant);
  if (!algorithm) return {FRUGALBLAS_BAD_ALGO, nullptr};
  if (!algorithm->run) return {FRUGALBLAS_UNAVAILABLE, nullptr};  // a GPU's rungs are called from Python alone
  return {algorithm->unavailable && algorithm->unavailable() ? FRUGALBLAS_UNAVAILABLE : FRUGALBLAS_SUCCESS, algorithm};
}

// Whether two elements of C share an address: whether some di rows (fewer than `rows`) are as far as some dj columns.
static bool overlaps_itself(index_t rows, index_t columns, index_t row_stride, index_t col_stride) {
  if ((col_stride == 1 && row_stride >= columns) || (row_stride == 1 && col_stride >= rows)) return false;
  const index_t common = std::gcd(row_stride, col_stride);
  if (common == 0) return rows > 1 || columns > 1;
  return std::abs(col_stride) / common < rows && std::abs(row_stride) / common < columns;
}

static frugalblas_status status_of(Status status) {
  switch (status) {
    case Status::done:
      return FRUGALBLAS_SUCCESS;
    case Status::out_of_memory:
      return FRUGALBLAS_NO_MEMORY;
    case Status::too_large:
      return FRUGALBLAS_TOO_LARGE;
  }
  return FRUGALBLAS_UNAVAILABLE;
}

// What is wrong with a product, or its whole answer where no operand is read; `done` says that nothing is left to do.
static frugalblas_status check_product(index_t M, index_t N, index_t K, float alpha, bool operands, const Matrix& C,
                                       float beta, bool& done) {
  done = true;
  if (M == 0 || N == 0) return FRUGALBLAS_SUCCESS;
  const bool reads_operands = alpha != 0 && K > 0;
  if (!C.data || (reads_operands && !operands)) return FRUGALBLAS_BAD_POINTER;
  if (overlaps_itself(M, N, C.row_stride, C.col_stride)) return FRUGALBLAS_BAD_STRIDE;
  if (!reads_operands) frugalblas_scale(C, M, N, beta);
  done = !reads_operands;
  return FRUGALBLAS_SUCCESS;
}

}  // namespace fb

using namespace fb;

extern "C" {

FB_EXPORT frugalblas_status frugalblas_sgemm(int64_t M, int64_t N, int64_t K, float alpha, const float* A,
                                             int64_t a_row_stride, int64_t a_col_stride, const float* B,
                                             int64_t b_row_stride, int64_t b_col_stride, float beta, float* C,
                                             int64_t c_row_stride, int64_t c_col_stride, const char* algo,
                                             int threads) {
  if (M < 0 || N < 0 || K < 0) return FRUGALBLAS_BAD_SIZE;
  if (threads < 0 || threads > frugalblas_max_threads()) return FRUGALBLAS_BAD_THREADS;
  const bool automatic = !algo || !std::strcmp(algo, "auto");
  Strategy strategy = automatic ? Strategy{FRUGALBLAS_SUCCESS, nullptr} : find_strategy(algo);
  if (strategy.status != FRUGALBLAS_SUCCESS) return strategy.status;
  if (!frugalblas_default_variant(nullptr)) return FRUGALBLAS_UNAVAILABLE;
  bool done;
  const frugalblas_status status = check_product(M, N, K, alpha, A && B, {C, c_row_stride, c_col_stride}, beta, done);
  if (done) return status;
  Gemm job{M,
           N,
           K,
           {A, a_row_stride, a_col_stride},
           {B, b_row_stride, b_col_stride},
           {C, c_row_stride, c_col_stride},
           alpha,
           beta,
           threads ? threads : frugalblas_get_num_threads()};
  if (automatic) {
    const Choice choice = frugalblas_choose(&job);
    strategy.algorithm = frugalblas_algorithm(choice.entry, nullptr);
    job.threads = choice.threads;
  }
  return status_of(frugalblas_run(strategy.algorithm, &job));
}

FB_EXPORT frugalblas_status frugalblas_pack(int64_t K, int64_t N, const float* B, int64_t b_row_stride,
                                            int64_t b_col_stride, int threads, frugalblas_packed** packed) {
  if (!packed) return FRUGALBLAS_BAD_POINTER;
  *packed = nullptr;
  if (K < 0 || N < 0) return FRUGALBLAS_BAD_SIZE;
  if (threads < 0 || threads > frugalblas_max_threads()) return FRUGALBLAS_BAD_THREADS;
  if (!frugalblas_default_variant(nullptr)) return FRUGALBLAS_UNAVAILABLE;
  if (!B && K > 0 && N > 0) return FRUGALBLAS_BAD_POINTER;
  const ConstMatrix matrix = {B, b_row_stride, b_col_stride};
  const Packed* made = frugalblas_make_packed(K, N, &matrix, nullptr, threads ? threads : frugalblas_get_num_threads());
  *packed = reinterpret_cast<frugalblas_packed*>(const_cast<Packed*>(made));
  return made ? FRUGALBLAS_SUCCESS : FRUGALBLAS_NO_MEMORY;
}

FB_EXPORT frugalblas_status frugalblas_sgemm_packed(int64_t M, float alpha, const float* A, int64_t a_row_stride,
                                                    int64_t a_col_stride, const frugalblas_packed* B, float beta,
                                                    float* C, int64_t c_row_stride, int64_t c_col_stride, int threads) {
  if (!B) return FRUGALBLAS_BAD_POINTER;
  if (M < 0) return FRUGALBLAS_BAD_SIZE;
  if (threads < 0 || threads > frugalblas_max_threads()) return FRUGALBLAS_BAD_THREADS;
  const Packed* const packed = reinterpret_cast<const Packed*>(B);
  const Matrix c = {C, c_row_stride, c_col_stride};
  bool done;
  const frugalblas_status status = check_product(M, packed->N, packed->K, alpha, A, c, beta, done);
  if (done) return status;
  Gemm job{M,
           packed->N,
           packed->K,
           {A, a_row_stride, a_col_stride},
           {},
           c,
           alpha,
           beta,
           threads ? threads : frugalblas_get_num_threads()};
  job.threads = frugalblas_packed_threads(&job);
  return status_of(frugalblas_run_packed(packed, &job));
}

FB_EXPORT void frugalblas_free_packed(frugalblas_packed* packed) {
  frugalblas_free_packed_operand(reinterpret_cast<const Packed*>(packed));
}

FB_EXPORT const char* frugalblas_status_message(frugalblas_status status) {
  switch (status) {
    case FRUGALBLAS_SUCCESS:
      return "the product was computed";
    case FRUGALBLAS_BAD_SIZE:
      return "M, N or K is negative";
    case FRUGALBLAS_BAD_POINTER:
      return "a matrix that would be read or written is NULL";
    case FRUGALBLAS_BAD_ALGO:
      return "algo names no compiled strategy, or no variant of it; frugalblas_algo_name() lists the strategies";
    case FRUGALBLAS_UNAVAILABLE:
      return "this strategy or variant cannot run on this machine";
    case FRUGALBLAS_BAD_THREADS:
      return "threads is negative or more than frugalblas_max_threads()";
    case FRUGALBLAS_NO_MEMORY:
      return "there is not enough memory for the working copies; C is unchanged";
    case FRUGALBLAS_TOO_LARGE:
      return "a size or stride does not fit the 32-bit integers of the library behind this strategy";
    case FRUGALBLAS_BAD_STRIDE:
      return "with these strides two elements of C share an address";
  }
  return "no such status";
}

FB_EXPORT const char* frugalblas_version() { return FB_VERSION; }

FB_EXPORT const char* frugalblas_algo_name(int index) {
  const Entry* list;
  const int count = frugalblas_entries(&list);
  for (int e = 0; e < count; ++e)
    if (list[e].kind != Kind::interpreted && index-- == 0) return list[e].name;
  return nullptr;
}

FB_EXPORT const char* frugalblas_variant_name() {
  const Variant* const variant = frugalblas_default_variant(nullptr);
  return variant ? variant->name : nullptr;
}
}
