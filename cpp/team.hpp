// team.hpp: what every team of threads needs around it, and each of its threads at the start and end of its part.
//
// A woken thread may land on its caller's CPU, and stays there as long as the other CPUs are busy too, even if what
// keeps them busy only spins, as other libraries' threads do after their work. The two then wait for each other by
// turns of milliseconds, over a product that takes microseconds. So threads say where they compute, and keep apart.
//
// Included by every build variant: declarations only.
#pragma once

namespace fb {

// Around a team, made by its caller.
class FixedTeam {
 public:
  // With OMP_DYNAMIC set the runtime may open a smaller team than asked for; `threads` is a promise.
  explicit FixedTeam(int threads);
  ~FixedTeam();
  FixedTeam(const FixedTeam&) = delete;
  FixedTeam& operator=(const FixedTeam&) = delete;

 private:
  const bool dynamic_;
  const int cpu_;
};

// At the start of a thread's part of a parallel region: it leaves a CPU on which another thread of a team computes, if
// there is one without. At the end: what floating-point exceptions (overflow, invalid, …) it has raised meanwhile is
// or-ed into *raised, unless that is null, for a caller who asks. Each thread has flags of its own, so what another
// thread's FMAs raise would be lost to whoever tests the flags after the call, as NumPy does.
//
// The caller's own thread, number 0, is never moved, and its flags are the caller's.
class TeamThread {
 public:
  explicit TeamThread(int* raised);
  ~TeamThread();
  TeamThread(const TeamThread&) = delete;
  TeamThread& operator=(const TeamThread&) = delete;

 private:
  int* const raised_;
  const int cpu_;
};

}  // namespace fb
