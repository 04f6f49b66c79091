// patch_numpy.hpp: NumPy's float32 products on frugalblas, in the whole process, until it is undone.
#pragma once
#include <pybind11/pybind11.h>

// Both levels keep what they replaced. Calls alternate: patch, unpatch, patch, …; Python's patch.py sees to that, under
// a lock. All raise RuntimeError where NumPy is not as expected, having changed nothing.
void frugalblas_patch_matmul();
void frugalblas_unpatch_matmul();
pybind11::list frugalblas_patch_blas();  // names of the functions caught
void frugalblas_unpatch_blas();
