// xerbla.cpp: see xerbla.hpp.
#include "xerbla.hpp"

#include <dlfcn.h>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "lookup.hpp"

namespace fb::blas {

static void* find(const Illegal& illegal, const char* standard) {
  void* const own = visible(illegal.handler, illegal.caller);
  return own ? own : visible(standard, illegal.caller);
}

void report_fortran(const Illegal& illegal) {
  // 64 bits serve 32-bit handlers too: on a little-endian machine the low half comes first.
  const std::int64_t number = illegal.number;
  const std::size_t length = std::strlen(illegal.routine);  // Fortran passes the lengths of its strings last
  if (void* const handler = find(illegal, "xerbla_"))
    return reinterpret_cast<void (*)(const char*, const std::int64_t*, std::size_t)>(handler)(illegal.routine, &number,
                                                                                              length);
  std::fprintf(stderr, " ** On entry to %s parameter number %2d had an illegal value\n", illegal.routine,
               illegal.number);
}

// The reference implementation numbers the arguments of a row-major call as its Fortran half sees them, and tells its
// cblas_xerbla so by a global, which turns them back. Where that global exists the handler expects both.
void report_cblas(const Illegal& illegal) {
  void* const handler = find(illegal, "cblas_xerbla");
  if (!handler) {
    std::fprintf(stderr, "Parameter %d to routine %s was incorrect\n", illegal.number, illegal.routine);
    return;
  }
  const auto report = reinterpret_cast<void (*)(int, const char*, const char*, ...)>(handler);
  int* const row_major =
      illegal.swapped != illegal.number ? static_cast<int*>(dlsym(RTLD_DEFAULT, "RowMajorStrg")) : nullptr;
  if (!row_major) return report(illegal.number, illegal.routine, "");
  const int before = *row_major;
  *row_major = 1;
  report(illegal.swapped, illegal.routine, "");
  *row_major = before;
}

}  // namespace fb::blas
