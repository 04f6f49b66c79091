// runtime.cpp: devices, memory and streams.
#include "runtime.hpp"

#include <new>
#include <stdexcept>

#include "owners.hpp"
#include "staging.hpp"

namespace fb::cuda {

Status status() {
  Status s{};
  cudaRuntimeGetVersion(&s.runtime);
  if (cudaDriverGetVersion(&s.driver) != cudaSuccess) s.driver = 0;
  int count = 0;  // not written where there is no driver
  s.error = cudaGetDeviceCount(&count);
  cudaGetLastError();  // the error has been told: the next call must not find it
  if (s.error != cudaSuccess) return s;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    s.devices.push_back({p.name, p.major * 10 + p.minor, p.multiProcessorCount, p.totalGlobalMem});
  }
  return s;
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

void describe_device(Job& job) {
  int device, major, minor;
  check(cudaGetDevice(&device), "asking for the current GPU");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the GPU's capability");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking for the GPU's capability");
  check(cudaDeviceGetAttribute(&job.processors, cudaDevAttrMultiProcessorCount, device), "asking for its processors");
  job.capability = major * 10 + minor;
}

namespace {

// Freed memory that the pool of a device keeps for the calls that follow, instead of returning it whenever somebody
// synchronises: mapping it anew takes longer than a product. 1 GiB holds the 768 MiB of 8192 x 8192 x 8192.
constexpr std::uint64_t POOL_KEEPS_BYTES = 1 << 30;

// Our own pool: the default one serves every library of the process, and how much it keeps is not ours to decide. As
// the rest of what is kept, it is never destroyed.
cudaMemPool_t pool_of(int device) {
  Kept& kept = kept_of(device);
  const std::lock_guard lock(kept.making);
  if (kept.pool) return kept.pool;
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  cudaMemPool_t pool;
  check(cudaMemPoolCreate(&pool, &properties), "creating a pool of the GPU's memory");
  std::uint64_t keeps = POOL_KEEPS_BYTES;
  const cudaError_t error = cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keeps);
  if (error != cudaSuccess) cudaMemPoolDestroy(pool);
  check(error, "telling a pool how much to keep");
  return kept.pool = pool;
}

}  // namespace

void* allocate_here(std::size_t bytes, cudaStream_t stream) {
  if (!bytes) return nullptr;
  int device;
  void* data = nullptr;
  check(cudaGetDevice(&device), "asking for the current GPU");
  check(cudaMallocFromPoolAsync(&data, bytes, pool_of(device), stream), "allocating memory on the GPU");
  return data;
}

void start(const Kernel& kernel, Job job) {
  const DeviceMemory workspace(kernel.workspace_bytes ? kernel.workspace_bytes(job) : 0, job.stream);
  job.workspace = workspace.data();
  check(kernel.run(job), "starting the kernel");
}

void enqueue(const Kernel& kernel, Job job, int device) {
  const CurrentDevice current(device);
  describe_device(job);
  start(kernel, job);
}

void* allocate(std::size_t bytes, int device, cudaStream_t stream) {
  const CurrentDevice current(device);
  return allocate_here(bytes, stream);
}

void release(void* data, int device, cudaStream_t stream) noexcept {
  int previous;
  if (!data || cudaGetDevice(&previous) != cudaSuccess) return;
  cudaSetDevice(device);
  if (cudaFreeAsync(data, stream) != cudaSuccess) cudaFree(data);
  cudaSetDevice(previous);
  cudaGetLastError();
}

std::uintptr_t mark(cudaStream_t stream, int device) {
  const CurrentDevice current(device);
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  check(cudaEventRecord(event, stream), "marking a stream");
  return reinterpret_cast<std::uintptr_t>(event);
}

bool passed(std::uintptr_t mark) {
  const cudaEvent_t event = reinterpret_cast<cudaEvent_t>(mark);
  const cudaError_t error = cudaEventQuery(event);
  cudaGetLastError();
  if (error == cudaErrorNotReady) return false;
  cudaEventDestroy(event);
  return true;  // also where the device has failed: nothing will run any more
}

void order_after(cudaStream_t stream, cudaStream_t earlier, int device) {
  const CurrentDevice current(device);
  const Event passed;
  check(cudaEventRecord(passed, earlier), "marking a stream");
  check(cudaStreamWaitEvent(stream, passed), "ordering two streams");
}

}  // namespace fb::cuda
