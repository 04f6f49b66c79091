// emulator.cpp: the scheduler behind emulator.hpp.
#include "emulator.hpp"

#include <ucontext.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

// AddressSanitizer keeps a picture of the stack, and must hear of every change to another one.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define ANNOTATE_LEAVE(keep, stack, bytes) __sanitizer_start_switch_fiber(keep, stack, bytes)
#define ANNOTATE_ENTER(keep, stack, bytes) __sanitizer_finish_switch_fiber(keep, stack, bytes)
#else
#define ANNOTATE_LEAVE(keep, stack, bytes) ((void)(keep), (void)(stack), (void)(bytes))
#define ANNOTATE_ENTER(keep, stack, bytes) ((void)(keep), (void)(stack), (void)(bytes))
#endif

namespace fb::emu {

Settings settings;

namespace {

constexpr std::size_t STACK_BYTES = 64 * 1024;  // sanitized frames with a thread's sums take some 20 KiB
constexpr unsigned WARP = 32;

enum class State { ready, at_block_barrier, at_warp, done };

// Where a fiber, or the scheduler, goes on: what __builtin_setjmp takes. swapcontext would do it all, but asks the
// kernel for the signal mask every time, and the sanitizer's version of it clears its picture of the whole stack: two
// fifths of the time of a sanitized fuzz. Clang has no such jumps for aarch64.
#if defined(__clang__) && defined(__aarch64__)
#error "The emulator needs GCC on aarch64: CXX=g++"
#endif
using Resume = void* [5];

struct Fiber : Thread {
  ucontext_t beginning;
  bool begun = false;  // from then on it goes from one block to the next: to begin costs system calls
  Resume resume;
  std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
  void* sanitizer_stack = nullptr;
  State state;
};

struct Block {
  Index index, size;
  std::vector<Fiber> fibers;
  std::unique_ptr<char, decltype(&std::free)> shared{nullptr, std::free};
  std::size_t shared_bytes;
  const std::function<void()>* program;
  Fiber* running = nullptr;
  bool released = false;  // a rendezvous has let others go on since this was last cleared
  Resume scheduler;
  void* scheduler_sanitizer_stack = nullptr;
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
};

Block block;

// Leaves for where `to` says; comes back when somebody else leaves for `from`. Two functions: a jump must not land in
// the one that it starts from.
#define APART __attribute__((noinline, no_sanitize("address", "undefined")))
[[noreturn]] APART void leave_for(void** to) { __builtin_longjmp(to, 1); }
APART void exchange(void** from, void** to) {
  if (!__builtin_setjmp(from)) leave_for(to);
}
APART void begin(void** from, const ucontext_t* beginning) {
  if (__builtin_setjmp(from)) return;
  setcontext(beginning);
  fail("setcontext came back");
}

void switch_to_scheduler() {
  Fiber& fiber = *block.running;
  ANNOTATE_LEAVE(&fiber.sanitizer_stack, block.scheduler_stack, block.scheduler_stack_bytes);
  exchange(fiber.resume, block.scheduler);
  ANNOTATE_ENTER(fiber.sanitizer_stack, &block.scheduler_stack, &block.scheduler_stack_bytes);
}

void fiber_main() {
  ANNOTATE_ENTER(nullptr, &block.scheduler_stack, &block.scheduler_stack_bytes);
  for (Fiber& fiber = *block.running;;) {
    (*block.program)();
    if (!fiber.open.empty()) fail("ends with %zu asynchronous copies in no group", fiber.open.size());
    for (const auto& group : fiber.groups)
      if (!group.empty()) fail("ends while asynchronous copies are under way");
    fiber.groups.clear();
    fiber.state = State::done;
    switch_to_scheduler();
  }
}

void run_fiber(Fiber& fiber) {
  block.running = &fiber;
  ANNOTATE_LEAVE(&block.scheduler_sanitizer_stack, fiber.stack.get(), STACK_BYTES);
  if (fiber.begun) {
    exchange(block.scheduler, fiber.resume);
  } else {
    fiber.begun = true;
    begin(block.scheduler, &fiber.beginning);
  }
  ANNOTATE_ENTER(block.scheduler_sanitizer_stack, nullptr, nullptr);
}

void check_same_place(const Fiber& a, const Fiber& b) {
  const char *const in = a.where.file_name(), *const other = b.where.file_name();
  if (a.where.line() == b.where.line() && (in == other || !std::strcmp(in, other))) return;
  fail("diverged: thread %u waits at %s:%u, thread %u at %s:%u", a.number, in, a.where.line(), b.number, other,
       b.where.line());
}

// Called when nobody can go on although not everybody has ended.
[[noreturn]] void report_deadlock() {
  const Fiber *waiting = nullptr, *gone = nullptr, *elsewhere = nullptr;
  for (const Fiber& f : block.fibers) {
    if (f.state == State::done)
      gone = &f;
    else if (!waiting)
      waiting = &f;
    else if (f.where.line() != waiting->where.line())
      elsewhere = &f;
  }
  if (elsewhere) check_same_place(*waiting, *elsewhere);
  fail("deadlock: thread %u waits at %s:%u for thread %u, which has left the kernel", waiting->number,
       waiting->where.file_name(), waiting->where.line(), gone ? gone->number : 0);
}

void prepare(Fiber& f, unsigned number) {
  f.number = number;
  f.index = {number % block.size.x, number / block.size.x % block.size.y, number / block.size.x / block.size.y};
  f.state = State::ready;
  if (f.begun) return;
  getcontext(&f.beginning);
  f.beginning.uc_stack.ss_sp = f.stack.get();
  f.beginning.uc_stack.ss_size = STACK_BYTES;
  f.beginning.uc_link = nullptr;
  makecontext(&f.beginning, fiber_main, 0);
}

void run_block(std::mt19937& random) {
  const unsigned threads = static_cast<unsigned>(block.fibers.size());
  for (unsigned t = 0; t < threads; ++t) prepare(block.fibers[t], t);
  // What is in shared memory before a kernel writes it is anything: make it a NaN.
  std::memset(block.shared.get(), 0xff, block.shared_bytes);
  std::vector<unsigned> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  if (settings.order == Order::descending) std::reverse(order.begin(), order.end());
  for (unsigned done = 0; done < threads;) {
    if (settings.order == Order::shuffled) std::shuffle(order.begin(), order.end(), random);
    bool progress = false;
    block.released = false;
    // Whoever is first in the order and can go on does, so that the first warp runs as far ahead of the last as it may.
    for (unsigned i = 0; i < threads && !block.released; ++i) {
      Fiber& f = block.fibers[order[i]];
      if (f.state != State::ready) continue;
      run_fiber(f);
      progress = true;
      done += f.state == State::done;
    }
    if (!progress && done < threads) report_deadlock();
  }
}

// Waits until all `count` fibers from `first` on wait in `state` too; the last to come runs `last` and lets all go.
template <class Last>
void rendezvous(unsigned first, unsigned count, State state, std::source_location where, Last last) {
  Fiber& self = *block.running;
  self.where = where;
  self.state = state;
  bool complete = true;
  for (unsigned t = first; t < first + count && complete; ++t) complete = block.fibers[t].state == state;
  if (!complete) return switch_to_scheduler();
  for (unsigned t = first; t < first + count; ++t) check_same_place(block.fibers[t], self);
  last();
  for (unsigned t = first; t < first + count; ++t) block.fibers[t].state = State::ready;
  block.released = true;
}

unsigned first_lane() { return block.running->number / WARP * WARP; }

}  // namespace

Thread& current() { return *block.running; }
Index block_index() { return block.index; }
void* shared_memory() { return block.shared.get(); }
std::size_t shared_bytes() { return block.shared_bytes; }

void fail(const char* format, ...) {
  std::fprintf(stderr, "%s\n  block (%u,%u,%u) thread %u: ", settings.job, block.index.x, block.index.y, block.index.z,
               block.running ? block.running->number : 0);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::fflush(nullptr);
  std::_Exit(1);
}

void block_barrier(std::source_location where) {
  rendezvous(0, static_cast<unsigned>(block.fibers.size()), State::at_block_barrier, where, [] {});
}

void warp_barrier(std::source_location where) {
  rendezvous(first_lane(), WARP, State::at_warp, where, [] {});
}

void collective(const void* arguments, void (*operation)(const void* const* lanes), std::source_location where) {
  const unsigned first = first_lane();
  current().arguments = arguments;
  rendezvous(first, WARP, State::at_warp, where, [&] {
    const void* lanes[WARP];
    for (unsigned lane = 0; lane < WARP; ++lane) lanes[lane] = block.fibers[first + lane].arguments;
    operation(lanes);
  });
}

void run_grid(Index grid, Index size, std::size_t shared_bytes, const std::function<void()>& thread) {
  const unsigned threads = size.x * size.y * size.z;
  if (threads == 0 || threads > 1024 || threads % WARP) fail("a block of %u threads", threads);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    fail("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z);
  block.size = size;
  block.program = &thread;
  // Aligned as on a GPU, and of exactly its size, so that AddressSanitizer sees what goes past its end.
  void* shared = nullptr;
  if (posix_memalign(&shared, 128, shared_bytes)) fail("no memory for %zu bytes of shared memory", shared_bytes);
  block.shared.reset(static_cast<char*>(shared));
  block.shared_bytes = shared_bytes;
  if (block.fibers.size() != threads) block.fibers = std::vector<Fiber>(threads);
  std::mt19937 random(settings.seed);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        block.index = {x, y, z};
        run_block(random);
      }
  block.running = nullptr;
}

}  // namespace fb::emu
