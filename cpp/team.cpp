// team.cpp: what team.hpp declares.
#include "team.hpp"

#include <dlfcn.h>
#include <omp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <new>

namespace fb {

constexpr int reported = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW;

// ---- who computes where

// Callers and threads of teams on each CPU, each count in a cache line of its own. One that the kernel moves meanwhile
// stays counted where it started: a hint is all that is needed.
struct alignas(64) Cpu {
  std::atomic<int> threads;
};
static Cpu cpus[CPU_SETSIZE];
constexpr int NOWHERE = -1;

static int count_here() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE) return NOWHERE;
  cpus[cpu].threads.fetch_add(1, std::memory_order_relaxed);
  return cpu;
}
static void uncount(int cpu) {
  if (cpu != NOWHERE) cpus[cpu].threads.fetch_sub(1, std::memory_order_relaxed);
}

// Counts the calling thread where it is or, if it is not alone there, where it goes: to a CPU that it may use and that
// has none, if there is one. Taking its own CPU out of its affinity mask moves it at once; the mask is then as before.
static int count_where_alone() {
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

bool runtime_is_llvm() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(omp_pause_resource_all), &info)) return false;
  void* const runtime = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  const bool llvm = runtime && dlsym(runtime, "__kmpc_fork_call");
  if (runtime) dlclose(runtime);
  return llvm;
}

// ---- where threads wake

using Clock = std::chrono::steady_clock;

// After a shorter pause threads of libgomp's spin still, unless there are more of them than CPUs. What follows takes
// some microseconds for each of them, a small part of a longer one.
constexpr auto may_sleep_after = std::chrono::microseconds(200);
constexpr int MOST = 16;  // threads of a team that are woken with care: among many CPUs it is rarely the caller's

// Of each thread that calls, for so are libgomp's teams.
struct Members {
  std::atomic<pid_t> thread[MOST];  // by number; 0: none there
  Clock::time_point ended;          // when they last did
};
static constinit thread_local Members members = {};

struct Woken {
  int count = 0;
  struct {
    pid_t thread;
    std::atomic<bool> kept_off;
    cpu_set_t others;   // CPUs that it may run on until it has woken
    cpu_set_t allowed;  // and otherwise
  } of[MOST];
};

// A thread that has ended may have left its number to another process.
static bool is_in_this_process(pid_t thread) { return syscall(SYS_tgkill, getpid(), thread, 0) == 0; }

// Takes `cpu` out of what sleeping threads may run on, until they have woken. Nothing where the user has said where
// threads are to run, nor with LLVM's runtime, which lends the threads of one caller to another.
static Woken* keep_off(int cpu, int threads) {
  if (Clock::now() - members.ended < may_sleep_after) return nullptr;
  static const bool others_threads = runtime_is_llvm();
  if (others_threads || omp_get_proc_bind() != omp_proc_bind_false) return nullptr;
  Woken* woken = nullptr;
  for (int n = 1; n < std::min(threads, MOST); ++n) {
    const pid_t thread = members.thread[n].load(std::memory_order_relaxed);
    cpu_set_t allowed;
    if (!thread || !is_in_this_process(thread) || sched_getaffinity(thread, sizeof allowed, &allowed)) continue;
    cpu_set_t others = allowed;
    CPU_CLR(cpu, &others);
    if (CPU_EQUAL(&others, &allowed) || CPU_COUNT(&others) == 0) continue;
    if (!woken && !(woken = new (std::nothrow) Woken)) return nullptr;
    auto& entry = woken->of[woken->count];
    entry.thread = thread;
    entry.others = others;
    entry.allowed = allowed;
    entry.kept_off.store(true, std::memory_order_relaxed);
    if (sched_setaffinity(thread, sizeof others, &others) == 0) ++woken->count;
  }
  return woken;
}

// Unless somebody else has said meanwhile where it is to run.
static void let_go(Woken& woken, int i, pid_t thread) {
  auto& entry = woken.of[i];
  if (!entry.kept_off.exchange(false, std::memory_order_relaxed)) return;
  cpu_set_t now;
  if (sched_getaffinity(thread, sizeof now, &now) || !CPU_EQUAL(&now, &entry.others)) return;
  sched_setaffinity(thread, sizeof entry.allowed, &entry.allowed);
}

// ---- teams and their threads

// libgomp ends the threads that a smaller team leaves over.
static Members& members_of(int threads) {
  for (int n = std::max(threads, 2); n < MOST && members.thread[n].load(std::memory_order_relaxed); ++n)
    members.thread[n].store(0, std::memory_order_relaxed);
  return members;
}

Team::Team(int threads, int* raised)
    : dynamic_(threads > 1 && omp_get_dynamic()),
      cpu_(threads > 1 ? count_here() : NOWHERE),
      raised_(raised),
      members_(threads > 1 ? members_of(threads) : members),
      woken_(cpu_ == NOWHERE ? nullptr : keep_off(cpu_, threads)) {
  if (dynamic_) omp_set_dynamic(0);
}
Team::~Team() {
  if (cpu_ != NOWHERE) members_.ended = Clock::now();
  if (woken_) {  // whoever was not called after all
    for (int i = 0; i < woken_->count; ++i) let_go(*woken_, i, woken_->of[i].thread);
    delete woken_;
  }
  uncount(cpu_);
  if (dynamic_) omp_set_dynamic(1);
}

static int join(int number, Members& members_of_caller, Woken* woken) {
  if (number == 0) return NOWHERE;
  static thread_local const pid_t self = gettid();
  if (number < MOST && members_of_caller.thread[number].load(std::memory_order_relaxed) != self)
    members_of_caller.thread[number].store(self, std::memory_order_relaxed);
  for (int i = 0; woken && i < woken->count; ++i)
    if (woken->of[i].thread == self) let_go(*woken, i, 0);
  return count_where_alone();
}

// What a thread's flags said before belongs to other work of the team.
TeamThread::TeamThread(Team* team)
    : raised_(!team || omp_get_thread_num() == 0 ? nullptr : team->raised_),
      cpu_(team ? join(omp_get_thread_num(), team->members_, team->woken_) : NOWHERE) {
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
