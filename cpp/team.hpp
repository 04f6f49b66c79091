// team.hpp: what every OpenMP team of the core needs around it.
#pragma once
#include <omp.h>
#include <atomic>
#include <cfenv>

namespace fb {

// With OMP_DYNAMIC set the runtime may open a smaller team than asked for; `threads` is a promise.
class FixedTeam {
 public:
  explicit FixedTeam(int threads) : dynamic_(threads > 1 && omp_get_dynamic()) {
    if (dynamic_) omp_set_dynamic(0);
  }
  ~FixedTeam() {
    if (dynamic_) omp_set_dynamic(1);
  }
  FixedTeam(const FixedTeam&) = delete;
  FixedTeam& operator=(const FixedTeam&) = delete;

 private:
  const bool dynamic_;
};

// Overflow, invalid, … as they show in the caller's flags afterwards, although other threads have flags of their own.
// What a thread's flags said before belongs to other work of the team.
class FlagsOfTeam {
 public:
  // On each thread of the team, at the start and at the end of its part. The caller's flags accumulate by themselves.
  void enter() const {
    if (omp_get_thread_num() != 0) std::feclearexcept(reported);
  }
  void leave() {
    if (omp_get_thread_num() == 0) return;
    if (const int raised = std::fetestexcept(reported)) raised_.fetch_or(raised, std::memory_order_relaxed);
  }
  // On the caller, after the team.
  void merge() const {
    if (const int raised = raised_.load(std::memory_order_relaxed)) std::feraiseexcept(raised);
  }

 private:
  static constexpr int reported = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW;
  std::atomic<int> raised_{0};
};

// Kernels open teams of their own: the threads' flags are cleared in a region before and collected in one after. The
// runtime hands the same threads to each, and they wait between regions, so each takes about a microsecond.
template <class Function>
static inline auto with_flags_of_team(int threads, const Function& function) {
  if (threads == 1) return function();
  struct Around {
    const int threads;
    const FixedTeam fixed;
    FlagsOfTeam flags;
    explicit Around(int n) : threads(n), fixed(n) {
#pragma omp parallel num_threads(threads)
      flags.enter();
    }
    ~Around() {
#pragma omp parallel num_threads(threads)
      flags.leave();
      flags.merge();
    }
  } const around(threads);
  return function();
}

}  // namespace fb
