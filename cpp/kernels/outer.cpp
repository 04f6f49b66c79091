// outer — short K: C is a sum of a few outer products, and writing it sets the pace.
//
// Not of the course. With a handful of steps of K there are so few FMAs to an element of C that what counts is how C
// gets to memory. Every line that a plain store changes is first read from there; a non-temporal store is not, but has
// to fill whole lines, in long runs. So tiles are one row high: a strip of B stays in L1, and each row of C goes by in
// runs of a strip, from one cache line's beginning on to another's.
// Still wasted: B is loaded from L1 once for every row, which leaves the FMA units idle half of the time. From some
// thirty steps of K on that costs more than the plain stores of `blocked`.
#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/matrix.hpp"
#include "../simd/partial.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

// Registers in a run of columns: enough independent FMAs for their latency (4 cycles) times 2 units.
constexpr int RUN = 8;
constexpr index_t WIDTH = RUN * VL;

// C is sent past the caches if it would not stay in them anyway: L3 is shared with other cores and, in a virtual
// machine, with strangers. Measured with C at 4 MiB and more on an Intel Xeon with 2 MiB of L2: 2 to 2.4 times as fast.
// Elsewhere L3 is near enough for half of it to be worth having: on a Zen 4, plain stores are 1.2 to 3 times as fast at
// 8 to 16 MiB, if C was there before or, in a huge page, has just been cleared by the kernel; 0.4 to 0.75 if neither.
static bool goes_past_caches(const Gemm& g) {
  const index_t bytes = g.M * g.N * index_t{sizeof(float)}, half = cache_sizes().l3 / 2;
  return g.beta == 0 && bytes > (tuned_for_intel() ? min(half, 8 << 20) : half);
}

// Runs of columns of which K rows of B fit half of L1; the other half is for what the prefetchers and the rest bring
// in.
static index_t runs_in_l1(index_t K) { return cache_sizes().l1d / 2 / (K * WIDTH * index_t{sizeof(float)}); }

// Columns of a strip.
static index_t strip_columns(const Gemm& g) { return min(max(1, runs_in_l1(g.K)), ceil_div(g.N + VL, WIDTH)) * WIDTH; }
// Elements from one row of a copied strip to the next: a register of columns before it, and room to shift it.
static index_t copy_row(index_t strip) { return strip + 2 * VL; }

static Blocks blocks(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  return {1, WIDTH, 0, 0, strip_columns(g)};
}

enum class Store { plain, past_caches };

// c(1,nv*VL) = alpha * a(1,K)·B(K,nv*VL) + beta * c
template <int nv, Store how>
static inline void run_of_row(const Gemm& g, const float* a, const float* b, float* c) {
  vec sum[nv] = {};
  for (index_t k = 0; k < g.K; ++k, a += g.A.col_stride, b += g.B.row_stride)
#pragma GCC unroll 8
    for (int v = 0; v < nv; ++v) sum[v] += *a * load(b + v * VL);
#pragma GCC unroll 8
  for (int v = 0; v < nv; ++v) {
    sum[v] *= g.alpha;
    if (g.beta != 0) sum[v] += g.beta * load(c + v * VL);
    if (how == Store::past_caches)
      store_past_caches(c + v * VL, sum[v]);
    else
      store(c + v * VL, sum[v]);
  }
}

// Fewer than VL columns.
static inline void part_of_row(const Gemm& g, const float* a, const float* b, float* c, int count) {
  vec sum = {};
  for (index_t k = 0; k < g.K; ++k, a += g.A.col_stride, b += g.B.row_stride) sum += *a * load_ends(b, count);
  sum *= g.alpha;
  if (g.beta != 0) sum += g.beta * load_ends(c, count);
  store_ends(c, sum, count);
}

// Elements by which a row of C begins past a multiple of a register's size.
static index_t past_register(const float* c) {
  return static_cast<index_t>(reinterpret_cast<std::uintptr_t>(c) / sizeof(float) % VL);
}

// Columns jc-VL..jc+strip-1 of B, as far as they exist, to rows that do not share sets of L1 whatever B's strides are.
static void copy_strip(const Gemm& g, index_t jc, index_t strip, float* copy) {
  for (index_t j = max(0, jc - VL); j < min(g.N, jc + strip); ++j)
    for (index_t k = 0; k < g.K; ++k) copy[k * copy_row(strip) + j - jc] = *at(g.B, k, j).data;
}

// Rows first..last-1 of C; `scratch` for a strip.
template <Store how>
static void multiply_rows(Gemm g, index_t first, index_t last, float* scratch) {
  const index_t strip = strip_columns(g);
  // Shifted so that where registers of C are aligned, those of B are: in all rows, if they are whole registers apart.
  float* const copy = scratch + VL + past_register(g.C.data);
  const Gemm job = g;
  g.B = {nullptr, copy_row(strip), 1};
  for (index_t jc = 0; jc < g.N + VL; jc += strip) {
    copy_strip(job, jc, strip, copy);
    for (index_t i = first; i < last; ++i) {
      const float* const a = at(g.A, i, 0).data;
      float* const c = at(g.C, i, 0).data;
      const float* const b = copy - jc;  // column j at b + j
      // Strips are cut where registers of this row of C are aligned, up to VL - 1 elements before a multiple of theirs.
      const index_t past = past_register(c);
      index_t j = jc == 0 ? 0 : jc - past;
      const index_t end = min(g.N, jc + strip - past);
      if (jc == 0 && past) {
        j = min(VL - past, g.N);
        part_of_row(g, a, b, c, static_cast<int>(j));
      }
      for (; j + WIDTH <= end; j += WIDTH) run_of_row<RUN, how>(g, a, b + j, c + j);
      for (; j + VL <= end; j += VL) run_of_row<1, how>(g, a, b + j, c + j);
      if (j < end) part_of_row(g, a, b + j, c + j, static_cast<int>(end - j));
    }
  }
  if (how == Store::past_caches) finish_stores();
}

static void run(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  if (g.C.col_stride != 1 || runs_in_l1(g.K) == 0) return blocked.run(job);  // no rows to run along; no short K
  const index_t scratch = round_up(g.K * copy_row(strip_columns(g)), VL);
  const Workspace workspace(g.threads * scratch);
  const auto multiply = goes_past_caches(g) ? multiply_rows<Store::past_caches> : multiply_rows<Store::plain>;
  if (g.threads == 1) return multiply(g, 0, g.M, workspace.data());
  const index_t share = ceil_div(g.M, g.threads);
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const TeamThread team_thread(g.team);
    multiply(g, min(g.M, t * share), min(g.M, (t + 1) * share), workspace.data() + t * scratch);
  }
}

constinit const Algorithm outer = {
    .summary = "a few outer products, rows of C written once, past the caches if it is large",
    .course = "",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
