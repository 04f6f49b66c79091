// lookup.hpp: finds what a caller's reference to a BLAS name would have been bound to without this library.
#pragma once

namespace fb::blas {

// The function `name` as the code at address `caller` would have found it: in the process's global scope, behind this
// library, else in the caller's own library and those it links with. nullptr if there is none.
//
// dlsym(RTLD_NEXT) alone is not enough: Python loads extension modules RTLD_LOCAL, and with them the OpenBLAS inside
// NumPy's and SciPy's wheels, so their names are in no scope but their own.
void* original(const char* name, const void* caller);

// The same for a name that this library does not define, such as xerbla_, which a program may bring itself.
void* visible(const char* name, const void* caller);

}  // namespace fb::blas
