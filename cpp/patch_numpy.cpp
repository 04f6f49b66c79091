// patch_numpy.cpp: see patch_numpy.hpp.
//
// Two levels. np.matmul's loop is exchanged by the function NumPy offers for that. What np.dot, inner, tensordot and
// multi_dot compute has no such loop: NumPy calls cblas_sgemm and its like, and those calls are redirected in NumPy's
// global offset table. Whatever we do not compute goes to the function that was there: illegal arguments, so that
// NumPy's own BLAS reports them, and products for which memory runs out.
#include "patch_numpy.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "blas_job.hpp"
#include "got_patch.hpp"
#include "matmul_ufunc.hpp"
#include "sgemm_arguments.hpp"

#define PY_UFUNC_UNIQUE_SYMBOL frugalblas_ufunc_api
#define NO_IMPORT_UFUNC
#include <numpy/ufuncobject.h>

namespace {

using fb::Batch;
using fb::Gemm;
using namespace fb::blas;

// ---- np.matmul's loop ----

// Exchanges the loop; returns the one that was there.
PyUFuncGenericFunction exchange(PyObject* matmul, PyUFuncGenericFunction loop) {
  if (!PyObject_TypeCheck(matmul, &PyUFunc_Type))
    throw std::runtime_error("numpy.matmul is not a ufunc: something has replaced it, and it is left alone");
  const int float32[] = {NPY_FLOAT, NPY_FLOAT, NPY_FLOAT};
  PyUFuncGenericFunction before = nullptr;
  if (PyUFunc_ReplaceLoopBySignature(reinterpret_cast<PyUFuncObject*>(matmul), loop, float32, &before) < 0)
    throw std::runtime_error("this NumPy does not let the float32 loop of numpy.matmul be replaced");
  return before;
}

PyUFuncGenericFunction loop_before = nullptr;

// ---- what NumPy calls BLAS for ----

template <class Int>
using Sgemm = void(int, int, int, Int, Int, Int, float, const float*, Int, const float*, Int, float, float*, Int);
template <class Int>
using Sgemv = void(int, int, Int, Int, float, const float*, Int, const float*, Int, float, float*, Int);
template <class Int>
using Ssyrk = void(int, int, int, Int, Int, float, const float*, Int, float, float*, Int);

// The functions that were there; set before any call can arrive, and kept for calls still under way afterwards.
template <class Int>
struct Originals {
  Sgemm<Int>* sgemm;
  Sgemv<Int>* sgemv;
  Ssyrk<Int>* ssyrk;
};
template <class Int>
Originals<Int> originals{};

bool legal(int order) { return order == row_major || order == column_major; }

// One element of C is an inner product: NumPy's own in every door (matmul_ufunc.cpp), and here by the same function.
bool run_inner_product(const Gemm& g) {
  constexpr Py_ssize_t bytes = sizeof(float);
  char* args[] = {reinterpret_cast<char*>(const_cast<float*>(g.A.data)),
                  reinterpret_cast<char*>(const_cast<float*>(g.B.data)), reinterpret_cast<char*>(g.C.data)};
  const Py_ssize_t dimensions[] = {1, 1, g.K, 1};
  const Py_ssize_t steps[] = {0, 0, 0, bytes, g.A.col_stride * bytes, g.B.row_stride * bytes, bytes, bytes, bytes};
  fb::doors::numpy_loop.loop(args, dimensions, steps, fb::doors::numpy_loop.data);
  return true;
}

bool run(Gemm job) {
  if (job.M == 1 && job.N == 1 && job.alpha == 1 && job.beta == 0) return run_inner_product(job);
  job.threads = fb::doors::threads(job, 1);
  const Batch batch = {job, 1, 0, 0, 0};
  return frugalblas_run_batch(nullptr, &batch) == fb::Status::done;
}

template <class Int>
void sgemm(int order, int transa, int transb, Int m, Int n, Int k, float alpha, const float* a, Int lda, const float* b,
           Int ldb, float beta, float* c, Int ldc) {
  const char ta = transpose_letter(transa), tb = transpose_letter(transb);
  const bool good = legal(order) && ta && tb &&
                    (order == column_major ? !check_gemm(ta, tb, m, n, k, lda, ldb, ldc)
                                           : !check_gemm(tb, ta, n, m, k, ldb, lda, ldc));
  if (good && run(gemm(static_cast<Order>(order), ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)))
    return fb::doors::count(fb::doors::patched_sgemm, 1);
  originals<Int>.sgemm(order, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <class Int>
void sgemv(int order, int trans, Int m, Int n, float alpha, const float* a, Int lda, const float* x, Int incx,
           float beta, float* y, Int incy) {
  const char t = transpose_letter(trans);
  const bool good = legal(order) && t && m > 0 && n > 0 &&
                    (order == column_major ? !check_gemv(t, m, n, lda, incx, incy)
                                           : !check_gemv(t == 'N' ? 'T' : 'N', n, m, lda, incx, incy));
  if (good && run(gemv(static_cast<Order>(order), t, m, n, alpha, a, lda, x, incx, beta, y, incy)))
    return fb::doors::count(fb::doors::patched_sgemv, 1);
  originals<Int>.sgemv(order, trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
}

template <class Int>
void ssyrk(int order, int uplo, int trans, Int n, Int k, float alpha, const float* a, Int lda, float beta, float* c,
           Int ldc) {
  const char triangle = triangle_letter(uplo), t = transpose_letter(trans);
  const bool good =
      legal(order) && triangle && t &&
      (order == column_major ? !check_syrk(triangle, t, n, k, lda, ldc)
                             : !check_syrk(triangle == 'U' ? 'L' : 'U', t == 'N' ? 'T' : 'N', n, k, lda, ldc));
  if (good) {
    Gemm job = syrk(static_cast<Order>(order), t, n, k, alpha, a, lda, beta, c, ldc);
    job.threads = fb::doors::threads(job, 1);
    if (n != 1) frugalblas_run_triangle(nullptr, &job, triangle == 'U');
    if (n != 1 || run(job)) return fb::doors::count(fb::doors::patched_ssyrk, 1);
  }
  originals<Int>.ssyrk(order, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
}

// How builds of BLAS decorate these names: NumPy's and SciPy's wheels prefix them, and a suffix says 64-bit integers.
struct Decoration {
  const char *prefix, *suffix;
  bool wide;
};
constexpr Decoration decorations[] = {
    {"scipy_", "64_", true}, {"scipy_", "", false}, {"", "64_", true}, {"", "_64", true}, {"", "", false}};

struct Target {
  std::string name;
  void* function;
  void** original;
};

template <class Int>
void add_targets(const std::string& prefix, const std::string& suffix, std::vector<Target>& targets) {
  const auto add = [&](const char* name, auto* function, auto** original) {
    targets.push_back({prefix + name + suffix, reinterpret_cast<void*>(function), reinterpret_cast<void**>(original)});
  };
  add("cblas_sgemm", &sgemm<Int>, &originals<Int>.sgemm);
  add("cblas_sgemv", &sgemv<Int>, &originals<Int>.sgemv);
  add("cblas_ssyrk", &ssyrk<Int>, &originals<Int>.ssyrk);
}

const std::vector<Target>& targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> list;
    for (const Decoration& d : decorations) {
      if (d.wide)
        add_targets<std::int64_t>(d.prefix, d.suffix, list);
      else
        add_targets<std::int32_t>(d.prefix, d.suffix, list);
    }
    return list;
  }();
  return all;
}

std::vector<fb::got::Slot> patched_slots;

// True if nobody else has patched NumPy since.
bool still_ours() {
  for (const auto& slot : patched_slots)
    if (*slot.address != slot.replacement) return false;
  return true;
}

}  // namespace

void frugalblas_patch_matmul(PyObject* matmul) { loop_before = exchange(matmul, fb::doors::patched_loop); }

void frugalblas_unpatch_matmul(PyObject* matmul) {
  const PyUFuncGenericFunction found = exchange(matmul, loop_before);
  if (found == fb::doors::patched_loop) return;
  exchange(matmul, found);
  throw std::runtime_error(
      "numpy.matmul's float32 loop was replaced by something else after patch_numpy; undo that first");
}

std::vector<std::string> frugalblas_patch_blas() {
  std::vector<fb::got::Replacement> wanted;
  for (const Target& target : targets()) wanted.push_back({target.name.c_str(), target.function});
  patched_slots = fb::got::find("_multiarray_umath", wanted);
  std::vector<std::string> names;
  for (const auto& slot : patched_slots) {
    for (const Target& target : targets())
      if (target.name == slot.name) *target.original = slot.original;
    if (std::find(names.begin(), names.end(), slot.name) == names.end()) names.push_back(slot.name);
  }
  if (patched_slots.empty())
    throw std::runtime_error(
        "this NumPy calls no cblas_sgemm of another library (see numpy.show_config()); patch_numpy(level='ufunc') "
        "works with any NumPy");
  for (std::size_t i = 0; i < patched_slots.size(); ++i)
    if (!fb::got::write(patched_slots[i], patched_slots[i].replacement)) {
      while (i-- > 0) fb::got::write(patched_slots[i], patched_slots[i].original);
      throw std::runtime_error("the system does not let NumPy's global offset table be changed; use level='ufunc'");
    }
  return names;
}

void frugalblas_unpatch_blas() {
  if (!still_ours())
    throw std::runtime_error("NumPy's BLAS calls were redirected again after patch_numpy; undo that first");
  for (const auto& slot : patched_slots) fb::got::write(slot, slot.original);
  patched_slots.clear();
}
