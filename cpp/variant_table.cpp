// variant_table.cpp: this variant's rungs, by entry index. CMake says which kinds the variant has.
#include "algorithm.hpp"

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

}  // namespace fb::FB_VARIANT
