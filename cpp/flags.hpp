// flags.hpp: floating-point exceptions (overflow, invalid, …) that a team's threads raise, for a caller who asks.
//
// Each thread has flags of its own, so what another thread's FMAs raise would be lost to whoever tests the flags after
// the call, as NumPy does. Included by every build variant: declarations only.
#pragma once

namespace fb {

// Made at the start of a thread's part of a parallel region; at its end what the thread has raised meanwhile is or-ed
// into *raised, unless that is null. The caller's own thread, number 0, needs no help.
class FlagsOfThread {
 public:
  explicit FlagsOfThread(int* raised);
  ~FlagsOfThread();
  FlagsOfThread(const FlagsOfThread&) = delete;
  FlagsOfThread& operator=(const FlagsOfThread&) = delete;

 private:
  int* const raised_;
};

}  // namespace fb
