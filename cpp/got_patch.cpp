// got_patch.cpp: see got_patch.hpp.
//
// A call into another library goes through a word in the caller's global offset table (GOT), which its relocations list
// by name. Rewriting that word redirects this library's calls and nobody else's.
#include "got_patch.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cstdint>
#include <cstring>

namespace fb::got {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t function_relocations[] = {R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT, R_X86_64_64};
#elif defined(__aarch64__)
constexpr std::uint32_t function_relocations[] = {R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT, R_AARCH64_ABS64};
#endif

// What a library's dynamic section says.
struct Dynamic {
  const ElfW(Sym) * symbols;
  const char* strings;
  const ElfW(Rela) * relocations[2];  // of calls (PLT), and all others
  std::size_t bytes[2];
};

struct Search {
  const char* library;
  const std::vector<Replacement>& wanted;
  std::vector<Slot> found;
};

Dynamic read_dynamic(const dl_phdr_info& info) {
  Dynamic d{};
  const ElfW(Dyn)* entry = nullptr;
  for (int i = 0; i < info.dlpi_phnum; ++i)
    if (info.dlpi_phdr[i].p_type == PT_DYNAMIC)
      entry = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
  for (; entry && entry->d_tag != DT_NULL; ++entry) {
    // glibc has turned these into addresses, musl leaves the offsets of the file.
    const ElfW(Addr) at = entry->d_un.d_ptr < info.dlpi_addr ? info.dlpi_addr + entry->d_un.d_ptr : entry->d_un.d_ptr;
    switch (entry->d_tag) {
      case DT_SYMTAB:
        d.symbols = reinterpret_cast<const ElfW(Sym)*>(at);
        break;
      case DT_STRTAB:
        d.strings = reinterpret_cast<const char*>(at);
        break;
      case DT_JMPREL:
        d.relocations[0] = reinterpret_cast<const ElfW(Rela)*>(at);
        break;
      case DT_PLTRELSZ:
        d.bytes[0] = entry->d_un.d_val;
        break;
      case DT_RELA:
        d.relocations[1] = reinterpret_cast<const ElfW(Rela)*>(at);
        break;
      case DT_RELASZ:
        d.bytes[1] = entry->d_un.d_val;
        break;
    }
  }
  return d;
}

bool is_function_relocation(std::uint64_t r_info) {
  for (const std::uint32_t type : function_relocations)
    if (ELF64_R_TYPE(r_info) == type) return true;
  return false;
}

bool in_relro(const dl_phdr_info& info, const void* address) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr, at = reinterpret_cast<std::uintptr_t>(address);
    if (segment.p_type == PT_GNU_RELRO && at >= start && at < start + segment.p_memsz) return true;
  }
  return false;
}

int search_library(dl_phdr_info* info, std::size_t, void* data) {
  Search& search = *static_cast<Search*>(data);
  if (!info->dlpi_name || !std::strstr(info->dlpi_name, search.library)) return 0;
  const Dynamic d = read_dynamic(*info);
  if (!d.symbols || !d.strings) return 0;
  for (int table = 0; table < 2; ++table)
    for (std::size_t r = 0; d.relocations[table] && r < d.bytes[table] / sizeof(ElfW(Rela)); ++r) {
      const ElfW(Rela)& relocation = d.relocations[table][r];
      if (!is_function_relocation(relocation.r_info)) continue;
      const char* name = d.strings + d.symbols[ELF64_R_SYM(relocation.r_info)].st_name;
      for (const Replacement& wanted : search.wanted) {
        if (std::strcmp(name, wanted.name) != 0) continue;
        void** const address = reinterpret_cast<void**>(info->dlpi_addr + relocation.r_offset);
        search.found.push_back({wanted.name, address, *address, wanted.function, in_relro(*info, address)});
      }
    }
  return 0;
}

}  // namespace

std::vector<Slot> find(const char* library, const std::vector<Replacement>& wanted) {
  Search search{library, wanted, {}};
  dl_iterate_phdr(search_library, &search);
  return search.found;
}

bool write(const Slot& slot, void* value) {
  const std::uintptr_t page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  void* const start = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(slot.address) & ~(page - 1));
  if (slot.read_only && mprotect(start, page, PROT_READ | PROT_WRITE) != 0) return false;
  __atomic_store_n(slot.address, value, __ATOMIC_RELEASE);  // other threads may be calling through it
  if (slot.read_only) mprotect(start, page, PROT_READ);
  return true;
}

}  // namespace fb::got
