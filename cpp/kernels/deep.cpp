// deep — small C, long K: K is cut into chunks that threads share out, each with a C of its own.
//
// Not of the course. A C of a few tiles offers threads nothing to share but K. So each chunk of K has a C of its own,
// and these are added up at the end, in their order: the number of chunks follows from the shape, and the result has
// the same bits for any number of threads. (As a bonus, errors grow with the length of a chunk, not with K.)
// Within a chunk, slices of K that stay in L2: A and, where its rows are contiguous, B are read in place, and all tiles
// ask for a part of the next slice, because runs so short are too short for hardware prefetchers. With AVX2, a C of
// more than 32 rows or columns is worth packing for, as in `blocked`. Still wasted: C is loaded and stored for every
// slice. Above some 128 x 128, `blocked` and `openmp` are as good.
#include <omp.h>
#include <cstdint>

#include "../algorithm.hpp"
#include "../cpu.hpp"
#include "../simd/blocking.hpp"
#include "../simd/matrix.hpp"
#include "../team.hpp"
#include "../workspace.hpp"

namespace fb::FB_VARIANT {

constexpr index_t CHUNK = 1024;         // steps of K: two threads have something to share from 2048 on
constexpr index_t MOST_SUMS = 1 << 18;  // floats, of all chunks: 1 MiB, small beside operands that need many chunks

// A C of up to 4 by 4 has fewer accumulators than the FMAs that a core has under way, so two chunks go side by side, in
// registers no wider than its rows: measured on a Zen 1, 2.4 times as fast at 4x4.
constexpr int TINY = 4;
constexpr index_t TINY_CHUNK = 256;
static bool is_tiny(const Gemm& g) {
  return g.M <= TINY && g.N <= TINY && g.B.col_stride == 1 && !g.of_square;  // else its chunks would be shorter
}

static index_t chunk_steps(const Gemm& g) {
  const index_t most_chunks = max(1, MOST_SUMS / (min(g.M, MOST_SUMS) * min(g.N, MOST_SUMS)));
  return equal_part(g.K, max(is_tiny(g) ? TINY_CHUNK : CHUNK, ceil_div(g.K, most_chunks)), 1);
}

static bool comes_from_afar(const Gemm& g) { return (g.M + g.N) * g.K * index_t{sizeof(float)} > cache_sizes().l3 / 2; }

// With AVX-512, from main memory, tiles ask for the next slice while they compute, a run of it at a time, if its rows
// of B follow each other without a gap. Measured on a Zen 4: 1.3 to 1.6 times as fast at 64x64 and 16x64 with A
// transposed, 1.1 to 1.5 with rows of A, which the hardware fetches. Asked for between tiles, most of it came too late.
// On Intel's cores, whose L3 is as far, so from L3: on a Xeon with an L3 of 480 MiB, 1.05 to 1.4 times as fast; but 0.7
// to 0.9 with a single register of columns, whose tiles are over too soon.
static bool asks_in_tiles(const Gemm& g) {
  if (!reads_b_in_place || !asks_in_passes(Source::fetching_l2) || !rows_adjoin(g, VL)) return false;
  const index_t bytes = (g.M + g.N) * g.K * index_t{sizeof(float)};
  return tuned_for_intel() ? g.N > VL && bytes > cache_sizes().l2 : comes_from_afar(g);
}

// Steps of a slice: A and B of it take a quarter of L2, another is for the slice on its way. Measured on a Zen 5,
// slices for L1 are 0.85 to 0.95 times as fast: loading and storing C shows. With AVX2, narrow tiles on columns of A
// use little of each line before it leaves L1: on a Zen 3, slices for L1 are 1.15 times as fast at 32x32 TN, 0.94 at
// 16x16; on a Zen 1, whose FMAs take twice the time, 0.9 times up to 4096 steps, 1.0 to 1.05 from main memory. On the
// Xeon that asks in its tiles, slices of 96 to 160 steps were best, up to 1.2 times as fast, of 64 at 128x128.
static index_t slice_steps(const Gemm& g) {
  const bool for_l1 = avx2 && g.A.row_stride == 1 && g.M + g.N > 48 && (comes_from_afar(g) || !computes_in_halves());
  const bool asked = tuned_for_intel() && asks_in_tiles(g);
  const index_t bytes = asked ? 64 << 10 : for_l1 ? cache_sizes().l1d / 5 * 4 : cache_sizes().l2 / 4;
  const index_t steps = max(64, min(asked ? 128 : g.K, bytes / ((g.M + g.N) * index_t{sizeof(float)})));
  return equal_part(chunk_steps(g), steps, 1);
}

static Blocks blocks(const Gemm& job) {
  const Gemm g = loading_rows(job);
  if (is_tiny(g)) return {g.M, g.N, 0, chunk_steps(g), 0};
  return {MR, NR, 0, min(chunk_steps(g), CHUNK), 0};
}

// With AVX2 and a C of more than 32 rows or columns, a chunk is multiplied as `blocked` multiplies: measured on a Zen
// 3, 1.1 to 1.4 times as fast from 48x48 on, for its tiles read packed panels, and rows of A a power of two apart do
// not evict each other.
static bool chunks_in_blocks(const Gemm& g) { return avx2 && max(g.M, g.N) > 32; }
// Steps pc..pc+kc-1 of K, into a C of their own.
static Gemm chunk_job(const Gemm& g, index_t pc, index_t kc, float* sums) {
  return {g.M, g.N, kc, at(g.A, 0, pc), at(g.B, pc, 0), {sums, g.N, 1}, 1, 0, 1};
}

// Asks for part `part` of `parts` of m (rows,columns), where either are contiguous.
static inline void fetch_ahead(const ConstMatrix& m, index_t rows, index_t columns, index_t part, index_t parts) {
  const ConstMatrix lines = m.col_stride == 1 ? m : ConstMatrix{m.data, m.col_stride, m.row_stride};
  const index_t count = m.col_stride == 1 ? rows : columns, length = m.col_stride == 1 ? columns : rows;
  if (lines.col_stride != 1) return;
  for (index_t i = count * part / parts; i < count * (part + 1) / parts; ++i)
    for (index_t j = 0; j < length; j += LINE) __builtin_prefetch(lines.data + i * lines.row_stride + j, 0, 2);
}

// sums(M,N) = A(M,kc)·B(kc,N); `panels`: room for a slice of B, where its rows are not contiguous.
static void multiply_chunk(const Gemm& g, index_t pc, index_t kc, float* panels, float* sums) {
  const Cut registers = column_panels(g.N);
  const bool in_place = g.B.col_stride == 1, asks = asks_in_tiles(g);
  // No panel is wider than the first; tiles that ask have no more rows than those of `blocked`.
  const Cut rows = {g.M, asks ? MR : height(registers.size(0), tallest(g.A))};
  const index_t slice = slice_steps(g), tiles = rows.count() * registers.count();
  for (index_t k = 0; k < kc; k += slice) {
    const index_t steps = min(slice, kc - k), to_come = min(slice, g.K - pc - k - steps);
    const ConstMatrix A = at(g.A, 0, pc + k), B = at(g.B, pc + k, 0);
    if (!in_place) pack_strip(g.N, steps, B, panels);
    const index_t of_a = A.row_stride == 1 && A.col_stride == g.M ? g.M * to_come : 0, to_ask = of_a + g.N * to_come;
    for (index_t q = 0, tile = 0; q < rows.count(); ++q) {
      const index_t i = rows.start(q);
      const int mr = static_cast<int>(rows.size(q));
      if (!asks) {
        fetch_ahead(at(A, 0, steps), g.M, to_come, q, rows.count());
        fetch_ahead(at(B, steps, 0), to_come, g.N, q, rows.count());
      }
      for (index_t p = 0; p < registers.count(); ++p, ++tile) {
        const index_t j = registers.start(p) * VL, nv = registers.size(p);
        const int nr = static_cast<int>(min(nv * VL, g.N - j));
        TileOperands op = {at(A, i, 0).data, A.row_stride, A.col_stride, panels + j * steps, nv * VL};
        if (in_place) {
          op.b = at(B, 0, j).data;
          op.b_k = B.row_stride;
        }
        if (asks) {
          const index_t asked = to_ask * tile / tiles;
          op.ahead = asked < of_a ? at(A, 0, steps).data + asked : at(B, steps, 0).data + asked - of_a;
          op.ahead_k = nv * VL;
          op.every = ceil_div(to_ask, tiles * op.ahead_k);
        }
        const TileTable& table = tile_table(asks                        ? Source::fetching_l2
                                            : in_place && nr % VL       ? Source::direct_edge
                                            : avx2 && A.row_stride == 1 ? Source::columns
                                                                        : Source::direct);
        run_tile(table.at[(mr - 1) * NV + nv - 1], mr, nr, steps, op, 1, k == 0 ? 0 : 1, {sums + i * g.N + j, g.N, 1});
      }
    }
  }
}

// sums (chunks,mr,nr) = of each chunk A(mr,kc)·B(kc,nr); chunks follow each other, the first begins at pc.
template <int mr, int nr, int chunks>
static void tiny_chunks(const Gemm& g, index_t pc, index_t kc, float* sums) {
  Register<TINY> acc[chunks][mr] = {};
  const float *a[chunks], *b[chunks];
  for (int c = 0; c < chunks; ++c) {
    a[c] = at(g.A, 0, pc + c * kc).data;
    b[c] = at(g.B, pc + c * kc, 0).data;
  }
  for (index_t k = 0; k < kc; ++k)
#pragma GCC unroll 2
    for (int c = 0; c < chunks; ++c) {
      const float* const p = b[c] + k * g.B.row_stride;
      Register<TINY> row = nr == TINY ? load_register<TINY>(p) : Register<TINY>{p[0], p[nr > 1], p[nr - 1], p[nr - 1]};
      if (nr == 1) keep_in_register(row);  // else its products would be computed once, and not fused
#pragma GCC unroll 4
      for (int i = 0; i < mr; ++i) acc[c][i] += a[c][i * g.A.row_stride + k * g.A.col_stride] * row;
    }
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < mr; ++i)
      for (int j = 0; j < nr; ++j) sums[(c * mr + i) * nr + j] = acc[c][i][j];
}
using TinyFunction = void (*)(const Gemm&, index_t pc, index_t kc, float* sums);
struct TinyTable {
  TinyFunction one[TINY * TINY], two[TINY * TINY];
};
template <int... i>
constexpr TinyTable make_tiny_table(Indices<i...>) {
  return {{tiny_chunks<i / TINY + 1, i % TINY + 1, 1>...}, {tiny_chunks<i / TINY + 1, i % TINY + 1, 2>...}};
}
constexpr TinyTable tiny_table = make_tiny_table(IndicesBelow<TINY * TINY>::type{});

static void run(const Gemm& job) {
  const Gemm g = loading_rows(job);
  const index_t steps = chunk_steps(g), chunks = ceil_div(g.K, steps), sums = g.M * g.N;
  const bool in_blocks = chunks_in_blocks(g), tiny = is_tiny(g);
  const Gemm first_chunk = chunk_job(g, 0, steps, nullptr);
  const Blocks block = cache_blocks(first_chunk);
  const Ways how = ways(first_chunk);
  const index_t for_a = a_floats(first_chunk, block), for_b = b_floats(first_chunk, block);
  const index_t panels = in_blocks ? for_a + for_b : g.B.col_stride == 1 ? 0 : slice_steps(g) * round_up(g.N, VL);
  const index_t first_panel = apart(chunks * sums), for_thread = apart(panels);
  const index_t first_count = first_panel + g.threads * for_thread;
  const Workspace workspace(first_count + g.threads);
  float* const of_chunks = workspace.data();
  const index_t at_once = tiny ? 2 : 1, turns = ceil_div(chunks, at_once);
  const auto multiply = [&](index_t chunk, index_t thread) {
    const index_t pc = chunk * steps, kc = min(steps, g.K - pc);
    float* const own = of_chunks + first_panel + thread * for_thread;
    float* const c = of_chunks + chunk * sums;
    if (tiny) {
      const index_t shape = (g.M - 1) * TINY + g.N - 1, second = pc + kc, rest = min(steps, g.K - second);
      if (rest == kc) return tiny_table.two[shape](g, pc, kc, c);
      tiny_table.one[shape](g, pc, kc, c);
      if (rest > 0) tiny_table.one[shape](g, second, rest, c + sums);
    } else if (in_blocks)
      multiply_blocks(chunk_job(g, pc, kc, c), block, how, for_a ? own + for_b : nullptr, own);
    else
      multiply_chunk(g, pc, kc, own, c);
  };
  if (g.threads == 1) {
    for (index_t turn = 0; turn < turns; ++turn) multiply(turn * at_once, 0);
  } else {
    // Each thread draws from a share of its own first, the same in every call: what its L2 still holds of it need not
    // come from another's. Measured on a Xeon with an L2 of 2 MiB, against drawing in order: 1.1 to 1.2 times as fast
    // with operands of 8 MiB, 1.03 with 32 MiB.
    static_assert(sizeof(std::int32_t) == sizeof(float));
    std::int32_t* const drawn = reinterpret_cast<std::int32_t*>(workspace.data() + first_count);
    for (index_t n = 0; n < g.threads; ++n) drawn[n] = 0;
#pragma omp parallel num_threads(g.threads)
    {
      const TeamThread team_thread(g.team);
      const index_t thread = omp_get_thread_num();
      for (index_t n = 0; n < g.threads; ++n) {
        const index_t owner = (thread + n) % g.threads, end = turns * (owner + 1) / g.threads;
        for (;;) {
          std::int32_t mine;
#pragma omp atomic capture
          mine = drawn[owner]++;
          const index_t turn = turns * owner / g.threads + mine;
          if (turn >= end) break;
          multiply(turn * at_once, thread);
        }
      }
    }
  }
  add_up(g, chunks, of_chunks);
}

constinit const Algorithm deep = {
    .summary = "K cut into chunks with a C of their own, for a small C and a long K",
    .course = "",
    .unavailable = nullptr,
    .blocks = blocks,
    .run = run,
};

}  // namespace fb::FB_VARIANT
