// packed_test.cpp: products with a packed B, in every level that runs on this CPU: against float64, the bits of
// `blocked`, and what unpacking gives back. Needs no Python, so it runs under sanitizers and on emulated CPUs.
//
// Exit code 1 if anything is wrong.
#include <malloc.h>
#include <algorithm>
#include <cstring>

#include "../core.hpp"
#include "checker.hpp"

namespace fb::test {

using enum Layout;

static long passed = 0, failed = 0;

static void report(const Variant& variant, const Problem& p, const char* what, const std::string& error) {
  if (error.empty()) {
    ++passed;
    return;
  }
  ++failed;
  std::printf("FAIL %s, %tdx%tdx%td, %s: %s\n", variant.name, std::ptrdiff_t{p.M}, std::ptrdiff_t{p.N},
              std::ptrdiff_t{p.K}, what, error.c_str());
}

static ConstMatrix input(Array& m) { return {m.memory.data() + m.origin, m.row_stride, m.col_stride}; }

template <class Run>
static Array result(Problem& p, float alpha, float beta, int threads, const Run& run) {
  Array C = p.before(beta);
  const Gemm job = {p.M,        p.N,        p.K,
                    input(p.A), input(p.B), {C.memory.data() + C.origin, C.row_stride, C.col_stride},
                    alpha,      beta,       threads};
  frugalblas_free_workspace();  // what a run before has packed would hide that something was not
  if (run(job) != Status::done) C.memory.assign(C.memory.size(), canary);
  return C;
}

static bool same_bits(const Array& x, const Array& y) {
  return std::memcmp(x.memory.data(), y.memory.data(), x.memory.size() * sizeof(float)) == 0;
}

static void test(const Variant& variant, Problem& p, float alpha, float beta, bool special) {
  const ConstMatrix B = input(p.B);
  const Packed* packed = nullptr;
  for (const int threads : {1, 3}) {
    frugalblas_free_packed_operand(packed);
    packed = frugalblas_make_packed(p.K, p.N, &B, &variant, threads);
    if (!packed) return report(variant, p, "packing", "refused");
    std::vector<float> back(static_cast<std::size_t>(p.K * p.N), canary);
    frugalblas_unpack(packed, back.data());
    bool right = true;
    for (index_t k = 0; k < p.K; ++k)
      for (index_t j = 0; j < p.N; ++j)
        right = right && std::bit_cast<std::uint32_t>(back[static_cast<std::size_t>(k * p.N + j)]) ==
                             std::bit_cast<std::uint32_t>(p.B.at(k, j));
    report(variant, p, "unpacking", right ? "" : "another matrix comes back");
  }
  const Algorithm* const blocked = frugalblas_algorithm(frugalblas_find_entry("blocked"), &variant);
  index_t blocked_kc = 0;
  const Array reference = result(p, alpha, beta, 1, [&](const Gemm& g) {
    blocked_kc = blocked->blocks(g).KC;
    return frugalblas_run(blocked, &g);
  });
  // The same bits where both cut K into the same parts: on some CPUs `blocked` has shorter ones where A has few rows.
  const bool same_parts = std::min(p.K, (*variant.packed)->blocks(p.K, p.N).KC) == std::min(p.K, blocked_kc);
  for (const int threads : {1, 2, 3, 7}) {
    const Array C = result(p, alpha, beta, threads, [&](Gemm g) {
      g.B = {};  // must not be read
      return frugalblas_run_packed(packed, &g);
    });
    char what[60];
    std::snprintf(what, sizeof what, "alpha %g, beta %g, threads %d", alpha, beta, threads);
    report(variant, p, what, p.first_error(C, alpha, beta));
    if (same_parts && !special)  // which NaN comes out is the hardware's choice
      report(variant, p, what, same_bits(C, reference) ? "" : "other bits than blocked");
  }
  frugalblas_free_packed_operand(packed);
}

static void test(const Variant& variant) {
  const Blocks b = (*variant.packed)->blocks(index_t{1} << 20, index_t{1} << 20);
  struct Shape {
    index_t M, N, K;
  };
  const Shape shapes[] = {
      {1, 1, 1},                         // smallest
      {1, 6 * b.NR + 1, b.KC + 1},       // one row: several panels at a time, a thin rest, two parts of K
      {2, 4 * b.NR, 2 * b.KC + 3},       // as many whole panels as a multiple of those taken at a time
      {3, 2 * b.NR - 1, 9},              //
      {b.MR, 3 * b.NR + 1, b.KC},        // one row panel
      {b.MR + 1, b.NR + 1, b.KC - 1},    // two: the next panel of B is asked for
      {3 * b.MR - 1, 5 * b.NR + 7, 20},  // rows and columns that threads cannot share evenly
      {7 * b.MR, b.NR, 31},              // a single column panel: threads share rows
      {41, 1, 31},                       // a single column
      {67, 71, 73},
  };
  const Layout layouts[][3] = {{c_order, c_order, c_order},         {c_order, f_order, c_order},
                               {f_order, f_order, f_order},         {general, general, general},
                               {reversed, padded_f, padded},        {padded, reversed, reversed_f},
                               {equal_rows, equal_columns, c_order}};
  constexpr float scales[][2] = {{1, 0}, {1, 1}, {-0.5f, 2}, {2, 0}};
  std::size_t turn = 0;
  for (const Shape& s : shapes)
    for (const auto& [a, bl, c] : layouts) {
      Problem p(s.M, s.N, s.K, a, bl, c);
      test(variant, p, scales[turn % 4][0], scales[turn % 4][1], false);
      ++turn;
    }
  for (index_t m = 1; m <= b.MR; ++m)  // each size of tile is code of its own
    for (index_t n = 1; n <= b.NR; ++n, ++turn) {
      const auto& [a, bl, c] = layouts[turn % 7];
      Problem p(m, n, 5, a, bl, c);
      test(variant, p, scales[turn % 4][0], scales[turn % 4][1], false);
    }
  Problem p(2 * b.MR + 1, 2 * b.NR + 1, 19, c_order, f_order, c_order, Values::special);
  test(variant, p, 1, 0, true);
}

}  // namespace fb::test

int main() {
  mallopt(M_PERTURB, 0x80);  // fresh memory holds 3.4e38, not zeros
  const fb::Variant* variants;
  const int count = frugalblas_variants(&variants);
  for (const fb::Variant* v = variants; v != variants + count; ++v) {
    if (!*v->packed) continue;
    if (frugalblas_cpu_supports(v->level))
      fb::test::test(*v);
    else
      std::printf("%s: not tested, this CPU lacks it\n", v->name);
  }
  const fb::index_t endless = fb::index_t{1} << 40;
  const fb::ConstMatrix B = {nullptr, 0, 0};
  for (const fb::index_t N : {endless, fb::index_t{1} << 62})
    if (frugalblas_make_packed(endless, N, &B, nullptr, 1)) ++fb::test::failed;
  std::printf("packed operands: %ld passed, %ld failed\n", fb::test::passed, fb::test::failed);
  return fb::test::failed != 0;
}
