// staging.hpp: the ring that host arrays travel through: pinned slots, the streams they go on, the team that copies.
//
// Made by the first product of host arrays on a device and kept for all that follow: pinning its memory takes longer
// than the bus takes for a product of 4096 x 4096 x 4096.
#pragma once
#include <memory>
#include <mutex>

#include "owners.hpp"

namespace fb::cuda {

// What travels at once. 4 MiB are 76 us of a bus of 55 GB/s, against some 10 us that a copy and its event cost to
// enqueue; the first and the last of a product go alone, so longer would be felt. An estimate, not measured on a GPU
// yet.
#ifdef FB_SMALL_SLOTS  // for emu/fuzz_host.cpp: small products are to go round them too
constexpr index_t SLOT_BYTES = 16 << 10;
#else
constexpr index_t SLOT_BYTES = 4 << 20;
#endif
// Of each direction: 0.6 ms of the bus, so that it stays busy while the one thread looks after the other direction.
// Both rings, 64 MiB, are what a process keeps pinned per device.
constexpr int SLOTS = 8;
// C is made in steps, each of a panel of A, or of B, and what is there of the other. Of 8 panels the first and the
// last, which nothing overlaps, are short against the whole, and kernels still large enough. An estimate, by the model.
constexpr int PANELS = 8, STEPS = 2 * PANELS;
// A step may have fewer tiles than the GPU has processors (512 x 4096 in tiles of 128 x 256: 64 of 132, and early ones
// 16), so four run side by side.
constexpr int COMPUTE_STREAMS = 4;

// A matrix as it lies in memory: `rows` runs of `cols` adjacent elements of `size` bytes, `ld` elements apart.
struct Rows {
  char* data;
  index_t rows, cols, ld, size;
};

// `count` columns of a matrix, or rows, from `first` on.
inline Rows part(const Rows& m, bool columns, index_t first, index_t count) {
  if (columns) return {m.data + first * m.size, m.rows, count, m.ld, m.size};
  return {m.data + first * m.ld * m.size, count, m.cols, m.ld, m.size};
}

// Copies on at most `threads` threads.
void copy_rows(Rows from, Rows to, int threads);

// One direction. A slot is free once its event has passed; those of a new ring have.
struct Direction {
  Stream stream;
  PinnedMemory memory{SLOTS * SLOT_BYTES};
  Event passed[SLOTS];
  char* slot(std::size_t n) const { return memory.data() + n % SLOTS * SLOT_BYTES; }
  cudaEvent_t event(std::size_t n) const { return passed[n % SLOTS]; }
};

struct Ring {
  Direction up, down;
  Stream compute[COMPUTE_STREAMS];
  Event sent, computed[STEPS];
  Ring() = default;
  ~Ring() { drain(); }
  // Waits for all work under way, whatever becomes of it.
  void drain() const noexcept;
};

// What the process keeps of a device between calls.
struct Kept {
  std::mutex in_use;  // of the ring: one product at a time. Two would share one bus, and end no sooner than in turn
  std::unique_ptr<Ring> ring;
  std::mutex making;
  cudaMemPool_t pool = nullptr;
};
Kept& kept_of(int device);

}  // namespace fb::cuda
