// xerbla.hpp: reports an illegal argument the way BLAS programs expect it.
#pragma once

namespace fb::blas {

// What a refused call was. Numbers count from 1 as the arguments do.
struct Illegal {
  const char* routine;  // "SGEMM " or "cblas_sgemm"
  int number;           // of the first illegal argument
  int swapped;          // the same where a row-major CBLAS hands its arguments, swapped, to Fortran; else `number`
  const char* handler;  // this name's own xerbla, tried first: "scipy_xerbla_"
  const void* caller;
};

// Calls `handler`, else xerbla_ or cblas_xerbla, wherever the program has it (a program may define its own, as netlib's
// testers do), else prints the reference's sentence to stderr. Returns if that function does.
void report_fortran(const Illegal& illegal);
void report_cblas(const Illegal& illegal);

}  // namespace fb::blas
