// emulator.hpp: runs a CUDA kernel's unchanged source on a CPU, one fiber per thread of a block, one block at a time.
//
// It proves what a wrong kernel gets wrong on any GPU: indices, masks, the order of barriers and asynchronous copies,
// who takes part in a collective operation. It knows nothing of bank conflicts, caches or speed, and threads switch
// only where the kernel synchronises, so the order in which they run between two barriers is a setting, not a sample.
#pragma once
#include <cstddef>
#include <functional>
#include <source_location>
#include <vector>

namespace fb::emu {

struct Index {
  unsigned x, y, z;
};

enum class Order { ascending, descending, shuffled };  // in which the threads of a block run between two barriers
// When the bytes of an asynchronous copy arrive: as late as the program allows, or at once (as before compute
// capability 8.0, where such a copy is an ordinary one). Until then the target holds NaNs.
enum class Landing { at_wait, at_once };

struct Settings {
  Order order = Order::ascending;
  Landing landing = Landing::at_wait;
  unsigned seed = 0;     // of the shuffled order
  const char* job = "";  // what is being run, for messages
};
extern Settings settings;

struct Copy {
  void* to;
  const void* from;
  int bytes, valid;
};

struct Thread {
  Index index;
  unsigned number;                        // within its block
  std::vector<Copy> open;                 // copies of the group that is not closed yet
  std::vector<std::vector<Copy>> groups;  // closed ones, oldest first
  std::source_location where;             // of the synchronisation it waits at
  const void* arguments;                  // of the collective operation it waits at
};

Thread& current();
Index block_index();
void* shared_memory();
std::size_t shared_bytes();

// Prints the job, the thread and the message, and ends the process: a kernel that is wrong has no result to go on with.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Runs `thread` for every thread of every block.
void run_grid(Index grid, Index block, std::size_t shared_bytes, const std::function<void()>& thread);

// Waits for all threads of the block (of the warp). All must come, and to the same line.
void block_barrier(std::source_location where);
void warp_barrier(std::source_location where);

// A collective operation of a warp. Each lane passes its arguments; once all 32 have come, to the same line,
// `operation` runs once with an array of 32 pointers to them.
void collective(const void* arguments, void (*operation)(const void* const* lanes), std::source_location where);

}  // namespace fb::emu
