// choose.cpp: what algo="auto" means.
#include "core.hpp"

// The rung follows from the shape alone, so that a result never depends on the thread count; only whether the team is
// worth opening depends on both.
fb::Choice frugalblas_choose(const fb::Gemm* job) {
  static const int microkernel = frugalblas_find_entry("microkernel");
  static const int blocked = frugalblas_find_entry("blocked");
  static const int openmp = frugalblas_find_entry("openmp");

  const double flops = 2.0 * static_cast<double>(job->M) * static_cast<double>(job->N) * static_cast<double>(job->K);
  // An estimate, not a measurement: some 40 us of one core at 100 GFLOP/s, to be well above the start of a team.
  const bool team = job->threads > 1 && flops >= (1 << 22);
  // Packing copies (M+N)*K elements to be read min(M,N)/tile times; at 128 on an AVX2 core
  // `blocked` ran at 0.8 of `microkernel`.
  const bool small = job->M * job->N <= 128 * 128 && job->K <= 256;
  if (small) return {microkernel, team ? job->threads : 1, "small: packing would cost more than it saves"};
  if (!team) return {blocked, 1, job->threads == 1 ? "one thread" : "too little work for a team"};
  return {openmp, job->threads, "enough work for a team"};
}
