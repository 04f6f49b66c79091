// staging.cpp: what is kept between calls (see staging.hpp), and the copies between pinned and other host memory.
#include "staging.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace fb::cuda {
namespace {

// One thread copies some 10 GB/s, and a bus of 55 GB/s each way wants over 80 for a square product: two matrices up
// while one comes down. More than 16 threads only contend for memory. An estimate, not measured on a GPU yet.
constexpr int TEAM_MAX = 16;
// Below this, a thread takes longer to wake than to copy: 128 KiB, some 10 us.
constexpr index_t BYTES_PER_THREAD = SLOT_BYTES / 32;
// What one thread copies in one go: long enough for memcpy's fastest loop, short enough to share a slot evenly. Not by
// non-temporal stores: the bus reads what was just written, and finds it in the cache.
constexpr index_t RUN_BYTES = SLOT_BYTES / 64;

// By device. Leaked on purpose: at the process's end the driver may be gone before static objects are destroyed, and it
// frees what is its own by itself.
struct Registry {
  std::mutex lock;
  std::map<int, Kept> devices;
};
Registry* registry = new Registry;

// A forked child cannot use its parent's GPU: CUDA says so when asked. It must get as far as asking, though a thread
// that the child does not have may have held a lock, so it starts with new ones.
__attribute__((constructor)) void watch_forks() {
  pthread_atfork(nullptr, nullptr, [] { registry = new Registry; });
}

// Adjacent rows as one long one, which can be shared out evenly.
void join_rows(Rows& m) { m.cols = m.ld = m.cols * m.rows, m.rows = 1; }

}  // namespace

void copy_rows(Rows from, Rows to, int threads) {
  if (from.ld == from.cols && to.ld == to.cols) join_rows(from), join_rows(to);
  const index_t bytes = from.cols * from.size;
  const index_t per_row = ceil_div(bytes, RUN_BYTES), runs = from.rows * per_row;
  const int team =
      static_cast<int>(std::clamp<index_t>(from.rows * bytes / BYTES_PER_THREAD, 1, std::clamp(threads, 1, TEAM_MAX)));
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (index_t run = 0; run < runs; ++run) {
    const index_t row = run / per_row, first = run % per_row * RUN_BYTES;
    std::memcpy(to.data + row * to.ld * to.size + first, from.data + row * from.ld * from.size + first,
                static_cast<std::size_t>(std::min(RUN_BYTES, bytes - first)));
  }
}

void Ring::drain() const noexcept {
  cudaStreamSynchronize(up.stream);
  for (const Stream& stream : compute) cudaStreamSynchronize(stream);
  cudaStreamSynchronize(down.stream);
}

Kept& kept_of(int device) {
  const std::lock_guard lock(registry->lock);
  return registry->devices[device];  // a map's elements stay where they are
}

void free_workspace() noexcept {
  Registry& all = *registry;
  const std::lock_guard lock(all.lock);
  for (auto& [device, kept] : all.devices) {
    int previous;
    if (cudaGetDevice(&previous) != cudaSuccess) continue;
    cudaSetDevice(device);
    if (const std::unique_lock idle(kept.in_use, std::try_to_lock); idle) kept.ring.reset();
    if (const std::lock_guard made(kept.making); kept.pool) cudaMemPoolTrimTo(kept.pool, 0);
    cudaSetDevice(previous);
    cudaGetLastError();
  }
}

}  // namespace fb::cuda
