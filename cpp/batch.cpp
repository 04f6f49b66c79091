// batch.cpp: many products of one shape as one call.
//
// A batch is spread over threads by whole products where there are enough of them; otherwise each product gets the team
// to itself. The rung follows from the shape of one product, so its bits are those of a call of its own either way.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <memory>
#include <new>

#include "core.hpp"
#include "cpu.hpp"
#include "small_products.hpp"
#include "team.hpp"

namespace fb {
namespace {

// From this many products per thread on, the last ones to finish delay the rest little.
constexpr index_t products_per_thread = 2;

Gemm item(const Batch& batch, index_t i) {
  Gemm job = batch.first;
  job.A.data += i * batch.a_step;
  job.B.data += i * batch.b_step;
  job.C.data += i * batch.c_step;
  return job;
}

// Whether a thread's share of a batch is too large for its L2, so that each product finds its operands far away.
bool is_far(const Batch& batch, index_t threads) {
  const Gemm& g = batch.first;
  const index_t own = (batch.a_step ? g.M * g.K : 0) + (batch.b_step ? g.K * g.N : 0) + g.M * g.N;
  return batch.count > 1 && own > cache_sizes().l2 / static_cast<index_t>(sizeof(float)) * threads / batch.count;
}

// The operands of the product after `job`: those that are not shared and lie right behind the job's own.
Upcoming after(const Batch& batch, const Gemm& job) {
  const auto run = [](const float* data, index_t step, index_t floats) -> Upcoming::Run {
    return {data + step, step == floats ? floats : 0};
  };
  return {{run(job.A.data, batch.a_step, job.M * job.K), run(job.B.data, batch.b_step, job.K * job.N),
           run(job.C.data, batch.c_step, job.M * job.N)}};
}

Status run_item(const Algorithm* algorithm, const Batch& batch, const Gemm& job) {
  return batch.always ? frugalblas_run_always(algorithm, &job) : frugalblas_run(algorithm, &job);
}

Status run_one_by_one(const Algorithm* algorithm, const Batch& batch, int threads) {
  Gemm job = batch.first;
  job.threads = threads;
  int raised = 0;
  job.raised = &raised;
  Status status = Status::done;
  const bool far = threads == 1 && is_far(batch, 1);
  for (index_t i = 0; i < batch.count && status == Status::done; ++i) {
    const bool goes_on = far && i + 1 < batch.count;
    const Upcoming next = goes_on ? after(batch, job) : Upcoming{};
    job.upcoming = goes_on ? &next : nullptr;
    status = run_item(algorithm, batch, job);
    job.A.data += batch.a_step;
    job.B.data += batch.b_step;
    job.C.data += batch.c_step;
  }
  if (raised) std::feraiseexcept(raised);
  return status;
}

// How many products of its share a thread has taken, or others have who are done with theirs.
struct alignas(64) Share {
  std::atomic<index_t> taken{0};
};

// Each thread computes a share of the batch, the same in every call: what its L2 still holds of it need not come from
// another's. Whoever is done helps the others.
Status run_side_by_side(const Algorithm* algorithm, const Batch& batch, int threads) {
  const std::unique_ptr<Share[]> shares(new (std::nothrow) Share[static_cast<std::size_t>(threads)]);
  if (!shares) return run_one_by_one(algorithm, batch, 1);
  int raised = 0;
  std::atomic<Status> status{Status::done};
  // Neighbours often share an operand, so a thread takes several in a row; eight turns each even out a slow core.
  const index_t turn = std::max<index_t>(1, batch.count / (8 * threads));
  const bool far = is_far(batch, threads);
  {
    Team team(threads, &raised);
#pragma omp parallel num_threads(threads)
    {
      const TeamThread team_thread(&team);
      const int thread = omp_get_thread_num();
      for (int n = 0; n < threads; ++n) {
        const index_t owner = (thread + n) % threads;
        const index_t begin = batch.count * owner / threads, end = batch.count * (owner + 1) / threads;
        const auto all_well = [&] { return status.load(std::memory_order_relaxed) == Status::done; };
        while (all_well()) {
          const index_t first = begin + shares[owner].taken.fetch_add(turn, std::memory_order_relaxed);
          if (first >= end) break;
          const index_t last = std::min(end, first + turn);
          for (index_t i = first; i < last && all_well(); ++i) {
            Gemm job = item(batch, i);
            job.threads = 1;
            const bool goes_on = far && i + 1 < (n == 0 ? end : last);
            const Upcoming next = goes_on ? after(batch, job) : Upcoming{};
            job.upcoming = goes_on ? &next : nullptr;
            const Status ended = run_item(algorithm, batch, job);
            if (ended != Status::done) status.store(ended, std::memory_order_relaxed);
          }
        }
      }
    }
  }
  note_product(flops_of(batch.first) * static_cast<double>(batch.count), threads);  // the team is awake
  if (raised) std::feraiseexcept(raised);
  return status;
}

}  // namespace
}  // namespace fb

using namespace fb;

Status frugalblas_run_batch(const Algorithm* algorithm, const Batch* batch) {
  const Gemm& g = batch->first;
  if (g.M == 0 || g.N == 0 || batch->count == 0) return Status::done;
  if (g.K == 0 || g.alpha == 0) {
    for (index_t i = 0; i < batch->count; ++i) frugalblas_scale(item(*batch, i).C, g.M, g.N, g.beta);
    return Status::done;
  }
  int threads = g.threads;
  int item_threads = threads;  // what one product would take
  Gemm alone = g;
  const bool automatic = !algorithm;
  if (automatic) {
    const Choice choice = frugalblas_choose(&alone);
    algorithm = frugalblas_algorithm(choice.entry, batch->variant);
    item_threads = choice.threads;
    if (flops_of(g) * static_cast<double>(batch->count) < team_flops) threads = 1;
  }
  if (threads == 1 || batch->count == 1) return run_one_by_one(algorithm, *batch, item_threads);
  if (item_threads > 1 && batch->count < products_per_thread * threads)
    return run_one_by_one(algorithm, *batch, item_threads);
  if (automatic) {  // the rung for one thread: the same bits, without the means to share
    alone.threads = 1;
    algorithm = frugalblas_algorithm(frugalblas_choose(&alone).entry, batch->variant);
  }
  return run_side_by_side(algorithm, *batch, static_cast<int>(std::min<index_t>(threads, batch->count)));
}
