// sgemm_call.cpp: sgemm() itself: the checks that protect memory, the GIL, the call.
//
// METH_FASTCALL instead of a pybind11 signature, because a 4x4 product takes less time than pybind11's argument
// casters. The order of the checks is a promise: the strategy first (does it exist, can it run here), then arrays, then
// numbers.
#include "sgemm_call.hpp"

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "core.hpp"

namespace {

using fb::index_t;

// ---- what Python told us at import ----

PyObject* interpreted_rungs = nullptr;  // dict: name -> function
PyObject* refuse_function = nullptr;    // raises the error for a strategy that cannot be used
PyObject* threads_variable = nullptr;   // contextvar: int, or unset
std::atomic<bool> context_used{false};  // no context ever set a thread count: skip the lookup

// ---- references that let go of themselves ----

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

// ---- algo=: which strategy, in which build ----

struct Strategy {
  int entry;                       // -1: auto
  const fb::Variant* variant;      // nullptr: the default one
  const fb::Algorithm* algorithm;  // nullptr: auto or interpreted
};

// Strategies met so far, by the string that asked for them: a call costs one dictionary lookup, no parsing.
PyObject* known_strategies = nullptr;  // dict: str -> index into `strategies`
std::vector<Strategy> strategies;

bool refuse(PyObject* algo) {
  Reference result(PyObject_CallOneArg(refuse_function, algo));
  if (result.object) PyErr_Format(PyExc_SystemError, "strategy %R was refused without a reason", algo);
  return false;
}

// "name" or "name@variant".
bool parse_strategy(const std::string& text, Strategy& s) {
  const auto at = text.find('@');
  const std::string name = text.substr(0, at);
  s = {-1, nullptr, nullptr};
  if (text == "auto") return true;
  s.entry = frugalblas_find_entry(name.c_str());
  if (s.entry < 0) return false;
  if (at != std::string::npos && !(s.variant = frugalblas_find_variant(text.c_str() + at + 1))) return false;
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  if (entries[s.entry].kind == fb::Kind::interpreted) return !s.variant;
  s.algorithm = frugalblas_algorithm(s.entry, s.variant);
  return s.algorithm;
}

bool find_strategy(PyObject* algo, Strategy& s) {
  if (!PyUnicode_Check(algo)) {
    PyErr_Format(PyExc_TypeError, "algo is %R, expected a string such as 'auto', 'blocked' or 'blocked@v3'", algo);
    return false;
  }
  if (PyObject* index = PyDict_GetItemWithError(known_strategies, algo)) {
    s = strategies[PyLong_AsSize_t(index)];
  } else {
    if (PyErr_Occurred()) return false;
    Py_ssize_t length;
    const char* text = PyUnicode_AsUTF8AndSize(algo, &length);
    if (!text) return false;
    if (std::strlen(text) != static_cast<std::size_t>(length) || !parse_strategy(text, s)) return refuse(algo);
    Reference new_index(PyLong_FromSize_t(strategies.size()));
    if (!new_index.object || PyDict_SetItem(known_strategies, algo, new_index.object) < 0) return false;
    strategies.push_back(s);
  }
  // Asked again every time: a library may have been installed or loaded meanwhile.
  if (s.algorithm && s.algorithm->unavailable && s.algorithm->unavailable()) return refuse(algo);
  return true;
}

// ---- arrays ----

bool is_masked(PyObject* object) {
  if (PyArray_CheckExact(object)) return false;
  Reference ma(PyImport_ImportModule("numpy.ma"));
  Reference type(ma.object ? PyObject_GetAttrString(ma.object, "MaskedArray") : nullptr);
  return type.object && PyObject_IsInstance(object, type.object) == 1;
}

// A native, aligned, two-dimensional float32 array, or an error that names the argument, what it is, and the fix.
bool check_matrix(PyObject* object, const char* name) {
  if (!PyArray_Check(object)) {
    PyErr_Format(PyExc_TypeError,
                 "%s is of type %.200s, expected a numpy.ndarray of float32; convert it with "
                 "numpy.asarray(%s, dtype=numpy.float32)",
                 name, Py_TYPE(object)->tp_name, name);
    return false;
  }
  PyArrayObject* array = reinterpret_cast<PyArrayObject*>(object);
  PyObject* dtype = reinterpret_cast<PyObject*>(PyArray_DESCR(array));
  if (is_masked(object)) {
    PyErr_Format(PyExc_TypeError,
                 "%s is a masked array, and a product cannot honour its mask; pass %s.filled(value) instead", name,
                 name);
    return false;
  }
  if (PyErr_Occurred()) return false;
  if (PyArray_TYPE(array) != NPY_FLOAT) {
    PyErr_Format(
        PyExc_TypeError,
        PyArray_ISCOMPLEX(array) || PyArray_TYPE(array) == NPY_OBJECT
            ? "%s has dtype %S, expected float32; complex and object products are not offered: use numpy.matmul"
            : "%s has dtype %S, expected float32; convert it with %s.astype(numpy.float32)",
        name, dtype, name);
    return false;
  }
  if (!PyArray_ISNOTSWAPPED(array)) {
    PyErr_Format(PyExc_TypeError,
                 "%s has byte-swapped dtype %R, expected native float32; convert it with "
                 "%s.astype(numpy.float32)",
                 name, dtype, name);
    return false;
  }
  if (PyArray_NDIM(array) != 2) {
    Reference shape(PyObject_GetAttrString(object, "shape"));
    if (shape.object)
      PyErr_Format(PyExc_ValueError,
                   "%s has %d dimension%s, shape %S, expected 2; reshape it, for example %s[:, None] for a column",
                   name, PyArray_NDIM(array), PyArray_NDIM(array) == 1 ? "" : "s", shape.object, name);
    return false;
  }
  if (!PyArray_ISALIGNED(array)) {
    PyErr_Format(PyExc_ValueError, "%s is not aligned to 4 bytes; copy it with %s.copy()", name, name);
    return false;
  }
  return true;
}

// Strides of dimensions of one element are arbitrary in NumPy, also where they are no multiple of four bytes.
index_t stride(PyArrayObject* array, int dimension, index_t if_single) {
  if (PyArray_DIM(array, dimension) <= 1) return if_single;
  return PyArray_STRIDE(array, dimension) / static_cast<index_t>(sizeof(float));
}

struct Operand {
  PyArrayObject* array;
  index_t rows, columns;
  fb::ConstMatrix matrix;
};

Operand operand(PyObject* object, bool transposed) {
  PyArrayObject* a = reinterpret_cast<PyArrayObject*>(object);
  const int row = transposed ? 1 : 0, column = 1 - row;
  const index_t columns = PyArray_DIM(a, column);
  // A single column of adjacent elements reads as rows of one; a single row as one whose elements are adjacent.
  return {a,
          PyArray_DIM(a, row),
          columns,
          {static_cast<const float*>(PyArray_DATA(a)), stride(a, row, columns), stride(a, column, 1)}};
}

// True if two elements of `out` share an address (a broadcast view, say).
bool overlaps_itself(const fb::Matrix& C, index_t M, index_t N) {
  const index_t s = std::abs(C.row_stride), t = std::abs(C.col_stride);
  if (M == 0 || N == 0 || (M == 1 && N == 1)) return false;  // NumPy's strides of an empty array may be zero
  if (M == 1 || N == 1) return (M == 1 ? t : s) == 0;
  if (s == 0 || t == 0) return true;
  const index_t common = std::gcd(s, t);  // rows i and columns j meet where i*s == j*t: at multiples of (t, s)/gcd
  return t / common <= M - 1 && s / common <= N - 1;
}

// True if the bytes between the first and last element of two arrays overlap: cheap, and never wrong about "no".
bool may_overlap(PyArrayObject* x, PyArrayObject* y) {
  const auto extent = [](PyArrayObject* a, const char*& low, const char*& high) {
    low = high = PyArray_BYTES(a);
    for (int d = 0; d < 2; ++d) {
      const index_t reach = PyArray_DIM(a, d) ? (PyArray_DIM(a, d) - 1) * PyArray_STRIDE(a, d) : 0;
      (reach < 0 ? low : high) += reach;
    }
    high += sizeof(float);
  };
  const char *x_low, *x_high, *y_low, *y_high;
  extent(x, x_low, x_high);
  extent(y, y_low, y_high);
  return x_low < y_high && y_low < x_high;
}

// ---- numbers ----

bool parse_scalar(PyObject* object, const char* name, float& value) {
  const double number = PyFloat_AsDouble(object);
  if (number == -1.0 && PyErr_Occurred()) {
    PyErr_Format(PyExc_TypeError, "%s is %R, expected a real number", name, object);
    return false;
  }
  value = static_cast<float>(number);
  if (std::isinf(value) && !std::isinf(number)) {
    PyErr_Format(PyExc_ValueError, "%s is %R, which float32 cannot hold; its largest value is 3.4028235e38", name,
                 object);
    return false;
  }
  return true;
}

// True, False, 0, 1 and NumPy's bools. Strings are refused: BLAS's "N" would count as true.
bool parse_flag(PyObject* object, const char* name, bool& value) {
  if (PyBool_Check(object)) {
    value = object == Py_True;
    return true;
  }
  if (PyArray_IsScalar(object, Bool) || PyLong_Check(object) || PyArray_IsScalar(object, Integer)) {
    const long number = PyArray_IsScalar(object, Bool) ? PyObject_IsTrue(object) : PyLong_AsLong(object);
    if (number == 0 || number == 1) {
      value = number;
      return true;
    }
    PyErr_Clear();
  }
  PyErr_Format(PyExc_TypeError, "%s is %R, expected True or False", name, object);
  return false;
}

// 0 means: not given.
bool parse_threads(PyObject* object, int& threads) {
  const bool boolean = PyBool_Check(object) || PyArray_IsScalar(object, Bool);
  if (!boolean && !PyIndex_Check(object)) {
    PyErr_Format(PyExc_TypeError, "threads is %R, expected a whole number or None", object);
    return false;
  }
  const Py_ssize_t n = boolean ? 0 : PyNumber_AsSsize_t(object, nullptr);
  if (n == -1 && PyErr_Occurred()) return false;
  if (n < 1 || n > frugalblas_max_threads()) {
    PyErr_Format(PyExc_ValueError, "threads is %R, expected a whole number from 1 to %d, or None for the default",
                 object, frugalblas_max_threads());
    return false;
  }
  threads = static_cast<int>(n);
  return true;
}

// The context's setting, else the process's.
bool default_threads(int& threads) {
  if (context_used.load(std::memory_order_relaxed)) {
    PyObject* value = nullptr;
    if (PyContextVar_Get(threads_variable, Py_None, &value) < 0) return false;
    Reference held(value);
    if (value != Py_None) {
      threads = static_cast<int>(PyLong_AsLong(value));
      return threads != -1 || !PyErr_Occurred();
    }
  }
  threads = frugalblas_get_num_threads();
  return true;
}

// ---- the call ----

enum Keyword { k_A, k_B, k_out, k_alpha, k_beta, k_trans_a, k_trans_b, k_algo, k_threads, k_precision, keyword_count };
const char* const keyword_names[] = {"A",       "B",       "out",  "alpha",   "beta",
                                     "trans_a", "trans_b", "algo", "threads", "precision"};
PyObject* keywords[keyword_count];  // interned, so that a call's keywords compare by address

// Puts each argument into its place; nullptr where it was not given.
bool sort_arguments(PyObject* const* args, Py_ssize_t positional, PyObject* names, PyObject** sorted) {
  if (positional > 2) {
    PyErr_Format(PyExc_TypeError,
                 "takes 2 positional arguments, A and B, but %zd were given; the others need their names, as in out=",
                 positional);
    return false;
  }
  for (Py_ssize_t i = 0; i < positional; ++i) sorted[i] = args[i];
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    int k = 0;
    while (k < keyword_count && name != keywords[k]) ++k;
    if (k == keyword_count)  // not interned: compare the text
      for (k = 0; k < keyword_count && PyUnicode_Compare(name, keywords[k]) != 0;) ++k;
    if (k == keyword_count) {
      PyErr_Format(
          PyExc_TypeError,
          "unexpected keyword argument %R; the names are A, B, out, alpha, beta, trans_a, trans_b, algo, threads "
          "and precision",
          name);
      return false;
    }
    if (sorted[k]) {
      PyErr_Format(PyExc_TypeError, "argument %R was given twice", name);
      return false;
    }
    sorted[k] = args[positional + i];
  }
  for (int k : {k_A, k_B})
    if (!sorted[k]) {
      PyErr_Format(PyExc_TypeError, "missing argument %s: the call is sgemm(A, B, ...)", keyword_names[k]);
      return false;
    }
  return true;
}

struct Call {
  Strategy strategy = {-1, nullptr, nullptr};
  fb::Gemm job{};
  PyObject *A, *B;
  PyObject* out = nullptr;  // borrowed; nullptr if the caller gave none
  bool trans_a = false, trans_b = false;
  bool threads_given = false;
  const char* reason = nullptr;  // why `auto` chose what it chose
};

bool is_interpreted(const Strategy& s) { return s.entry >= 0 && !s.algorithm; }

bool check_out(Call& call) {
  fb::Gemm& g = call.job;
  if (!check_matrix(call.out, "out")) return false;
  PyArrayObject* out = reinterpret_cast<PyArrayObject*>(call.out);
  if (PyArray_DIM(out, 0) != g.M || PyArray_DIM(out, 1) != g.N) {
    PyErr_Format(PyExc_ValueError, "out has shape (%zd, %zd), expected (%zd, %zd), the shape of the product",
                 PyArray_DIM(out, 0), PyArray_DIM(out, 1), g.M, g.N);
    return false;
  }
  if (!PyArray_ISWRITEABLE(out)) {
    PyErr_SetString(PyExc_ValueError, "out is read-only; pass a writeable array, for example out.copy()");
    return false;
  }
  g.C = {static_cast<float*>(PyArray_DATA(out)), stride(out, 0, g.N), stride(out, 1, 1)};
  if (overlaps_itself(g.C, g.M, g.N)) {
    PyErr_SetString(PyExc_ValueError,
                    "out has elements that share an address (a broadcast view?); pass an array of its own memory");
    return false;
  }
  return true;
}

bool check_precision(PyObject* precision) {
  if (!PyUnicode_Check(precision)) {
    PyErr_Format(PyExc_TypeError, "precision is %R, expected the string 'fp32'", precision);
    return false;
  }
  if (PyUnicode_CompareWithASCIIString(precision, "fp32") == 0) return true;
  PyErr_Format(PyExc_ValueError, "precision is %R; the strategies of this build offer 'fp32'", precision);
  return false;
}

// Everything about a call that can be wrong, before anything is allocated.
bool parse_call(PyObject* const* args, Py_ssize_t positional, PyObject* names, Call& call) {
  PyObject* given[keyword_count] = {};
  if (!sort_arguments(args, positional, names, given)) return false;
  if (given[k_algo] && !find_strategy(given[k_algo], call.strategy)) return false;
  if (given[k_precision] && !check_precision(given[k_precision])) return false;
  fb::Gemm& g = call.job;
  g.alpha = 1;
  if (given[k_alpha] && !parse_scalar(given[k_alpha], "alpha", g.alpha)) return false;
  if (given[k_beta] && !parse_scalar(given[k_beta], "beta", g.beta)) return false;
  if (given[k_trans_a] && !parse_flag(given[k_trans_a], "trans_a", call.trans_a)) return false;
  if (given[k_trans_b] && !parse_flag(given[k_trans_b], "trans_b", call.trans_b)) return false;
  call.threads_given = given[k_threads] && given[k_threads] != Py_None;
  if (call.threads_given) {
    if (!parse_threads(given[k_threads], g.threads)) return false;
  } else if (!default_threads(g.threads)) {
    return false;
  }
  if (is_interpreted(call.strategy)) {
    if (call.threads_given && g.threads > 1) {
      PyErr_Format(PyExc_ValueError, "threads is %d, but strategy %R runs on one thread only; pass threads=1 or None",
                   g.threads, given[k_algo]);
      return false;
    }
    g.threads = 1;
  }

  call.A = given[k_A];
  call.B = given[k_B];
  if (!check_matrix(call.A, "A") || !check_matrix(call.B, "B")) return false;
  const Operand A = operand(call.A, call.trans_a), B = operand(call.B, call.trans_b);
  if (A.columns != B.rows) {
    PyErr_Format(PyExc_ValueError,
                 "inner dimensions differ: A%s is (%zd, %zd) and B%s is (%zd, %zd), but A's columns must be as many as "
                 "B's rows",
                 call.trans_a ? " transposed" : "", A.rows, A.columns, call.trans_b ? " transposed" : "", B.rows,
                 B.columns);
    return false;
  }
  g.M = A.rows, g.N = B.columns, g.K = A.columns;
  g.A = A.matrix, g.B = B.matrix;

  call.out = given[k_out] == Py_None ? nullptr : given[k_out];
  if (call.out) return check_out(call);
  if (g.beta != 0) {
    PyErr_Format(PyExc_ValueError, "beta is %R but there is no out to multiply by it; pass out= or leave beta at 0",
                 given[k_beta]);
    return false;
  }
  if (g.N > 0 && g.M > NPY_MAX_INTP / static_cast<index_t>(sizeof(float)) / g.N) {
    PyErr_Format(PyExc_ValueError, "the product would have shape (%zd, %zd), more bytes than can be addressed", g.M,
                 g.N);
    return false;
  }
  return true;
}

// Fills in what `auto` means for this job.
void resolve_auto(Call& call) {
  if (call.strategy.entry >= 0) return;
  const fb::Choice choice = frugalblas_choose(&call.job);
  call.strategy = {choice.entry, nullptr, frugalblas_algorithm(choice.entry, nullptr)};
  call.job.threads = choice.threads;
  call.reason = choice.reason;
}

// Below this many multiply-adds (some 10 us) another thread would wait longer for the GIL than for the product.
constexpr index_t gil_release_work = 1 << 18;

bool run_compiled(const Call& call) {
  const fb::Gemm& g = call.job;
  fb::Status status;
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  // A passthrough may wait for a thread that waits for the GIL: it never computes with the GIL held.
  const bool waits = entries[call.strategy.entry].kind == fb::Kind::passthrough;
  // M*N*K as floating point: it may exceed 64 bits.
  if (static_cast<double>(g.M) * static_cast<double>(g.N) * static_cast<double>(g.K) < gil_release_work &&
      g.threads == 1 && !waits) {
    status = frugalblas_run(call.strategy.algorithm, &g);
  } else {
    Py_BEGIN_ALLOW_THREADS;
    status = frugalblas_run(call.strategy.algorithm, &g);
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
  if (!parse_call(args, positional, names, call)) return nullptr;
  resolve_auto(call);
  if (!call.out) {
    Reference C(new_result(call.job));
    return C.object && multiply(call, C.object) ? C.release() : nullptr;
  }
  PyArrayObject* out = reinterpret_cast<PyArrayObject*>(call.out);
  if (!may_overlap(out, reinterpret_cast<PyArrayObject*>(call.A)) &&
      !may_overlap(out, reinterpret_cast<PyArrayObject*>(call.B)))
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
  if (!parse_call(args, positional, names, call)) return nullptr;
  const bool was_auto = call.strategy.entry < 0;
  resolve_auto(call);
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  const fb::Gemm& g = call.job;
  const fb::Algorithm* algorithm = call.strategy.algorithm;
  const fb::Variant* variant = call.strategy.variant ? call.strategy.variant : frugalblas_default_variant(nullptr);
  const bool built = algorithm && entries[call.strategy.entry].kind != fb::Kind::passthrough;
  const bool empty = g.M == 0 || g.N == 0 || g.K == 0;
  const fb::Blocks b = algorithm && algorithm->blocks && !empty ? algorithm->blocks(g) : fb::Blocks{};
  Reference blocks(PyDict_New());
  if (!blocks.object) return nullptr;
  const std::pair<const char*, index_t> sizes[] = {
      {"MR", b.MR}, {"NR", b.NR}, {"MC", b.MC}, {"KC", b.KC}, {"NC", b.NC}};
  for (const auto& [name, size] : sizes) {
    if (!size) continue;
    Reference value(PyLong_FromSsize_t(size));
    if (!value.object || PyDict_SetItemString(blocks.object, name, value.object) < 0) return nullptr;
  }
  return Py_BuildValue("{s:s,s:z,s:i,s:O,s:s,s:n,s:n,s:n}", "algo", entries[call.strategy.entry].name, "variant",
                       built ? variant->name : nullptr, "threads", g.threads, "blocks", blocks.object, "reason",
                       was_auto ? call.reason : "asked for by name", "M", g.M, "N", g.N, "K", g.K);
}

#define SIGNATURE                                                                                      \
  "(A, B, *, out=None, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, algo='auto', threads=None, " \
  "precision='fp32')\n"                                                                                \
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
     "    The arithmetic: IEEE float32 products, float32 sums.\n"
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
     "'reason' for the choice, and the sizes 'M', 'N', 'K'."},
};

}  // namespace

void frugalblas_set_callbacks(PyObject* interpreted, PyObject* refuse) {
  Py_XSETREF(interpreted_rungs, Py_NewRef(interpreted));
  Py_XSETREF(refuse_function, Py_NewRef(refuse));
}

PyObject* frugalblas_threads_variable() {
  context_used.store(true, std::memory_order_relaxed);
  return Py_NewRef(threads_variable);
}

// `name` is "sgemm" or "explain". The first call sets the module up.
PyObject* frugalblas_method(const char* name) {
  if (!known_strategies) {
    import_array1(nullptr);
    for (int k = 0; k < keyword_count; ++k)
      if (!(keywords[k] = PyUnicode_InternFromString(keyword_names[k]))) return nullptr;
    if (!(threads_variable = PyContextVar_New("frugalblas.num_threads", nullptr))) return nullptr;
    if (!(known_strategies = PyDict_New())) return nullptr;
  }
  for (PyMethodDef& method : methods)
    if (!std::strcmp(method.ml_name, name)) {
      Reference module(PyUnicode_FromString("frugalblas"));
      return module.object ? PyCFunction_NewEx(&method, nullptr, module.object) : nullptr;
    }
  return nullptr;
}
