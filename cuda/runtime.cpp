// runtime.cpp: devices, memory and streams; the road of host arrays to the GPU and back.
#include "runtime.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

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

namespace {

// The processors and capability of the current device, asked once per call: both are cached by the runtime.
void describe_device(Job& job) {
  int device, major, minor;
  check(cudaGetDevice(&device), "asking for the current GPU");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the GPU's capability");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking for the GPU's capability");
  check(cudaDeviceGetAttribute(&job.processors, cudaDevAttrMultiProcessorCount, device), "asking for its processors");
  job.capability = major * 10 + minor;
}

// Makes a device the current one of this thread, for as long as it lives.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&previous_), "asking for the current GPU");
    check(cudaSetDevice(device), "choosing the GPU");
  }
  ~CurrentDevice() { cudaSetDevice(previous_); }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int previous_;
};

// Memory on the current device, in the order of a stream: allocated and freed as work before and after it is done.
class DeviceMemory {
 public:
  DeviceMemory(std::size_t bytes, cudaStream_t stream) : stream_(stream) {
    if (bytes) check(cudaMallocAsync(&data_, bytes, stream), "allocating memory on the GPU");
  }
  ~DeviceMemory() {
    if (data_) cudaFreeAsync(data_, stream_);
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
};

class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes) { check(cudaMallocHost(&data_, bytes), "allocating pinned memory"); }
  ~PinnedMemory() { cudaFreeHost(data_); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  char* data() const { return static_cast<char*>(data_); }

 private:
  void* data_ = nullptr;
};

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_;
};

// A matrix in host memory as it lies there: `rows` runs of `cols` adjacent floats, `ld` apart.
struct HostRows {
  float* data;
  index_t rows, cols, ld;
};

void copy_rows(const HostRows& from, float* to) {
  for (index_t i = 0; i < from.rows; ++i)
    std::memcpy(to + i * from.cols, from.data + i * from.ld, static_cast<std::size_t>(from.cols) * sizeof(float));
}

void copy_back(const float* from, const HostRows& to) {
  for (index_t i = 0; i < to.rows; ++i)
    std::memcpy(to.data + i * to.ld, from + i * to.cols, static_cast<std::size_t>(to.cols) * sizeof(float));
}

// Two pinned buffers in turn between host memory and the GPU: while one is on its way, the other is filled or emptied.
constexpr std::size_t SLOT_BYTES = 32 << 20;  // long enough for the bus to run at full speed, short against a matrix
constexpr int SLOTS = 2;

class Upload {
 public:
  explicit Upload(cudaStream_t stream) : stream_(stream) {}

  // Enqueues `from`, as adjacent rows, to `to` on the GPU.
  void send(const HostRows& from, float* to) {
    const index_t rows_per_slot =
        std::max<index_t>(static_cast<index_t>(SLOT_BYTES / sizeof(float)) / std::max<index_t>(from.cols, 1), 1);
    for (index_t i = 0; i < from.rows; i += rows_per_slot) {
      const index_t rows = std::min(rows_per_slot, from.rows - i);
      send_piece({from.data + i * from.ld, rows, from.cols, from.ld}, to + i * from.cols);
    }
  }

 private:
  void send_piece(const HostRows& piece, float* to) {
    const std::size_t bytes = static_cast<std::size_t>(piece.rows * piece.cols) * sizeof(float);
    if (bytes > SLOT_BYTES) {  // a single row longer than a slot: the runtime stages it
      check(cudaMemcpyAsync(to, piece.data, bytes, cudaMemcpyHostToDevice, stream_), "copying to the GPU");
      return;
    }
    const int slot = next_++ % SLOTS;
    check(cudaEventSynchronize(free_[slot]), "waiting for a copy to the GPU");  // a new event counts as passed
    float* const staged = reinterpret_cast<float*>(pinned_.data() + static_cast<std::size_t>(slot) * SLOT_BYTES);
    copy_rows(piece, staged);
    check(cudaMemcpyAsync(to, staged, bytes, cudaMemcpyHostToDevice, stream_), "copying to the GPU");
    check(cudaEventRecord(free_[slot], stream_), "marking a copy to the GPU");
  }

  cudaStream_t stream_;
  PinnedMemory pinned_{SLOTS * SLOT_BYTES};
  Event free_[SLOTS];
  int next_ = 0;
};

HostRows host_rows(const Operand& m, index_t rows, index_t cols) {
  float* const data = static_cast<float*>(const_cast<void*>(m.data));
  return m.transposed ? HostRows{data, cols, rows, m.ld} : HostRows{data, rows, cols, m.ld};
}

// Rows of C in one panel: by the shape alone, for the kernels cut K by the shape of what they are given.
index_t panel_rows(const Job& job) {
  const index_t floats = static_cast<index_t>(SLOT_BYTES / sizeof(float));
  const index_t rows = floats / std::max({job.N, job.K, index_t{1}}) / 256 * 256;
  return std::min(std::max<index_t>(rows, 256), job.M);
}

}  // namespace

void enqueue(const Kernel& kernel, Job job, int device) {
  const CurrentDevice current(device);
  describe_device(job);
  const DeviceMemory workspace(kernel.workspace_bytes ? kernel.workspace_bytes(job) : 0, job.stream);
  job.workspace = workspace.data();
  check(kernel.run(job), "starting the kernel");
}

void* allocate(std::size_t bytes, int device, cudaStream_t stream) {
  const CurrentDevice current(device);
  void* data = nullptr;
  if (bytes) check(cudaMallocAsync(&data, bytes, stream), "allocating memory on the GPU");
  return data;
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

void multiply_host(const Kernel& kernel, Job job, int device) {
  const CurrentDevice current(device);
  const HostRows A = host_rows(job.A, job.M, job.K), B = host_rows(job.B, job.K, job.N);
  const HostRows C{job.C, job.M, job.N, job.ldc};
  const auto bytes = [](const HostRows& m) { return static_cast<std::size_t>(m.rows * m.cols) * sizeof(float); };
  const Stream up, compute;
  const DeviceMemory a(bytes(A), up), b(bytes(B), up), c(bytes(C), up);
  float* const a_data = static_cast<float*>(a.data());
  float* const c_data = static_cast<float*>(c.data());
  const index_t panel = panel_rows(job);
  PinnedMemory results(SLOTS * static_cast<std::size_t>(panel * job.N) * sizeof(float));
  Upload upload(up);
  const Event sent, computed[SLOTS];
  const struct Drain {  // the last to be made, the first to go: no memory is freed that work under way still needs
    cudaStream_t up, compute;
    ~Drain() { cudaStreamSynchronize(up), cudaStreamSynchronize(compute); }
  } drain{up, compute};
  if (job.K > 0) upload.send(B, static_cast<float*>(b.data()));
  if (job.K > 0 && job.A.transposed) upload.send(A, a_data);  // its rows are not rows of C: no panels

  const auto fetch = [&](index_t row, int slot) {  // the panel at `row` from its pinned slot, once it is there
    check(cudaEventSynchronize(computed[slot]), "waiting for the GPU");
    const float* from = reinterpret_cast<const float*>(results.data()) + slot * panel * job.N;
    copy_back(from, {C.data + row * C.ld, std::min(panel, job.M - row), C.cols, C.ld});
  };
  int n = 0;
  for (index_t row = 0; row < job.M; row += panel, ++n) {
    const index_t rows = std::min(panel, job.M - row);
    const int slot = n % SLOTS;
    if (job.K > 0 && !job.A.transposed) upload.send({A.data + row * A.ld, rows, A.cols, A.ld}, a_data + row * job.K);
    if (job.beta != 0) upload.send({C.data + row * C.ld, rows, C.cols, C.ld}, c_data + row * job.N);
    check(cudaEventRecord(sent, up), "marking a panel");
    check(cudaStreamWaitEvent(compute, sent), "waiting for a panel");
    Job part = job;
    part.M = rows;
    part.A = job.A.transposed ? Operand{a_data + row, job.M, true, job.A.type}
                              : Operand{a_data + row * job.K, job.K, false, job.A.type};
    part.B = {b.data(), job.B.transposed ? job.K : job.N, job.B.transposed, job.B.type};
    part.C = c_data + row * job.N;
    part.ldc = job.N;
    part.stream = compute;
    if (n >= SLOTS) fetch(row - SLOTS * panel, slot);
    enqueue(kernel, part, device);
    check(cudaMemcpyAsync(results.data() + static_cast<std::size_t>(slot * panel * job.N) * sizeof(float), part.C,
                          static_cast<std::size_t>(rows * job.N) * sizeof(float), cudaMemcpyDeviceToHost, compute),
          "copying from the GPU");
    check(cudaEventRecord(computed[slot], compute), "marking a result");
  }
  for (int i = std::max(n - SLOTS, 0); i < n; ++i) fetch(i * panel, i % SLOTS);
}

}  // namespace fb::cuda
