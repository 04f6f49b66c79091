// cards.cpp: the cards of the CUDA rungs: what the list says of them also in a build without CUDA.
//
// Plain C++, part of libfrugalblas. Whether they can run here, and running them, is the business of the module `_cuda`,
// which src/frugalblas/gpu.py loads on first use.
#include "../cpp/algorithm.hpp"

namespace fb::cuda_cards {

extern const Algorithm cuda_naive_uncoalesced, cuda_naive, cuda_tiled, cuda_wmma, cublas;

constinit const Algorithm cuda_naive_uncoalesced = {
    .summary = "one thread per element of C, neighbouring threads down a column",
    .course = "GPU",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = nullptr,
};

constinit const Algorithm cuda_naive = {
    .summary = "one thread per element of C, neighbouring threads along a row",
    .course = "GPU",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = nullptr,
};

constinit const Algorithm cuda_tiled = {
    .summary = "FP32 tiles of a block, a warp and a thread, fed by asynchronous copies",
    .course = "GPU",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = nullptr,
};

constinit const Algorithm cuda_wmma = {
    .summary = "tensor cores through mma.h, inputs rounded to fp16, bf16 or tf32",
    .course = "tensor cores",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = nullptr,
    .precisions = "fp16 fp16_acc16 bf16 tf32",
};

constinit const Algorithm cublas = {
    .summary = "passthrough to NVIDIA's cuBLAS, found at run time",
    .course = "reference",
    .unavailable = nullptr,
    .blocks = nullptr,
    .run = nullptr,
    .precisions = "fp32 tf32 fp16 bf16",
};

}  // namespace fb::cuda_cards
