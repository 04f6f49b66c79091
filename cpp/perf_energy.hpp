// perf_energy.hpp: opens counters of the kernel's perf "power" PMU for the energy module.
#pragma once
#include <cstdint>

// A counting file descriptor of one system-wide event on `cpu`, the leader of a new group if `group` is -1; minus the
// errno if the kernel refuses. A read of the leader returns three u64, the number of events and the times enabled and
// running (ns), then one u64 count per event in the order of opening, all of the same instant.
int frugalblas_perf_event_open(std::uint32_t type, std::uint64_t config, int cpu, int group);
