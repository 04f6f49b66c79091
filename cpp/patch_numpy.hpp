// patch_numpy.hpp: NumPy's float32 products on frugalblas, in the whole process, until it is undone.
#pragma once
#include <Python.h>

#include <string>
#include <vector>

// Both levels keep what they replaced. Calls alternate: patch, unpatch, patch, …; Python's patch.py sees to that, under
// a lock. All throw std::runtime_error where NumPy is not as expected, having changed nothing.
void frugalblas_patch_matmul(PyObject* matmul);  // numpy.matmul
void frugalblas_unpatch_matmul(PyObject* matmul);
std::vector<std::string> frugalblas_patch_blas();  // names of the functions caught
void frugalblas_unpatch_blas();
