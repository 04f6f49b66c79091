// workspace.cpp: see workspace.hpp.
#include "workspace.hpp"

#include <sys/mman.h>
#include <cstdlib>
#include <limits>
#include <new>

#include "core.hpp"

namespace fb {

constexpr std::size_t kept_bytes_max = 32u << 20;  // per thread; the promise of workspace.hpp
constexpr std::size_t huge_page = 2u << 20;        // x86-64 and the usual aarch64 configuration
constexpr std::size_t cache_line = 64;

// The calling thread's block between calls.
struct Kept {
  float* data = nullptr;
  std::size_t bytes = 0;
  ~Kept() { std::free(data); }
};
static thread_local Kept kept;

static float* allocate(std::size_t bytes) {
  const bool huge = bytes >= huge_page;
  const std::size_t alignment = huge ? huge_page : cache_line;
  void* data = nullptr;
  if (bytes > std::numeric_limits<std::size_t>::max() - alignment ||
      posix_memalign(&data, alignment, (bytes + alignment - 1) / alignment * alignment))
    throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Packed panels are read end to end: with 4 KiB pages a 1 MiB panel takes 256 TLB entries, with 2 MiB pages one.
  if (huge) madvise(data, bytes, MADV_HUGEPAGE);  // advice: a kernel without huge pages refuses it, harmlessly
#endif
  return static_cast<float*>(data);
}

static std::size_t bytes_of(index_t floats) {
  // A caller's size can only be negative because it overflowed.
  if (floats < 0 || floats > std::numeric_limits<index_t>::max() / index_t{sizeof(float)}) throw std::bad_alloc();
  return static_cast<std::size_t>(floats) * sizeof(float);
}

float* allocate_floats(index_t floats) { return allocate(bytes_of(floats)); }
void free_floats(float* data) { std::free(data); }

// Takes the kept block if it is large enough. A second workspace of the same thread, while the first is alive, finds
// nothing kept and allocates.
Workspace::Workspace(index_t floats) {
  const std::size_t bytes = bytes_of(floats);
  if (kept.bytes < bytes) frugalblas_free_workspace();
  data_ = kept.data ? kept.data : allocate(bytes);
  bytes_ = kept.data ? kept.bytes : bytes;
  kept.data = nullptr;
  kept.bytes = 0;
}

Workspace::~Workspace() {
  if (kept.data || bytes_ > kept_bytes_max) {
    std::free(data_);
    return;
  }
  kept.data = data_;
  kept.bytes = bytes_;
}

float* Workspace::data() const { return data_; }

}  // namespace fb

extern "C" void frugalblas_free_workspace() {
  std::free(fb::kept.data);
  fb::kept.data = nullptr;
  fb::kept.bytes = 0;
}
