// cpu.hpp: what this CPU can do.
#pragma once
#include <cstddef>

namespace fb {

// Bytes of data cache: L1 and L2 of one core, L3 as one core sees it. Never zero: unknown levels get a small default.
struct CacheSizes {
  std::ptrdiff_t l1d, l2, l3;
};
const CacheSizes& cache_sizes();

// CPUs this process may run on: its affinity mask, capped by its cgroup's quota. At least 1.
int usable_cpus();
// The cap alone: `most`, or less by the cgroup files under `root` ("" for the real ones), versions 1 and 2.
int cgroup_cpus(const char* root, int most);

const char* cpu_model();

// Whose cores the choices that depend on more than levels and caches are made for: "intel", or "generic", measured on
// AMD's Zen 3 to 5; by the maker of this CPU, or FRUGALBLAS_TUNING. nullptr if that variable says neither.
const char* cpu_tuning();
bool tuned_for_intel();  // by the maker if that variable says neither

// Whether registers of 256 bits are computed with in two halves, as AMD's Zen 1 does: FMAs at half the pace of later
// cores, beside caches as fast as theirs.
bool computes_in_halves();

// True if every instruction of this level runs here: "v2", "v3", "v4" (x86-64) or "neon" (aarch64).
bool cpu_supports(const char* level);

}  // namespace fb
