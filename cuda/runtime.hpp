// runtime.hpp: devices, memory and streams behind the bindings.
#pragma once
#include <string>
#include <vector>

#include "launch.h"

namespace fb::cuda {

struct Device {
  std::string name;
  int capability, processors;  // 90 is compute capability 9.0
  std::size_t memory_bytes;
};

// What the runtime says, without interpretation: gpu.py makes a sentence of it. Never throws; creates no context.
struct Status {
  int runtime, driver;  // versions as 13000; driver 0: there is none
  cudaError_t error;    // of counting the devices
  std::vector<Device> devices;
};
Status status();

// Throws std::runtime_error with the runtime's own words, and std::bad_alloc where memory is what lacks.
void check(cudaError_t error, const char* what);

// Enqueues `job` on its stream, which belongs to `device`, with a workspace that lives as long as needed.
void enqueue(const Kernel& kernel, Job job, int device);

// The two halves of `enqueue`, on the current device: its processors and capability, which the runtime knows without
// asking the device; and the kernel with its workspace.
void describe_device(Job& job);
void start(const Kernel& kernel, Job job);

// Memory on the current device in the order of `stream`, out of a pool that is ours; nullptr for none.
void* allocate_here(std::size_t bytes, cudaStream_t stream);

// Memory on `device` in the order of `stream`. Freeing never throws: where the stream is gone, all work is waited for.
void* allocate(std::size_t bytes, int device, cudaStream_t stream);
void release(void* data, int device, cudaStream_t stream) noexcept;

// A mark on `stream` behind what it holds now, and whether that is done; once it is, the mark is gone.
std::uintptr_t mark(cudaStream_t stream, int device);
bool passed(std::uintptr_t mark);

// What is enqueued on `stream` from now on waits for what `earlier` holds now.
void order_after(cudaStream_t stream, cudaStream_t earlier, int device);

// The same product of matrices in host memory, with any strides BLAS can express, on `device`; returns when C is there.
// `threads` at most copy between the arrays and pinned memory. Its bits are a function of the shape alone. Products of
// several threads on one device come one after the other.
void multiply_host(const Kernel& kernel, Job job, int device, int threads);

// Returns what is kept for the calls that follow: pinned slots and streams, unless a product is under way, and memory
// of the GPUs.
void free_workspace() noexcept;

}  // namespace fb::cuda
