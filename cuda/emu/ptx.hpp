// ptx.hpp: the emulated twins of ptx.cuh, each with the same name, arguments and meaning.
#pragma once
#include <cstdint>
#include <cstring>

#include "emulator.hpp"
#include "mma.h"

namespace fb::cuda {

constexpr int CAPABILITY = 90;

inline void* dynamic_shared() { return fb::emu::shared_memory(); }

inline void land(const fb::emu::Copy& copy) {
  std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.valid));
  std::memset(static_cast<char*>(copy.to) + copy.valid, 0, static_cast<std::size_t>(copy.bytes - copy.valid));
}

template <int BYTES>
void copy_async(void* to, const void* from, int valid = BYTES) {
  static_assert(BYTES == 4 || BYTES == 16);
  const auto address = reinterpret_cast<std::uintptr_t>(to), base = reinterpret_cast<std::uintptr_t>(dynamic_shared());
  if (address < base || address + BYTES > base + fb::emu::shared_bytes())
    fb::emu::fail("asynchronous copy to byte %td of %zu of shared memory", static_cast<std::ptrdiff_t>(address - base),
                  fb::emu::shared_bytes());
  if ((address - base) % BYTES) fb::emu::fail("asynchronous copy of %d bytes to a misaligned target", BYTES);
  if (valid < 0 || valid > BYTES) fb::emu::fail("asynchronous copy of %d of %d bytes", valid, BYTES);
  if (valid && reinterpret_cast<std::uintptr_t>(from) % BYTES)
    fb::emu::fail("asynchronous copy of %d bytes from a misaligned source", BYTES);
  const fb::emu::Copy copy{to, from, BYTES, valid};
  if (fb::emu::settings.landing == fb::emu::Landing::at_once) return land(copy);
  std::memset(to, 0xff, BYTES);  // from now on until it lands nobody may rely on what is there
  fb::emu::current().open.push_back(copy);
}

inline void copy_async_commit() {
  fb::emu::Thread& thread = fb::emu::current();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
}

template <int PENDING>
void copy_async_wait() {
  auto& groups = fb::emu::current().groups;
  while (groups.size() > PENDING) {
    for (const fb::emu::Copy& copy : groups.front()) land(copy);
    groups.erase(groups.begin());
  }
}

inline float round_to_tf32(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const bool finite = (bits & 0x7f800000) != 0x7f800000;
  if (finite) bits += 0x1000;  // half of the last of TF32's 10 stored bits: ties go away from zero
  bits &= ~std::uint32_t{0x1fff};
  if (!finite && x != x) bits |= 0x400000;  // a NaN stays one
  std::memcpy(&x, &bits, 4);
  return x;
}

template <class Fragment, class T>
void load_shared(Fragment& f, const T* from, unsigned ld,
                 std::source_location where = std::source_location::current()) {
  const auto address = reinterpret_cast<std::uintptr_t>(from),
             base = reinterpret_cast<std::uintptr_t>(dynamic_shared());
  if (address < base || address >= base + fb::emu::shared_bytes()) fb::emu::fail("a fragment outside shared memory");
  nvcuda::wmma::load_matrix_sync(f, from, ld, where);
}

}  // namespace fb::cuda
