// packed_object.cpp: the type behind PackedMatrix: it owns the panels. What it looks like to a user is packed.py.
#include "packed_object.hpp"

#include "sgemm_arguments.hpp"

namespace {

using fb::index_t;

struct Object {
  PyObject_HEAD const fb::Packed* packed;
};

PyTypeObject* packed_type = nullptr;

const fb::Packed& packed_of(PyObject* self) { return *reinterpret_cast<Object*>(self)->packed; }

// The GIL is released meanwhile: B must not change, as with any function of NumPy's.
PyObject* new_packed(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"B", "trans", "variant", nullptr};
  PyObject *B, *trans = nullptr;
  const char* variant_name = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|Oz:pack", const_cast<char**>(names), &B, &trans, &variant_name))
    return nullptr;
  fb::ConstMatrix matrix;
  index_t rows, columns;
  int threads;
  if (!fb::call::parse_operand(B, "B", trans, "trans", rows, columns, matrix)) return nullptr;
  if (!fb::call::default_threads(threads)) return nullptr;
  const fb::Variant* variant = variant_name ? frugalblas_find_variant(variant_name) : nullptr;
  if (variant_name && (!variant || !*variant->packed)) {
    PyErr_Format(PyExc_ValueError, "variant is '%s', expected an instruction-set level that runs here", variant_name);
    return nullptr;
  }
  const fb::Packed* packed;
  Py_BEGIN_ALLOW_THREADS;
  packed = frugalblas_make_packed(rows, columns, &matrix, variant, threads);
  Py_END_ALLOW_THREADS;
  if (!packed) {
    PyErr_Format(PyExc_MemoryError, "not enough memory for a packed copy of B, which is (%zd, %zd)", rows, columns);
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self)
    reinterpret_cast<Object*>(self)->packed = packed;
  else
    frugalblas_free_packed_operand(packed);
  return self;
}

void free_packed(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  frugalblas_free_packed_operand(reinterpret_cast<Object*>(self)->packed);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* unpack(PyObject* self, PyObject*) {
  const fb::Packed& packed = packed_of(self);
  npy_intp shape[2] = {packed.K, packed.N};
  PyObject* B = PyArray_SimpleNew(2, shape, NPY_FLOAT);
  if (!B) return nullptr;
  float* const data = static_cast<float*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(B)));
  Py_BEGIN_ALLOW_THREADS;
  frugalblas_unpack(&packed, data);
  Py_END_ALLOW_THREADS;
  return B;
}

PyObject* shape(PyObject* self, void*) { return Py_BuildValue("(nn)", packed_of(self).K, packed_of(self).N); }
PyObject* nbytes(PyObject* self, void*) {
  return PyLong_FromSsize_t(packed_of(self).floats * static_cast<index_t>(sizeof(float)));
}
PyObject* variant(PyObject* self, void*) { return PyUnicode_FromString(packed_of(self).variant->name); }

PyMethodDef methods[] = {{"unpack", unpack, METH_NOARGS, "unpack($self, /)\n--\n\nThe matrix, as a new array."}, {}};
PyGetSetDef properties[] = {
    {"shape", shape, nullptr, "(K, N)", nullptr},
    {"nbytes", nbytes, nullptr, "Bytes of the packed copy: those of the matrix and a little padding.", nullptr},
    {"variant", variant, nullptr, "The build of the kernels that it was packed for.", nullptr},
    {}};

PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(new_packed)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(free_packed)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {Py_tp_doc, const_cast<char*>("A packed copy of a matrix: what PackedMatrix owns.")},
                       {0, nullptr}};
PyType_Spec spec = {"frugalblas._core.Packed", sizeof(Object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

const fb::Packed* fb::call::packed_operand(PyObject* object) {
  return packed_type && PyObject_TypeCheck(object, packed_type) ? &packed_of(object) : nullptr;
}

PyObject* frugalblas_packed_type() {
  if (!fb::call::prepare()) return nullptr;
  if (!packed_type) packed_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return Py_XNewRef(reinterpret_cast<PyObject*>(packed_type));
}
