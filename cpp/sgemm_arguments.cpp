// sgemm_arguments.cpp: the checks that protect memory.
//
// Their order is a promise: the strategy first (does it exist, can it run here), then numbers, then arrays.
#define FB_NUMPY_API_HERE
#include "sgemm_arguments.hpp"
#include "packed_object.hpp"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

namespace fb::call {
namespace {

PyObject* refuse_function = nullptr;    // raises the error for a strategy that cannot be used
PyObject* threads_context = nullptr;    // contextvar: int, or unset
std::atomic<bool> context_used{false};  // no context ever set a thread count: skip the lookup

// ---- algo= ----

// Every strategy there is, by the string that asks for it: a call costs one dictionary lookup, no parsing. Filled by
// `prepare` and never changed, so that threads need no lock.
PyObject* known_strategies = nullptr;  // dict: str -> index into `strategies`
std::vector<Strategy> strategies;

bool refuse(PyObject* algo) {
  Reference result(PyObject_CallOneArg(refuse_function, algo));
  if (result.object) PyErr_Format(PyExc_SystemError, "strategy %R was refused without a reason", algo);
  return false;
}

bool add_strategy(const std::string& text, const Strategy& s) {
  Reference index(PyLong_FromSize_t(strategies.size()));
  if (!index.object || PyDict_SetItemString(known_strategies, text.c_str(), index.object) < 0) return false;
  strategies.push_back(s);
  return true;
}

// "auto", every "name", and every "name@variant" that was built and runs here.
bool list_strategies() {
  const fb::Entry* entries;
  const fb::Variant* variants;
  const int entry_count = frugalblas_entries(&entries), variant_count = frugalblas_variants(&variants);
  if (!add_strategy("auto", {-1, nullptr, nullptr})) return false;
  for (int e = 0; e < entry_count; ++e) {
    const std::string name = entries[e].name;
    const bool interpreted = entries[e].kind == fb::Kind::interpreted;
    const Strategy plain = {e, nullptr, interpreted ? nullptr : frugalblas_algorithm(e, nullptr)};
    if ((interpreted || plain.algorithm) && !add_strategy(name, plain)) return false;
    for (int v = 0; v < variant_count && !interpreted; ++v) {
      const fb::Variant* variant = frugalblas_find_variant(variants[v].name);
      const fb::Algorithm* algorithm = variant ? frugalblas_algorithm(e, variant) : nullptr;
      if (algorithm && !add_strategy(name + "@" + variant->name, {e, variant, algorithm})) return false;
    }
  }
  return true;
}

}  // namespace

bool is_cuda(const Strategy& s) {
  if (s.entry < 0) return false;
  const fb::Entry* entries;
  frugalblas_entries(&entries);
  return entries[s.entry].kind == fb::Kind::cuda || entries[s.entry].kind == fb::Kind::cuda_library;
}

bool find_strategy(PyObject* algo, Strategy& s) {
  if (!PyUnicode_Check(algo)) {
    PyErr_Format(PyExc_TypeError, "algo is %R, expected a string such as 'auto', 'blocked' or 'blocked@v3'", algo);
    return false;
  }
  PyObject* index = PyDict_GetItemWithError(known_strategies, algo);
  if (!index) return PyErr_Occurred() ? false : refuse(algo);
  s = strategies[PyLong_AsSize_t(index)];
  // Asked again every time: a library may have been installed or loaded meanwhile.
  if (s.algorithm && s.algorithm->unavailable && s.algorithm->unavailable()) return refuse(algo);
  return true;
}

// ---- arrays ----

namespace {

bool is_masked(PyObject* object) {
  if (PyArray_CheckExact(object)) return false;
  Reference ma(PyImport_ImportModule("numpy.ma"));
  Reference type(ma.object ? PyObject_GetAttrString(ma.object, "MaskedArray") : nullptr);
  return type.object && PyObject_IsInstance(object, type.object) == 1;
}

// True for an array in a GPU's memory: one with __cuda_array_interface__, or whose __dlpack_device__ is a CUDA device.
bool is_device_array(PyObject* object) {
  if (PyArray_Check(object)) return false;
  if (PyObject_HasAttrString(object, "__cuda_array_interface__")) return true;
  if (!PyObject_HasAttrString(object, "__dlpack_device__")) return false;
  constexpr long kDLCUDA = 2, kDLCUDAManaged = 13;  // dlpack.h
  Reference device(PyObject_CallMethod(object, "__dlpack_device__", nullptr));
  PyObject* type = device.object && PyTuple_Check(device.object) && PyTuple_GET_SIZE(device.object) == 2
                       ? PyTuple_GET_ITEM(device.object, 0)
                       : nullptr;
  const long number = type && PyIndex_Check(type) ? static_cast<long>(PyNumber_AsSsize_t(type, nullptr)) : 0;
  PyErr_Clear();  // whatever such an object is, it is no array of a GPU
  return number == kDLCUDA || number == kDLCUDAManaged;
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
}  // namespace

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
    if (PyContextVar_Get(threads_context, Py_None, &value) < 0) return false;
    Reference held(value);
    if (value != Py_None) {
      threads = frugalblas_limit_threads(static_cast<int>(PyLong_AsLong(value)));
      return threads != -1 || !PyErr_Occurred();
    }
  }
  threads = frugalblas_get_num_threads();
  return true;
}

int default_threads_of_loop() {
  int threads = frugalblas_get_num_threads();
  if (!context_used.load(std::memory_order_relaxed)) return threads;
  const PyGILState_STATE state = PyGILState_Ensure();
  if (!default_threads(threads)) PyErr_Clear();  // the setting was checked when it was made
  PyGILState_Release(state);
  return threads;
}

// ---- all of them ----

namespace {

enum Keyword {
  k_A,
  k_B,
  k_out,
  k_alpha,
  k_beta,
  k_trans_a,
  k_trans_b,
  k_algo,
  k_threads,
  k_precision,
  k_stream,
  keyword_count
};
const char* const keyword_names[] = {"A",       "B",    "out",     "alpha",     "beta",  "trans_a",
                                     "trans_b", "algo", "threads", "precision", "stream"};
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
          "unexpected keyword argument %R; the names are A, B, out, alpha, beta, trans_a, trans_b, algo, threads, "
          "precision and stream",
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

// A packed B has a kernel of its own, on the CPU.
bool takes_packed(const Call& call, PyObject* const* given) {
  if (call.strategy.entry >= 0)
    PyErr_Format(
        PyExc_ValueError,
        "algo is %R, but B is a PackedMatrix, which has a kernel of its own; leave algo at 'auto', or pass the "
        "matrix itself, as numpy.asarray(B) returns it",
        given[k_algo]);
  else if (call.on_gpu)
    PyErr_SetString(
        PyExc_TypeError,
        "A lies in the memory of a GPU, but B is a PackedMatrix, packed for the CPU; pass the matrix itself, "
        "in the memory of the GPU");
  return !PyErr_Occurred();
}

}  // namespace

bool parse_operand(PyObject* object, const char* name, PyObject* trans, const char* trans_name, index_t& rows,
                   index_t& columns, fb::ConstMatrix& matrix) {
  bool transposed = false;
  if (trans && !parse_flag(trans, trans_name, transposed)) return false;
  if (!check_matrix(object, name)) return false;
  const Operand found = operand(object, transposed);
  rows = found.rows, columns = found.columns, matrix = found.matrix;
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

bool parse(PyObject* const* args, Py_ssize_t positional, PyObject* names, Call& call) {
  PyObject* given[keyword_count] = {};
  if (!sort_arguments(args, positional, names, given)) return false;
  if (given[k_algo] && !find_strategy(given[k_algo], call.strategy)) return false;
  call.A = given[k_A];
  call.B = given[k_B];
  call.packed = packed_operand(call.B);
  call.on_gpu = is_cuda(call.strategy) || is_device_array(call.A) || (!call.packed && is_device_array(call.B));
  if (call.packed && !takes_packed(call, given)) return false;
  if (call.on_gpu) return true;
  if (given[k_precision] && !check_precision(given[k_precision])) return false;
  if (given[k_stream] && given[k_stream] != Py_None) {
    PyErr_Format(PyExc_ValueError, "stream is %R, but this product runs on the CPU, at once; leave stream= away",
                 given[k_stream]);
    return false;
  }
  fb::Gemm& g = call.job;
  g.alpha = 1;
  if (given[k_alpha] && !parse_scalar(given[k_alpha], "alpha", g.alpha)) return false;
  if (given[k_beta] && !parse_scalar(given[k_beta], "beta", g.beta)) return false;
  if (given[k_trans_a] && !parse_flag(given[k_trans_a], "trans_a", call.trans_a)) return false;
  if (given[k_trans_b] && !parse_flag(given[k_trans_b], "trans_b", call.trans_b)) return false;
  if (call.packed && call.trans_b) {
    PyErr_SetString(PyExc_ValueError,
                    "trans_b is True, but B is a PackedMatrix, whose panels lie one way; pack the transpose once: "
                    "frugalblas.pack(B, trans=True)");
    return false;
  }
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

  if (!check_matrix(call.A, "A") || (!call.packed && !check_matrix(call.B, "B"))) return false;
  const Operand A = operand(call.A, call.trans_a);
  const Operand B = call.packed ? Operand{nullptr, call.packed->K, call.packed->N, {}} : operand(call.B, call.trans_b);
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

bool prepare() {
  if (known_strategies) return true;
  import_array1(false);
  for (int k = 0; k < keyword_count; ++k)
    if (!(keywords[k] = PyUnicode_InternFromString(keyword_names[k]))) return false;
  if (!(threads_context = PyContextVar_New("frugalblas.num_threads", nullptr))) return false;
  return (known_strategies = PyDict_New()) && list_strategies();
}

void set_refuse(PyObject* function) { Py_XSETREF(refuse_function, Py_NewRef(function)); }

PyObject* threads_variable() {
  context_used.store(true, std::memory_order_relaxed);
  return Py_NewRef(threads_context);
}

}  // namespace fb::call
