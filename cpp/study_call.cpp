// study_call.cpp: the parameters of study.hpp for `frugalblas bench`: plain C-order float32 matrices, checked here.
#include "study_call.hpp"

#include <string>

#include "core.hpp"

namespace py = pybind11;

static const fb::Study& study() { return *frugalblas_default_variant(nullptr)->study_code; }

// The elements of a contiguous float32 buffer; of `rows` x `cols` if that is said.
static float* floats(const py::buffer_info& info, const char* name, fb::index_t rows = -1, fb::index_t cols = -1) {
  const bool plain =
      info.format == "f" && info.ndim >= 1 && info.strides[info.ndim - 1] == sizeof(float) &&
      (info.ndim == 1 || (info.ndim == 2 && info.strides[0] == info.shape[1] * fb::index_t{sizeof(float)}));
  if (!plain) throw py::value_error(std::string(name) + " must be a float32 array in C order");
  if (rows >= 0 && (info.ndim != 2 || info.shape[0] != rows || info.shape[1] != cols))
    throw py::value_error(std::string(name) + " must have shape (" + std::to_string(rows) + ", " +
                          std::to_string(cols) + ")");
  return static_cast<float*>(info.ptr);
}

static void study_gemm(const py::buffer& A, const py::buffer& B, const py::buffer& out, int threads, fb::index_t MR,
                       fb::index_t NR, fb::index_t MC, fb::index_t KC, fb::index_t NC, const std::string& loop,
                       const std::string& schedule, int chunk) {
  const py::buffer_info a = A.request(), b = B.request(), c = out.request(true);
  if (a.ndim != 2 || b.ndim != 2) throw py::value_error("A and B must have two dimensions");
  const fb::index_t M = a.shape[0], K = a.shape[1], N = b.shape[1];
  const fb::Gemm job = {
      M,    N,    K,      {floats(a, "A", M, K), K, 1}, {floats(b, "B", K, N), N, 1}, {floats(c, "out", M, N), N, 1},
      1.0f, 0.0f, threads};
  if (M < 1 || N < 1 || K < 1 || MC < 1 || KC < 1 || NC < 1 || chunk < 0)
    throw py::value_error("dimensions and block sizes must be 1 or more, the chunk 0 or more");
  if (threads < 1 || threads > frugalblas_max_threads())
    throw py::value_error("threads must be 1 to " + std::to_string(frugalblas_max_threads()));
  if (loop != "M" && loop != "N") throw py::value_error("loop must be 'M' or 'N'");
  fb::Knobs knobs = {MR, NR, MC, KC, NC, loop == "N", fb::Knobs::fixed, chunk};
  if (schedule == "dynamic")
    knobs.schedule = fb::Knobs::dynamic;
  else if (schedule == "guided")
    knobs.schedule = fb::Knobs::guided;
  else if (schedule != "static")
    throw py::value_error("schedule must be 'static', 'dynamic' or 'guided'");
  bool done;
  {
    py::gil_scoped_release release;
    done = study().gemm(job, knobs);
  }
  if (!done) throw py::value_error("no tile of that MR and NR: see study_tiles()");
}

static py::list study_tiles() {
  py::list result;
  for (int i = 0; i < study().tile_count; ++i) result.append(py::make_tuple(study().tiles[i].MR, study().tiles[i].NR));
  return result;
}

static double memory_sweep(const py::buffer& a, int threads, const py::object& b, const py::object& c) {
  if (threads < 1 || threads > frugalblas_max_threads())
    throw py::value_error("threads must be 1 to " + std::to_string(frugalblas_max_threads()));
  if (b.is_none() != c.is_none()) throw py::value_error("b and c go together");
  const py::buffer_info target = a.request(!b.is_none());
  float* const data = floats(target, "a");
  if (b.is_none()) {
    py::gil_scoped_release release;
    return study().sweep(data, nullptr, nullptr, target.size, threads);
  }
  const py::buffer_info left = b.cast<py::buffer>().request(), right = c.cast<py::buffer>().request();
  if (left.size != target.size || right.size != target.size) throw py::value_error("a, b and c must be equally long");
  const float *const l = floats(left, "b"), *const r = floats(right, "c");
  py::gil_scoped_release release;
  return study().sweep(data, l, r, target.size, threads);
}

void frugalblas_add_study(py::module_& m) {
  m.def("study_gemm", study_gemm, py::arg("A"), py::arg("B"), py::arg("out"), py::kw_only(), py::arg("threads"),
        py::arg("MR"), py::arg("NR"), py::arg("MC"), py::arg("KC"), py::arg("NC"), py::arg("loop") = "M",
        py::arg("schedule") = "static", py::arg("chunk") = 0);
  m.def("study_tiles", study_tiles);
  m.def("memory_sweep", memory_sweep, py::arg("a"), py::kw_only(), py::arg("threads"), py::arg("b") = py::none(),
        py::arg("c") = py::none());
}
