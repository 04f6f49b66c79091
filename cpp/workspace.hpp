// workspace.hpp: scratch memory for packed panels and copies.
#pragma once
#include <cstddef>

#include "gemm.hpp"

namespace fb {

// Scratch memory for the life of one call: 64-byte aligned floats, contents undefined.
//
// Every thread keeps its last block for the next call, up to 32 MiB, because mapping and faulting fresh pages costs
// more than packing into them; larger blocks are returned at once. Blocks of 2 MiB and more ask for huge pages.
// Throws std::bad_alloc, also when the size overflows.
class Workspace {
 public:
  explicit Workspace(index_t floats);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  float* data() const;

 private:
  float* data_;
  std::size_t bytes_;
};

// Memory that outlives a call, aligned and on huge pages as that of a Workspace. Throws std::bad_alloc.
float* allocate_floats(index_t floats);
void free_floats(float* data);

}  // namespace fb
