// flags.cpp: what flags.hpp declares.
#include "flags.hpp"

#include <omp.h>
#include <cfenv>

namespace fb {

constexpr int reported = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW;

// What a thread's flags said before belongs to other work of the team.
FlagsOfThread::FlagsOfThread(int* raised) : raised_(omp_get_thread_num() == 0 ? nullptr : raised) {
  if (raised_) std::feclearexcept(reported);
}

FlagsOfThread::~FlagsOfThread() {
  if (!raised_) return;
  if (const int mine = std::fetestexcept(reported)) {
#pragma omp atomic
    *raised_ |= mine;
  }
}

}  // namespace fb
