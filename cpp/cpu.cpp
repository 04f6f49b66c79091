// cpu.cpp: see cpu.hpp.
#include "cpu.hpp"

#include <sched.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace fb {

static std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// From sysfs, which every Linux architecture fills; sysconf() knows caches on x86 only.
// `size` reads like "512K"; `type` is Data, Instruction or Unified.
static std::ptrdiff_t sysfs_cache_bytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string dir = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    if (first_line(dir + "level") != std::to_string(level) || first_line(dir + "type") == "Instruction") continue;
    const std::string size = first_line(dir + "size");
    char* unit;
    const long n = std::strtol(size.c_str(), &unit, 10);
    return *unit == 'K' ? n * 1024 : *unit == 'M' ? n * 1024 * 1024 : n;
  }
  return 0;
}

// The first that knows; values outside what hardware has (some hypervisors report nonsense) count as unknown.
static std::ptrdiff_t known_bytes(int level, int sysconf_name, std::ptrdiff_t least, std::ptrdiff_t most,
                                  std::ptrdiff_t unknown) {
  for (const std::ptrdiff_t bytes : {sysfs_cache_bytes(level), std::ptrdiff_t{sysconf(sysconf_name)}})
    if (bytes >= least && bytes <= most) return bytes;
  return unknown;
}

const CacheSizes& cache_sizes() {
  // Defaults are the smallest sizes of common 64-bit server and laptop cores of the last ten years.
  constexpr std::ptrdiff_t KiB = 1024, MiB = 1024 * KiB;
  static const CacheSizes sizes = {
      known_bytes(1, _SC_LEVEL1_DCACHE_SIZE, 16 * KiB, 1 * MiB, 32 * KiB),
      known_bytes(2, _SC_LEVEL2_CACHE_SIZE, 128 * KiB, 64 * MiB, 256 * KiB),
      known_bytes(3, _SC_LEVEL3_CACHE_SIZE, 1 * MiB, 4096 * MiB, 4 * MiB),
  };
  return sizes;
}

// CPUs' worth of time per period that a cgroup grants, rounded up; `most` if it sets no limit.
static int quota_cpus(double quota, double period, int most) {
  return quota > 0 && period > 0 ? std::min(most, static_cast<int>((quota + period - 1) / period)) : most;
}

// A limit may stand at any level from the process's own cgroup up to the root, so walk up and keep the smallest.
int cgroup_cpus(const char* root_folder, int most) {
  const std::string root = root_folder;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    std::string group = line.substr(second + 1);
    for (;;) {
      double quota = -1, period = -1;
      if (v2) {
        std::sscanf(first_line(root + "/sys/fs/cgroup" + group + "/cpu.max").c_str(), "%lf %lf", &quota, &period);
      } else {
        std::sscanf(first_line(root + "/sys/fs/cgroup/cpu" + group + "/cpu.cfs_quota_us").c_str(), "%lf", &quota);
        std::sscanf(first_line(root + "/sys/fs/cgroup/cpu" + group + "/cpu.cfs_period_us").c_str(), "%lf", &period);
      }
      most = quota_cpus(quota, period, most);
      if (group.empty() || group == "/") break;
      group.resize(group.rfind('/'));
    }
  }
  return most;
}

static int affinity_cpus() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {  // the kernel refuses a mask smaller than its own
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

int usable_cpus() {
  static const int cpus = std::max(1, cgroup_cpus("", affinity_cpus()));
  return cpus;
}

static std::string read_cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  const std::string board = first_line("/proc/device-tree/model");
  return board.empty() ? "unknown" : board;
}

const char* cpu_model() {
  static const std::string model = read_cpu_model();
  return model.c_str();
}

static bool made_by_intel() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("intel");
#else
  return false;
#endif
}

bool computes_in_halves() {
#if defined(__x86_64__)
  static const bool does = [] {
    // AMD's Performance Optimization Identifiers, which other makers do not have: bit 0 of EAX is FP128, bit 2 FP256.
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(0x8000001A, &eax, &ebx, &ecx, &edx) && (eax & 1u << 0) && !(eax & 1u << 2);
  }();
  return does;
#else
  return false;
#endif
}

const char* cpu_tuning() {
  static const char* const tuning = [] {
    const char* wanted = std::getenv("FRUGALBLAS_TUNING");
    for (const char* known : {"intel", "generic"})
      if (wanted && !std::strcmp(wanted, known)) return known;
    return wanted && *wanted ? nullptr : made_by_intel() ? "intel" : "generic";
  }();
  return tuning;
}

bool tuned_for_intel() {
  static const bool is = cpu_tuning() ? !std::strcmp(cpu_tuning(), "intel") : made_by_intel();
  return is;
}

bool cpu_supports(const char* level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(__clang__)
  // Clang 16 knows features, not levels. Those of a level that it cannot ask for (such as F16C, LZCNT and MOVBE of v3)
  // came with the others in every CPU made.
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
#else
  const bool v2 = __builtin_cpu_supports("x86-64-v2");
  const bool v3 = __builtin_cpu_supports("x86-64-v3");
  const bool v4 = __builtin_cpu_supports("x86-64-v4");
#endif
  return (v2 && !std::strcmp(level, "v2")) || (v3 && !std::strcmp(level, "v3")) || (v4 && !std::strcmp(level, "v4"));
#elif defined(__aarch64__)
  return !std::strcmp(level, "neon");  // part of the base architecture
#endif
}

}  // namespace fb
