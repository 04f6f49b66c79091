// study_call.cpp: see study_call.hpp.
#include "study_call.hpp"

#include <stdexcept>

#include "core.hpp"

const fb::Study& frugalblas_study() { return *frugalblas_default_variant(nullptr)->study_code; }

// Texts are put together only where something is wrong: these calls are timed.
static void expect(bool good, const char* message) {
  if (!good) throw std::invalid_argument(message);
}
static void expect_shape(const fb::Floats& matrix, const char* name, fb::index_t rows, fb::index_t cols) {
  if (matrix.rows == rows && matrix.cols == cols) return;
  throw std::invalid_argument(std::string(name) + " must have shape (" + std::to_string(rows) + ", " +
                              std::to_string(cols) + ")");
}
static void expect_threads(int threads) {
  if (threads >= 1 && threads <= frugalblas_max_threads()) return;
  throw std::invalid_argument("threads must be 1 to " + std::to_string(frugalblas_max_threads()));
}

void frugalblas_study_gemm(const fb::Floats& A, const fb::Floats& B, const fb::Floats& out, int threads,
                           fb::Knobs knobs, const std::string& loop, const std::string& schedule) {
  expect(A.dimensions == 2 && B.dimensions == 2 && out.dimensions == 2, "A, B and out must have two dimensions");
  const fb::index_t M = A.rows, K = A.cols, N = B.cols;
  expect(M >= 1 && N >= 1 && K >= 1 && knobs.MC >= 1 && knobs.KC >= 1 && knobs.NC >= 1 && knobs.chunk >= 0,
         "dimensions and block sizes must be 1 or more, the chunk 0 or more");
  expect_shape(B, "B", K, N);
  expect_shape(out, "out", M, N);
  expect_threads(threads);
  expect(loop == "M" || loop == "N", "loop must be 'M' or 'N'");
  knobs.over_columns = loop == "N";
  expect(schedule == "static" || schedule == "dynamic" || schedule == "guided",
         "schedule must be 'static', 'dynamic' or 'guided'");
  knobs.schedule = schedule == "static"    ? fb::Knobs::fixed
                   : schedule == "dynamic" ? fb::Knobs::dynamic
                                           : fb::Knobs::guided;
  const fb::Gemm job = {M, N, K, {A.data, K, 1}, {B.data, N, 1}, {out.data, N, 1}, 1.0f, 0.0f, threads};
  expect(frugalblas_study().gemm(job, knobs), "no tile of that MR and NR: see study_tiles()");
}

double frugalblas_memory_sweep(const fb::Floats& a, int threads, const fb::Floats& b, const fb::Floats& c) {
  expect_threads(threads);
  expect(!b.data == !c.data, "b and c must be given together");
  expect(!b.data || (b.size == a.size && c.size == a.size), "a, b and c must be equally long");
  return frugalblas_study().sweep(a.data, b.data, c.data, a.size, threads);
}
