// openmp — `blocked` on a team of threads that cooperate: the fast parallel sgemm.
//
// The course's OpenMP part. The team packs each KC x NC block of B together and then shares it, where `blocked` packs
// it once per thread: one copy in the shared L3 instead of one per core. Each thread packs the blocks of A it
// multiplies for itself, into its own L2. Work is handed out as (block of A) x (group of columns), so that there is
// enough of it for everybody also when C is flat; numbering runs along a block of A, so that a thread rarely packs one
// twice. Threads take whole tiles and K is never split between them: the result has the same bits for any number of
// threads.
#include <omp.h>

#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr index_t PARTS = 4;  // pieces of work per thread and block of B, so that one slow core delays the rest little

static Blocks blocks(const Gemm& job) { return cache_blocks(with_adjacent_columns(job)); }

static void run(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  const Blocks block = cache_blocks(g);
  const index_t a_floats = block.MC * block.KC, b_floats = block.KC * round_up(block.NC, VL);
  const Workspace workspace(b_floats + g.threads * a_floats);
  float* const b_block = workspace.data();
  const index_t a_blocks = ceil_div(g.M, block.MC);

#pragma omp parallel num_threads(g.threads)
  {
    float* const a_block = b_block + b_floats + omp_get_thread_num() * a_floats;
    for (index_t jc = 0; jc < g.N; jc += block.NC) {
      const index_t nc = min(block.NC, g.N - jc), panels = ceil_div(nc, NR);
      const index_t groups = min(panels, ceil_div(PARTS * g.threads, a_blocks));
      const index_t group = ceil_div(panels, groups) * NR;  // columns of one piece of work
      for (index_t pc = 0; pc < g.K; pc += block.KC) {
        const index_t kc = min(block.KC, g.K - pc);
        const float beta = pc == 0 ? g.beta : 1;
#pragma omp for schedule(static)  // its closing barrier: nobody reads the panels before all are packed
        for (index_t p = 0; p < panels; ++p) pack_b_panel(nc, kc, at(g.B, pc, jc), p * NR, b_block);

        index_t packed = -1;       // which block of A this thread holds
#pragma omp for schedule(dynamic)  // and nobody repacks them before all are read
        for (index_t piece = 0; piece < a_blocks * groups; ++piece) {
          const index_t ic = piece / groups * block.MC, mc = min(block.MC, g.M - ic);
          if (packed != ic)
            for (index_t ir = 0; ir < mc; ir += MR) pack_a_panel(mc, kc, at(g.A, ic, pc), ir, a_block);
          packed = ic;
          const index_t first = piece % groups * group;
          for (index_t jr = first; jr < min(nc, first + group); jr += NR)
            multiply_panel(mc, static_cast<int>(min(NR, nc - jr)), kc, a_block, b_block + jr * kc, g.alpha, beta,
                           at(g.C, ic, jc + jr));
        }
      }
    }
  }
}

constinit const Algorithm openmp = {
    .summary = "blocked on a team of threads that pack B together and share it",
    .course = "OpenMP",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
