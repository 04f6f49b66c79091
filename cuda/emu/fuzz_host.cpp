// fuzz_host.cpp: products of host arrays (multiply_host.cpp, staging.cpp, runtime.cpp) on the fake runtime.
//
// Usage: fuzz_host [products|failures|threads|fork]       all of them, or one
// Exit status 0 if every product was exact, every failure told, and nothing was left behind.
// Elements are small whole numbers, so sums are exact in any order. Built with FB_SMALL_SLOTS, so that small products
// go round the slots too; without, it runs whole products on the model of time instead, and says how near the bus they
// come.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../staging.hpp"
#include "fake_runtime.hpp"

namespace {

using namespace fb::cuda;
using fb::fake::Landing;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::fflush(nullptr);
  std::_Exit(1);
}

// ---- a kernel ----

// A·B over some of K. Element by element: the types are looked at once, for the sake of the sanitized loop's speed.
template <class T>
float dot(const Job& job, index_t i, index_t j, index_t first_k, index_t end_k) {
  const auto row = [](const Operand& m, bool along, index_t at, index_t& step) {  // of A, or column of B
    step = along ? 1 : m.ld;
    return static_cast<const T*>(m.data) + (along ? at * m.ld : at);
  };
  index_t a_step, b_step;
  if (first_k == end_k) return 0;
  const T* a = row(job.A, !job.A.transposed, i, a_step) + first_k * a_step;
  const T* b = row(job.B, job.B.transposed, j, b_step) + first_k * b_step;
  float sum = 0;
  for (index_t k = first_k; k < end_k; ++k, a += a_step, b += b_step)
    sum += static_cast<float>(*a) * static_cast<float>(*b);
  return sum;
}

// Two chunks of K, of which the first goes through the workspace.
void compute(const Job& job) {
  const auto part = job.A.type == Type::fp32 ? dot<float> : dot<_Float16>;
  float* const partial = static_cast<float*>(job.workspace);
  for (index_t e = 0; e < job.M * job.N; ++e) partial[e] = part(job, e / job.N, e % job.N, 0, job.K / 2);
  for (index_t e = 0; e < job.M * job.N; ++e) {
    float* const c = job.C + e / job.N * job.ldc + e % job.N;
    const float sum = partial[e] + part(job, e / job.N, e % job.N, job.K / 2, job.K);
    *c = job.alpha * sum + (job.beta == 0 ? 0 : job.beta * *c);
  }
}

std::mutex noting;
std::vector<std::array<index_t, 3>> started;  // M, N and K of the steps of a product
std::set<cudaStream_t> streams;               // of them
std::function<void()> before_start;

cudaError_t run(const Job& job) {
  if (before_start) before_start();
  {
    const std::lock_guard lock(noting);
    started.push_back({job.M, job.N, job.K});
    streams.insert(job.stream);
  }
  return fb::fake::enqueue(job.stream, [job] { compute(job); });
}
const Kernel kernel = {
    .workspace_bytes = [](const Job& job) { return static_cast<std::size_t>(job.M * job.N) * sizeof(float); },
    .run = run,
    .shared_bytes = nullptr,
    .tiles = 0};
const Kernel one_stream = {
    .workspace_bytes = kernel.workspace_bytes, .run = run, .shared_bytes = nullptr, .tiles = 0, .side_by_side = false};

// ---- products ----

struct Case {
  const char* why;
  index_t M, N, K;
  bool trans_a = false, trans_b = false;
  index_t pad = 0;  // elements behind each row
  float alpha = 1, beta = 0;
  Type type = Type::fp32;
};
constexpr index_t SLOT = SLOT_BYTES / 4;
const Case cases[] = {
    {"one element", 1, 1, 1},
    {"K = 0 and beta", 5, 7, 0, false, false, 2, 1, 2},
    {"K = 0, nothing to send", 300, 1100, 0},
    {"one panel each", 200, 90, 30},
    {"round the slots of A", 600, 30, 250},
    {"round the slots of A, transposed", 600, 30, 250, true},
    {"round the slots of B", 30, 2100, 60},
    {"round the slots of B, transposed", 30, 2100, 60, false, true},
    {"panels of both, and of C round its slots", 520, 2100, 3},
    {"the same, both transposed, with gaps and beta", 520, 2100, 3, true, true, 3, 2, -1},
    {"with gaps", 300, 1030, 9, false, false, 1, 1, 1},
    {"as many panels of rows as there may be", 1800, 20, 20},
    {"as many panels of columns as there may be", 20, 7200, 20},
    {"rows longer than a slot", 3, 5, 2 * SLOT + 1},
    {"rows longer than a slot, of B and C, beta", 3, 2 * SLOT + 1, 2, false, false, 7, 1, 1},
    {"rows longer than a slot, transposed", SLOT + 5, 2, 3, true, true, 7},
    {"half a slot and a bit: one row each", 9, 3, SLOT / 2 + 1},
    {"fp16", 300, 1030, 6, false, true, 1, 1, 0, Type::fp16},
    {"fp16, transposed", 300, 1030, 6, true, false, 1, 3, 1, Type::fp16},
};

// An operand, or C, in host memory: `rows` x `cols` as it lies there.
struct Array {
  index_t rows, cols, ld;
  Type type;
  std::unique_ptr<char[]> memory;

  Array(index_t rows_, index_t cols_, index_t pad, Type type_, std::mt19937& random)
      : rows(rows_), cols(cols_), ld(std::max<index_t>(cols_ + pad, 1)), type(type_), memory(new char[bytes()]) {
    std::memset(memory.get(), 0xff, bytes());
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < cols; ++j) {
        const int value = static_cast<int>(random() % 5) - 2;
        if (type == Type::fp32)
          reinterpret_cast<float*>(memory.get())[i * ld + j] = static_cast<float>(value);
        else
          reinterpret_cast<_Float16*>(memory.get())[i * ld + j] = static_cast<_Float16>(value);
      }
  }
  // The last row ends where its last element does, so that the sanitizer sees whatever goes further.
  std::size_t bytes() const {
    return static_cast<std::size_t>(rows && cols ? (rows - 1) * ld + cols : 0) * (type == Type::fp32 ? 4 : 2);
  }
};

struct Product {
  Case c;
  Array A, B, C;
  std::vector<float> want;
  explicit Product(const Case& c_, unsigned seed = 1) : Product(c_, std::mt19937(seed)) {}

  Job job() {
    return {
        c.M,  c.N,     c.K,    operand(A, c.trans_a), operand(B, c.trans_b), reinterpret_cast<float*>(C.memory.get()),
        C.ld, c.alpha, c.beta, Precision::fp32,       Accumulate::fp32};
  }

  void check_result() const {
    const float* const got = reinterpret_cast<const float*>(C.memory.get());
    for (index_t i = 0; i < c.M; ++i)
      for (index_t j = 0; j < C.ld && (i < c.M - 1 || j < c.N); ++j) {
        const float value = got[i * C.ld + j];
        if (j < c.N ? value != want[static_cast<std::size_t>(i * c.N + j)] : !std::isnan(value))
          fail(std::string(c.why) + ": C(" + std::to_string(i) + "," + std::to_string(j) + ") is " +
               std::to_string(value));
      }
  }

 private:
  Product(const Case& c_, std::mt19937&& random)
      : c(c_),
        A(c.trans_a ? c.K : c.M, c.trans_a ? c.M : c.K, c.pad, c.type, random),
        B(c.trans_b ? c.N : c.K, c.trans_b ? c.K : c.N, c.pad, c.type, random),
        C(c.M, c.N, c.pad, Type::fp32, random),
        want(static_cast<std::size_t>(c.M * c.N)) {
    Job direct = job();
    std::vector<float> workspace(want.size());
    direct.workspace = workspace.data();
    for (index_t i = 0; i < c.M; ++i)
      std::memcpy(want.data() + i * c.N, C.memory.get() + i * C.ld * 4, static_cast<std::size_t>(c.N) * 4);
    direct.C = want.data(), direct.ldc = c.N;
    compute(direct);
    if (c.beta == 0) std::memset(C.memory.get(), 0xff, C.bytes());
  }
  Operand operand(const Array& m, bool transposed) const { return {m.memory.get(), m.ld, transposed, m.type}; }
};

// ---- what is tested ----

constexpr fb::fake::Held NOTHING{0, 0, 0, 0};
constexpr fb::fake::Held ONE_RING{2 * SLOTS * SLOT_BYTES, 0, 2 + COMPUTE_STREAMS, 2 * SLOTS + 1 + STEPS};

bool same(const fb::fake::Held& a, const fb::fake::Held& b) {
  return a.pinned_bytes == b.pinned_bytes && a.device_bytes == b.device_bytes && a.streams == b.streams &&
         a.events == b.events;
}

void expect_held(const fb::fake::Held& wanted, const std::string& when) {
  fb::fake::settle();
  const fb::fake::Held held = fb::fake::held();
  if (!same(held, wanted))
    fail(when + ": held are " + std::to_string(held.pinned_bytes) + " bytes pinned, " +
         std::to_string(held.device_bytes) + " on the device, " + std::to_string(held.streams) + " streams, " +
         std::to_string(held.events) + " events");
}

// Every case, whenever things land, on one or several threads: exact, in the same parts, out of the same ring.
void test_products() {
  for (const Case& c : cases) {
    decltype(started) parts;
    for (unsigned n = 0; n < 6; ++n) {
      fb::fake::set(n == 0 ? Landing::at_once : n == 1 ? Landing::at_wait : Landing::at_random, n);
      Product product(c, n);
      started.clear(), streams.clear();
      multiply_host(n == 5 ? one_stream : kernel, product.job(), 0, n % 2 ? 3 : 1);
      product.check_result();
      if (n == 0) parts = started;
      if (parts != started) fail(std::string(c.why) + ": other parts than the first time");
      if (parts.size() > STEPS) fail(std::string(c.why) + ": too many parts");
      if (streams.size() > (n == 5 ? 1 : COMPUTE_STREAMS)) fail(std::string(c.why) + ": too many streams");
      expect_held(ONE_RING, c.why);
    }
  }
  free_workspace();
  expect_held(NOTHING, "after free_workspace");
}

// Every call fails once: as it should, with nothing left behind; then all is well.
void test_failures() {
  for (const bool made : {false, true})  // the ring, before
    for (const Landing landing : {Landing::at_wait, Landing::at_random})
      for (int n = 1;; ++n) {
        const Case c = {"a failure", 257, 20, 150, false, false, 1, 1, 1};
        free_workspace();
        fb::fake::set(landing, static_cast<unsigned>(n));
        if (made) multiply_host(kernel, Product(c).job(), 0, 1);
        Product product(c);
        const std::string call = "call " + std::to_string(n) + " failing";
        bool told = false;
        fb::fake::fail_at(n);
        try {
          multiply_host(kernel, product.job(), 0, 1);
        } catch (const std::bad_alloc&) {
          told = true;
        } catch (const std::runtime_error& error) {
          told = std::strstr(error.what(), ": made up (fake)");
        }
        const bool failed = fb::fake::has_failed();
        fb::fake::fail_at(0);
        if (told && !failed) fail(call + ": told of a failure that was not");
        if (!told) product.check_result();  // where it did not matter
        if (cudaGetLastError() != cudaSuccess && told) fail(call + ": the next call would find the error");
        fb::fake::settle();
        expect_held(fb::fake::held().pinned_bytes ? ONE_RING : NOTHING, call);
        Product again(c);
        multiply_host(kernel, again.job(), 0, 1);
        again.check_result();
        if (!failed) break;
      }
  free_workspace();
}

// Products of two devices and several threads at once; what is kept is freed, but for what is in use.
void test_threads() {
  fb::fake::set(Landing::at_wait);
  before_start = [] { std::thread(free_workspace).join(); };
  Product amid({"what is in use is freed", 300, 1030, 2});
  multiply_host(kernel, amid.job(), 0, 1);
  before_start = nullptr;
  amid.check_result();
  fb::fake::set(Landing::at_random, 7);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (unsigned n = 0; n < 6; ++n) {
        if (t == 3) {
          free_workspace();
          std::this_thread::yield();
          continue;
        }
        Product product({"several threads", 300 + t, 1030, 9, n % 2 == 0}, n);
        multiply_host(kernel, product.job(), t / 2, 2);
        product.check_result();
      }
    });
  for (std::thread& thread : threads) thread.join();
  free_workspace();
  expect_held(NOTHING, "after several threads");
}

// A child that is forked amid a product of another thread is told that it has no GPU, and does not wait for that
// thread.
void test_fork() {
  std::mutex lock;
  std::condition_variable changed;
  int state = 0;  // 1: amid a product; 2: the child has ended
  before_start = [&] {
    std::unique_lock held(lock);
    state = std::max(state, 1);
    changed.notify_all();
    changed.wait(held, [&] { return state == 2; });
  };
  const Case c = {"a fork", 20, 20, 20};
  fb::fake::set(Landing::at_wait);
  Product product(c), of_child(c);
  std::thread other([&] { multiply_host(kernel, product.job(), 0, 1); });
  {
    std::unique_lock held(lock);
    changed.wait(held, [&] { return state == 1; });
  }
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    free_workspace();
    try {
      multiply_host(kernel, of_child.job(), 0, 1);
    } catch (const std::runtime_error&) {
      _exit(0);
    }
    _exit(1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  {
    const std::lock_guard held(lock);
    state = 2;
  }
  changed.notify_all();
  other.join();
  before_start = nullptr;
  product.check_result();
  free_workspace();
  if (status != 0) fail("a forked child was not told that it has no GPU");
}

// ---- how near the bus: a model ----

double kernel_tflops;

// In tiles of 128 x 256, one to a processor of the 132: few tiles leave some of them to others.
cudaError_t run_on_the_clock(const Job& job) {
  const double tiles = static_cast<double>(ceil_div(job.M, 128) * ceil_div(job.N, 256)), whole = std::ceil(tiles / 132);
  const double one_us = 2.0 * 128 * 256 * static_cast<double>(job.K) * 132 / kernel_tflops / 1e6;
  return fb::fake::enqueue(job.stream, [] {}, 5 + whole * one_us, tiles / 132 / whole);
}

// The time of n x n x n, against the longest of what its way up, its way down and its kernels take alone. `at_least` is
// what the model gave, less 0.01: its clock has no noise, so whatever orders things worse shows. No GPU was measured.
void test_model(const char* what, index_t n, double tflops, bool trans_a, double at_least) {
  const Kernel modelled = {.workspace_bytes = nullptr, .run = run_on_the_clock, .shared_bytes = nullptr, .tiles = 0};
  kernel_tflops = tflops;
  const std::size_t bytes = static_cast<std::size_t>(n * n) * sizeof(float);
  const std::unique_ptr<float, decltype(&std::free)> A(static_cast<float*>(std::calloc(1, bytes)), std::free);
  const std::unique_ptr<float, decltype(&std::free)> C(static_cast<float*>(std::calloc(1, bytes)), std::free);
  const Operand operand{A.get(), n, false, Type::fp32}, left{A.get(), n, trans_a, Type::fp32};
  const Job job{n, n, n, left, operand, C.get(), n, 1, 0, Precision::fp32, Accumulate::fp32};
  multiply_host(modelled, job, 0, 1);  // makes the ring
  const double before = fb::fake::now_us();
  multiply_host(modelled, job, 0, 1);
  const double took = fb::fake::now_us() - before, up = 2 * static_cast<double>(bytes) / fb::fake::Rates{}.bus / 1000;
  const double bound = std::max(up, 2.0 * std::pow(static_cast<double>(n), 3) / tflops / 1e6);
  std::printf("model, %-32s %td: %.2f ms, %.2f of the bound\n", what, std::ptrdiff_t{n}, took / 1000, bound / took);
  if (!(bound / took >= at_least)) fail(std::string(what) + ": too slow in the model");
}

}  // namespace

int main(int argc, char** argv) {
  if (SLOT_BYTES >= 1 << 20) {
    fb::fake::set(Landing::clocked);
    test_model("400 TFLOP/s, the bus decides", 4096, 400, false, 0.84);
    test_model("the same, A transposed", 4096, 400, true, 0.84);
    test_model("50 TFLOP/s, the kernels decide", 4096, 50, false, 0.68);
    return 0;
  }
  const struct {
    const char* name;
    void (*run)();
  } tests[] = {
      {"products", test_products}, {"failures", test_failures}, {"threads", test_threads}, {"fork", test_fork}};
  bool any = false;
  for (const auto& test : tests)
    if (argc < 2 || !std::strcmp(argv[1], test.name)) any = true, test.run();
  if (!any) fail(std::string("no test is called ") + argv[1]);
  if (argc < 2) std::printf("host arrays: %zu cases exact, failures told, nothing left behind\n", std::size(cases));
  return 0;
}
