// packed.cpp: operands that were packed beforehand: their memory, and the build that computes with them.
#include <new>

#include "core.hpp"
#include "small_products.hpp"
#include "team.hpp"
#include "workspace.hpp"

namespace fb {

// Where a team pays although there are few flops: where M is small, reading B sets the pace: one core takes some 50 us
// for 1 MiB, several times what opening and closing a team costs.
constexpr double team_bytes = 1 << 20;

}  // namespace fb

using namespace fb;

const Packed* frugalblas_make_packed(index_t K, index_t N, const ConstMatrix* B, const Variant* variant, int threads) {
  if (!variant) variant = frugalblas_default_variant(nullptr);
  if (!variant || !*variant->packed) return nullptr;
  const PackedKernel* const kernel = *variant->packed;
  Packed packed = {K, N, 0, variant, kernel, nullptr};
  index_t padded;  // no register is wider than 64 floats
  if (__builtin_add_overflow(N, 64, &padded) || __builtin_mul_overflow(K, padded, &padded)) return nullptr;
  try {
    if (K > 0 && N > 0) {
      packed.floats = kernel->floats(K, N);
      packed.panels = allocate_floats(packed.floats);
      const double bytes = static_cast<double>(packed.floats) * sizeof(float);
      const int worth = bytes < team_bytes ? 1 : threads;
      const Team team(worth);
      kernel->pack(K, N, *B, worth, packed.panels);
    }
    return new Packed(packed);
  } catch (const std::bad_alloc&) {
    free_floats(packed.panels);
    return nullptr;
  }
}

void frugalblas_free_packed_operand(const Packed* packed) {
  if (!packed) return;
  free_floats(packed->panels);
  delete packed;
}

void frugalblas_unpack(const Packed* packed, float* B) {
  if (packed->panels) packed->kernel->unpack(packed->K, packed->N, packed->panels, B);
}

int frugalblas_packed_threads(const Gemm* job) {
  const double b = static_cast<double>(job->N) * static_cast<double>(job->K);
  const bool enough = 2 * static_cast<double>(job->M) * b >= team_flops || b * sizeof(float) >= team_bytes;
  return enough ? job->threads : 1;
}

Status frugalblas_run_packed(const Packed* packed, const Gemm* job) {
  {
    Team team(job->threads, job->raised);
    Gemm shared = *job;
    shared.team = &team;
    try {
      packed->kernel->run(shared, packed->panels);
    } catch (const std::bad_alloc&) {
      return Status::out_of_memory;
    }
  }
  note_product(flops_of(*job), job->threads);
  return Status::done;
}
