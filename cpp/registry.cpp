// registry.cpp: expands algorithms.def and the build's variants into the lists everybody else iterates.
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "core.hpp"
#include "small_products.hpp"
#include "team.hpp"

// The tables of the variants, each in its own namespace (variant_table.cpp).
#define VARIANT(space, name, level, study, flags) \
  namespace fb::space {                           \
  extern const Algorithm* const algorithms[];     \
  double fma_burst(index_t steps);                \
  extern const Study study_code;                  \
  extern const PackedKernel* const packed;        \
  }
#include "variants.def"
#undef VARIANT

namespace fb::passthrough {
#define PASSTHROUGH(name) extern const Algorithm name;
#include "for_each_algorithm.inc"
}  // namespace fb::passthrough

namespace fb::cuda_cards {
#define CUDA(name) extern const Algorithm name;
#define CUDA_LIBRARY(name) extern const Algorithm name;
#include "for_each_algorithm.inc"
}  // namespace fb::cuda_cards

namespace fb {

// What is built once has a table of its own instead of one per variant.
static constinit const Algorithm* const built_once[] = {
#define INTERPRETED(name) nullptr,
#define SCALAR(name) nullptr,
#define VECTOR(name) nullptr,
#define TEAM(name) nullptr,
#define PASSTHROUGH(name) &passthrough::name,
#define CUDA(name) &cuda_cards::name,
#define CUDA_LIBRARY(name) &cuda_cards::name,
#include "for_each_algorithm.inc"
};

static constexpr Entry entries[] = {
#define INTERPRETED(name) {#name, Kind::interpreted},
#define SCALAR(name) {#name, Kind::scalar},
#define VECTOR(name) {#name, Kind::vector},
#define TEAM(name) {#name, Kind::team},
#define PASSTHROUGH(name) {#name, Kind::passthrough},
#define CUDA(name) {#name, Kind::cuda},
#define CUDA_LIBRARY(name) {#name, Kind::cuda_library},
#include "for_each_algorithm.inc"
};
constexpr int entry_count = sizeof entries / sizeof entries[0];

// What measures the machine, not a rung, is built for the levels alone.
#define OF_LEVEL_true(code) nullptr
#define OF_LEVEL_false(code) code
// Weakest level first; the flag sets of the study after the levels.
static constinit const Variant variants[] = {
#define VARIANT(space, name, level, study, flags) \
  {name,                                          \
   level,                                         \
   flags,                                         \
   study,                                         \
   space::algorithms,                             \
   OF_LEVEL_##study(space::fma_burst),            \
   OF_LEVEL_##study(&space::study_code),          \
   &space::packed},
#include "variants.def"
};
constexpr int variant_count = sizeof variants / sizeof variants[0];

static const Variant* best_level() {
  const Variant* best = nullptr;
  for (const Variant& v : variants)
    if (!v.study && cpu_supports(v.level)) best = &v;
  return best;
}

struct Default {
  const Variant* variant;
  const char* error;
};

static Default choose_default() {
  const char* wanted = std::getenv("FRUGALBLAS_ISA");
  if (!wanted || !*wanted) {
    const Variant* best = best_level();
    return {best, best ? nullptr : "this CPU lacks the x86-64-v2 instructions (SSE4.2) that the oldest build needs"};
  }
  for (const Variant& v : variants)
    if (!v.study && !std::strcmp(v.name, wanted)) {
      if (cpu_supports(v.level)) return {&v, nullptr};
      return {nullptr, "FRUGALBLAS_ISA names a level that this CPU does not support"};
    }
  return {nullptr, "FRUGALBLAS_ISA names no level of this build"};
}

static Status run_guarded(const Algorithm* algorithm, const Gemm& job) {
  try {
    algorithm->run(job);
  } catch (const std::bad_alloc&) {
    return Status::out_of_memory;
  } catch (const std::length_error&) {
    return Status::too_large;
  }
  return Status::done;
}

}  // namespace fb

using namespace fb;

extern "C" {

int frugalblas_entries(const Entry** list) {
  *list = entries;
  return entry_count;
}

int frugalblas_variants(const Variant** list) {
  *list = variants;
  return variant_count;
}

int frugalblas_find_entry(const char* name) {
  for (int i = 0; i < entry_count; ++i)
    if (!std::strcmp(entries[i].name, name)) return i;
  return -1;
}

// A flag set with -march=native exists once per level under one name: the strongest that runs here is meant.
const Variant* frugalblas_find_variant(const char* name) {
  const Variant* found = nullptr;
  for (const Variant& v : variants)
    if (!std::strcmp(v.name, name) && cpu_supports(v.level)) found = &v;
  return found;
}

const Variant* frugalblas_default_variant(const char** error) {
  static const Default chosen = choose_default();
  if (error) *error = chosen.error;
  return chosen.variant;
}

const Algorithm* frugalblas_algorithm(int entry, const Variant* variant) {
  if (built_once[entry]) return variant ? nullptr : built_once[entry];
  if (!variant) variant = frugalblas_default_variant(nullptr);
  return variant ? variant->algorithms[entry] : nullptr;
}

Status frugalblas_run(const Algorithm* algorithm, const Gemm* job) {
  Status status;
  if (job->threads == 1) {  // neither a team nor a copy of the job: a tenth of the time of a 16 x 16 product each
    status = run_guarded(algorithm, *job);
  } else {
    Team team(job->threads, job->raised);
    Gemm shared = *job;
    shared.team = &team;
    status = run_guarded(algorithm, shared);
  }
  const double flops = flops_of(*job);
  if (status == Status::done && flops >= small_team_flops) note_product(flops, job->threads);
  return status;
}

Status frugalblas_run_always(const Algorithm* algorithm, const Gemm* job) {
  const Status status = frugalblas_run(algorithm, job);
  if (status != Status::out_of_memory) return status;
  Gemm alone = *job;
  alone.threads = 1;  // so that its flags are the caller's
  return frugalblas_run(variants[0].algorithms[frugalblas_find_entry("accumulate")], &alone);
}

void frugalblas_scale(Matrix C, index_t M, index_t N, float beta) {
  if (C.row_stride == 1) {  // by columns, as they lie in memory
    std::swap(C.row_stride, C.col_stride);
    std::swap(M, N);
  }
  for (index_t i = 0; i < M; ++i)
    for (index_t j = 0; j < N; ++j) {
      float* c = C.data + i * C.row_stride + j * C.col_stride;
      *c = beta == 0 ? 0 : beta * *c;
    }
}

const CacheSizes* frugalblas_cache_sizes() { return &cache_sizes(); }
int frugalblas_usable_cpus() { return usable_cpus(); }
int frugalblas_cgroup_cpus(const char* root, int most) { return cgroup_cpus(root, most); }
const char* frugalblas_cpu_model() { return cpu_model(); }
const char* frugalblas_cpu_tuning() { return cpu_tuning(); }
bool frugalblas_cpu_supports(const char* level) { return cpu_supports(level); }
}
