// cublas.hpp: opening NVIDIA's library at run time.
#pragma once
#include <string>

namespace fb::cuda {

// Opens the library `path` (a file, or a name for the dynamic loader), behind `lt`, its libcublasLt, if that is not
// empty: found by itself, it might be another version's. Returns why that failed, or "". The first success stays.
std::string load_cublas(const std::string& lt, const std::string& path);

struct CublasLibrary {
  std::string path;  // of the file; empty if none is open
  int version;       // 130002 is 13.0.2; 0 if it cannot be asked, as without a GPU
};
CublasLibrary cublas_library();

}  // namespace fb::cuda
