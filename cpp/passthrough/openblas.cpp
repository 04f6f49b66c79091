// openblas — passthrough to an OpenBLAS on this machine, by default the one NumPy has already loaded.
//
// The reference every rung is compared with: by construction the library behind `a @ b`, with no second copy in memory
// and no second thread pool. Found at run time, never linked: FRUGALBLAS_OPENBLAS (a path), else one already in the
// process, else the system's libopenblas.so.0.
// Its thread count is process-wide, so calls are serialised and put back what they found. Strides that BLAS cannot
// express (neither dimension contiguous, or negative) are copied.
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../core.hpp"
#include "../workspace.hpp"

namespace fb::passthrough {

enum CblasOrder { row_major = 101 };
enum CblasTranspose { no_trans = 111, trans = 112 };

// cblas_sgemm, with 32-bit or 64-bit integers.
template <class Int>
using CblasSgemm = void (*)(int, int, int, Int, Int, Int, float, const float*, Int, const float*, Int, float, float*,
                            Int);

struct Library {
  CblasSgemm<std::int32_t> sgemm32 = nullptr;
  CblasSgemm<std::int64_t> sgemm64 = nullptr;
  void (*set_num_threads)(int) = nullptr;
  int (*get_num_threads)() = nullptr;
  std::string path, config, reason;
};

static std::string find_path(void* handle, const char* fallback) {
  link_map* map = nullptr;
  return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map && *map->l_name ? map->l_name : fallback;
}

// Fills `library` if the file behind `handle` is an OpenBLAS. Builds differ in how they decorate their names: NumPy's
// and SciPy's wheels prefix them, and 64-bit integers show as one of two suffixes.
static bool bind(void* handle, const char* path, Library& library) {
  for (const std::string prefix : {"scipy_", ""})
    for (const std::string suffix : {"64_", "_64", ""}) {
      const auto symbol = [&](const char* name) { return dlsym(handle, (prefix + name + suffix).c_str()); };
      void* const sgemm = symbol("cblas_sgemm");
      void* const set = symbol("openblas_set_num_threads");
      void* const get = symbol("openblas_get_num_threads");
      void* const config = symbol("openblas_get_config");
      if (!sgemm || !set || !get || !config) continue;
      if (suffix.empty())
        library.sgemm32 = reinterpret_cast<CblasSgemm<std::int32_t>>(sgemm);
      else
        library.sgemm64 = reinterpret_cast<CblasSgemm<std::int64_t>>(sgemm);
      library.set_num_threads = reinterpret_cast<void (*)(int)>(set);
      library.get_num_threads = reinterpret_cast<int (*)()>(get);
      library.config = reinterpret_cast<const char* (*)()>(config)();
      library.path = find_path(handle, path);
      return true;
    }
  return false;
}

// Libraries in the process whose file name speaks of OpenBLAS; NumPy's own first, where SciPy has brought another.
static std::vector<std::string> loaded_candidates() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* list) {
        auto& found = *static_cast<std::vector<std::string>*>(list);
        const std::string path = info->dlpi_name;
        const std::string file = path.substr(path.rfind('/') + 1);
        if (file.find("openblas") != std::string::npos || file.rfind("libblas", 0) == 0)
          found.insert(path.find("numpy") != std::string::npos ? found.begin() : found.end(), path);
        return 0;
      },
      &paths);
  return paths;
}

static Library find() {
  Library library;
  if (const char* named = std::getenv("FRUGALBLAS_OPENBLAS"); named && *named) {
    void* handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (!handle || !bind(handle, named, library))
      library.reason = std::string("FRUGALBLAS_OPENBLAS=") + named + " is not an OpenBLAS that can be loaded";
    return library;
  }
  for (const std::string& path : loaded_candidates())
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD); handle && bind(handle, path.c_str(), library))
      return library;
  if (void* handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
      handle && bind(handle, "libopenblas.so.0", library))
    return library;
  library.reason =
      "no OpenBLAS in this process (this NumPy was built with another BLAS), and no libopenblas.so.0 on the system; "
      "install one (Debian: libopenblas0) or name its path in FRUGALBLAS_OPENBLAS";
  return library;
}

// One user of OpenBLAS at a time: `run` below, or Python, which may hold the library across interpreted code.
static std::mutex calls;
static std::atomic<int> python_holds{0};  // the thread count that Python will put back; 0: it does not hold the library
static int to_put_back = 0;               // the same, in a child forked meanwhile: its holder stayed behind
static bool locked_to_fork = false;

// A child must not inherit a lock that nobody will open, nor OpenBLAS in the middle of a call of ours: a fork waits for
// `run`. It cannot wait for a holder in Python, who may need the interpreter lock that the forking thread has.
static void before_fork() {
  while (!(locked_to_fork = calls.try_lock()) && !python_holds) sched_yield();
}
static void after_fork_in_parent() {
  if (locked_to_fork) calls.unlock();
}
static void after_fork_in_child() {
  if (locked_to_fork) return calls.unlock();
  to_put_back = python_holds.exchange(0);
  new (&calls) std::mutex;
}

static const Library& library() {
  static const Library found = [] {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    return find();
  }();
  return found;
}

// Returns the thread count before, which `release` wants back.
static int hold(int threads) {
  calls.lock();
  const int now = library().get_num_threads();
  if (threads != now) library().set_num_threads(threads);
  return to_put_back ? std::exchange(to_put_back, 0) : now;
}

static void release(int previous) {
  if (library().get_num_threads() != previous) library().set_num_threads(previous);
  calls.unlock();
}

static const char* unavailable() { return library().path.empty() ? library().reason.c_str() : nullptr; }

// An operand as BLAS wants it: contiguous along one dimension, a leading dimension along the other.
struct Operand {
  const float* data;
  CblasTranspose transpose;
  index_t leading;
};

// True if the strides need no copy. A dimension of one element has no stride to speak of.
static bool expressible(index_t rows, index_t columns, index_t row_stride, index_t col_stride) {
  return (columns == 1 || col_stride == 1) && (rows == 1 || row_stride >= columns);
}

static index_t leading_dimension(index_t rows, index_t columns, index_t stride) { return rows == 1 ? columns : stride; }

static bool needs_copy(const ConstMatrix& m, index_t rows, index_t columns) {
  return !expressible(rows, columns, m.row_stride, m.col_stride) &&
         !expressible(columns, rows, m.col_stride, m.row_stride);
}

// Copies into `copy`, (rows,columns), if BLAS cannot read the operand where it is.
static Operand operand(const ConstMatrix& m, index_t rows, index_t columns, float* copy) {
  if (needs_copy(m, rows, columns)) {
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j) copy[i * columns + j] = m.data[i * m.row_stride + j * m.col_stride];
    return {copy, no_trans, columns};
  }
  if (expressible(rows, columns, m.row_stride, m.col_stride))
    return {m.data, no_trans, leading_dimension(rows, columns, m.row_stride)};
  return {m.data, trans, leading_dimension(columns, rows, m.col_stride)};
}

static void call(const Library& blas, const Gemm& g, const Operand& A, const Operand& B, float beta, float* c,
                 index_t ldc) {
  if (blas.sgemm64)
    return blas.sgemm64(row_major, A.transpose, B.transpose, g.M, g.N, g.K, g.alpha, A.data, A.leading, B.data,
                        B.leading, beta, c, ldc);
  const auto i32 = [](index_t n) { return static_cast<std::int32_t>(n); };
  blas.sgemm32(row_major, A.transpose, B.transpose, i32(g.M), i32(g.N), i32(g.K), g.alpha, A.data, i32(A.leading),
               B.data, i32(B.leading), beta, c, i32(ldc));
}

static void run(const Gemm& g) {
  const bool direct = expressible(g.M, g.N, g.C.row_stride, g.C.col_stride);
  const index_t a_floats = needs_copy(g.A, g.M, g.K) ? g.M * g.K : 0;
  const index_t b_floats = needs_copy(g.B, g.K, g.N) ? g.K * g.N : 0;
  const index_t ldc = direct ? leading_dimension(g.M, g.N, g.C.row_stride) : g.N;
  if (!library().sgemm64)
    for (const index_t n : {g.M, g.N, g.K, std::abs(g.A.row_stride), std::abs(g.A.col_stride), std::abs(g.B.row_stride),
                            std::abs(g.B.col_stride), ldc})
      if (n > INT32_MAX) throw std::length_error("32-bit OpenBLAS");

  const Workspace workspace(a_floats + b_floats + (direct ? 0 : g.M * g.N));
  const Operand A = operand(g.A, g.M, g.K, workspace.data());
  const Operand B = operand(g.B, g.K, g.N, workspace.data() + a_floats);
  float* const c = direct ? g.C.data : workspace.data() + a_floats + b_floats;

  const int previous = hold(g.threads);
  call(library(), g, A, B, direct ? g.beta : 0, c, ldc);
  release(previous);

  if (!direct)
    for (index_t i = 0; i < g.M; ++i)
      for (index_t j = 0; j < g.N; ++j) {
        float& out = g.C.data[i * g.C.row_stride + j * g.C.col_stride];
        out = g.beta == 0 ? c[i * g.N + j] : c[i * g.N + j] + g.beta * out;
      }
}

extern const Algorithm openblas;  // const alone would keep it private to this file
constinit const Algorithm openblas = {
    .summary = "passthrough to the OpenBLAS that NumPy has loaded",
    .course = "reference",
    .unavailable = unavailable,
    .blocks = nullptr,
    .run = run,
};

}  // namespace fb::passthrough

using namespace fb::passthrough;

extern "C" {
const char* frugalblas_openblas_config(const char** path, const char** reason) {
  const Library& blas = library();
  if (path) *path = blas.path.c_str();
  if (reason) *reason = blas.reason.c_str();
  return blas.path.empty() ? nullptr : blas.config.c_str();
}

int frugalblas_openblas_hold_threads(int n) {
  const int previous = hold(n);
  python_holds = previous;
  return previous;
}

void frugalblas_openblas_release_threads(int previous) {
  python_holds = 0;
  release(previous);
}
}
