// sgemm_call.hpp: the entry points that bypass pybind11.
#pragma once
#include <Python.h>

// The functions sgemm and explain, and what they call back in Python (set by algorithms.py):
//   interpreted: dict name -> function(A, B, C, alpha, beta)
//   gpu: dict "sgemm" and "explain" -> what to call for a CUDA rung or an array in a GPU's memory, same arguments
//   refuse: function(algo), raises the error that says why a strategy cannot be used
PyObject* frugalblas_method(const char* name);                                          // new reference
void frugalblas_set_callbacks(PyObject* interpreted, PyObject* gpu, PyObject* refuse);  // keeps references
PyObject* frugalblas_threads_variable();                                                // the contextvar; new reference
