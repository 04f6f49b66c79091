// packed_object.hpp: a packed operand as a Python object, the base of PackedMatrix in packed.py.
#pragma once
#include <Python.h>

#include "core.hpp"

PyObject* frugalblas_packed_type();  // new reference; nullptr and a Python error

namespace fb::call {

// What a PackedMatrix holds, borrowed from it; nullptr for any other object. No error is set.
const fb::Packed* packed_operand(PyObject* object);

}  // namespace fb::call
