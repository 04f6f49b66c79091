// tune.cpp: what bench/gpu/tune_library.py calls of the variants of the kernels, through ctypes.
//
// Compiled with variants.inc, a line VARIANT(name) for each, into one library: for a GPU, or for the emulator.
#include "../../cuda/launch.h"

namespace fb::cuda {
#define VARIANT(name) extern const Kernel name;
#include "variants.inc"
#undef VARIANT
}  // namespace fb::cuda

namespace {

using namespace fb::cuda;

const Kernel* const variants[] = {
#define VARIANT(name) &fb::cuda::name,
#include "variants.inc"
};

// C = op(A)·B, row-major and without padding. The layout is that of tune_library.py's class Asked.
struct Asked {
  index_t M, N, K;
  const void *A, *B;
  float* C;
  void *workspace, *stream;
  int trans_a, type, precision, capability, processors;
};

Job job(const Asked& q) {
  const Type type = static_cast<Type>(q.type);
  return {.M = q.M,
          .N = q.N,
          .K = q.K,
          .A = {q.A, q.trans_a ? q.M : q.K, q.trans_a != 0, type},
          .B = {q.B, q.N, false, type},
          .C = q.C,
          .ldc = q.N,
          .alpha = 1,
          .beta = 0,
          .precision = static_cast<Precision>(q.precision),
          .capability = q.capability,
          .processors = q.processors,
          .tile = 0,
          .workspace = q.workspace,
          .stream = static_cast<cudaStream_t>(q.stream)};
}

}  // namespace

extern "C" {

int tune_run(int variant, const Asked* q) { return variants[variant]->run(job(*q)); }

std::size_t tune_workspace_bytes(int variant, const Asked* q) {
  const Kernel& kernel = *variants[variant];
  return kernel.workspace_bytes ? kernel.workspace_bytes(job(*q)) : 0;
}

std::size_t tune_shared_bytes(int variant, const Asked* q) { return variants[variant]->shared_bytes(job(*q)); }
}
