// fake_runtime.hpp: what a test decides about the runtime that is not there, and what it can ask of it.
//
// Streams hold what is enqueued and do it when the landing says so, so that a wait that is missing shows: a copy that
// lands late reads what its slot holds by then. All memory is new and full of NaNs. Whatever CUDA would not take ends
// the process: a copy from memory that is not pinned, or past an end; a stream destroyed with work under way.
#pragma once
#include <cstddef>
#include <functional>

#include "host_api.h"

namespace fb::fake {

enum class Landing {
  at_once,    // when enqueued
  at_wait,    // when the host waits for it, or for what waits for it: as late as the program allows
  at_random,  // any stream may go on at any call
  clocked     // at once, but not to be seen before a clock says so: a model of the time, see Rates
};

// What the clock counts with, all estimates.
struct Rates {
  double bus = 55, host = 100;  // GB/s: each way, pinned; all of the host's threads between pinned memory and arrays
  double call_us = 2;           // of the host, for a call of the runtime
  double copy_us = 1.5;         // of the bus, between two copies
};

void set(Landing landing, unsigned seed = 0);

// The `call`-th call from now on that can fail does, as out of memory where it allocates; 0: none.
void fail_at(int call);
bool has_failed();

// What a launch does: adds a kernel to a stream. Alone, it takes so long, and has such a share of the GPU.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> kernel, double microseconds = 0, double share = 1);

// Does all that is under way, stream after stream in the order in which they were made.
void settle();

double now_us();

struct Held {
  std::size_t pinned_bytes, device_bytes, streams, events;
};
Held held();

}  // namespace fb::fake
