// fake_cublas.cpp: a libcublas that computes on the CPU, for the fuzz: it refuses what cuBLAS would not take.
//
// Column-major, as the real one; the element types and the rounding follow the enumerators it is given, which are
// written out here a second time, from the documentation and not from cublas.cpp.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace {

struct Context {
  bool has_stream = false;
  int math_mode = -1;
};

[[noreturn]] void refuse(const char* what) {
  std::fprintf(stderr, "fake cuBLAS, thread 0: %s\n", what);
  std::_Exit(1);
}

// Element i of a matrix of CUDA_R_32F (0), CUDA_R_16F (2) or CUDA_R_16BF (14).
float element(const void* data, int type, std::int64_t i) {
  switch (type) {
    case 0:
      return static_cast<const float*>(data)[i];
    case 2:
      return __half2float(static_cast<const half*>(data)[i]);
    case 14:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
  }
  refuse("unknown element type");
}

float rounded(float x, int compute) {
  switch (compute) {
    case 68:  // CUBLAS_COMPUTE_32F
      return x;
    case 74:  // CUBLAS_COMPUTE_32F_FAST_16F
      return __half2float(__float2half_rn(x));
    case 75:  // CUBLAS_COMPUTE_32F_FAST_16BF
      return __bfloat162float(__float2bfloat16_rn(x));
    case 77: {  // CUBLAS_COMPUTE_32F_FAST_TF32
      int exponent;
      const float mantissa = std::frexp(x, &exponent);
      return std::ldexp(std::round(mantissa * 2048), exponent - 11);
    }
  }
  refuse("unknown compute type");
}

int multiply(Context* context, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
             const void* A, int a_type, std::int64_t lda, const void* B, int b_type, std::int64_t ldb, float beta,
             float* C, std::int64_t ldc, int compute) {
  if (!context || !context->has_stream) refuse("no stream was set");
  if (op_a < 0 || op_a > 1 || op_b < 0 || op_b > 1) refuse("unknown operation");
  if (lda < (op_a ? k : m) || lda < 1) refuse("lda is too small");
  if (ldb < (op_b ? n : k) || ldb < 1) refuse("ldb is too small");
  if (ldc < m || ldc < 1) refuse("ldc is too small");
  if (a_type != b_type) refuse("operands of two types");
  for (std::int64_t j = 0; j < n; ++j)
    for (std::int64_t i = 0; i < m; ++i) {
      float sum = 0;
      for (std::int64_t l = 0; l < k; ++l)
        sum += rounded(element(A, a_type, op_a ? l + i * lda : i + l * lda), compute) *
               rounded(element(B, b_type, op_b ? j + l * ldb : l + j * ldb), compute);
      float& c = C[i + j * ldc];
      c = beta == 0 ? alpha * sum : alpha * sum + beta * c;
    }
  return 0;
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) {
  static Context context;  // one is enough: the fuzz has one thread and one device
  *handle = &context;
  return 0;
}

int cublasGetVersion_v2(void*, int* version) {
  *version = 130000;
  return 0;
}

int cublasSetStream_v2(void* handle, void*) {
  static_cast<Context*>(handle)->has_stream = true;
  return 0;
}

int cublasSetMathMode(void* handle, int mode) {
  static_cast<Context*>(handle)->math_mode = mode;
  return 0;
}

int cublasSgemm_v2_64(void* handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k,
                      const float* alpha, const float* A, std::int64_t lda, const float* B, std::int64_t ldb,
                      const float* beta, float* C, std::int64_t ldc) {
  Context* const context = static_cast<Context*>(handle);
  if (context->math_mode != 2) refuse("cublasSgemm without CUBLAS_PEDANTIC_MATH");
  return multiply(context, op_a, op_b, m, n, k, *alpha, A, 0, lda, B, 0, ldb, *beta, C, ldc, 68);
}

int cublasGemmEx_64(void* handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha,
                    const void* A, int a_type, std::int64_t lda, const void* B, int b_type, std::int64_t ldb,
                    const void* beta, void* C, int c_type, std::int64_t ldc, int compute, int algorithm) {
  Context* const context = static_cast<Context*>(handle);
  if (context->math_mode != 0) refuse("cublasGemmEx without CUBLAS_DEFAULT_MATH");
  if (c_type != 0 || algorithm != -1) refuse("C is not FP32, or not the default algorithm");
  return multiply(context, op_a, op_b, m, n, k, *static_cast<const float*>(alpha), A, a_type, lda, B, b_type, ldb,
                  *static_cast<const float*>(beta), static_cast<float*>(C), ldc, compute);
}
}
