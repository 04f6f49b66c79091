// buffer.cpp: the DLPack side of buffer.hpp. The structures are dlpack.h's, of version 1.0 and from before it.
#include "buffer.hpp"

#include <cstdlib>
#include <new>

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

// What a consumer gets hold of. Its members know no Python: it may be freed by any thread, also after the
// interpreter's end.
template <class Managed>
struct Buffer::Export : Managed {
  std::int64_t shape[2], strides[2];
  std::shared_ptr<Memory> memory;

  static PyObject* make(const Buffer& buffer) {
    auto owner = std::make_unique<Export>();
    Export* const e = owner.get();
    e->shape[0] = buffer.rows_, e->shape[1] = buffer.cols_;
    e->strides[0] = buffer.cols_, e->strides[1] = 1;
    e->memory = buffer.memory_;
    const Place place = buffer.dlpack_device();
    e->tensor = {e->memory->data, place.type, place.device, 2, DL_FLOAT, 32, 1, e->shape, e->strides, 0};
    if constexpr (requires { e->major; }) e->major = 1;  // minor, flags and the manager are zero
    e->deleter = [](Managed* managed) { delete static_cast<Export*>(managed); };
    // A capsule that nobody has consumed (who does renames it) still owns the tensor.
    PyObject* const capsule = PyCapsule_New(static_cast<Managed*>(e), Managed::NAME, [](PyObject* unconsumed) {
      if (!PyCapsule_IsValid(unconsumed, Managed::NAME)) return;
      auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(unconsumed, Managed::NAME));
      managed->deleter(managed);
    });
    if (capsule) owner.release();
    return capsule;
  }
};

Buffer::Buffer(index_t rows, index_t cols, int device, std::uintptr_t stream)
    : rows_(rows),
      cols_(cols),
      memory_(std::make_shared<Memory>(static_cast<std::size_t>(rows * cols) * sizeof(float), device,
                                       reinterpret_cast<cudaStream_t>(stream))) {}

std::uintptr_t Buffer::pointer() const { return reinterpret_cast<std::uintptr_t>(memory_->data); }

Buffer::Place Buffer::dlpack_device() const {
  return memory_->device < 0 ? Place{DL_CPU, 0} : Place{DL_CUDA, memory_->device};
}

PyObject* Buffer::dlpack(std::int64_t consumer_stream, bool versioned) const {
  const auto consumer = reinterpret_cast<cudaStream_t>(consumer_stream);
  if (memory_->device >= 0 && consumer_stream != NO_ORDER && consumer != memory_->stream)
    order_after(consumer, memory_->stream, memory_->device);
  return versioned ? Export<DLManagedTensorVersioned>::make(*this) : Export<DLManagedTensor>::make(*this);
}

}  // namespace fb::cuda
