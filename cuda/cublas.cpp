// cublas — passthrough to NVIDIA's cuBLAS, found at run time.
//
// The reference for the rungs above, with their arrays and on their stream: FP32 by cublasSgemm in pedantic mode, which
// may use nothing but FP32; fewer bits by cublasGemmEx, which rounds FP32 operands itself (the FAST modes) or takes
// fp16 and bf16 ones as they are. Never linked and never a dependency: half a gigabyte that not everybody has. cuBLAS
// counts columns first: a row-major C = A·B is to it the column-major C^T = B^T·A^T, so the operands swap places.
#include "cublas.hpp"

#include <dlfcn.h>
#include <link.h>

#include <map>
#include <mutex>

#include "launch.h"

namespace fb::cuda {
namespace {

// What is used of cublas_api.h (CUDA 12 and 13), with the values it gives.
using Handle = void*;
enum Status { CUBLAS_SUCCESS = 0 };
enum Operation { OP_N = 0, OP_T = 1 };
enum MathMode { DEFAULT_MATH = 0, PEDANTIC_MATH = 2 };
enum DataType { R_32F = 0, R_16F = 2, R_16BF = 14 };
enum ComputeType {
  COMPUTE_32F = 68,
  COMPUTE_32F_FAST_16F = 74,
  COMPUTE_32F_FAST_16BF = 75,
  COMPUTE_32F_FAST_TF32 = 77
};
constexpr int DEFAULT_ALGORITHM = -1;  // CUBLAS_GEMM_DEFAULT

struct Functions {
  int (*create)(Handle*);
  int (*get_version)(Handle, int*);
  int (*set_stream)(Handle, cudaStream_t);
  int (*set_math_mode)(Handle, int);
  int (*sgemm)(Handle, int, int, std::int64_t, std::int64_t, std::int64_t, const float*, const float*, std::int64_t,
               const float*, std::int64_t, const float*, float*, std::int64_t);
  int (*gemm_ex)(Handle, int, int, std::int64_t, std::int64_t, std::int64_t, const void*, const void*, int,
                 std::int64_t, const void*, int, std::int64_t, const void*, void*, int, std::int64_t, int, int);
  std::string path;
};

std::mutex loading;
const Functions* loaded = nullptr;  // never closed: kernels of it may be under way until the process ends

template <class F>
bool bind(void* library, const char* name, F& function) {
  return (function = reinterpret_cast<F>(dlsym(library, name)));
}

DataType data_type(Type type) { return type == Type::fp32 ? R_32F : type == Type::fp16 ? R_16F : R_16BF; }

ComputeType compute_type(const Job& job) {
  if (job.A.type != Type::fp32) return COMPUTE_32F;  // rounded already
  return job.precision == Precision::tf32   ? COMPUTE_32F_FAST_TF32
         : job.precision == Precision::fp16 ? COMPUTE_32F_FAST_16F
                                            : COMPUTE_32F_FAST_16BF;
}

// cuBLAS wants one handle per device and thread. They are not destroyed: at the end of a thread its device may be gone.
Handle handle_of_this_thread() {
  static thread_local std::map<int, Handle> handles;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return nullptr;
  Handle& handle = handles[device];
  if (!handle && loaded->create(&handle) != CUBLAS_SUCCESS) handle = nullptr;
  return handle;
}

cudaError_t run(const Job& job) {
  if (!loaded) return cudaErrorInvalidValue;  // the host asks unavailable() first
  const Handle handle = handle_of_this_thread();
  if (!handle) return cudaErrorInitializationError;
  const bool fp32 = job.precision == Precision::fp32;
  int status = loaded->set_stream(handle, job.stream);
  if (!status) status = loaded->set_math_mode(handle, fp32 ? PEDANTIC_MATH : DEFAULT_MATH);
  const Operation first = job.B.transposed ? OP_T : OP_N, second = job.A.transposed ? OP_T : OP_N;
  if (!status && fp32)
    status =
        loaded->sgemm(handle, first, second, job.N, job.M, job.K, &job.alpha, static_cast<const float*>(job.B.data),
                      job.B.ld, static_cast<const float*>(job.A.data), job.A.ld, &job.beta, job.C, job.ldc);
  else if (!status)
    status = loaded->gemm_ex(handle, first, second, job.N, job.M, job.K, &job.alpha, job.B.data, data_type(job.B.type),
                             job.B.ld, job.A.data, data_type(job.A.type), job.A.ld, &job.beta, job.C, R_32F, job.ldc,
                             compute_type(job), DEFAULT_ALGORITHM);
  return status == CUBLAS_SUCCESS ? cudaSuccess : cudaErrorUnknown;
}

}  // namespace

std::string load_cublas(const std::string& lt, const std::string& path) {
  const std::lock_guard lock(loading);
  if (loaded) return "";
  if (!lt.empty() && !dlopen(lt.c_str(), RTLD_NOW | RTLD_GLOBAL)) return dlerror();
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  static Functions f;
  if (!bind(library, "cublasCreate_v2", f.create) || !bind(library, "cublasGetVersion_v2", f.get_version) ||
      !bind(library, "cublasSetStream_v2", f.set_stream) || !bind(library, "cublasSetMathMode", f.set_math_mode) ||
      !bind(library, "cublasSgemm_v2_64", f.sgemm) || !bind(library, "cublasGemmEx_64", f.gemm_ex))
    return path + " is no cuBLAS of CUDA 12 or newer";
  link_map* map = nullptr;
  f.path = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map ? map->l_name : path;
  loaded = &f;
  return "";
}

CublasLibrary cublas_library() {
  if (!loaded) return {"", 0};
  int version = 0;
  const Handle handle = handle_of_this_thread();
  if (!handle || loaded->get_version(handle, &version) != CUBLAS_SUCCESS) version = 0;
  return {loaded->path, version};
}

// Not side by side: the same bits are promised where one stream is active. [cuBLAS documentation, 2.1.4]
const Kernel cublas = {
    .workspace_bytes = nullptr, .run = run, .shared_bytes = nullptr, .tiles = 0, .side_by_side = false};

}  // namespace fb::cuda
