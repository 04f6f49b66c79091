// observe.cpp: the tables behind observe.hpp.
//
// FRUGALBLAS_PROFILE names a folder; without it nothing is recorded. There every process that starts writes
//   <pid>-<ns>.process   text: its program, and at its end the libraries it had loaded
//   <pid>-<ns>.table     one for each thread that was inside a product at the same time: Header, text, slots
// FRUGALBLAS_OBSERVE=1 forwards calls to where they would have gone.
#include "observe.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "lookup.hpp"

namespace fb::observe {

constexpr std::uint32_t slot_count = 2048;             // shapes of a program: tens, of a test suite: thousands
constexpr std::uint32_t full_at = slot_count / 8 * 7;  // from here on, new shapes of a call site share one slot
constexpr std::uint32_t text_bytes = 16384 - 64;       // paths of calling libraries, some 100 bytes each

struct Header {
  char magic[8];
  std::uint32_t slot_bytes, slot_count, text_bytes, pid;
  std::uint32_t slots_used, text_used;
  std::uint64_t lost;  // calls for which there was no slot
  char unused[24];
};
static_assert(sizeof(Header) == 64);

struct Table {
  Header header;
  char text[text_bytes];
  Slot slots[slot_count];
};

// Set up once, before the program's own code runs.
static bool recording = false, forwarding = false;
static char folder[4096 - 64];  // a copy: programs may change their environment
static char process_file[4096];

// Tables of threads that have ended, for the next ones.
constexpr int kept_max = 256;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Table* kept[kept_max];
static int kept_count = 0;
static pthread_key_t key;

// initial-exec: a preloaded library has its place in every thread's static block, one instruction away.
static __attribute__((tls_model("initial-exec"))) thread_local Table* table = nullptr;
static __attribute__((tls_model("initial-exec"))) thread_local int depth = 0;

static std::uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000000u + static_cast<std::uint64_t>(t.tv_nsec);
}

static int create(char* path, std::size_t size, const char* kind) {
  std::snprintf(path, size, "%s/%d-%llu.%s", folder, static_cast<int>(getpid()), static_cast<unsigned long long>(now()),
                kind);
  return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static void note(const char* word, const char* text) {
  if (std::FILE* const file = std::fopen(process_file, "a")) {
    std::fprintf(file, "%s %s\n", word, text);
    std::fclose(file);
  }
}

static Table* new_table() {
  char path[4096];
  const int file = create(path, sizeof path, "table");
  if (file < 0) return nullptr;
  // Reserved, not sparse: a disk that is full must show here and not as SIGBUS inside a product.
  void* const map = posix_fallocate(file, 0, sizeof(Table))
                        ? MAP_FAILED
                        : mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) {
    unlink(path);
    return nullptr;
  }
  Table* const made = static_cast<Table*>(map);
  made->header = {{'F', 'B', 'P', 'R', 'O', 'F', '1', 0},
                  sizeof(Slot),
                  slot_count,
                  text_bytes,
                  static_cast<std::uint32_t>(getpid()),
                  0,
                  1,
                  0,
                  {}};
  return made;
}

static void keep(void* ended) {
  pthread_mutex_lock(&lock);
  if (kept_count < kept_max)
    kept[kept_count++] = static_cast<Table*>(ended);
  else
    munmap(ended, sizeof(Table));
  pthread_mutex_unlock(&lock);
  table = nullptr;
}

static Table* open_table() {
  if (!recording) return nullptr;
  pthread_mutex_lock(&lock);
  table = kept_count ? kept[--kept_count] : nullptr;
  pthread_mutex_unlock(&lock);
  if (!table) table = new_table();
  if (!table) {
    recording = false;
    note("lost", "a table could not be created");
  }
  pthread_setspecific(key, table);
  return table;
}

// Offset of `string` in the table's text, which it joins if it is new; 0, the empty string, if there is no room.
static std::uint32_t offset(Table* t, const char* string) {
  const std::uint32_t used = t->header.text_used;
  for (std::uint32_t at = 1; at < used; at += static_cast<std::uint32_t>(std::strlen(t->text + at)) + 1)
    if (!std::strcmp(t->text + at, string)) return at;
  const std::size_t bytes = std::strlen(string) + 1;
  if (used + bytes > text_bytes) return 0;
  std::memcpy(t->text + used, string, bytes);
  t->header.text_used = used + static_cast<std::uint32_t>(bytes);
  return used;
}

static void fill(Table* t, Slot* slot, const char* symbol, const void* caller, Routine routine) {
  Dl_info info;
  const bool known = dladdr(caller, &info) && info.dli_fname;
  slot->module = offset(t, known ? info.dli_fname : "");
  slot->name = offset(t, symbol);
  slot->routine = routine;
  slot->original = forwarding ? blas::original(symbol, caller) : nullptr;
  slot->symbol = symbol;
  slot->caller = caller;
  ++t->header.slots_used;
}

static std::uint64_t hash(const void* caller, const char* symbol, std::int64_t m, std::int64_t n, std::int64_t k) {
  // Odd multipliers, then the high bits, where all of the sum has arrived.
  const std::uint64_t sum = reinterpret_cast<std::uintptr_t>(caller) * 0x9E3779B97F4A7C15u +
                            reinterpret_cast<std::uintptr_t>(symbol) * 0xC2B2AE3D27D4EB4Fu +
                            static_cast<std::uint64_t>(m) * 0x165667B19E3779F9u +
                            static_cast<std::uint64_t>(n) * 0xD6E8FEB86659FD93u +
                            static_cast<std::uint64_t>(k) * 0xA0761D6478BD642Fu;
  return sum >> 40;
}

static Slot* find(Table* t, const char* symbol, const void* caller, Routine routine, std::int64_t m, std::int64_t n,
                  std::int64_t k) {
  std::uint64_t at = hash(caller, symbol, m, n, k);
  for (std::uint32_t probes = 0; probes < slot_count; ++probes, ++at) {
    Slot* const slot = &t->slots[at % slot_count];
    if (slot->caller == caller && slot->m == m && slot->n == n && slot->k == k && slot->symbol == symbol) return slot;
    if (slot->caller) continue;
    if (t->header.slots_used >= full_at && m >= 0) return find(t, symbol, caller, routine, -1, -1, -1);
    slot->m = m;
    slot->n = n;
    slot->k = k;
    fill(t, slot, symbol, caller, routine);
    return slot;
  }
  ++t->header.lost;
  return nullptr;
}

static double flops_of(Routine routine, std::int64_t m, std::int64_t n, std::int64_t k) {
  const double M = static_cast<double>(m), N = static_cast<double>(n), K = static_cast<double>(k);
  // One triangle, with its diagonal, is all that syrk computes.
  return routine == Routine::syrk ? N * (N + 1) * K : routine == Routine::gemv ? 2 * M * N : 2 * M * N * K;
}

Call::Call(const char* symbol, const void* caller, Routine routine, std::int64_t m, std::int64_t n, std::int64_t k)
    : Call(symbol, caller, routine, m, n, k, 1, m >= 0 && n >= 0 && k >= 0 ? flops_of(routine, m, n, k) : 0) {}

// A BLAS may call itself by its public names: only the outermost call counts, but each must find its original.
Call::Call(const char* symbol, const void* caller, Routine routine, std::int64_t m, std::int64_t n, std::int64_t k,
           std::int64_t products, double flops)
    : slot_(nullptr), start_(0), products_(products > 0 ? static_cast<std::uint64_t>(products) : 0) {
  ++depth;
  Table* const t = table ? table : open_table();
  if (!t) return;
  slot_ = find(t, symbol, caller, routine, m, n, k);
  if (!slot_ || depth > 1) return;
  // Added before the call: a process that dies in it has flops without a call, and never a call without flops.
  slot_->flops += flops > 0 ? flops : 0;  // sizes of an illegal call may be negative
  start_ = now();
}

Call::~Call() {
  if (start_) {
    slot_->nanoseconds += now() - start_;
    slot_->calls += products_;
  }
  --depth;
}

// The child of a fork has one thread and shares the tables' memory with its parent: it starts its own.
static void after_fork_in_child() {
  pthread_mutex_init(&lock, nullptr);
  kept_count = 0;
  table = nullptr;
  pthread_setspecific(key, nullptr);
}

__attribute__((constructor)) static void start() {
  const char* const named = std::getenv("FRUGALBLAS_PROFILE");
  if (!named || !*named || std::strlen(named) >= sizeof folder) return;
  std::strcpy(folder, named);
  const char* const observe = std::getenv("FRUGALBLAS_OBSERVE");
  forwarding = observe && !std::strcmp(observe, "1");
  if (pthread_key_create(&key, keep)) return;
  const int file = create(process_file, sizeof process_file, "process");
  if (file < 0) return;
  close(file);
  recording = true;
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length > 0 ? length : 0] = 0;
  note("program", program);
}

__attribute__((destructor)) static void end() {
  // A forked child has no process file: it did not start a program, and this one's is not its own.
  if (!recording || std::atoi(process_file + std::strlen(folder) + 1) != static_cast<int>(getpid())) return;
  std::FILE* const file = std::fopen(process_file, "a");
  if (!file) return;  // the folder is gone: this process outlived `frugalblas run`
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        if (*info->dlpi_name == '/') std::fprintf(static_cast<std::FILE*>(to), "loaded %s\n", info->dlpi_name);
        return 0;
      },
      file);
  std::fputs("ended\n", file);
  std::fclose(file);
}

}  // namespace fb::observe
