// observe.hpp: counts and times the BLAS calls of a program, for `frugalblas run`.
//
// Only libfrugalblas_observe.so has this; libfrugalblas_blas.so is the same shell compiled without it. The profile is
// kept in files that are mapped into memory, one table for each thread at work, so that nothing is lost when a process
// ends by _exit, exec or a signal, and an observed call takes no lock: cpp/blas/observe.cpp.
#pragma once
#include <cstdint>

namespace fb::observe {

enum class Routine : std::uint32_t { gemm, gemv, syrk, gemm_batch };

// One call site with one shape, in the file as in memory. src/frugalblas/run/records.py reads it.
struct Slot {
  const void* caller;         // return address; nullptr: a free slot
  const char* symbol;         // the name called, as a literal of the shell
  std::int64_t m, n, k;       // the routine's own; all -1: several shapes, or every further one, the table being full
  std::uint64_t calls;        // that returned; of a batch, its products
  std::uint64_t nanoseconds;  // in them, on the calling thread
  double flops;
  void* original;  // where calls are forwarded to; nullptr: computed by frugalblas
  Routine routine;
  std::uint32_t module;  // offset of the calling library's path in the file's text
  std::uint32_t name;    // offset of `symbol` there
  std::uint32_t unused;
};
static_assert(sizeof(Slot) == 88);

// Made at the start of an entry point, destroyed at its end.
class Call {
 public:
  Call(const char* symbol, const void* caller, Routine routine, std::int64_t m, std::int64_t n, std::int64_t k);
  // A batch: how many products it is, and how many flops all of them are.
  Call(const char* symbol, const void* caller, Routine routine, std::int64_t m, std::int64_t n, std::int64_t k,
       std::int64_t products, double flops);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();
  // With --observe: the function this call would have reached without us.
  void* original() const { return slot_ ? slot_->original : nullptr; }

 private:
  Slot* slot_;
  std::uint64_t start_, products_;
};

}  // namespace fb::observe
