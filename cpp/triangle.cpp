// triangle.cpp: half of a symmetric product, as ssyrk and `A @ A.T` want it.
//
// The triangle is cut into two triangles on the diagonal and the square between them, and those again. Squares are
// products like any other; a small triangle is computed as a whole block into scratch memory and its half copied. All
// parts take the rung of the whole product and cut K as it does, so every element is the chain of operations it would
// be there.
//
// BLAS has no way to fail halfway, so nothing here does: a block of one element needs no scratch memory.
#include <algorithm>
#include <cfenv>
#include <memory>
#include <new>

#include "core.hpp"
#include "small_products.hpp"

namespace fb {
namespace {

// Blocks on the diagonal cost twice their share, so they should be few; large ones run faster per flop. 256 KiB: an L2.
constexpr index_t diagonal_block = 256;

// Rows and columns of C as a job of its own.
Gemm part(const Gemm& g, index_t row, index_t rows, index_t column, index_t columns) {
  Gemm p = g;
  p.of_square = true;
  p.upcoming = nullptr;  // its parts would ask for it again and again
  p.M = rows;
  p.N = columns;
  p.A.data += row * g.A.row_stride;
  p.B.data += column * g.B.col_stride;
  p.C.data += row * g.C.row_stride + column * g.C.col_stride;
  return p;
}

void copy_triangle(const Matrix& from, const Matrix& to, index_t n, bool upper) {
  for (index_t i = 0; i < n; ++i)
    for (index_t j = upper ? i : 0; j < (upper ? n : i + 1); ++j)
      to.data[i * to.row_stride + j * to.col_stride] = from.data[i * from.row_stride + j * from.col_stride];
}

void run_diagonal(const Algorithm* algorithm, const Gemm& g, bool upper, float* scratch) {
  const index_t n = g.M;
  Gemm block = g;
  block.C = {scratch, n, 1};
  if (g.beta != 0) {  // the other triangle may hold anything: its place gets the mirror image of this one
    copy_triangle(g.C, {scratch, n, 1}, n, upper);
    copy_triangle(g.C, {scratch, 1, n}, n, upper);
  }
  frugalblas_run_always(algorithm, &block);
  copy_triangle(block.C, g.C, n, upper);
}

void run_halves(const Algorithm* algorithm, const Gemm& g, bool upper, float* scratch, index_t smallest) {
  const index_t n = g.M;
  if (n <= smallest) {
    if (scratch) return run_diagonal(algorithm, g, upper, scratch);
    frugalblas_run_always(algorithm, &g);
    return;
  }
  const index_t half = (n / 2 + smallest - 1) / smallest * smallest;
  const Gemm square = upper ? part(g, 0, half, half, n - half) : part(g, half, n - half, 0, half);
  run_halves(algorithm, part(g, 0, half, 0, half), upper, scratch, smallest);
  run_halves(algorithm, part(g, half, n - half, half, n - half), upper, scratch, smallest);
  frugalblas_run_always(algorithm, &square);
}

}  // namespace
}  // namespace fb

using namespace fb;

void frugalblas_run_triangle(const Variant* variant, const Gemm* job, bool upper) {
  Gemm g = *job;
  if (g.M == 0) return;
  if (g.K == 0 || g.alpha == 0) {
    for (index_t i = 0; i < g.M; ++i) {
      const index_t from = upper ? i : 0, columns = upper ? g.M - i : i + 1;
      frugalblas_scale(part(g, i, 1, from, columns).C, 1, columns, g.beta);
    }
    return;
  }
  const Choice choice = frugalblas_choose(&g);
  g.threads = choice.threads;
  const Algorithm* const algorithm = frugalblas_algorithm(choice.entry, variant);
  const index_t n = std::min(g.M, diagonal_block);
  const std::unique_ptr<float[]> scratch(new (std::nothrow) float[static_cast<std::size_t>(n * n)]);
  int raised = 0;
  g.raised = &raised;
  run_halves(algorithm, g, upper, scratch.get(), scratch ? diagonal_block : 1);
  if (raised) std::feraiseexcept(raised);
  note_product(flops_of(g), g.threads);
}
