// choose.cpp: what algo="auto" means.
#include <algorithm>

#include "core.hpp"
#include "cpu.hpp"

namespace fb {

// Opening a team and closing it costs a few microseconds while its threads are awake. Measured on Zen 5, two threads
// take 0.60 of the time of one at 128^3 (17 us) and 96^3, 0.76 at 64^3, and more than one at 48^3; the border is
// higher, because a team that has gone to sleep costs more.
constexpr double team_flops = 1 << 21;

// A register tile of this many rows or columns does not repay copying the large operand.
constexpr index_t few_rows = 8;
// Below this many steps of K the horizontal sums of `dot` cost more than they bring.
constexpr index_t dot_steps = 128;

// A product with few rows, B large. The choice for few columns is that for the transposed job.
static const char* flat_rung(const ConstMatrix& B, index_t few, index_t many, index_t K, bool transposed) {
  const bool rows_contiguous = B.col_stride == 1, columns_contiguous = B.row_stride == 1;
  if (few > few_rows || K < dot_steps) return nullptr;
  // Tiny C, long K: lanes along the columns of C would run empty.
  if (few <= 4 && many <= 4) return "dot";
  // Up to 4 of them, `dot` reads columns faster than `blocked` reads them as rows of A, which only the transposed job
  // can.
  if (columns_contiguous && !rows_contiguous) return few <= 4 || !transposed ? "dot" : nullptr;
  const bool in_cache = many * K <= cache_sizes().l2 / index_t{sizeof(float)};
  return rows_contiguous && (few <= 4 || !in_cache) ? "skinny" : nullptr;
}

}  // namespace fb

using namespace fb;

// The rung follows from the shape and the strides alone, so that a result never depends on the thread count; only
// whether the team is worth opening depends on that.
fb::Choice frugalblas_choose(const fb::Gemm* job) {
  static const int microkernel = frugalblas_find_entry("microkernel");
  static const int blocked = frugalblas_find_entry("blocked");
  static const int openmp = frugalblas_find_entry("openmp");

  const double flops = 2.0 * static_cast<double>(job->M) * static_cast<double>(job->N) * static_cast<double>(job->K);
  const int threads = flops >= team_flops ? job->threads : 1;

  const bool wide = job->M <= job->N;
  const ConstMatrix A_transposed = {job->A.data, job->A.col_stride, job->A.row_stride};
  const char* flat =
      flat_rung(wide ? job->B : A_transposed, std::min(job->M, job->N), std::max(job->M, job->N), job->K, !wide);
  if (flat) return {frugalblas_find_entry(flat), threads, "flat: reading the large operand sets the pace"};

  // Rows of B in place, as they must be for `microkernel` to copy nothing. C decides which operand that is.
  const bool upright = job->C.col_stride == 1 || job->C.row_stride != 1;
  const bool in_place = upright ? job->B.col_stride == 1 : job->A.row_stride == 1;
  const bool small = job->M * job->N <= 128 * 128 && job->K <= 256;
  const bool few = (upright ? job->M : job->N) <= few_rows;
  if (in_place && (small || few)) return {microkernel, threads, "small: packing would cost more than it saves"};
  if (threads == 1) return {blocked, 1, job->threads == 1 ? "one thread" : "too little work for a team"};
  return {openmp, threads, "enough work for a team"};
}
