// sgemm_arguments.hpp: a call's arguments, checked, as a job for the kernels.
//
// Everything that could make a kernel touch memory it must not is refused here and nowhere else.
#pragma once
#include <Python.h>

// One table of NumPy's functions for the files of the extension; sgemm_arguments.cpp fills it.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL frugalblas_numpy_api
#ifndef FB_NUMPY_API_HERE
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "core.hpp"

namespace fb::call {

// A reference that lets go of itself.
struct Reference {
  PyObject* object = nullptr;
  Reference() = default;
  explicit Reference(PyObject* owned) : object(owned) {}
  ~Reference() { Py_XDECREF(object); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  PyObject* release() {
    PyObject* owned = object;
    object = nullptr;
    return owned;
  }
  PyArrayObject* array() const { return reinterpret_cast<PyArrayObject*>(object); }
};

// algo=: which strategy, in which build.
struct Strategy {
  int entry;                       // -1: auto
  const fb::Variant* variant;      // nullptr: the default one
  const fb::Algorithm* algorithm;  // nullptr: auto or interpreted
};

// One call of sgemm. All references are borrowed from the caller.
struct Call {
  Strategy strategy = {-1, nullptr, nullptr};
  fb::Gemm job{};                      // C is missing if there is no `out`
  PyObject *A, *B;                     // as given; the job's operands are transposed where the flags say so
  const fb::Packed* packed = nullptr;  // B, if it was packed beforehand; the job's B is then missing
  PyObject* out = nullptr;             // nullptr if the caller gave none
  bool trans_a = false, trans_b = false;
  bool threads_given = false;
  const char* reason = nullptr;  // why `auto` chose what it chose
  bool on_gpu = false;           // for src/frugalblas/gpu.py: nothing but A and B above is filled in
};

// One of the GPU's rungs, which src/frugalblas/gpu.py calls.
bool is_cuda(const Strategy& s);
inline bool is_interpreted(const Strategy& s) { return s.entry >= 0 && !s.algorithm; }

// Called once, before anything else here. False, and a Python error, if NumPy cannot be had.
bool prepare();

// Everything about a call that can be wrong, before anything is allocated. False: a Python error says what.
bool parse(PyObject* const* args, Py_ssize_t positional, PyObject* names, Call& call);

// One argument each, for other calls with the same keywords. False: a Python error says what is wrong.
bool find_strategy(PyObject* algo, Strategy& strategy);
bool parse_threads(PyObject* object, int& threads);
bool check_precision(PyObject* precision);
// A matrix, transposed where the flag says so; `trans` may be nullptr.
bool parse_operand(PyObject* object, const char* name, PyObject* trans, const char* trans_name, index_t& rows,
                   index_t& columns, fb::ConstMatrix& matrix);
bool default_threads(int& threads);  // the context's setting, else the process's
// The same for a loop of NumPy's, which may or may not hold the GIL.
int default_threads_of_loop();

// True if the bytes between the first and last element of two arrays overlap: cheap, and never wrong about "no".
bool may_overlap(PyArrayObject* x, PyArrayObject* y);

// What Python tells at import: refuse(algo) raises the error for a strategy that cannot be used.
void set_refuse(PyObject* function);
// The contextvar of num_threads; a new reference.
PyObject* threads_variable();

}  // namespace fb::call
