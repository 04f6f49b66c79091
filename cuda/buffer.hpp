// buffer.hpp: a result whose memory is ours, for makers of arrays that take one through DLPack.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "runtime.hpp"

namespace fb::cuda {

// A float32 matrix (rows,cols) on `device`, in the order of `stream`. device -1: host memory, so that what is exported
// can be looked at on a machine without a GPU.
class Buffer {
 public:
  Buffer(index_t rows, index_t cols, int device, std::uintptr_t stream);
  std::uintptr_t pointer() const;
  pybind11::tuple dlpack_device() const;  // (DLDeviceType, number)
  // The array API's __dlpack__: `stream` is the consumer's, and waits for ours. Whoever takes the capsule shares the
  // memory; it is freed with the last of them.
  pybind11::capsule dlpack(const pybind11::object& stream, const pybind11::object& max_version,
                           const pybind11::object& dl_device, const pybind11::object& copy) const;

 private:
  struct Memory;
  template <class Managed>
  struct Export;
  index_t rows_, cols_;
  std::shared_ptr<Memory> memory_;
};

}  // namespace fb::cuda
