// flags.hpp: floating-point exceptions (overflow, invalid, …) that a team's threads raise, for a caller who asks.
//
// Each thread has flags of its own, so what another thread's FMAs raise would be lost to whoever tests the flags after
// the call, as NumPy does. What a thread's flags said before belongs to other work of the team.
#pragma once
#include <omp.h>
#include <cfenv>

#include "../gemm.hpp"

namespace fb::FB_VARIANT {

// At the start of a thread's part of a parallel region; reports at its end. The caller's own flags need no help.
class FlagsOfThread {
 public:
  explicit FlagsOfThread(const Gemm& g) : raised_(omp_get_thread_num() == 0 ? nullptr : g.raised) {
    if (raised_) std::feclearexcept(reported);
  }
  ~FlagsOfThread() {
    if (!raised_) return;
    if (const int mine = std::fetestexcept(reported))
#pragma omp atomic
      *raised_ |= mine;
  }
  FlagsOfThread(const FlagsOfThread&) = delete;
  FlagsOfThread& operator=(const FlagsOfThread&) = delete;

 private:
  static constexpr int reported = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW;
  int* const raised_;
};

}  // namespace fb::FB_VARIANT
