// blocked — cache blocks and packing around the register tile: the fast single-thread sgemm.
//
// Course v6. Three loops cut the job into blocks that each fit one level of cache: an MC x KC block of A for L3, in it
// one MR x KC panel for L1, and a KC x NC strip of B for L2, copied ("packed") into the order the register tile reads.
//   for ic over M by MC, for pc over K by KC: pack A, if its rows are not contiguous, or so long that it pays;
//     for jc over N by NC: pack B;  for ir by MR, for jr by NR: tile
// So every element is fetched from main memory a handful of times, and the tile seldom waits for a load.
// Still wasted with several threads: each takes its own rows of C and packs all of B for itself; `openmp` does not.
// Change block sizes in simd/blocking.hpp, the tile in simd/tile.hpp; the loops below need no change for either.
#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

static Blocks blocks(const Gemm& job) { return cache_blocks(oriented(job)); }

void multiply_blocks(const Gemm& g, const Blocks& block, const Ways& ways, float* a_block, float* b_strip) {
  for (index_t ic = 0; ic < g.M; ic += block.MC) {
    const index_t mc = min(block.MC, g.M - ic);
    for (index_t pc = 0; pc < g.K; pc += block.KC) {
      if (a_block) pack_a_block(mc, min(block.KC, g.K - pc), at(g.A, ic, pc), a_block);
      for (index_t jc = 0; jc < g.N; jc += block.NC) {
        StripProduct product = strip_product(g, block, ways, ic, pc, jc, a_block, b_strip);
        if (ways.b_in_place)
          multiply_in_place(product);
        else
          multiply_strip(product, 0, row_panels(mc).count());
      }
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = oriented(job);
  const Blocks block = cache_blocks(g);
  const index_t for_a = apart(a_floats(g, block)), for_b = apart(b_floats(g, block));
  const Ways how = ways(g);
  const Workspace workspace(g.threads * (for_a + for_b));
  const auto multiply_rows = [&](index_t first, index_t count, float* scratch) {
    multiply_blocks(rows(g, first, count), block, how, for_a ? scratch + for_b : nullptr, scratch);
  };
  if (g.threads == 1) return multiply_rows(0, g.M, workspace.data());

  // Whole panels of rows; the last two, which are evened out together, stay together. So the tiles, and with them the
  // bits, are the same for any number of threads, even where -ffast-math computes each size of tile in its own order.
  const index_t panels = row_panels(g.M).count(), units = panels > 1 ? panels - 1 : 1;
  const index_t share = ceil_div(units, g.threads);
#pragma omp parallel for num_threads(g.threads) schedule(static)
  for (int t = 0; t < g.threads; ++t) {
    const TeamThread team_thread(g.team);
    const index_t first = t * share, last = min(units, first + share);
    if (first < last)
      multiply_rows(first * MR, (last == units ? g.M : last * MR) - first * MR, workspace.data() + t * (for_a + for_b));
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
