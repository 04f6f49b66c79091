// buffer.cpp: the DLPack side of buffer.hpp. The structures are dlpack.h's, of version 1.0 and from before it.
#include "buffer.hpp"

#include <cstdlib>
#include <new>

namespace py = pybind11;

namespace fb::cuda {
namespace {

constexpr std::int32_t DL_CPU = 1, DL_CUDA = 2;
constexpr std::uint8_t DL_FLOAT = 2;

struct DLTensor {
  void* data;
  std::int32_t device_type, device;
  std::int32_t ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  static constexpr const char* NAME = "dltensor";
  DLTensor tensor;
  void* manager;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  static constexpr const char* NAME = "dltensor_versioned";
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor tensor;
};

}  // namespace

struct Buffer::Memory {
  void* data = nullptr;
  int device;
  cudaStream_t stream;

  Memory(std::size_t bytes, int device_, cudaStream_t stream_) : device(device_), stream(stream_) {
    if (device >= 0)
      data = allocate(bytes, device, stream);
    else if (!(data = std::malloc(bytes ? bytes : 1)))
      throw std::bad_alloc();
  }
  ~Memory() {
    if (device >= 0)
      release(data, device, stream);
    else
      std::free(data);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
};

// What a consumer gets hold of. No Python in here: it may be freed by any thread, also after the interpreter's end.
template <class Managed>
struct Buffer::Export : Managed {
  std::int64_t shape[2], strides[2];
  std::shared_ptr<Memory> memory;

  static py::capsule make(const Buffer& buffer) {
    auto* const e = new Export{};
    e->shape[0] = buffer.rows_, e->shape[1] = buffer.cols_;
    e->strides[0] = buffer.cols_, e->strides[1] = 1;
    e->memory = buffer.memory_;
    const bool host = e->memory->device < 0;
    e->tensor = {e->memory->data,
                 host ? DL_CPU : DL_CUDA,
                 host ? 0 : e->memory->device,
                 2,
                 DL_FLOAT,
                 32,
                 1,
                 e->shape,
                 e->strides,
                 0};
    e->manager = nullptr;
    e->deleter = [](Managed* managed) { delete static_cast<Export*>(managed); };
    // A capsule that nobody has consumed (who does renames it) still owns the tensor.
    return py::capsule(static_cast<Managed*>(e), Managed::NAME, [](PyObject* capsule) {
      if (!PyCapsule_IsValid(capsule, Managed::NAME)) return;
      auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::NAME));
      managed->deleter(managed);
    });
  }
};

Buffer::Buffer(index_t rows, index_t cols, int device, std::uintptr_t stream)
    : rows_(rows),
      cols_(cols),
      memory_(std::make_shared<Memory>(static_cast<std::size_t>(rows * cols) * sizeof(float), device,
                                       reinterpret_cast<cudaStream_t>(stream))) {}

std::uintptr_t Buffer::pointer() const { return reinterpret_cast<std::uintptr_t>(memory_->data); }

py::tuple Buffer::dlpack_device() const {
  const bool host = memory_->device < 0;
  return py::make_tuple(host ? DL_CPU : DL_CUDA, host ? 0 : memory_->device);
}

py::capsule Buffer::dlpack(const py::object& stream, const py::object& max_version, const py::object& dl_device,
                           const py::object& copy) const {
  if (!dl_device.is_none() && !dl_device.equal(dlpack_device()))
    throw py::buffer_error("a result is exported on its own device only");
  if (!copy.is_none() && copy.cast<bool>()) throw py::buffer_error("a result is exported without a copy only");
  // The consumer's stream: None is the legacy default, -1 asks for no order. [array API, __dlpack__]
  const std::int64_t consumer = stream.is_none() ? 1 : stream.cast<std::int64_t>();
  if (consumer == 0) throw py::value_error("stream 0 is ambiguous: 1 or 2 is meant");
  if (memory_->device >= 0 && consumer != -1 && reinterpret_cast<cudaStream_t>(consumer) != memory_->stream)
    order_after(reinterpret_cast<cudaStream_t>(consumer), memory_->stream, memory_->device);
  const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
  if (!versioned) return Export<DLManagedTensor>::make(*this);
  py::capsule capsule = Export<DLManagedTensorVersioned>::make(*this);
  auto* const managed = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), capsule.name()));
  managed->major = 1, managed->minor = 0, managed->flags = 0;
  return capsule;
}

}  // namespace fb::cuda
