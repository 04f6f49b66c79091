// fake_runtime.cpp: CUDA's host side without a GPU: two devices whose memory is the host's. See fake_runtime.hpp.
#include "fake_runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

// A place in a stream's order.
struct Mark {
  std::shared_ptr<CUstream_st> stream;
  std::size_t position = 0;
  double us = 0;
};

struct Operation {
  std::function<void()> run;
  Mark wait;  // for this instead
};

struct CUstream_st : std::enable_shared_from_this<CUstream_st> {
  int device;
  std::deque<Operation> waiting;
  std::size_t enqueued = 0, done = 0;
  double us = 0;           // when all of it is done
  double to_empty_us = 0;  // what the host will take for what was copied to it last
};

struct CUevent_st {
  int device;
  Mark mark;
  double to_empty_us = 0;
};

struct CUmemPoolHandle_st {
  int device;
  std::size_t allocations = 0;
};

namespace fb::fake {
namespace {

struct Allocation {
  std::size_t bytes;
  int device;
  cudaMemPool_t pool;
};

// Leaked: what is tested holds on to streams and memory until the end, and so may its threads.
struct State {
  std::recursive_mutex lock;
  Landing landing = Landing::at_once;
  Rates rates;
  std::mt19937 random;
  int calls = 0, fails_at = 0;
  double now_us = 0, gpu_us = 0;  // the second: when the GPU would be done, were it always full
  std::map<char*, Allocation> pinned, on_device;
  std::vector<std::shared_ptr<CUstream_st>> streams;
  std::size_t events = 0;
  pid_t process = getpid();
};
State& state = *new State;
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "fake runtime: %s\n", what);
  std::_Exit(1);
}

cudaError_t returned(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool complete(const Mark& mark) {
  if (!mark.stream) return true;
  return state.landing == Landing::clocked ? mark.us <= state.now_us : mark.stream->done >= mark.position;
}

void force(const Mark& mark);

void do_next(CUstream_st& stream) {
  const Operation next = std::move(stream.waiting.front());
  stream.waiting.pop_front();
  force(next.wait);
  if (next.run) next.run();
  ++stream.done;
}

void force(const Mark& mark) {
  while (mark.stream && mark.stream->done < mark.position) do_next(*mark.stream);
}

// The host waits.
void wait_for(const Mark& mark) {
  force(mark);
  state.now_us = std::max(state.now_us, mark.us);
}

// At any moment, any stream may have gone on by a few operations.
void go_on_at_random() {
  if (state.landing != Landing::at_random || state.streams.empty()) return;
  CUstream_st& stream = *state.streams[state.random() % state.streams.size()];
  for (unsigned n = state.random() % 4; n && !stream.waiting.empty() && complete(stream.waiting.front().wait); --n)
    do_next(stream);
}

// Begins every call that can fail.
cudaError_t begin(cudaError_t failure = cudaErrorUnknown) {
  if (getpid() != state.process) return returned(cudaErrorInitializationError);
  state.now_us += state.rates.call_us;
  go_on_at_random();
  return ++state.calls == state.fails_at ? returned(failure) : cudaSuccess;
}

void add(cudaStream_t stream, Operation operation, double us) {
  stream->us = std::max({stream->us, state.now_us, operation.wait.us}) + us;
  stream->waiting.push_back(std::move(operation));
  ++stream->enqueued;
  if (state.landing == Landing::at_once || state.landing == Landing::clocked)
    while (!stream->waiting.empty()) do_next(*stream);
}

// Whether an allocation has all of these bytes.
bool inside(const std::map<char*, Allocation>& all, const void* data, std::size_t bytes) {
  char* const first = static_cast<char*>(const_cast<void*>(data));
  auto after = all.upper_bound(first);
  if (after == all.begin()) return false;
  const auto& [start, allocation] = *--after;
  return first + bytes <= start + allocation.bytes;
}

void* new_memory(std::map<char*, Allocation>& all, std::size_t bytes, int device, cudaMemPool_t pool) {
  char* const data = static_cast<char*>(std::malloc(bytes));
  std::memset(data, 0xff, bytes);
  all[data] = {bytes, device, pool};
  return data;
}

void free_memory(std::map<char*, Allocation>& all, void* data) {
  const auto found = all.find(static_cast<char*>(data));
  if (found == all.end()) fail("memory is freed that was not allocated");
  if (found->second.pool) --found->second.pool->allocations;
  all.erase(found);
  std::free(data);
}

}  // namespace

void set(Landing landing, unsigned seed) {
  const std::lock_guard lock(state.lock);
  state.landing = landing;
  state.random.seed(seed);
}

void fail_at(int call) { state.calls = 0, state.fails_at = call; }
bool has_failed() { return state.fails_at && state.calls >= state.fails_at; }
double now_us() { return state.now_us; }

cudaError_t enqueue(cudaStream_t stream, std::function<void()> kernel, double microseconds, double share) {
  const std::lock_guard lock(state.lock);
  if (last_error != cudaSuccess) return cudaGetLastError();  // as a launch, which can only ask for it
  if (const cudaError_t error = begin()) return error;
  if (stream->device != current_device) fail("a kernel is started on a stream of another device");
  add(stream, {std::move(kernel), {}}, microseconds);
  state.gpu_us = std::max(state.gpu_us, stream->us - microseconds) + microseconds * share;
  stream->us = std::max(stream->us, state.gpu_us);
  return cudaSuccess;
}

void settle() {
  const std::lock_guard lock(state.lock);
  for (const auto& stream : state.streams) wait_for({stream, stream->enqueued, stream->us});
}

Held held() {
  const std::lock_guard lock(state.lock);
  Held sum{0, 0, state.streams.size(), state.events};
  for (const auto& [data, allocation] : state.pinned) sum.pinned_bytes += allocation.bytes;
  for (const auto& [data, allocation] : state.on_device) sum.device_bytes += allocation.bytes;
  return sum;
}

}  // namespace fb::fake

using namespace fb::fake;
#define BEGIN(...)                         \
  const std::lock_guard guard(state.lock); \
  if (const cudaError_t error_ = begin(__VA_ARGS__)) return error_

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t) { return "made up"; }
const char* cudaGetErrorName(cudaError_t) { return "fake"; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 2, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return *properties = {"fake", 9, 0, 132, std::size_t{1} << 36}, cudaSuccess;
}

// A forked child gets answers from these: nobody has to ask the driver.
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 132 : attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
  if (getpid() != state.process) return cudaSuccess;
  BEGIN();
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  if (getpid() != state.process) return cudaSuccess;
  BEGIN();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (getpid() == state.process) {
    BEGIN();
  }
  current_device = device;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  BEGIN(cudaErrorMemoryAllocation);
  *data = new_memory(state.pinned, bytes, 0, nullptr);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  const std::lock_guard guard(state.lock);
  free_memory(state.pinned, data);
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  BEGIN(cudaErrorMemoryAllocation);
  if (properties->allocType != cudaMemAllocationTypePinned || properties->location.type != cudaMemLocationTypeDevice)
    fail("a pool of no device's memory is wanted");
  *pool = new CUmemPoolHandle_st{properties->location.id};
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
  BEGIN();
  if (*static_cast<std::uint64_t*>(value) == 0) fail("a pool is to keep nothing");
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
  BEGIN();
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  if (pool->allocations) fail("a pool is destroyed while its memory is in use");
  delete pool;
  return cudaSuccess;
}
cudaError_t cudaMallocFromPoolAsync(void** data, std::size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  BEGIN(cudaErrorMemoryAllocation);
  if (stream->device != pool->device) fail("memory of another device is allocated on a stream");
  ++pool->allocations;
  *data = new_memory(state.on_device, bytes, pool->device, pool);
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  const std::lock_guard guard(state.lock);
  add(stream, {[data] { free_memory(state.on_device, data); }, {}}, 0);
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  settle();
  free_memory(state.on_device, data);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  BEGIN();
  state.streams.push_back(std::make_shared<CUstream_st>());
  *stream = state.streams.back().get();
  (*stream)->device = current_device;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard guard(state.lock);
  if (!stream->waiting.empty()) fail("a stream is destroyed with work under way");
  std::erase_if(state.streams, [&](const auto& known) { return known.get() == stream; });
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard guard(state.lock);
  wait_for({stream->shared_from_this(), stream->enqueued, stream->us});
  return begin();  // a device that fails does nothing any more either
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  BEGIN();
  add(stream, {nullptr, event->mark}, 0);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  BEGIN();
  ++state.events;
  *event = new CUevent_st{current_device, {}};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard guard(state.lock);
  --state.events;
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  BEGIN();
  if (event->device != stream->device) fail("an event of another device is recorded");
  event->mark = {stream->shared_from_this(), stream->enqueued, stream->us};
  event->to_empty_us = std::exchange(stream->to_empty_us, 0);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  BEGIN();
  if (!complete(event->mark)) return returned(cudaErrorNotReady);
  state.now_us += std::exchange(event->to_empty_us, 0);  // whoever asks for a result empties its slot next
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  BEGIN();
  wait_for(event->mark);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  BEGIN();
  const bool up = kind == cudaMemcpyHostToDevice;
  if (to_pitch < width || from_pitch < width || to_pitch > INT32_MAX || from_pitch > INT32_MAX) fail("a wrong pitch");
  const auto end = [&](std::size_t pitch) { return (height - 1) * pitch + width; };
  if (!inside(up ? state.pinned : state.on_device, from, end(from_pitch)) ||
      !inside(up ? state.on_device : state.pinned, to, end(to_pitch)))
    fail("a copy from or to memory that is not pinned, not on the GPU, or too short");
  const double bytes = static_cast<double>(width * height), host_us = bytes / state.rates.host / 1000;
  if (up)
    state.now_us += host_us;  // which has filled the slot
  else
    stream->to_empty_us = host_us;
  const auto copy = [=] {
    for (std::size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  };
  add(stream, {copy, {}}, bytes / state.rates.bus / 1000 + state.rates.copy_us);
  return cudaSuccess;
}
