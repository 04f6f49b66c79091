// ptx.cuh: every machine instruction that CUDA C++ has no word for, once.
//
// Kernels hold no inline assembly: they call what is here, and on a CPU the twin of the same name in emu/ptx.hpp.
// Numbers in brackets are sections of the PTX ISA manual, version 9.0.
#pragma once
#ifdef FB_EMULATE
#include "emu/ptx.hpp"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <cstdint>
#include <type_traits>

namespace fb::cuda {

// Compute capability that the code around it is compiled for; 0 in host code.
#ifdef __CUDA_ARCH__
constexpr int CAPABILITY = __CUDA_ARCH__ / 10;
#else
constexpr int CAPABILITY = 0;
#endif

// The block's dynamic shared memory, aligned to 128 bytes: all 32 banks.
__device__ __forceinline__ void* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char fb_dynamic_shared[];
  return fb_dynamic_shared;
}

// Starts copying BYTES (4 or 16) from global to shared memory, past the registers; both addresses are multiples of
// BYTES. The first `valid` bytes are read from `from`, the rest are written as zeros. [9.7.9.25.3.1 cp.async]
// 16 bytes bypass L1 (.cg); 4 bytes must go through it (.ca).
// Before compute capability 8.0 there is no such instruction: the copy passes through a register, and the thread waits.
template <int BYTES>
__device__ __forceinline__ void copy_async(void* to, const void* from, int valid = BYTES) {
  static_assert(BYTES == 4 || BYTES == 16);
#if __CUDA_ARCH__ >= 800
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  if constexpr (BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(valid) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared), "l"(from), "r"(valid) : "memory");
#else
  if (valid == BYTES) {
    if constexpr (BYTES == 16)
      *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
    else
      *static_cast<std::uint32_t*>(to) = *static_cast<const std::uint32_t*>(from);
  } else {
    for (int i = 0; i < BYTES / 2; ++i)  // the smallest element is two bytes
      static_cast<std::uint16_t*>(to)[i] =
          2 * i < valid ? static_cast<const std::uint16_t*>(from)[i] : std::uint16_t{0};
  }
#endif
}

// Closes the group of copies that this thread has started since the last call. [9.7.9.25.3.2 cp.async.commit_group]
__device__ __forceinline__ void copy_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most PENDING of this thread's newest groups are still under way. Other threads' copies are visible
// only behind a barrier that comes after their own wait. [9.7.9.25.3.3 cp.async.wait_group]
template <int PENDING>
__device__ __forceinline__ void copy_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// The nearest number with TF32's 11 significant bits, ties away from zero, as a float. [9.7.9.22 cvt.rna.tf32.f32]
__device__ __forceinline__ float round_to_tf32(float x) {
#if __CUDA_ARCH__ >= 800
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
#else
  return x;  // never called: before 8.0 no kernel takes tf32
#endif
}

// nvcuda::wmma::load_matrix_sync from shared memory. [9.7.14.4.3 wmma.load]
// For fp16 that function finds out itself where the address points. For bf16 and tf32 CUDA 13.0's does not, and makes a
// generic load of 32 bits of what is one LDSM of 128 per 8 x 8 x 4 here; so the instruction says `.shared`.
template <class Use, int K, class In, class Layout, class T>
__device__ __forceinline__ void load_shared(nvcuda::wmma::fragment<Use, 16, 16, K, In, Layout>& f, const T* from,
                                            unsigned ld) {
#if __CUDA_ARCH__ >= 800
  if constexpr (!std::is_same_v<In, __half>) {
    static_assert(sizeof f.x == 16);
    constexpr bool a = std::is_same_v<Use, nvcuda::wmma::matrix_a>,
                   row = std::is_same_v<Layout, nvcuda::wmma::row_major>;
    auto* r = reinterpret_cast<std::uint32_t*>(f.x);
    const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(from));
#define FB_WMMA_LOAD(operand, layout, shape_and_type)                                                         \
  asm volatile("wmma.load." operand ".sync.aligned." layout "." shape_and_type " {%0, %1, %2, %3}, [%4], %5;" \
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                                               \
               : "r"(shared), "r"(ld)                                                                         \
               : "memory")
    if constexpr (K == 16 && a && row) FB_WMMA_LOAD("a", "row", "m16n16k16.shared.bf16");
    if constexpr (K == 16 && a && !row) FB_WMMA_LOAD("a", "col", "m16n16k16.shared.bf16");
    if constexpr (K == 16 && !a && row) FB_WMMA_LOAD("b", "row", "m16n16k16.shared.bf16");
    if constexpr (K == 16 && !a && !row) FB_WMMA_LOAD("b", "col", "m16n16k16.shared.bf16");
    if constexpr (K == 8 && a && row) FB_WMMA_LOAD("a", "row", "m16n16k8.shared.tf32");
    if constexpr (K == 8 && a && !row) FB_WMMA_LOAD("a", "col", "m16n16k8.shared.tf32");
    if constexpr (K == 8 && !a && row) FB_WMMA_LOAD("b", "row", "m16n16k8.shared.tf32");
    if constexpr (K == 8 && !a && !row) FB_WMMA_LOAD("b", "col", "m16n16k8.shared.tf32");
#undef FB_WMMA_LOAD
    return;
  }
#endif
  nvcuda::wmma::load_matrix_sync(f, from, ld);
}

}  // namespace fb::cuda
#endif
