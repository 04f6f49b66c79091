// module.cpp: a table of contents of the extension, and the only file of it that knows pybind11.
#include <pybind11/pybind11.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core.hpp"
#include "matmul_ufunc.hpp"
#include "packed_object.hpp"
#include "patch_numpy.hpp"
#include "sgemm_call.hpp"
#include "study_call.hpp"

namespace py = pybind11;

static const char* kind_name(fb::Kind kind) {
  switch (kind) {
    case fb::Kind::interpreted:
      return "interpreted";
    case fb::Kind::scalar:
      return "scalar";
    case fb::Kind::vector:
      return "vector";
    case fb::Kind::team:
      return "team";
    case fb::Kind::passthrough:
      return "passthrough";
    case fb::Kind::cuda:
      return "cuda";
    case fb::Kind::cuda_library:
      return "cuda library";
  }
  return "";
}

// One dict per line of algorithms.def. The card of a rung is the same in every variant, so the weakest one's is read.
static py::list entries() {
  const fb::Entry* list;
  const int count = frugalblas_entries(&list);
  const fb::Variant* variants;
  const int variant_count = frugalblas_variants(&variants);
  py::list result;
  for (int e = 0; e < count; ++e) {
    py::dict entry;
    entry["name"] = list[e].name;
    entry["kind"] = kind_name(list[e].kind);
    py::list names;
    for (int v = 0; v < variant_count; ++v)
      if (variants[v].algorithms[e] && frugalblas_cpu_supports(variants[v].level) && !names.contains(variants[v].name))
        names.append(variants[v].name);
    entry["variants"] = names;
    if (const fb::Algorithm* card = frugalblas_algorithm(e, nullptr)) {
      entry["summary"] = card->summary;
      entry["course"] = card->course;
      entry["precisions"] = card->precisions;
      const char* reason = card->unavailable ? card->unavailable() : nullptr;
      entry["reason"] = reason ? py::object(py::str(reason)) : py::none();
    }
    result.append(entry);
  }
  return result;
}

static py::list variants() {
  const fb::Variant* list;
  const int count = frugalblas_variants(&list);
  py::list result;
  for (int v = 0; v < count; ++v) {
    py::dict variant;
    variant["name"] = list[v].name;
    variant["level"] = list[v].level;
    variant["flags"] = list[v].flags;
    variant["study"] = list[v].study;
    variant["runs_here"] = frugalblas_cpu_supports(list[v].level);
    result.append(variant);
  }
  return result;
}

static py::dict cpu() {
  const fb::CacheSizes* cache = frugalblas_cache_sizes();
  py::dict bytes;
  bytes["l1d"] = cache->l1d;
  bytes["l2"] = cache->l2;
  bytes["l3"] = cache->l3;
  py::dict result;
  result["model"] = frugalblas_cpu_model();
  result["tuning"] = frugalblas_cpu_tuning();
  result["cpus"] = frugalblas_usable_cpus();
  result["cache_bytes"] = bytes;
  return result;
}

static double fma_burst(fb::index_t steps, const char* level) {
  const fb::Variant* variant = frugalblas_find_variant(level);
  if (!variant || !variant->fma_burst)
    throw py::value_error(std::string("level is '") + level + "', no instruction-set level that runs here");
  py::gil_scoped_release release;
  return variant->fma_burst(steps);
}

static py::dict openblas() {
  const char *path, *reason;
  const char* config = frugalblas_openblas_config(&path, &reason);
  py::dict result;
  if (config) {
    result["path"] = path;
    result["config"] = config;
  } else {
    result["reason"] = reason;
  }
  return result;
}

// Products by door since counting was switched on.
static py::dict products() {
  py::dict result;
  for (int door = 0; door < fb::doors::door_count; ++door)
    result[fb::doors::names[door]] = fb::doors::products[door].load();
  return result;
}

static void count_products(bool on) {
  for (auto& count : fb::doors::products) count = 0;
  fb::doors::counting = on;
}

static py::object numpy_matmul() { return py::module_::import("numpy").attr("matmul"); }

static py::list patch_blas() {
  const std::vector<std::string> caught = frugalblas_patch_blas();
  try {
    py::list names;
    for (const std::string& name : caught) names.append(name);
    return names;
  } catch (...) {  // Python, told of an error, takes nothing to be patched
    frugalblas_unpatch_blas();
    throw;
  }
}

// Of an argument that was not given: nothing.
static fb::Floats floats(const py::buffer_info& info, const char* name) {
  if (!info.ptr) return {};
  const bool plain =
      info.format == "f" && info.ndim >= 1 && info.strides[info.ndim - 1] == sizeof(float) &&
      (info.ndim == 1 || (info.ndim == 2 && info.strides[0] == info.shape[1] * fb::index_t{sizeof(float)}));
  if (!plain) throw std::invalid_argument(std::string(name) + " must be a float32 array in C order");
  const bool matrix = info.ndim == 2;
  return {static_cast<float*>(info.ptr), info.ndim, info.size, matrix ? info.shape[0] : 0, matrix ? info.shape[1] : 0};
}

static void study_gemm(const py::buffer& A, const py::buffer& B, const py::buffer& out, int threads, fb::index_t MR,
                       fb::index_t NR, fb::index_t MC, fb::index_t KC, fb::index_t NC, const std::string& loop,
                       const std::string& schedule, int chunk) {
  const py::buffer_info a = A.request(), b = B.request(), c = out.request(true);
  py::gil_scoped_release release;
  frugalblas_study_gemm(floats(a, "A"), floats(b, "B"), floats(c, "out"), threads, {MR, NR, MC, KC, NC, {}, {}, chunk},
                        loop, schedule);
}

static py::list study_tiles() {
  const fb::Study& study = frugalblas_study();
  py::list result;
  for (int i = 0; i < study.tile_count; ++i) result.append(py::make_tuple(study.tiles[i].MR, study.tiles[i].NR));
  return result;
}

static double memory_sweep(const py::buffer& a, int threads, const py::object& b, const py::object& c) {
  const auto request = [](const py::object& o) { return o.is_none() ? py::buffer_info() : py::buffer(o).request(); };
  const py::buffer_info target = a.request(!b.is_none()), left = request(b), right = request(c);
  py::gil_scoped_release release;
  return frugalblas_memory_sweep(floats(target, "a"), threads, floats(left, "b"), floats(right, "c"));
}

static py::object owned(PyObject* reference) {
  if (!reference) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(reference);
}

// No lock is taken for Python's sake: tables are filled at import and constant from then on, settings are atomic, what
// a call needs is its own or thread-local, and patches are made under a lock in patch.py.
PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled half of frugalblas. Private: use the functions of the package.";
  const char* error = nullptr;
  const fb::Variant* standard = frugalblas_default_variant(&error);
  if (!standard) {
    const char* isa = std::getenv("FRUGALBLAS_ISA");
    std::string names;
    const fb::Variant* list;
    const int count = frugalblas_variants(&list);
    for (int v = 0; v < count; ++v)
      if (!list[v].study && frugalblas_cpu_supports(list[v].level)) names += std::string(" ") + list[v].name;
    throw py::import_error(std::string(error) + (isa && *isa ? " (it is '" + std::string(isa) + "')" : "") +
                           "; levels that run here:" + (names.empty() ? " none" : names));
  }
  if (!frugalblas_cpu_tuning()) {
    const char* tuning = std::getenv("FRUGALBLAS_TUNING");
    throw py::import_error("FRUGALBLAS_TUNING is '" + std::string(tuning ? tuning : "") +
                           "'; it may be 'intel' or 'generic', or unset for what suits this CPU");
  }
  m.attr("default_variant") = standard->name;
  m.attr("commit") = FB_COMMIT;  // a "+" at its end: built from a changed checkout
#ifdef __clang__
  m.attr("compiler") = "Clang " __clang_version__;
#else
  m.attr("compiler") = "GCC " __VERSION__;
#endif

  for (const char* name : {"sgemm", "explain"}) m.attr(name) = owned(frugalblas_method(name));
  m.attr("matmul") = owned(frugalblas_matmul_function());
  m.attr("Packed") = owned(frugalblas_packed_type());
  m.attr("matmul_gufunc") = owned(frugalblas_matmul_gufunc());
  m.def("patch_matmul", [] { frugalblas_patch_matmul(numpy_matmul().ptr()); });
  m.def("unpatch_matmul", [] { frugalblas_unpatch_matmul(numpy_matmul().ptr()); });
  m.def("patch_blas", patch_blas);
  m.def("unpatch_blas", frugalblas_unpatch_blas);
  m.def("count_products", count_products, py::arg("on"));
  m.def("products", products);
  m.def("set_callbacks", [](const py::dict& interpreted, const py::dict& gpu, const py::object& refuse) {
    frugalblas_set_callbacks(interpreted.ptr(), gpu.ptr(), refuse.ptr());
  });
  m.def("threads_variable", [] { return py::reinterpret_steal<py::object>(frugalblas_threads_variable()); });

  m.def("entries", entries);
  m.def("variants", variants);
  m.def("cpu", cpu);
  m.def("fma_burst", fma_burst, py::arg("steps"), py::arg("level") = standard->name);
  m.def("openblas", openblas);
  m.def("openblas_hold_threads", frugalblas_openblas_hold_threads, py::call_guard<py::gil_scoped_release>());
  m.def("openblas_release_threads", frugalblas_openblas_release_threads, py::call_guard<py::gil_scoped_release>());

  m.def("get_num_threads", frugalblas_get_num_threads);
  m.def("set_num_threads", frugalblas_set_num_threads);
  m.def("process_threads", frugalblas_process_threads);
  m.def("limit_threads", frugalblas_limit_threads);
  m.def("max_threads", frugalblas_max_threads);
  m.def("cgroup_cpus", frugalblas_cgroup_cpus, py::arg("root"), py::arg("most"));
  m.def("free_workspace", frugalblas_free_workspace);

  m.def("study_gemm", study_gemm, py::arg("A"), py::arg("B"), py::arg("out"), py::kw_only(), py::arg("threads"),
        py::arg("MR"), py::arg("NR"), py::arg("MC"), py::arg("KC"), py::arg("NC"), py::arg("loop") = "M",
        py::arg("schedule") = "static", py::arg("chunk") = 0);
  m.def("study_tiles", study_tiles);
  m.def("memory_sweep", memory_sweep, py::arg("a"), py::kw_only(), py::arg("threads"), py::arg("b") = py::none(),
        py::arg("c") = py::none());
}
