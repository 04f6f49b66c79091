// owners.hpp: what the host side holds of the CUDA runtime; each is given back where its owner's life ends.
#pragma once
#include "runtime.hpp"

namespace fb::cuda {

struct NotCopied {
  NotCopied() = default;
  NotCopied(const NotCopied&) = delete;
  NotCopied& operator=(const NotCopied&) = delete;
};

// Makes a device the current one of this thread, for as long as it lives.
class CurrentDevice : NotCopied {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&previous_), "asking for the current GPU");
    check(cudaSetDevice(device), "choosing the GPU");
  }
  ~CurrentDevice() { cudaSetDevice(previous_); }

 private:
  int previous_;
};

// Memory on the current device, in the order of a stream: allocated and freed as work before and after it is done.
class DeviceMemory : NotCopied {
 public:
  DeviceMemory(std::size_t bytes, cudaStream_t stream) : data_(allocate_here(bytes, stream)), stream_(stream) {}
  ~DeviceMemory() {
    if (data_) cudaFreeAsync(data_, stream_);
  }
  char* data() const { return static_cast<char*>(data_); }

 private:
  void* data_;
  cudaStream_t stream_;
};

class PinnedMemory : NotCopied {
 public:
  explicit PinnedMemory(std::size_t bytes) { check(cudaMallocHost(&data_, bytes), "allocating pinned memory"); }
  ~PinnedMemory() { cudaFreeHost(data_); }
  char* data() const { return static_cast<char*>(data_); }

 private:
  void* data_ = nullptr;
};

class Stream : NotCopied {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_;
};

class Event : NotCopied {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event"); }
  ~Event() { cudaEventDestroy(event_); }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_;
};

}  // namespace fb::cuda
