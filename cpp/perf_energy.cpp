// perf_energy.cpp — one system call that Python's standard library does not have.
//
// Reading and closing need no C: they are os.read and os.close. See perf_event_open(2). The power PMU accepts no
// sampling period, no exclude bit and no pid, so all of them stay zero, and counting starts at once.
#include "perf_energy.hpp"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

int frugalblas_perf_event_open(std::uint32_t type, std::uint64_t config, int cpu, int group) {
  perf_event_attr attr{};
  attr.size = sizeof attr;
  attr.type = type;
  attr.config = config;
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  const long descriptor = syscall(SYS_perf_event_open, &attr, -1, cpu, group, PERF_FLAG_FD_CLOEXEC);
  return descriptor < 0 ? -errno : static_cast<int>(descriptor);
}
