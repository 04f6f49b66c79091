// openmp — `blocked` on a team of threads that cooperate: the fast parallel sgemm.
//
// The course's OpenMP part. Each thread packs strips of B into its own L2 and multiplies them with all of A; an A that
// needs packing is packed by the team together and shared in L3. Threads start at different strips and draw the rows of
// a strip piece by piece, so that one that is through with its own strips helps with those of a slower one.
// Threads take whole tiles and K is never split between them: the result has the same bits for any number of threads.
#include <omp.h>
#include <cstdint>

#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr index_t PIECE =
    16;                       // row panels of a piece of work: some 100 us, which drawing it and its end cost little of
constexpr index_t PARTS = 4;  // but at least this many pieces a thread, so that all have something to do

static Blocks blocks(const Gemm& job) { return cache_blocks(oriented(job)); }

static void run(const Gemm& job) {
  const Gemm g = oriented(job);
  const Blocks block = cache_blocks(g);
  const index_t for_a = a_floats(g, block), for_b = b_floats(block), strips = ceil_div(g.N, block.NC);
  const Workspace workspace(for_a + g.threads * for_b + strips);
  float* const a_block = for_a ? workspace.data() : nullptr;
  static_assert(sizeof(std::int32_t) == sizeof(float));
  std::int32_t* const drawn = reinterpret_cast<std::int32_t*>(workspace.data() + for_a +
                                                              g.threads * for_b);  // pieces of each strip drawn so far

#pragma omp parallel num_threads(g.threads)
  {
    const index_t thread = omp_get_thread_num();
    float* const b_strip = workspace.data() + for_a + thread * for_b;
    for (index_t ic = 0; ic < g.M; ic += block.MC) {
      const index_t mc = min(block.MC, g.M - ic), panels = row_panels(mc).count();
      const index_t piece = min(PIECE, ceil_div(panels, ceil_div(PARTS * g.threads, strips)));
      for (index_t pc = 0; pc < g.K; pc += block.KC) {
        const index_t kc = min(block.KC, g.K - pc);
        const float beta = pc == 0 ? g.beta : 1;
        const ConstMatrix A = at(g.A, ic, pc);
        if (a_block)
#pragma omp for schedule(static) nowait
          for (index_t p = 0; p < panels; p += SIDE) pack_a_panels(mc, kc, A, p, a_block);
#pragma omp for schedule(static)  // its closing barrier: nobody draws before all is counted from zero and A is packed
        for (index_t s = 0; s < strips; ++s) drawn[s] = 0;

        for (index_t s = 0; s < strips; ++s) {
          const index_t strip = (s + thread * strips / g.threads) % strips, jc = strip * block.NC;
          const index_t nc = min(block.NC, g.N - jc);
          StripProduct product = {mc,      nc,    kc,      A,    a_block,        a_is_far(g), at(g.B, pc, jc),
                                  b_strip, false, g.alpha, beta, at(g.C, ic, jc)};
          for (;;) {
            std::int32_t mine;
#pragma omp atomic capture
            mine = drawn[strip]++;
            const index_t first = mine * piece;
            if (first >= panels) break;
            multiply_strip(product, first, min(panels, first + piece));
          }
        }
#pragma omp barrier  // nobody repacks the block of A, or adds to C, before all are through with this part of K
      }
    }
  }
}

constinit const Algorithm openmp = {
    .summary = "blocked on a team of threads that share out strips of B and help each other",
    .course = "OpenMP",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
