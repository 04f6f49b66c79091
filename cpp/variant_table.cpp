// variant_table.cpp: this variant's rungs, by entry index. CMake says which kinds the variant has.
#include "algorithm.hpp"
#include "packed.hpp"

namespace fb::FB_VARIANT {

extern const Algorithm* const algorithms[];  // without this line, const would keep it private to this file

#define INTERPRETED(name) nullptr,
#define PASSTHROUGH(name) nullptr,
#define CUDA(name) nullptr,
#define CUDA_LIBRARY(name) nullptr,
#define SCALAR(name) &name,
#define VECTOR(name) &name,
#ifdef FB_WITH_TEAM
#define TEAM(name) &name,
#else
#define TEAM(name) nullptr,
#endif
constinit const Algorithm* const algorithms[] = {
#include "for_each_algorithm.inc"
};

// Built with the rungs of kind TEAM (packed_kernel.cpp).
extern const PackedKernel packed_kernel;
extern const PackedKernel* const packed;
#ifdef FB_WITH_TEAM
constinit const PackedKernel* const packed = &packed_kernel;
#else
constinit const PackedKernel* const packed = nullptr;
#endif

}  // namespace fb::FB_VARIANT
