// lookup.cpp: see lookup.hpp.
#include "lookup.hpp"

#include <dlfcn.h>

namespace fb::blas {

// A handle of a loaded library searches it and what it links with, in the loader's own order.
static void* in_scope_of(const void* caller, const char* name) {
  Dl_info info;
  if (!dladdr(caller, &info) || !info.dli_fname) return nullptr;
  void* const library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return nullptr;  // the program itself: its scope is the global one
  void* const found = dlsym(library, name);
  dlclose(library);  // gives back what dlopen counted; the library stays
  return found;
}

void* original(const char* name, const void* caller) {
  void* const next = dlsym(RTLD_NEXT, name);
  return next ? next : in_scope_of(caller, name);
}

void* visible(const char* name, const void* caller) {
  void* const global = dlsym(RTLD_DEFAULT, name);
  return global ? global : in_scope_of(caller, name);
}

}  // namespace fb::blas
