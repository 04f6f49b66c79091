// fuzz.cpp: every CUDA kernel on the emulator, over shapes, layouts and thread orders, against a float64 product.
//
// Usage: fuzz fake_cublas [kernel ...]      exit status 0 if every result was within its bound
//   fake_cublas: the library made of fake_cublas.cpp; the other arguments are names of rungs, by default all
//
// With u the unit roundoff of the sums, v the one of the rounded inputs (0 for fp32) and gamma_n = n*u / (1 - n*u):
//   |C - C64| <= gamma_{K+2} (|alpha| |A'||B'| + |beta| |C0|) + 2u |C64| + tiny       A', B': the inputs as rounded
//   |C - C64| <= ((1+v)^2 - 1) |alpha| |A||B| + (1+v)^2 (the same)                    A, B: the inputs as given
// (N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 and 3.5.) The first catches what
// the second, the bound that is published for a precision, would let pass.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../cublas.hpp"
#include "../launch.h"
#include "../ptx.cuh"
#include "emulator.hpp"

namespace {

using fb::cuda::Accumulate;
using fb::cuda::index_t;
using fb::cuda::Job;
using fb::cuda::Kernel;
using fb::cuda::Operand;
using fb::cuda::Precision;
using fb::cuda::Type;

struct Named {
  const char* name;
  const Kernel* kernel;
};
const Named kernels[] = {
#define CUDA(name) {#name, &fb::cuda::name},
#define CUDA_LIBRARY(name) {#name, &fb::cuda::name},
#include "../../cpp/for_each_algorithm.inc"
};

// What a job computes with. `type`: of the operands in memory.
struct Mode {
  const char* name;
  Precision precision;
  Accumulate accumulate;
  Type type;
  double sums, inputs;  // unit roundoffs
};
constexpr double U32 = 0x1p-24, U16 = 0x1p-11, UB16 = 0x1p-8;
const Mode fp32_mode = {"fp32", Precision::fp32, Accumulate::fp32, Type::fp32, U32, 0};
const Mode tensor_modes[] = {
    {"fp16", Precision::fp16, Accumulate::fp32, Type::fp32, U32, U16},
    {"fp16 from fp16", Precision::fp16, Accumulate::fp32, Type::fp16, U32, U16},
    {"fp16 summed in fp16", Precision::fp16, Accumulate::fp16, Type::fp32, U16, U16},
    {"bf16", Precision::bf16, Accumulate::fp32, Type::fp32, U32, UB16},
    {"bf16 from bf16", Precision::bf16, Accumulate::fp32, Type::bf16, U32, UB16},
    {"tf32", Precision::tf32, Accumulate::fp32, Type::fp32, U32, U16},
};

// An element as the multipliers see it, rounded by other means than the kernels round.
float as_rounded(float x, Precision precision) {
  if (precision == Precision::fp32) return x;
  if (precision == Precision::fp16) return static_cast<float>(static_cast<_Float16>(x));
  int exponent;
  const double mantissa = std::frexp(x, &exponent);
  if (precision == Precision::bf16) return static_cast<float>(std::ldexp(std::nearbyint(mantissa * 256), exponent - 8));
  return static_cast<float>(std::ldexp(std::round(mantissa * 2048), exponent - 11));  // tf32: ties away from zero
}

// A matrix in an allocation of exactly the size it needs, so that AddressSanitizer sees every step outside it.
struct Array {
  index_t rows, cols, ld, offset;  // as it lies in memory; `offset` elements before the first
  std::vector<float> values;       // (rows,cols), without padding
  std::unique_ptr<char[]> memory;
  Type type;

  Array(index_t rows_, index_t cols_, index_t ld_, index_t offset_, Type type_, std::mt19937& random)
      : rows(rows_), cols(cols_), ld(ld_), offset(offset_), type(type_) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (index_t i = 0; i < rows * cols; ++i) values.push_back(uniform(random));
    const std::size_t size = type == Type::fp32 ? 4 : 2;
    const std::size_t bytes = static_cast<std::size_t>(offset + (rows ? (rows - 1) * ld + cols : 0)) * size;
    memory.reset(new char[bytes ? bytes : 1]);
    std::memset(memory.get(), 0xff, bytes);  // NaNs in the padding
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < cols; ++j) put(i, j);
  }
  void* data() const { return memory.get() + offset * (type == Type::fp32 ? 4 : 2); }

 private:
  // Stores values[i, j] as an element of `type`, and keeps what is left of it.
  void put(index_t i, index_t j) {
    float& value = values[static_cast<std::size_t>(i * cols + j)];
    char* const to = static_cast<char*>(data()) + (i * ld + j) * (type == Type::fp32 ? 4 : 2);
    if (type == Type::fp32) {
      std::memcpy(to, &value, 4);
    } else if (type == Type::fp16) {
      const half h = __float2half_rn(value);
      std::memcpy(to, &h, 2);
      value = __half2float(h);
    } else {
      const __nv_bfloat16 b = __float2bfloat16_rn(value);
      std::memcpy(to, &b, 2);
      value = __bfloat162float(b);
    }
  }
};

struct Case {
  index_t M, N, K;
  bool trans_a, trans_b;
  int layout;  // 0: exact rows; 1: longer ones, aligned; 2: longer ones, not aligned; 3: like 1, misaligned start
  float alpha, beta;
  int tile;
  fb::emu::Order order;
  fb::emu::Landing landing;
};

constexpr std::uint32_t canary = 0x7fc0cafe;  // a NaN that no arithmetic makes

std::string describe(const char* kernel, const Mode& mode, const Case& c) {
  char text[256];
  std::snprintf(text, sizeof text,
                "%s, %s: %td x %td x %td, trans %d %d, layout %d, alpha %g, beta %g, tile %d, order %d, "
                "landing %d",
                kernel, mode.name, std::ptrdiff_t{c.M}, std::ptrdiff_t{c.N}, std::ptrdiff_t{c.K}, c.trans_a, c.trans_b,
                c.layout, static_cast<double>(c.alpha), static_cast<double>(c.beta), c.tile, static_cast<int>(c.order),
                static_cast<int>(c.landing));
  return text;
}

std::vector<float> as_rounded(const Array& m, Precision precision) {
  std::vector<float> rounded;
  for (const float value : m.values) rounded.push_back(as_rounded(value, precision));
  return rounded;
}

// Compares C with the product; the first wrong element ends the process.
void judge(const Mode& mode, const Case& c, const Array& A, const Array& B, const Array& C0, const float* C) {
  const std::vector<float> A_rounded = as_rounded(A, mode.precision), B_rounded = as_rounded(B, mode.precision);
  const auto gamma = [](double n, double u) { return n * u / (1 - n * u); };
  const double grow = (1 + mode.inputs) * (1 + mode.inputs);
  for (index_t i = 0; i < c.M; ++i) {
    for (index_t j = 0; j < C0.ld && (i < c.M - 1 || j < c.N); ++j) {
      const float got = C[i * C0.ld + j];
      if (j >= c.N) {
        if (std::bit_cast<std::uint32_t>(got) != canary)
          fb::emu::fail("wrote outside C, behind row %td", std::ptrdiff_t{i});
        continue;
      }
      double rounded = 0, rounded_magnitude = 0, exact = 0, magnitude = 0;
      for (index_t k = 0; k < c.K; ++k) {
        const std::size_t in_a = static_cast<std::size_t>(c.trans_a ? k * A.cols + i : i * A.cols + k);
        const std::size_t in_b = static_cast<std::size_t>(c.trans_b ? j * B.cols + k : k * B.cols + j);
        const double a = A.values[in_a], b = B.values[in_b];
        const double term = double{A_rounded[in_a]} * double{B_rounded[in_b]};
        rounded += term, rounded_magnitude += std::abs(term);
        exact += a * b, magnitude += std::abs(a * b);
      }
      const double old = c.beta == 0 ? 0 : double{c.beta} * C0.values[static_cast<std::size_t>(i * C0.cols + j)];
      const double alpha = std::abs(double{c.alpha});
      // fp16 sums: products below its smallest normal number lose bits that no relative bound covers.
      const double tiny = mode.sums == U16 ? static_cast<double>(c.K + 2) * 0x1p-25 * std::max(alpha, 1.0) : 0;
      const auto bound = [&](double terms, double result) {
        return gamma(static_cast<double>(c.K) + 2, mode.sums) * (alpha * terms + std::abs(old)) +
               2 * U32 * (std::abs(result) + std::abs(old)) + tiny;
      };
      const double want = double{c.alpha} * rounded + old, published = double{c.alpha} * exact + old;
      const double limit = bound(rounded_magnitude, want);
      const double published_limit = (grow - 1) * alpha * magnitude + grow * bound(magnitude, published);
      if (!(std::abs(got - want) <= limit))
        fb::emu::fail("C(%td,%td) is %.9g, should be %.9g +- %.2g", std::ptrdiff_t{i}, std::ptrdiff_t{j}, double{got},
                      want, limit);
      if (!(std::abs(got - published) <= published_limit))
        fb::emu::fail("C(%td,%td) is %.9g, published as %.9g +- %.2g", std::ptrdiff_t{i}, std::ptrdiff_t{j},
                      double{got}, published, published_limit);
    }
  }
}

void run_case(const Named& named, const Mode& mode, const Case& c, unsigned seed) {
  const std::string text = describe(named.name, mode, c);
  fb::emu::settings = {c.order, c.landing, seed, text.c_str()};
  std::mt19937 random(seed);
  const auto array = [&](index_t rows, index_t cols, Type type) {
    const index_t ld = c.layout == 0   ? std::max<index_t>(cols, 1)
                       : c.layout == 2 ? cols + 3
                                       : fb::cuda::round_up(cols, 8) + 8;
    return Array(rows, cols, ld, c.layout == 3 ? 1 : 0, type, random);
  };
  const Array A = c.trans_a ? array(c.K, c.M, mode.type) : array(c.M, c.K, mode.type);
  const Array B = c.trans_b ? array(c.N, c.K, mode.type) : array(c.K, c.N, mode.type);
  Array C = array(c.M, c.N, Type::fp32);
  const Array C0 = [&] {  // what was in C, for the judge
    std::mt19937 none;
    Array copy(0, 0, 1, 0, Type::fp32, none);
    copy.rows = C.rows, copy.cols = C.cols, copy.ld = C.ld, copy.values = C.values;
    return copy;
  }();
  float* const c_data = static_cast<float*>(C.data());
  const float poison = std::bit_cast<float>(canary);
  for (index_t i = 0; i < c.M; ++i)
    for (index_t j = 0; j < C.ld && (i < c.M - 1 || j < c.N); ++j)
      if (j >= c.N || c.beta == 0) c_data[i * C.ld + j] = poison;

  Job job{c.M,
          c.N,
          c.K,
          {A.data(), A.ld, c.trans_a, mode.type},
          {B.data(), B.ld, c.trans_b, mode.type},
          c_data,
          C.ld,
          c.alpha,
          c.beta,
          mode.precision,
          mode.accumulate};
  job.tile = c.tile;
  const std::size_t bytes = named.kernel->workspace_bytes ? named.kernel->workspace_bytes(job) : 0;
  std::unique_ptr<void, decltype(&std::free)> workspace(
      bytes ? std::aligned_alloc(256, fb::cuda::round_up(static_cast<index_t>(bytes), 256)) : nullptr, std::free);
  if (bytes) std::memset(workspace.get(), 0xff, bytes);
  job.workspace = workspace.get();
  if (named.kernel->run(job) != cudaSuccess) fb::emu::fail("the launcher refused");
  judge(mode, c, A, B, C0, c_data);
}

struct Shape {
  index_t M, N, K;
  bool deep;  // to be cut along K: only where a kernel does that, with the launcher's own tile
};
const Shape shapes[] = {
    {1, 1, 1, false},       // nothing but edges
    {7, 5, 3, false},       // less than one piece of 16 bytes in K
    {33, 17, 0, false},     // K = 0, as for alpha = 0: C is scaled
    {64, 128, 40, false},   // whole small tiles; K ends inside the pipeline's first round
    {65, 129, 33, false},   // one more of each: the last tile has one row and one column
    {128, 256, 64, false},  // one whole large tile of each kernel
    {131, 260, 70, false},  // its edge, in pieces of 16 bytes along N
    {9, 300, 11, false},    // several tiles along N only, so that the last group of rows is short
    {600, 3, 5, false},     // more rows of tiles than one group has
    {20, 24, 1100, true},   // K cut into chunks, the last one shorter
    {1, 67, 800, true},     // one row, cut
    {64, 64, 2048, true},   // chunks of equal length
};

int fuzz(const Named& named) {
  std::vector<Mode> modes;
  if (named.kernel != &fb::cuda::cuda_wmma) modes.push_back(fp32_mode);
  for (const Mode& mode : tensor_modes)
    if (named.kernel == &fb::cuda::cuda_wmma ||
        (named.kernel == &fb::cuda::cublas && mode.accumulate == Accumulate::fp32))
      modes.push_back(mode);
  const float scales[][2] = {{1, 0}, {-0.5f, 2}, {3, -1}, {1, 1}};
  int count = 0;
  unsigned seed = 1;
  for (const Mode& mode : modes)
    for (const Shape& s : shapes) {
      if (s.deep && named.kernel != &fb::cuda::cuda_tiled) continue;
      for (int transposes = 0; transposes < 4; ++transposes)
        for (int tile = s.deep ? -1 : 0; tile < (s.deep ? 0 : std::max(named.kernel->tiles, 1)); ++tile) {
          // Everything else takes turns, at different rates, so that all pairs meet.
          const unsigned n = seed++;
          const float* scale = scales[n / 3 % 4];
          run_case(named, mode,
                   {s.M, s.N, s.K, (transposes & 1) != 0, (transposes & 2) != 0, static_cast<int>((n + n / 4) % 4),
                    scale[0], scale[1], named.kernel->tiles ? tile : -1, static_cast<fb::emu::Order>((n + n / 3) % 3),
                    static_cast<fb::emu::Landing>(n % 4 == 3)},
                   n);
          ++count;
        }
    }
  return count;
}

// Every tile must fit into the shared memory that a block may have: the CUDA programming guide's table of limits.
void check_shared_memory(const Named& named) {
  const std::size_t kib = 1024;
  const std::pair<int, std::size_t> limits[] = {
      {75, 64 * kib}, {80, 163 * kib}, {86, 99 * kib}, {89, 99 * kib}, {90, 227 * kib}};
  if (!named.kernel->shared_bytes) return;
  for (const auto& [capability, limit] : limits)
    for (int tile = 0; tile < named.kernel->tiles; ++tile) {
      Job job{};
      job.M = job.N = job.K = 64;
      job.capability = capability;
      job.tile = tile;
      const std::size_t bytes = named.kernel->shared_bytes(job);
      if (bytes > limit)
        fb::emu::fail("%s, tile %d: %zu bytes of shared memory, where compute capability %d.%d has %zu", named.name,
                      tile, bytes, capability / 10, capability % 10, limit);
    }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string error = argc < 2 ? "no fake cuBLAS was named" : fb::cuda::load_cublas("", argv[1]);
  if (!error.empty()) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return 2;
  }
  for (const Named& named : kernels) {
    bool wanted = argc < 3;
    for (int i = 2; i < argc; ++i) wanted |= !std::strcmp(argv[i], named.name);
    if (!wanted) continue;
    const auto start = std::chrono::steady_clock::now();
    check_shared_memory(named);
    const int count = fuzz(named);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%-24s %4d jobs within their bounds (%.1f s)\n", named.name, count, seconds.count());
  }
  return 0;
}
