// team.hpp: what every team of threads needs around it, and each of its threads at the start and end of its part.
//
// A woken thread may land on its caller's CPU, and waits there until the kernel next looks, some milliseconds, for the
// caller spins: over a product that takes microseconds. On virtual CPUs that is the rule, for an idle one does not look
// idle to the kernel; elsewhere it happens where the other CPUs are busy too, even if what keeps them busy only spins,
// as other libraries' threads do after their work. So a team's threads are woken elsewhere, and threads say where they
// compute, and keep apart.
//
// Included by every build variant: declarations only.
#pragma once

namespace fb {

// Whether OpenMP is LLVM's runtime, which some distributions install under libgomp's name.
bool runtime_is_llvm();

// Around a team, made by its caller.
class Team {
 public:
  // With OMP_DYNAMIC set the runtime may open a smaller team than asked for; `threads` is a promise. What
  // floating-point exceptions (overflow, invalid, …) its threads raise is or-ed into *raised, unless that is null, for
  // a caller who asks. Each thread has flags of its own, so what another thread's FMAs raise would be lost to whoever
  // tests the flags after the call, as NumPy does.
  explicit Team(int threads, int* raised = nullptr);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

 private:
  friend class TeamThread;
  const bool dynamic_;
  const int cpu_;
  int* const raised_;
  struct Members& members_;    // the threads of the caller's last team: the runtime wakes them again
  struct Woken* const woken_;  // those that must not wake on the caller's CPU
};

// In a thread's part of a parallel region: it leaves a CPU on which another thread of a team computes, if there is one
// without. The caller's own thread, number 0, is never moved, and its flags are the caller's.
class TeamThread {
 public:
  explicit TeamThread(Team* team);  // nullptr: it is on its own
  ~TeamThread();
  TeamThread(const TeamThread&) = delete;
  TeamThread& operator=(const TeamThread&) = delete;

 private:
  int* const raised_;
  const int cpu_;
};

}  // namespace fb
