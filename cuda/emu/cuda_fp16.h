// cuda_fp16.h: IEEE binary16 as the kernels use it.
#pragma once

struct __half {
  _Float16 value;
};
using half = __half;

inline half __float2half_rn(float x) { return {static_cast<_Float16>(x)}; }
inline float __half2float(half x) { return static_cast<float>(x.value); }
