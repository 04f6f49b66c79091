// team.cpp: what team.hpp declares.
#include "team.hpp"

#include <omp.h>
#include <sched.h>
#include <atomic>
#include <cfenv>

namespace fb {
namespace {

constexpr int reported = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW;

// Callers and threads of teams on each CPU, each count in a cache line of its own. One that the kernel moves meanwhile
// stays counted where it started: a hint is all that is needed.
struct alignas(64) Cpu {
  std::atomic<int> threads;
};
Cpu cpus[CPU_SETSIZE];
constexpr int NOWHERE = -1;

int count_here() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE) return NOWHERE;
  cpus[cpu].threads.fetch_add(1, std::memory_order_relaxed);
  return cpu;
}
void uncount(int cpu) {
  if (cpu != NOWHERE) cpus[cpu].threads.fetch_sub(1, std::memory_order_relaxed);
}

// Counts the calling thread where it is or, if it is not alone there, where it goes: to a CPU that it may use and that
// has none, if there is one. Taking its own CPU out of its affinity mask moves it at once; the mask is then as before.
int count_where_alone() {
  const int cpu = count_here();
  if (cpu == NOWHERE || cpus[cpu].threads.load(std::memory_order_relaxed) == 1) return cpu;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return cpu;
  cpu_set_t empty = allowed;
  for (int c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &allowed) && cpus[c].threads.load(std::memory_order_relaxed) > 0) CPU_CLR(c, &empty);
  if (CPU_COUNT(&empty) == 0 || sched_setaffinity(0, sizeof empty, &empty)) return cpu;
  sched_setaffinity(0, sizeof allowed, &allowed);
  uncount(cpu);
  return count_here();
}

}  // namespace

FixedTeam::FixedTeam(int threads)
    : dynamic_(threads > 1 && omp_get_dynamic()), cpu_(threads > 1 ? count_here() : NOWHERE) {
  if (dynamic_) omp_set_dynamic(0);
}
FixedTeam::~FixedTeam() {
  uncount(cpu_);
  if (dynamic_) omp_set_dynamic(1);
}

// What a thread's flags said before belongs to other work of the team.
TeamThread::TeamThread(int* raised)
    : raised_(omp_get_thread_num() == 0 ? nullptr : raised),
      cpu_(omp_get_thread_num() == 0 ? NOWHERE : count_where_alone()) {
  if (raised_) std::feclearexcept(reported);
}
TeamThread::~TeamThread() {
  uncount(cpu_);
  if (!raised_) return;
  if (const int mine = std::fetestexcept(reported)) {
#pragma omp atomic
    *raised_ |= mine;
  }
}

}  // namespace fb
