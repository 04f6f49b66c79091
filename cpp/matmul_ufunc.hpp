// matmul_ufunc.hpp: the loop of `matmul`, shared by our gufunc and by a patched np.matmul.
#pragma once
#include <Python.h>

#include <atomic>

#include "core.hpp"

// matmul(A, B, ...) as a Python function, and the gufunc behind it. New references; nullptr and a Python error.
PyObject* frugalblas_matmul_function();
PyObject* frugalblas_matmul_gufunc();

namespace fb::doors {

// Where products come in. Counted on request only: what a test suite or a patched program really sent here.
enum Door { gufunc, patched_matmul, patched_sgemm, patched_sgemv, patched_ssyrk, door_count };
extern const char* const names[door_count];
extern std::atomic<bool> counting;
extern std::atomic<long long> products[door_count];

inline void count(Door door, long long n) {
  if (counting.load(std::memory_order_relaxed)) products[door].fetch_add(n, std::memory_order_relaxed);
}

// The threads that a product coming in by such a door may use.
int threads(const Gemm& job, double products);

// np.matmul's own float32 loop, as it was when frugalblas was imported.
using Loop = void (*)(char** args, const Py_ssize_t* dimensions, const Py_ssize_t* steps, void* data);
struct NumpyLoop {
  Loop loop;
  void* data;
};
extern NumpyLoop numpy_loop;

// What takes its place. Falls back to it where memory runs out.
void patched_loop(char** args, const Py_ssize_t* dimensions, const Py_ssize_t* steps, void* data);

}  // namespace fb::doors
