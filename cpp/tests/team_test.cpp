// team_test.cpp: batches, triangles, flags and CPUs of teams, without Python: for the race detector and other CPUs.
//
// Exit code 1 if a batch or a triangle has other bits than single products, if flags are lost or made up, if threads
// wake or stay on a CPU together, or if small products get a team that is slower.
#include <omp.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "../core.hpp"
#include "../team.hpp"

using namespace fb;

static std::atomic<int> failures{0};

static void expect(bool right, const char* what, int threads) {
  if (right) return;
  std::printf("wrong with %d threads: %s\n", threads, what);
  ++failures;
}

static std::vector<float> values(index_t n, unsigned seed) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int>(seed >> 8)) / (1 << 23) - 1;
  }
  return v;
}

static Gemm job(index_t M, index_t N, index_t K, const float* a, const float* b, float* c, int threads) {
  return {M, N, K, {a, K, 1}, {b, N, 1}, {c, N, 1}, 1, 0, threads};
}

static bool same(const std::vector<float>& x, const std::vector<float>& y) {
  return std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

static void test_batch(index_t count, index_t n, int threads) {
  const std::vector<float> A = values(count * n * n, 1), B = values(n * n, 2);
  std::vector<float> C(A.size(), NAN), single(A.size(), NAN);
  for (index_t i = 0; i < count; ++i) {
    const Batch one = {job(n, n, n, &A[i * n * n], B.data(), &single[i * n * n], 1), 1, 0, 0, 0};
    expect(frugalblas_run_batch(nullptr, &one) == Status::done, "a single product", 1);
  }
  const Batch batch = {job(n, n, n, A.data(), B.data(), C.data(), threads), count, n * n, 0, n * n};
  expect(frugalblas_run_batch(nullptr, &batch) == Status::done, "a batch", threads);
  expect(same(C, single), "the bits of a batch", threads);
}

static void test_triangle(index_t n, index_t k, int threads) {
  const std::vector<float> A = values(n * k, 3);
  std::vector<float> whole(n * n, NAN), half(n * n, 7);
  Gemm g = job(n, n, k, A.data(), A.data(), whole.data(), threads);
  g.B = {A.data(), 1, k};
  const Batch one = {g, 1, 0, 0, 0};
  frugalblas_run_batch(nullptr, &one);
  for (const bool upper : {false, true}) {
    std::fill(half.begin(), half.end(), 7.0f);
    g.C = {half.data(), n, 1};
    frugalblas_run_triangle(nullptr, &g, upper);
    bool right = true;
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < n; ++j) {
        const bool inside = upper ? i <= j : i >= j;
        right = right && half[i * n + j] == (inside ? whole[i * n + j] : 7.0f);
        right = right && whole[i * n + j] == whole[j * n + i];
      }
    expect(right, "the elements of a triangle", threads);
  }
}

// Only the last product overflows, so on some other thread than the caller's.
static void test_flags(index_t count, index_t n, int threads) {
  std::vector<float> A(count * n * n, 1.0f), B(n * n, 1.0f), C(A.size());
  const Batch batch = {job(n, n, n, A.data(), B.data(), C.data(), threads), count, n * n, 0, n * n};
  const auto flags = [&] {
    std::feclearexcept(FE_ALL_EXCEPT);
    frugalblas_run_batch(nullptr, &batch);
    return std::fetestexcept(FE_OVERFLOW | FE_INVALID | FE_DIVBYZERO | FE_UNDERFLOW);
  };
  expect(flags() == 0, "no flag of a harmless batch", threads);
  std::fill(A.end() - n, A.end(), 3e38f);
  expect(flags() == FE_OVERFLOW, "the flag of an overflow", threads);
  std::fill(A.end() - n, A.end(), 1.0f);
  expect(flags() == 0, "no flag left over", threads);
}

static cpu_set_t only(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return set;
}

// A thread of a team that finds itself on its caller's CPU leaves it, and may run wherever it might before. The kernel
// may move a thread at any moment, so an attempt counts only if it was on that CPU just before.
static void test_threads_keep_apart() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2) {
    std::printf("threads that keep apart: not tested, there is one CPU\n");
    return;
  }
  int shared = 0;
  while (!CPU_ISSET(shared, &allowed)) ++shared;
  const cpu_set_t there = only(shared);
  if (sched_setaffinity(0, sizeof there, &there)) {
    std::printf("threads that keep apart: not tested, this process may not choose its CPU\n");
    return;
  }
  int attempts = 0, apart = 0;
  bool same_mask = true;
  for (int i = 0; i < 20; ++i) {
    Team team(2);
#pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 1) {
      sched_setaffinity(0, sizeof there, &there);
      sched_setaffinity(0, sizeof allowed, &allowed);
      if (sched_getcpu() == shared) {
        const TeamThread team_thread(&team);
        ++attempts;
        apart += sched_getcpu() != shared;
        cpu_set_t now;
        sched_getaffinity(0, sizeof now, &now);
        same_mask = same_mask && CPU_EQUAL(&now, &allowed);
      }
    }
  }
  sched_setaffinity(0, sizeof allowed, &allowed);
  expect(attempts > 0, "an attempt that counts", 2);
  expect(2 * apart >= attempts, "threads that keep apart", 2);
  expect(same_mask, "the CPUs a thread may run on", 2);
}

// A thread that sleeps is woken elsewhere than where its caller is, and may run there again afterwards.
static void test_threads_wake_elsewhere() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2 ||
      omp_get_proc_bind() != omp_proc_bind_false || runtime_is_llvm()) {
    std::printf(
        "where threads wake: not tested, there is one CPU, threads are bound to theirs, or this is not libgomp\n");
    return;
  }
  std::atomic<pid_t> thread{0};
  const auto may_run = [&] {
    cpu_set_t set;
    return sched_getaffinity(thread, sizeof set, &set) ? cpu_set_t{} : set;
  };
  for (const bool called : {true, true, false}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    {
      Team team(2);
      if (thread) {
        const cpu_set_t now = may_run();
        expect(CPU_COUNT(&now) == CPU_COUNT(&allowed) - 1, "one CPU is kept from a thread that sleeps", 2);
      }
#pragma omp parallel num_threads(2) if (called)
      {
        const TeamThread team_thread(&team);
        if (omp_get_thread_num() == 1) thread = gettid();
      }
    }
    const cpu_set_t now = may_run();
    expect(CPU_EQUAL(&now, &allowed), called ? "CPUs of a thread that woke" : "CPUs of a thread nobody called", 2);
  }
}

// Small products get a team if that is faster, and are spared it, but for a try now and then, if it is slower.
static void test_small_products() {
  using Clock = std::chrono::steady_clock;
  static std::chrono::microseconds with_team;
  const Algorithm pretends = {
      .summary = "", .course = "", .unavailable = nullptr, .blocks = nullptr, .run = [](const Gemm& g) {
        const Clock::time_point end = Clock::now() + (g.threads > 1 ? with_team : std::chrono::microseconds(20));
        while (Clock::now() < end) {
        }
      }};
  const std::vector<float> A = values(80 * 80, 5);
  std::vector<float> C(A.size());
  const Gemm product = job(80, 80, 80, A.data(), A.data(), C.data(), 2);
  const auto teams_of = [&](int products) {
    int teams = 0;
    for (int i = 0; i < products; ++i) {
      Gemm g = product;
      g.threads = frugalblas_choose(&g).threads;
      teams += g.threads > 1;
      expect(frugalblas_run(&pretends, &g) == Status::done, "a pretended product", g.threads);
    }
    return teams;
  };
  expect(frugalblas_choose(&product).threads == 1, "a team that may sleep is not waited for", 2);
  with_team = std::chrono::microseconds(10);
  int teams = 0;
  for (int tries = 0; tries < 1000 && teams < 1000; ++tries) teams += teams_of(1000);  // others may interrupt the row
  expect(teams >= 1000, "a faster team is taken", 2);
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); };
  bool at_once = false;  // what others interrupt is several rows, and the last of them may have gained nothing
  for (int tries = 0; tries < 1000 && !at_once; ++tries) {
    teams_of(1000);
    pause();
    at_once = frugalblas_choose(&product).threads == 2;
  }
  expect(at_once, "a row that gained by its team: the next one has it at once", 2);
  with_team = std::chrono::milliseconds(20);
  expect(teams_of(1) == 1, "asking is not a row of its own", 2);
  pause();
  expect(frugalblas_choose(&product).threads == 1, "a row that lost by it: the next one has none", 2);
  with_team = std::chrono::microseconds(1000);
  expect(teams_of(3000) < 150, "a slower team is given up", 2);
}

int main() {
  test_threads_keep_apart();
  test_threads_wake_elsewhere();
  test_small_products();
  for (const int threads : {1, 2, 3, 5}) {
    test_batch(40, 50, threads);
    test_batch(2, 200, threads);
    test_batch(3, 220, threads);
    test_triangle(3, 5, threads);
    test_triangle(300, 100, threads);
    test_triangle(600, 60, threads);
    test_flags(40, 60, threads);
    test_flags(1, 300, threads);
  }
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) callers.emplace_back([] { test_batch(20, 60, 2), test_batch(1, 200, 2); });
  for (std::thread& caller : callers) caller.join();
  std::printf(failures ? "some are wrong\n" : "batches, triangles, flags and CPUs are right\n");
  return failures != 0;
}
