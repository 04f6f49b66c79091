// orientation.hpp: which way round rungs compute a job, for those who have to know it without being them.
//
// Included by every build variant, as gemm.hpp is, so what it defines is static: the linker must not keep one
// instruction set's copy for all.
#pragma once
#include "gemm.hpp"

namespace fb {

// The share of lanes in use, in 1024ths, where so many elements lie along registers of so many lanes.
static inline index_t lanes_used(index_t elements, index_t lanes) {
  if (elements == 0 || elements > 1 << 20) return 1024;  // none: of an empty product, which is asked about, too
  return 1024 * elements / (((elements - 1) / lanes + 1) * lanes);
}

// For `deep`: rows of B should be contiguous; where the job and its transpose both offer that, the one with wider rows
// of C.
static inline Gemm loading_rows(const Gemm& job) {
  const bool here = job.B.col_stride == 1, there = job.A.row_stride == 1;
  return there && (!here || job.M > job.N) ? transpose(job) : job;
}
// Whether rows of B are contiguous and follow each other without a gap, in whole registers.
static inline bool rows_adjoin(const Gemm& g, index_t lanes) {
  return g.B.col_stride == 1 && g.B.row_stride == g.N && g.N % lanes == 0;
}

// Whether `blocked` and `openmp` compute a job whose rows of C are contiguous by its transpose, and scatter C. Where C
// is flat, what counts is the large operand, which then is A with its rows contiguous, or B with its rows contiguous,
// and needs no packing pass of its own. `lanes`: of a register.
//
// Scattering C, once for every part of K, must be little beside the work, so there are at most 64 rows or columns, and
// at least so many steps: measured on a Zen 4, with fewer it takes up to twice as long as packing, held to AVX2 up to 4
// times; with twice as many, packing takes 1.05 to 1.5 times as long. Unless one of the two leaves lanes empty: then it
// takes more than the other from 16 steps, or up to 256. With SSE2 and NEON nothing of that was measured.
static inline bool better_turned(const Gemm& g, index_t lanes) {
  const bool wide = g.M <= g.N;
  const index_t few = wide ? g.M : g.N, many = wide ? g.N : g.M;
  const bool by_columns =
      wide ? g.B.row_stride == 1 && g.B.col_stride != 1 : g.A.row_stride == 1 && g.A.col_stride != 1;
  if (!by_columns || few > 64 || many < 8 * few) return false;
  const bool empty = lanes_used(few, lanes) < 768;
  const index_t steps = lanes < 8 ? 0 : empty ? (wide ? 256 : 16) : lanes >= 16 ? 16 + few + few / 2 : 64 + 3 * few;
  return g.K > steps;
}

}  // namespace fb
