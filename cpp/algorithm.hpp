// algorithm.hpp: one rung's card, everything a test, a benchmark or a page needs to know of it.
#pragma once
#include "gemm.hpp"

namespace fb {

struct Algorithm {
  const char* summary;            // one line, no full stop
  const char* course;             // its name in the "Frugal AI" course, or "" if it has none
  const char* (*unavailable)();   // nullptr: always runs; else returns nullptr or why it cannot run here
  Blocks (*blocks)(const Gemm&);  // nullptr: no tiles worth reporting
  // May throw std::bad_alloc, or std::length_error if a library cannot count that far; only before its first write to
  // C.
  void (*run)(const Gemm&);
  const char* precisions = "fp32";  // what `precision=` may be, the default first
};

}  // namespace fb

// The cards a kernel file may define: declared here, or `const` would keep them private to that file.
#ifdef FB_VARIANT
namespace fb::FB_VARIANT {
#define SCALAR(name) extern const Algorithm name;
#define VECTOR(name) extern const Algorithm name;
#define TEAM(name) extern const Algorithm name;
#include "for_each_algorithm.inc"
}  // namespace fb::FB_VARIANT
#endif
