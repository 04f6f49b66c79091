// openmp — `blocked` on a team of threads that cooperate: the fast parallel sgemm.
//
// The course's OpenMP part. Each thread packs strips of B into its own L2 and multiplies them with all of A; an A that
// needs packing is as a rule packed by the team together and shared in L3. Threads start at different strips and draw
// the rows of a strip piece by piece, so that one that is through with its own strips helps with those of a slower one.
// Threads take whole tiles and K is never split between them: the result has the same bits for any number of threads.
#include <omp.h>
#include <cstdint>

#include "../algorithm.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

// Row panels of a piece of work: at most some 100 us, which drawing it and its end cost little of; half of what is left
// of a strip, so that towards the end there are small ones to even out who is through first.
constexpr index_t LARGEST = 16, SMALLEST = 2;
static index_t piece_after(index_t first, index_t panels) {
  return min(max((panels - first) / 2, SMALLEST), min(LARGEST, panels - first));
}

static Blocks blocks(const Gemm& job) { return cache_blocks(oriented(job)); }

// Columns of a strip: a share for every thread, so that none has to copy what another copies too, if that leaves tiles
// of full width; and no more than stay in L2 (strip_floats).
static index_t strip_columns(const Gemm& g, const Blocks& block) {
  const index_t most = max(block.NC, strip_floats(g) / block.KC / NR * NR);
  const index_t share = ceil_div(g.N, g.threads * ceil_div(g.N, g.threads * most));
  return share >= 2 * NR ? round_up(share, VL) : equal_part(g.N, most, NR);
}

// Where B is read in place or a panel at a time, each thread takes columns of its own and waits for nobody. If these
// are few, an A that needs packing is packed together, as many parts of K at a time as a bounded workspace holds; else
// each packs it for itself: what another has packed comes out of its L2, which on virtual CPUs took up to a tenth of
// the time.
static void run_by_columns(const Gemm& g, const Blocks& block) {
  constexpr index_t most = (8 << 20) / sizeof(float);
  const bool together = g.N < columns_worth_packing * g.threads;
  const index_t part = a_floats(g, block), parts = ceil_div(g.K, block.KC);
  const index_t at_once = part && together ? max(1, min(parts, most / part)) : 1;
  const index_t panels = row_panels(g.M).count(), groups = ceil_div(panels, SIDE), registers = ceil_div(g.N, VL);
  const Ways how = ways(g);
  const index_t for_a = apart(part * at_once), for_b = apart(b_floats(g, block));
  const Workspace workspace((together ? 1 : g.threads) * for_a + g.threads * for_b);
#pragma omp parallel num_threads(g.threads)
  {
    const TeamThread team_thread(g.team);
    const index_t thread = omp_get_thread_num();
    const index_t jc = registers * thread / g.threads * VL;
    const index_t nc = min(registers * (thread + 1) / g.threads * VL, g.N) - jc;
    float* const b_strip = workspace.data() + thread * for_b;
    float* const a_blocks = workspace.data() + g.threads * for_b + (together ? 0 : thread * for_a);
    for (index_t q = 0; q < parts; ++q) {
      const index_t pc = q * block.KC;
      float* const a_block = part ? a_blocks + q % at_once * part : nullptr;
      if (part && !together) pack_a_block(g.M, min(block.KC, g.K - pc), at(g.A, 0, pc), a_block);
      if (part && together && q % at_once == 0) {
        if (q > 0) {
#pragma omp barrier  // nobody repacks what another still reads
        }
#pragma omp for schedule(static)  // its closing barrier: the blocks are packed
        for (index_t n = q * groups; n < min(parts, q + at_once) * groups; ++n) {
          const index_t p = n / groups;
          pack_a_panels(g.M, min(block.KC, g.K - p * block.KC), at(g.A, 0, p * block.KC), n % groups * SIDE,
                        a_blocks + (p - q) * part);
        }
      }
      StripProduct product = strip_product(g, block, how, 0, pc, jc, a_block, b_strip);
      product.nc = nc;
      if (how.b_in_place)
        multiply_in_place(product);
      else
        multiply_strip(product, 0, panels);
    }
  }
}

static void run(const Gemm& job) {
  const Gemm g = oriented(job);
  Blocks block = cache_blocks(g);
  if (b_in_place(g) || b_by_panels(g)) return run_by_columns(g, block);
  block.NC = strip_columns(g, block);
  const index_t for_a = apart(a_floats(g, block)), for_b = apart(b_floats(g, block));
  const index_t strips = ceil_div(g.N, block.NC);
  const index_t blocks_of_a = ceil_div(g.M, block.MC) * ceil_div(g.K, block.KC);
  const Ways how = ways(g);
  const Workspace workspace(for_a + g.threads * for_b + blocks_of_a * strips);
  float* const a_block = for_a ? workspace.data() : nullptr;
  static_assert(sizeof(std::int32_t) == sizeof(float));
  // Pieces drawn so far of each strip, for each block of A.
  std::int32_t* const all_drawn = reinterpret_cast<std::int32_t*>(workspace.data() + for_a + g.threads * for_b);
  for (index_t n = 0; n < blocks_of_a * strips; ++n) all_drawn[n] = 0;

#pragma omp parallel num_threads(g.threads)
  {
    const TeamThread team_thread(g.team);
    const index_t thread = omp_get_thread_num();
    float* const b_strip = workspace.data() + for_a + thread * for_b;
    std::int32_t* drawn = all_drawn;
    for (index_t ic = 0; ic < g.M; ic += block.MC) {
      const index_t mc = min(block.MC, g.M - ic), panels = row_panels(mc).count();
      for (index_t pc = 0; pc < g.K; pc += block.KC, drawn += strips) {
        const index_t kc = min(block.KC, g.K - pc);
        if (a_block)
#pragma omp for schedule(static)  // its closing barrier: the block is packed
          for (index_t p = 0; p < panels; p += SIDE) pack_a_panels(mc, kc, at(g.A, ic, pc), p, a_block);

        for (index_t s = 0; s < strips; ++s) {
          const index_t strip = (s + thread * strips / g.threads) % strips;
          StripProduct product = strip_product(g, block, how, ic, pc, strip * block.NC, a_block, b_strip);
          for (;;) {
            std::int32_t mine;
#pragma omp atomic capture
            mine = drawn[strip]++;
            index_t first = 0;
            while (mine-- > 0 && first < panels) first += piece_after(first, panels);
            if (first >= panels) break;
            multiply_strip(product, first, first + piece_after(first, panels));
          }
        }
        // Nobody repacks the block of A, or adds to C, before all are through with this part of K.
        if (ic + mc < g.M || pc + kc < g.K) {
#pragma omp barrier
        }
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
