// study_call.hpp: study.hpp for `frugalblas bench`: plain C-order float32 matrices, whose shapes are checked here.
#pragma once
#include <string>

#include "study.hpp"

namespace fb {

// A caller's memory: `size` contiguous floats; rows and cols if it has two dimensions.
struct Floats {
  float* data;
  index_t dimensions, size, rows, cols;
};

}  // namespace fb

// Both calls throw std::invalid_argument for what cannot be done, and have then written nothing.

// The default level's copy of study.cpp.
const fb::Study& frugalblas_study();
// out = A·B by the loops of study.hpp. loop: "M" or "N", which threads share; schedule: "static", "dynamic", "guided":
// they take the place of what `knobs` says of them.
void frugalblas_study_gemm(const fb::Floats& A, const fb::Floats& B, const fb::Floats& out, int threads,
                           fb::Knobs knobs, const std::string& loop, const std::string& schedule);
// Study::sweep; b and c may be without data, both.
double frugalblas_memory_sweep(const fb::Floats& a, int threads, const fb::Floats& b, const fb::Floats& c);
