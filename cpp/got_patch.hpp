// got_patch.hpp: redirects calls that one loaded library makes to another (ELF: Linux on x86-64 and aarch64).
#pragma once
#include <vector>

namespace fb::got {

// One word that the dynamic linker filled with a function's address, and what to put there instead.
struct Slot {
  const char* name;  // of the function called
  void** address;
  void* original;
  void* replacement;
  bool read_only;  // the linker has protected its page since (RELRO)
};

struct Replacement {
  const char* name;
  void* function;
};

// The slots by which the library whose path contains `library` calls any of `wanted`; empty if it calls none.
std::vector<Slot> find(const char* library, const std::vector<Replacement>& wanted);

// Writes `value` into a slot. False if its page cannot be made writeable.
bool write(const Slot& slot, void* value);

}  // namespace fb::got
