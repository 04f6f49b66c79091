// sgemm_call.cpp: sgemm() itself: the job, the GIL, the call.
//
// METH_FASTCALL instead of a pybind11 signature, because a 4x4 product takes less time than pybind11's argument
// casters.
#include "sgemm_call.hpp"

#include <cstring>
#include <utility>

#include "sgemm_arguments.hpp"

namespace {

using fb::index_t;
using fb::call::Call;
using fb::call::is_interpreted;
using fb::call::Reference;

PyObject* interpreted_rungs = nullptr;  // dict: name -> function
PyObject* gpu_calls = nullptr;          // dict: "sgemm" and "explain" -> function for what is on a GPU

PyObject* call_gpu(const char* name, PyObject* const* args, Py_ssize_t positional, PyObject* names) {
  PyObject* function = PyDict_GetItemString(gpu_calls, name);
  if (function) return PyObject_Vectorcall(function, args, static_cast<std::size_t>(positional), names);
  PyErr_Format(PyExc_SystemError, "gpu.py has no function %s", name);
  return nullptr;
}

// Fills in what `auto` means for this job.
void resolve_auto(Call& call) {
  if (call.strategy.entry >= 0) return;
  if (call.packed) {
    call.job.threads = frugalblas_packed_threads(&call.job);
    call.reason = "B was packed beforehand";
    return;
  }
  const fb::Choice choice = frugalblas_choose(&call.job);
  call.strategy = {choice.entry, nullptr, frugalblas_algorithm(choice.entry, nullptr)};
  call.job.threads = choice.threads;
  call.reason = choice.reason;
}

// Below this many multiply-adds (some 10 us) another thread would wait longer for the GIL than for the product.
constexpr index_t gil_release_work = 1 << 18;

// A passthrough may wait for a thread that waits for the GIL: it never computes with the GIL held.
bool is_passthrough(const Call& call) {
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  return !call.packed && entries[call.strategy.entry].kind == fb::Kind::passthrough;
}

bool run_compiled(const Call& call) {
  const fb::Gemm& g = call.job;
  const auto run = [&] {
    return call.packed ? frugalblas_run_packed(call.packed, &g) : frugalblas_run(call.strategy.algorithm, &g);
  };
  fb::Status status;
  // M*N*K as floating point: it may exceed 64 bits.
  if (static_cast<double>(g.M) * static_cast<double>(g.N) * static_cast<double>(g.K) < gil_release_work &&
      g.threads == 1 && !is_passthrough(call)) {
    status = run();
  } else {
    Py_BEGIN_ALLOW_THREADS;
    status = run();
    Py_END_ALLOW_THREADS;
  }
  if (status == fb::Status::out_of_memory)
    PyErr_SetString(PyExc_MemoryError, "not enough memory for this strategy's working copies; out is unchanged");
  if (status == fb::Status::too_large)
    PyErr_SetString(PyExc_ValueError,
                    "this OpenBLAS counts in 32 bits and a size or stride here exceeds that; use another strategy");
  return status == fb::Status::done;
}

PyObject* transposed_view(PyObject* array, bool transposed) {
  return transposed ? PyArray_Transpose(reinterpret_cast<PyArrayObject*>(array), nullptr) : Py_NewRef(array);
}

bool run_interpreted(const Call& call, PyObject* C) {
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  PyObject* function = PyDict_GetItemString(interpreted_rungs, entries[call.strategy.entry].name);
  if (!function) {
    PyErr_Format(PyExc_SystemError, "baselines.py has no function %s", entries[call.strategy.entry].name);
    return false;
  }
  Reference A(transposed_view(call.A, call.trans_a)), B(transposed_view(call.B, call.trans_b));
  if (!A.object || !B.object) return false;
  Reference result(PyObject_CallFunction(function, "OOOff", A.object, B.object, C, call.job.alpha, call.job.beta));
  return result.object;
}

// C = alpha*A·B + beta*C into the array `C`, which overlaps neither operand.
bool multiply(const Call& call, PyObject* C) {
  const fb::Gemm& g = call.job;
  if (g.M == 0 || g.N == 0) return true;
  if (g.K == 0 || g.alpha == 0) {
    frugalblas_scale(g.C, g.M, g.N, g.beta);
    return true;
  }
  return is_interpreted(call.strategy) ? run_interpreted(call, C) : run_compiled(call);
}

// A C-ordered array of its own memory with the job's shape; the job then points at it.
PyObject* new_result(fb::Gemm& g) {
  npy_intp shape[2] = {g.M, g.N};
  PyObject* C = PyArray_SimpleNew(2, shape, NPY_FLOAT);
  if (C) g.C = {static_cast<float*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(C))), g.N, 1};
  return C;
}

PyObject* sgemm(PyObject*, PyObject* const* args, Py_ssize_t positional, PyObject* names) {
  Call call;
  if (!fb::call::parse(args, positional, names, call)) return nullptr;
  if (call.on_gpu) return call_gpu("sgemm", args, positional, names);
  resolve_auto(call);
  if (!call.out) {
    Reference C(new_result(call.job));
    return C.object && multiply(call, C.object) ? C.release() : nullptr;
  }
  PyArrayObject* out = reinterpret_cast<PyArrayObject*>(call.out);
  if (!fb::call::may_overlap(out, reinterpret_cast<PyArrayObject*>(call.A)) &&
      (call.packed || !fb::call::may_overlap(out, reinterpret_cast<PyArrayObject*>(call.B))))
    return multiply(call, call.out) ? Py_NewRef(call.out) : nullptr;

  // `out` shares memory with an operand: compute beside it, then copy, so that no element is read after it was written.
  Reference C(new_result(call.job));
  if (!C.object) return nullptr;
  if (call.job.beta != 0 && PyArray_CopyInto(C.array(), out) < 0) return nullptr;
  if (!multiply(call, C.object) || PyArray_CopyInto(out, C.array()) < 0) return nullptr;
  return Py_NewRef(call.out);
}

PyObject* explain(PyObject*, PyObject* const* args, Py_ssize_t positional, PyObject* names) {
  Call call;
  if (!fb::call::parse(args, positional, names, call)) return nullptr;
  if (call.on_gpu) return call_gpu("explain", args, positional, names);
  const bool was_auto = call.strategy.entry < 0;
  resolve_auto(call);
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  const fb::Gemm& g = call.job;
  const fb::Algorithm* algorithm = call.strategy.algorithm;
  const fb::Variant* variant = call.packed             ? call.packed->variant
                               : call.strategy.variant ? call.strategy.variant
                                                       : frugalblas_default_variant(nullptr);
  const bool built = call.packed || (algorithm && entries[call.strategy.entry].kind != fb::Kind::passthrough);
  const bool empty = g.M == 0 || g.N == 0 || g.K == 0;
  fb::Blocks b{};
  if (!empty && call.packed) b = call.packed->kernel->blocks(g.K, g.N);
  if (!empty && algorithm && algorithm->blocks) b = algorithm->blocks(g);
  Reference blocks(PyDict_New());
  if (!blocks.object) return nullptr;
  const std::pair<const char*, index_t> sizes[] = {
      {"MR", b.MR}, {"NR", b.NR}, {"MC", b.MC}, {"KC", b.KC}, {"NC", b.NC}};
  for (const auto& [name, size] : sizes) {
    if (!size) continue;
    Reference value(PyLong_FromSsize_t(size));
    if (!value.object || PyDict_SetItemString(blocks.object, name, value.object) < 0) return nullptr;
  }
  return Py_BuildValue("{s:s,s:z,s:i,s:O,s:s,s:n,s:n,s:n}", "algo",
                       call.packed ? "packed" : entries[call.strategy.entry].name, "variant",
                       built ? variant->name : nullptr, "threads", g.threads, "blocks", blocks.object, "reason",
                       was_auto ? call.reason : "asked for by name", "M", g.M, "N", g.N, "K", g.K);
}

#define SIGNATURE                                                                                      \
  "(A, B, *, out=None, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, algo='auto', threads=None, " \
  "precision='fp32', stream=None)\n"                                                                   \
  "--\n\n"

PyMethodDef methods[] = {
    {"sgemm", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sgemm)), METH_FASTCALL | METH_KEYWORDS,
     "sgemm" SIGNATURE "alpha * A·B + beta * out, in float32.\n"
     "\n"
     "Parameters\n"
     "----------\n"
     "A, B : ndarray of float32, shapes (M, K) and (K, N)\n"
     "    Any strides: C or F order, sliced, reversed, broadcast. With trans_a (trans_b) the shape is (K, M) ((N, "
     "K)).\n"
     "    B may also be a PackedMatrix, which `pack` makes of a matrix that many products share; algo is then 'auto'.\n"
     "out : ndarray of float32, shape (M, N), optional\n"
     "    Overwritten and returned. Any strides; may overlap A or B (a temporary result is then made). Never read if\n"
     "    beta is 0. Default: a new C-ordered array.\n"
     "alpha, beta : float\n"
     "    BLAS's factors. If alpha is 0, A and B are not read; beta other than 0 needs `out`.\n"
     "trans_a, trans_b : bool\n"
     "    Multiply by the transpose. Nothing is copied.\n"
     "algo : str\n"
     "    'auto', a name from `algorithms()`, or 'name@variant' for one build of it, such as 'blocked@v3'.\n"
     "threads : int, optional\n"
     "    Exactly as many threads for a named strategy, at most as many for 'auto'. Default: the setting of the "
     "context\n"
     "    (`num_threads`), of the process (`set_num_threads`), OMP_NUM_THREADS, or the CPUs this process may use.\n"
     "    The result has the same bits for any number (except through passthroughs).\n"
     "precision : {'fp32'}\n"
     "    The arithmetic: IEEE float32 products, float32 sums. The GPU's strategies offer more, see `algorithms()`.\n"
     "stream : int or object with __cuda_stream__, .cuda_stream or .ptr, optional\n"
     "    For arrays of a GPU: the CUDA stream to work on. Default: that of A's maker.\n"
     "\n"
     "Returns\n"
     "-------\n"
     "ndarray of float32, shape (M, N)\n"
     "\n"
     "Raises\n"
     "------\n"
     "TypeError\n"
     "    An operand is not a native float32 ndarray (no silent casts), or an argument has the wrong type.\n"
     "ValueError\n"
     "    A shape, a thread count or an algorithm's name is wrong; `out` is read-only or overlaps itself.\n"
     "AlgorithmUnavailable\n"
     "    The strategy exists but cannot run here; the message says why and what to do.\n"
     "MemoryError\n"
     "    The result or a working copy does not fit. `out` keeps its content.\n"
     "\n"
     "Notes\n"
     "-----\n"
     "Each element is within gamma_K * sum_k |A_ik||B_kj| of the exact product, gamma_n = n*u/(1 - n*u), u = 2**-24\n"
     "(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.5)."},
    {"explain", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(explain)), METH_FASTCALL | METH_KEYWORDS,
     "explain" SIGNATURE "What `sgemm` with the same arguments would do, without doing it.\n"
     "\n"
     "Takes and refuses exactly the arguments of `sgemm`. Returns a dict: 'algo', 'variant' (None if the strategy has "
     "no\n"
     "builds), 'threads', 'blocks' (register tile MR, NR and cache blocks MC, KC, NC, where the strategy has them), "
     "the\n"
     "'reason' for the choice, and the sizes 'M', 'N', 'K'. How many threads 'auto' takes for little work depends on\n"
     "what the calling thread computed just before: a team that sleeps is not woken for one small product."},
};

}  // namespace

void frugalblas_set_callbacks(PyObject* interpreted, PyObject* gpu, PyObject* refuse) {
  Py_XSETREF(interpreted_rungs, Py_NewRef(interpreted));
  Py_XSETREF(gpu_calls, Py_NewRef(gpu));
  fb::call::set_refuse(refuse);
}

PyObject* frugalblas_threads_variable() { return fb::call::threads_variable(); }

// `name` is "sgemm" or "explain". The first call sets the module up.
PyObject* frugalblas_method(const char* name) {
  if (!fb::call::prepare()) return nullptr;
  for (PyMethodDef& method : methods)
    if (!std::strcmp(method.ml_name, name)) {
      Reference module(PyUnicode_FromString("frugalblas"));
      return module.object ? PyCFunction_NewEx(&method, nullptr, module.object) : nullptr;
    }
  return nullptr;
}
