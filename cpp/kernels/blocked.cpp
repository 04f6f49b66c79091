// blocked — cache blocks and packing around the register tile: the fast single-thread sgemm.
//
// Course v6. Three loops cut the job into blocks that each fit one level of cache and copy ("pack") them into the order
// the register tile reads: KC x NC of B for L3, MC x KC of A for L2, and in it one KC x NR panel of B for L1.
//   for jc over N by NC, for pc over K by KC: pack B;  for ic over M by MC: pack A;  for jr by NR, for ir by MR: tile
// So every element is fetched from main memory a handful of times, and the tile seldom waits for a load.
// Still wasted with several threads: each takes its own rows of C and packs all of B for itself; `openmp` shares it.
// Change block sizes in simd/blocking.hpp, the tile in simd/tile.hpp; the loops below need no change for either.
#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static Blocks blocks(const Gemm& job) { return cache_blocks(with_adjacent_columns(job)); }

static void multiply(const Gemm& g, const Blocks& block, float* a_block, float* b_block) {
  for (index_t jc = 0; jc < g.N; jc += block.NC) {
    const index_t nc = min(block.NC, g.N - jc);
    for (index_t pc = 0; pc < g.K; pc += block.KC) {
      const index_t kc = min(block.KC, g.K - pc);
      const float beta = pc == 0 ? g.beta : 1;  // later parts of K add to what the first one stored
      for (index_t jr = 0; jr < nc; jr += NR) pack_b_panel(nc, kc, at(g.B, pc, jc), jr, b_block);
      for (index_t ic = 0; ic < g.M; ic += block.MC) {
        const index_t mc = min(block.MC, g.M - ic);
        for (index_t ir = 0; ir < mc; ir += MR) pack_a_panel(mc, kc, at(g.A, ic, pc), ir, a_block);
        for (index_t jr = 0; jr < nc; jr += NR)
          multiply_panel(mc, static_cast<int>(min(NR, nc - jr)), kc, a_block, b_block + jr * kc, g.alpha, beta,
                         at(g.C, ic, jc + jr));
      }
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = with_adjacent_columns(job);
  const Blocks block = cache_blocks(g);
  const index_t a_floats = block.MC * block.KC, b_floats = block.KC * round_up(block.NC, VL);
  const Workspace workspace(g.threads * (a_floats + b_floats));
  if (g.threads == 1) return multiply(g, block, workspace.data(), workspace.data() + a_floats);

  const index_t strip = round_up(ceil_div(g.M, g.threads), MR);
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    float* const scratch = workspace.data() + t * (a_floats + b_floats);
    if (t * strip < g.M) multiply(rows(g, t * strip, min(strip, g.M - t * strip)), block, scratch, scratch + a_floats);
  }
}

constinit const Algorithm blocked = {
    .summary = "MC/KC/NC cache blocks and packed panels around the register tile",
    .course = "v6",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
