// buffer.hpp: a result whose memory is ours, for makers of arrays that take one through DLPack.
#pragma once
#include <Python.h>

#include <cstdint>
#include <memory>

#include "runtime.hpp"

namespace fb::cuda {

// A float32 matrix (rows,cols) on `device`, in the order of `stream`. device -1: host memory, so that what is exported
// can be looked at on a machine without a GPU.
class Buffer {
 public:
  Buffer(index_t rows, index_t cols, int device, std::uintptr_t stream);
  std::uintptr_t pointer() const;
  struct Place {
    std::int32_t type, device;
  };
  Place dlpack_device() const;  // (DLDeviceType, number)
  static constexpr std::int64_t NO_ORDER = -1;
  // A new reference to a DLPack capsule, of version 1.0 if `versioned`; null and a Python error if there is no memory
  // for it. The consumer's stream waits for ours, unless it is NO_ORDER. Whoever takes the capsule shares the memory;
  // it is freed with the last of them.
  PyObject* dlpack(std::int64_t consumer_stream, bool versioned) const;

 private:
  struct Memory;
  template <class Managed>
  struct Export;
  index_t rows_, cols_;
  std::shared_ptr<Memory> memory_;
};

}  // namespace fb::cuda
