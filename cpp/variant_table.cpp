// variant_table.cpp: this variant's rungs, by entry index. CMake says which kinds, and of these which rungs, it has.
#include "algorithm.hpp"
#include "packed.hpp"

namespace fb::FB_VARIANT {

extern const Algorithm* const algorithms[];  // without this line, const would keep it private to this file

#define INTERPRETED(name) nullptr,
#define PASSTHROUGH(name) nullptr,
#define CUDA(name) nullptr,
#define CUDA_LIBRARY(name) nullptr,
#define ENTRY_0(name) nullptr,
#define ENTRY_1(name) &name,
#define ENTRY_IF(has, name) ENTRY_##has(name)
#define ENTRY(has, name) ENTRY_IF(has, name)  // once more, so that FB_HAS_<name> becomes 0 or 1 before it is pasted
#define SCALAR(name) ENTRY(FB_HAS_##name, name)
#define VECTOR(name) ENTRY(FB_HAS_##name, name)
#ifdef FB_WITH_TEAM
#define TEAM(name) ENTRY(FB_HAS_##name, name)
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
