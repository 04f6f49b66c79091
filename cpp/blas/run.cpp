// run.cpp: see run.hpp.
#include "run.hpp"

#include <pthread.h>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../core.hpp"

namespace fb::blas {

// ---- threads

// Programs that call BLAS from several threads of their own (scikit-learn's OpenMP loops, joblib's threads) have no use
// for a team in each. Who comes while others are at work takes a smaller team: results do not depend on it.
static std::atomic<int> at_work{0};

// The threads that were at work stayed with the parent.
static void alone() { at_work.store(0, std::memory_order_relaxed); }
__attribute__((constructor)) static void watch_forks() { pthread_atfork(nullptr, nullptr, alone); }

class Turn {
 public:
  Turn() : others_(at_work.fetch_add(1, std::memory_order_relaxed)) {}
  ~Turn() { at_work.fetch_sub(1, std::memory_order_relaxed); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  int threads() const {
    const int threads = frugalblas_get_num_threads() / (others_ + 1);
    return threads < 1 ? 1 : threads;
  }

 private:
  const int others_;
};

// ---- the strategy

// A FRUGALBLAS_ISA that names no level here, or a FRUGALBLAS_TUNING that says nothing known, is an error to Python's
// import. A BLAS call has nobody to refuse.
static const Variant* find_variant() {
  if (!frugalblas_cpu_tuning())
    std::fputs("frugalblas: FRUGALBLAS_TUNING is neither intel nor generic; what suits this CPU is used\n", stderr);
  const char* error;
  if (const Variant* standard = frugalblas_default_variant(&error)) return standard;
  const Variant* list;
  const int count = frugalblas_variants(&list);
  const Variant* best = nullptr;
  for (int v = 0; v < count; ++v)
    if (!list[v].study && frugalblas_cpu_supports(list[v].level)) best = &list[v];
  std::fprintf(stderr, "frugalblas: %s; %s\n", error, best ? "the best one is used" : "no float32 product can run");
  if (!best) std::abort();
  return best;
}

static const Variant* variant() {
  static const Variant* const found = find_variant();
  return found;
}

// ---- the jobs

void run(Batch batch) {
  const Turn turn;
  batch.first.threads = turn.threads();
  batch.variant = variant();
  batch.always = true;
  frugalblas_run_batch(nullptr, &batch);
}

// Matrices of a batch usually lie at equal distances, as a tensor's do: as many as do are one job. Those that share a
// C, for which the interface sets no order, take theirs.
void run(const Gemm& job, index_t count, const float* const* a, const float* const* b, float* const* c) {
  for (index_t i = 0, next; i < count; i = next) {
    const auto step = [&](auto* const* x, index_t at) {
      return static_cast<index_t>(reinterpret_cast<std::intptr_t>(x[at + 1]) - reinterpret_cast<std::intptr_t>(x[at]));
    };
    Batch batch{job, 1, 0, 0, 0};
    batch.first.A.data = a[i], batch.first.B.data = b[i], batch.first.C.data = c[i];
    next = i + 1;
    if (next < count && c[i] != c[next]) {
      const index_t steps[] = {step(a, i), step(b, i), step(c, i)};
      while (next < count && step(a, next - 1) == steps[0] && step(b, next - 1) == steps[1] &&
             step(c, next - 1) == steps[2])
        ++next;
      constexpr index_t bytes = sizeof(float);
      batch.count = next - i;
      batch.a_step = steps[0] / bytes, batch.b_step = steps[1] / bytes, batch.c_step = steps[2] / bytes;
    }
    run(batch);
  }
}

void run_triangle(Gemm job, bool upper) {
  const Turn turn;
  job.threads = turn.threads();
  frugalblas_run_triangle(variant(), &job, upper);
}

}  // namespace fb::blas
