// threads.cpp: how many threads a call may use, and what happens to them at a fork.
#include <omp.h>
#include <pthread.h>
#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "core.hpp"
#include "cpu.hpp"
#include "team.hpp"

namespace fb {

static std::atomic<int> process_threads{0};  // 0: not set, use the default

// OMP_NUM_THREADS may be a list, one number per nesting level: the first is ours. Anything else in it is ignored, as
// the OpenMP runtime itself has already complained about it.
static int omp_num_threads(int if_unset) {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    char* end;
    const long n = std::strtol(text, &end, 10);
    if (end != text && n >= 1) return static_cast<int>(std::min<long>(n, frugalblas_max_threads()));
  }
  return std::min(if_unset, frugalblas_max_threads());
}
static int default_threads() { return omp_num_threads(usable_cpus()); }

// libgomp keeps its team waiting between parallel regions, and a forked child inherits the memory of that team but none
// of its threads: its next region would wait for them for ever. Letting the team go before the fork costs one team
// start in the parent afterwards.
static void release_team() { omp_pause_resource_all(omp_pause_hard); }

// LLVM's looks after forks itself: its own handler takes its locks before ours runs, so pausing it there would wait for
// them for ever.
__attribute__((constructor)) static void watch_forks() {
  if (!runtime_is_llvm()) pthread_atfork(release_team, nullptr, nullptr);
}

}  // namespace fb

using namespace fb;

extern "C" {

// The OpenMP runtime ends the process when it cannot start a thread, so there is a ceiling well below that; beyond 4
// threads per CPU nothing is gained in any study. OMP_THREAD_LIMIT lowers it.
int frugalblas_max_threads() {
  static const int limit = std::min(std::max(64, 4 * usable_cpus()), omp_get_thread_limit());
  return limit;
}

int frugalblas_process_threads() {
  static const int standard = default_threads();
  const int set = process_threads.load(std::memory_order_relaxed);
  return set ? set : standard;
}

// Whoever lowers OpenMP's count means every library of the process, as threadpoolctl's user_api="openmp" does. The
// count that OpenMP starts with is no such wish: set_num_threads may go beyond it.
int frugalblas_limit_threads(int n) {
  static const int at_start = omp_num_threads(omp_get_num_procs());
  const int now = omp_get_max_threads();
  return now < at_start ? std::min(n, now) : n;
}

int frugalblas_get_num_threads() { return frugalblas_limit_threads(frugalblas_process_threads()); }

void frugalblas_set_num_threads(int n) {
  process_threads.store(std::clamp(n, 0, frugalblas_max_threads()), std::memory_order_relaxed);
}
}
