// run.cpp: see run.hpp.
#include "run.hpp"

#include <pthread.h>
#include <atomic>
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

// A FRUGALBLAS_ISA that names no level here is an error to Python's import. A BLAS call has nobody to refuse.
static const Variant* find_variant() {
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

struct Strategy {
  const Algorithm* algorithm;
  int threads;
};

static Strategy choose(const Gemm& job) {
  static const Variant* const variant = find_variant();
  const Choice choice = frugalblas_choose(&job);
  const Algorithm* const passthrough_or_default = frugalblas_algorithm(choice.entry, nullptr);
  return {passthrough_or_default ? passthrough_or_default : variant->algorithms[choice.entry], choice.threads};
}

// The strategy's working copies may not fit into memory; the plain loops need none.
static void run(const Strategy& strategy, Gemm job) {
  job.threads = strategy.threads;
  if (frugalblas_run(strategy.algorithm, &job) == Status::done) return;
  const Variant* weakest;
  frugalblas_variants(&weakest);
  frugalblas_run(weakest->algorithms[frugalblas_find_entry("accumulate")], &job);
}

static void scale(const Gemm& job) {
  const bool by_columns = job.C.row_stride == 1;
  const Matrix C = by_columns ? Matrix{job.C.data, job.C.col_stride, 1} : job.C;
  frugalblas_scale(C, by_columns ? job.N : job.M, by_columns ? job.M : job.N, job.beta);
}

void run(Gemm job) {
  if (job.M == 0 || job.N == 0) return;
  if (job.K == 0 || job.alpha == 0) return scale(job);
  const Turn turn;
  job.threads = turn.threads();
  run(choose(job), job);
}

// ---- one triangle

static Gemm block(const Gemm& g, index_t row, index_t rows, index_t column, index_t columns) {
  Gemm part = g;
  part.M = rows;
  part.N = columns;
  part.A.data += row * g.A.row_stride;
  part.B.data += column * g.B.col_stride;
  part.C.data += row * g.C.row_stride + column * g.C.col_stride;
  return part;
}

// A block on the diagonal: computed whole in `copy`, (size,size), of which the triangle is kept.
static void run_diagonal(const Strategy& strategy, const Gemm& part, bool upper, float* copy) {
  Gemm whole = part;
  whole.C = {copy, part.N, 1};
  whole.beta = 0;
  run(strategy, whole);
  for (index_t i = 0; i < part.M; ++i)
    for (index_t j = upper ? i : 0; j < (upper ? part.N : i + 1); ++j) {
      float& c = part.C.data[i * part.C.row_stride + j * part.C.col_stride];
      const float product = copy[i * part.N + j];
      c = part.beta == 0 ? product : product + part.beta * c;
    }
}

// Blocks on the diagonal are computed twice over, so they should be small, and a product of large blocks is the faster
// one per flop, so everything else should be large: halves of halves. 256 KiB, an L2 cache, for a block's copy.
constexpr index_t diagonal_block = 256;

static void run_halves(const Strategy& strategy, const Gemm& g, bool upper, index_t smallest, float* copy) {
  const index_t n = g.N;
  if (n <= smallest) return copy ? run_diagonal(strategy, g, upper, copy) : run(strategy, g);
  const index_t half = (n / 2 + smallest - 1) / smallest * smallest;
  run_halves(strategy, block(g, 0, half, 0, half), upper, smallest, copy);
  run_halves(strategy, block(g, half, n - half, half, n - half), upper, smallest, copy);
  run(strategy, upper ? block(g, 0, half, half, n - half) : block(g, half, n - half, 0, half));
}

// Every part is computed by the strategy for the whole product, so a triangle has the bits that sgemm gives it.
void run_triangle(Gemm job, bool upper) {
  const index_t n = job.N;
  if (n == 0) return;
  if (job.K == 0 || job.alpha == 0) {
    if (job.beta == 1) return;
    for (index_t i = 0; i < n; ++i) scale(block(job, i, 1, upper ? i : 0, upper ? n - i : i + 1));
    return;
  }
  const Turn turn;
  job.threads = turn.threads();
  const Strategy strategy = choose(job);
  float* const copy = static_cast<float*>(std::malloc(diagonal_block * diagonal_block * sizeof(float)));
  run_halves(strategy, job, upper, copy ? diagonal_block : 1, copy);  // a block of one element needs no copy
  std::free(copy);
}

}  // namespace fb::blas
