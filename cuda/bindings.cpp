// bindings.cpp: the module _cuda: what src/frugalblas/gpu.py and gpu_call.py ask of the GPU.
//
// Pointers and streams come as integers: Python has looked at the arrays (arrays.py), and keeps them alive.
#include <pybind11/pybind11.h>

#include <cstring>

#include "buffer.hpp"
#include "cublas.hpp"
#include "runtime.hpp"

namespace py = pybind11;

namespace {

using namespace fb::cuda;

const struct {
  const char* name;
  const Kernel* kernel;
} kernels[] = {
#define CUDA(name) {#name, &fb::cuda::name},
#define CUDA_LIBRARY(name) {#name, &fb::cuda::name},
#include "../cpp/for_each_algorithm.inc"
};

const Kernel& find(const char* name) {
  for (const auto& k : kernels)
    if (!std::strcmp(k.name, name)) return *k.kernel;
  throw py::value_error(std::string("no CUDA kernel is called ") + name);
}

py::tuple architectures(std::initializer_list<int> list) {
  py::list result;
  for (int a : list)
    if (a) result.append(a);
  return py::tuple(result);
}

py::dict status_dict() {
  const Status s = status();
  py::list devices;
  for (const Device& d : s.devices) {
    py::dict device;
    device["name"] = d.name;
    device["capability"] = d.capability;
    device["processors"] = d.processors;
    device["memory_bytes"] = d.memory_bytes;
    devices.append(device);
  }
  py::dict result;
  result["runtime"] = s.runtime;
  result["driver"] = s.driver;
  result["error"] = static_cast<int>(s.error);
  result["message"] = cudaGetErrorString(s.error);
  result["devices"] = devices;
  return result;
}

// (pointer, ld, transposed, type)
Operand operand(const py::tuple& t) {
  return {reinterpret_cast<const void*>(t[0].cast<std::uintptr_t>()), t[1].cast<index_t>(), t[2].cast<bool>(),
          static_cast<Type>(t[3].cast<int>())};
}

Job make_job(index_t M, index_t N, index_t K, const py::tuple& A, const py::tuple& B, const py::tuple& C, float alpha,
             float beta, int precision, int accumulate) {
  return {M,
          N,
          alpha == 0 ? 0 : K,
          operand(A),
          operand(B),
          reinterpret_cast<float*>(C[0].cast<std::uintptr_t>()),
          C[1].cast<index_t>(),
          alpha,
          beta,
          static_cast<Precision>(precision),
          static_cast<Accumulate>(accumulate)};
}

py::tuple dlpack_device(const Buffer& buffer) {
  const Buffer::Place place = buffer.dlpack_device();
  return py::make_tuple(place.type, place.device);
}

// The array API's __dlpack__.
py::object dlpack(const Buffer& buffer, const py::object& stream, const py::object& max_version,
                  const py::object& dl_device, const py::object& copy) {
  if (!dl_device.is_none() && !dl_device.equal(dlpack_device(buffer)))
    throw py::buffer_error("a result is exported on its own device only");
  if (!copy.is_none() && copy.cast<bool>()) throw py::buffer_error("a result is exported without a copy only");
  // None is the legacy default stream; -1, which asks for no order, is Buffer::NO_ORDER.
  const std::int64_t consumer = stream.is_none() ? 1 : stream.cast<std::int64_t>();
  if (consumer == 0) throw py::value_error("stream 0 is ambiguous: 1 or 2 is meant");
  const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
  PyObject* const capsule = buffer.dlpack(consumer, versioned);
  if (!capsule) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(capsule);
}

}  // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "The CUDA half of frugalblas. Private: use the functions of the package.";
  m.attr("architectures") = architectures({FB_REAL_ARCHITECTURES});
  m.attr("ptx_architectures") = architectures({FB_VIRTUAL_ARCHITECTURES});
  py::list names;
  for (const auto& k : kernels) names.append(k.name);
  m.attr("kernels") = py::tuple(names);
  m.def("status", status_dict);
  m.def("enqueue", [](const char* name, index_t M, index_t N, index_t K, const py::tuple& A, const py::tuple& B,
                      const py::tuple& C, float alpha, float beta, int precision, int accumulate, int device,
                      std::uintptr_t stream) {
    const Kernel& kernel = find(name);
    Job job = make_job(M, N, K, A, B, C, alpha, beta, precision, accumulate);
    job.stream = reinterpret_cast<cudaStream_t>(stream);
    py::gil_scoped_release release;
    enqueue(kernel, job, device);
  });
  m.def("load_cublas", load_cublas, py::call_guard<py::gil_scoped_release>());
  m.def("cublas", [] {
    const CublasLibrary library = cublas_library();
    return py::make_tuple(library.path, library.version);
  });
  m.def("device_of", [](std::uintptr_t pointer) {
    cudaPointerAttributes attributes;
    check(cudaPointerGetAttributes(&attributes, reinterpret_cast<const void*>(pointer)), "asking whose memory it is");
    return attributes.device;
  });
  m.def("order_after", [](std::uintptr_t stream, std::uintptr_t earlier, int device) {
    order_after(reinterpret_cast<cudaStream_t>(stream), reinterpret_cast<cudaStream_t>(earlier), device);
  });
  m.def("mark", [](std::uintptr_t stream, int device) { return mark(reinterpret_cast<cudaStream_t>(stream), device); });
  m.def("passed", passed);
  py::class_<Buffer>(m, "Buffer")
      .def(py::init<index_t, index_t, int, std::uintptr_t>())
      .def_property_readonly("pointer", &Buffer::pointer)
      .def("__dlpack_device__", dlpack_device)
      .def("__dlpack__", dlpack, py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
           py::arg("dl_device") = py::none(), py::arg("copy") = py::none());
  m.def("multiply_host",
        [](const char* name, index_t M, index_t N, index_t K, const py::tuple& A, const py::tuple& B,
           const py::tuple& C, float alpha, float beta, int precision, int accumulate, int device, int threads) {
          const Kernel& kernel = find(name);
          const Job job = make_job(M, N, K, A, B, C, alpha, beta, precision, accumulate);
          py::gil_scoped_release release;
          multiply_host(kernel, job, device, threads);
        });
  m.def("free_workspace", free_workspace, py::call_guard<py::gil_scoped_release>());
}
