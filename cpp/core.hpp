// core.hpp: what libfrugalblas.so offers the Python module and the C++ tests.
//
// Every exported name starts with frugalblas_, so that the library can share a process with any other BLAS.
#pragma once
#include "algorithm.hpp"
#include "cpu.hpp"
#include "packed.hpp"
#include "study.hpp"

#define FB_EXPORT __attribute__((visibility("default")))

namespace fb {

enum class Kind { interpreted, scalar, vector, team, passthrough, cuda, cuda_library };  // see algorithms.def

// One line of algorithms.def. An entry's index is its place in the list, everywhere.
struct Entry {
  const char* name;
  Kind kind;
};

// One build of the compiled rungs: an instruction-set level, or a flag set of the compiler study.
struct Variant {
  const char* name;                    // what `algo@name` calls it
  const char* level;                   // instruction set it needs
  const char* flags;                   // compiler options it was built with
  bool study;                          // a flag set of the study: never chosen unless asked for
  const Algorithm* const* algorithms;  // by entry index; nullptr where the variant has no such rung
  // Nullptr, or to nullptr, for the flag sets of the compiler study:
  double (*fma_burst)(index_t steps);  // see fma_burst.cpp
  const Study* study_code;             // see study.cpp
  const PackedKernel* const* packed;   // see packed_kernel.cpp
};

// A single product of less work than small_team_flops gets no team, one of sleeping_team_flops or more has one woken;
// between the two its caller's recent products decide, see small_products.hpp. Opening a team and closing it costs a
// few microseconds while its threads are awake. On a Zen 3 in a cloud two such threads take 0.65 to 0.8 of the time of
// one at 80^3 and 96^3, and 0.8 to 1.05 of it at 64^3; two that sleep, 1.9 times as long at 128^3, 1.2 to 1.4 times at
// 192^3, 0.8 to 1.2 at 256^3. On a Zen 5 two that are awake take 0.60 of it at 128^3 and 96^3, 0.76 at 64^3; on a Zen 1
// 0.53 and 0.65. Where that is not less than one takes, the caller notices.
constexpr double small_team_flops = 5e5, sleeping_team_flops = 1 << 23;
// The border of all else that a team may share: batches, packed operands, a C whose storing sets the pace.
constexpr double team_flops = 1 << 21;

static inline double flops_of(const Gemm& g) {
  return 2.0 * static_cast<double>(g.M) * static_cast<double>(g.N) * static_cast<double>(g.K);
}

enum class Status { done, out_of_memory, too_large };

// What `algo="auto"` decided, and why.
struct Choice {
  int entry;
  int threads;
  const char* reason;
};

// Products of one shape: item i is `first` with its pointers moved on by i steps. Steps count elements; zero repeats an
// operand. No item's C overlaps another's or any operand.
struct Batch {
  Gemm first;  // M, N, K >= 0 and any alpha: empty products are answered here
  index_t count, a_step, b_step, c_step;
  const Variant* variant = nullptr;  // of the rung that `auto` takes; nullptr: the default
  bool always = false;  // what does not fit into memory is computed by loops that need none: never out_of_memory
};

}  // namespace fb

extern "C" {
FB_EXPORT int frugalblas_entries(const fb::Entry** list);
FB_EXPORT int frugalblas_variants(const fb::Variant** list);
FB_EXPORT int frugalblas_find_entry(const char* name);                   // -1 if there is none
FB_EXPORT const fb::Variant* frugalblas_find_variant(const char* name);  // nullptr if no build of it runs here
// The variant of calls that name none: the best level this CPU supports, or FRUGALBLAS_ISA. nullptr, and *error says
// why, if that variable names a level that does not exist or does not run here.
FB_EXPORT const fb::Variant* frugalblas_default_variant(const char** error);
// The rung `entry` in `variant`, or in the default variant if that is nullptr; nullptr if it was not built there.
FB_EXPORT const fb::Algorithm* frugalblas_algorithm(int entry, const fb::Variant* variant);

// Anything but `done` leaves C as it was.
FB_EXPORT fb::Status frugalblas_run(const fb::Algorithm* algorithm, const fb::Gemm* job);
// All products of a batch on at most first.threads threads, by `algorithm` or, if that is nullptr, as `auto` would: the
// same bits as one call for each, for any number of threads. The floating-point exceptions of all threads show in the
// caller's flags (fenv.h). After anything but `done` some results may have been written, each of them whole.
FB_EXPORT fb::Status frugalblas_run_batch(const fb::Algorithm* algorithm, const fb::Batch* batch);
// The triangle i <= j (upper) or i >= j of a square C, as `auto` would compute it within the whole: the same bits. The
// other triangle is neither read nor written. For products that are symmetric, B being the transpose of A: half the
// work. Flags, and `variant`, as above. What does not fit into memory is computed by loops that need none.
FB_EXPORT void frugalblas_run_triangle(const fb::Variant* variant, const fb::Gemm* job, bool upper);
// The same as frugalblas_run, by plain loops where the algorithm's working copies do not fit into memory.
FB_EXPORT fb::Status frugalblas_run_always(const fb::Algorithm* algorithm, const fb::Gemm* job);
// C = beta * C: the whole answer where alpha or K is zero. Reads C only if beta is not zero.
FB_EXPORT void frugalblas_scale(fb::Matrix C, fb::index_t M, fb::index_t N, float beta);
// The fastest rung for this job on at most job->threads threads. The rung depends on shape and strides.
FB_EXPORT fb::Choice frugalblas_choose(const fb::Gemm* job);

// A copy of B (K,N) in the panels of a variant, or of the default one if that is nullptr, made by at most `threads`
// threads; to be freed by frugalblas_free_packed_operand. nullptr if there is not enough memory, or no such kernel.
FB_EXPORT const fb::Packed* frugalblas_make_packed(fb::index_t K, fb::index_t N, const fb::ConstMatrix* B,
                                                   const fb::Variant* variant, int threads);
FB_EXPORT void frugalblas_free_packed_operand(const fb::Packed* packed);
FB_EXPORT void frugalblas_unpack(const fb::Packed* packed, float* B);  // B (K,N) in C order
// The threads out of job->threads that are worth it with a packed B.
FB_EXPORT int frugalblas_packed_threads(const fb::Gemm* job);
// The product with a packed B; job->B is not read. The same bits for any number of threads, and as rung `blocked` of
// that variant where that cuts K into the same parts (docs/drop_in.md). Anything but `done` leaves C as it was.
FB_EXPORT fb::Status frugalblas_run_packed(const fb::Packed* packed, const fb::Gemm* job);

// What was set for the process, else OMP_NUM_THREADS, else usable CPUs.
FB_EXPORT int frugalblas_process_threads();
// At most n, and at most what omp_set_num_threads allows the calling thread, where that was called to lower it.
FB_EXPORT int frugalblas_limit_threads(int n);
FB_EXPORT int frugalblas_get_num_threads();        // for a call of this thread: the one under the other's limit
FB_EXPORT void frugalblas_set_num_threads(int n);  // 1..frugalblas_max_threads(); 0 returns to the default
FB_EXPORT int frugalblas_max_threads();            // most threads one call may ask for
FB_EXPORT void frugalblas_free_workspace();        // returns the calling thread's kept scratch memory

FB_EXPORT const fb::CacheSizes* frugalblas_cache_sizes();
FB_EXPORT int frugalblas_usable_cpus();
// CPUs that the cgroups of this process leave of `most`, by the files under `root` ("" for the real ones).
FB_EXPORT int frugalblas_cgroup_cpus(const char* root, int most);
FB_EXPORT const char* frugalblas_cpu_model();
FB_EXPORT const char* frugalblas_cpu_tuning();  // cpu_tuning()
FB_EXPORT bool frugalblas_cpu_supports(const char* level);

// The OpenBLAS behind algo="openblas": its own description, or nullptr and *reason why there is none.
FB_EXPORT const char* frugalblas_openblas_config(const char** path, const char** reason);
// Sets its process-wide thread count and returns the one before; calls to OpenBLAS wait until it is released.
FB_EXPORT int frugalblas_openblas_hold_threads(int n);
FB_EXPORT void frugalblas_openblas_release_threads(int previous);
}
