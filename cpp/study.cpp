// study.cpp: the loops of `blocked` and `openmp` with every size and the sharing of work as parameters; main memory's
// speed.
//
// Course v6's block-size sweep and v5's kernel-size sweep, and the OpenMP part's schedules, as measurements of one
// piece of code. It is kept plain, C = A·B with both operands packed and edges padded with zeros, so that the
// parameters are all that changes; the strategies choose their own sizes and do more for special shapes.
//   for jc over N by NC: for pc over K by KC: pack B;  for ic over M by MC: pack A;  panels by MR and NR: tile
#include "study.hpp"

#include <omp.h>

#include "simd/vec.hpp"
#include "workspace.hpp"

namespace fb::FB_VARIANT {

extern const Study study_code;

constexpr int ROWS[] = {2, 4, 6, 8, 10, 12, 14};  // MR; NR is 1 to WIDEST registers
constexpr int WIDEST = 4;
constexpr int TILES = WIDEST * static_cast<int>(sizeof ROWS / sizeof ROWS[0]);

// C(mr,nv*VL) = or += A(mr,kc)·B(kc,nv*VL), from panels as pack_panels makes them. More accumulators than the machine
// has registers are spilled to memory in every step of k: that is where the sweep's speed breaks down.
template <int mr, int nv>
static void study_tile(index_t kc, const float* a, const float* b, float* c, index_t c_row, bool add) {
  vec acc[mr][nv] = {};
  for (index_t k = 0; k < kc; ++k, a += mr, b += nv * VL) {
    vec b_row[nv];
#pragma GCC unroll 4
    for (int v = 0; v < nv; ++v) b_row[v] = load(b + v * VL);
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) acc[i][v] += a[i] * b_row[v];
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < nv; ++v) {
      float* const p = c + i * c_row + v * VL;
      store(p, add ? load(p) + acc[i][v] : acc[i][v]);
    }
}

using StudyTile = void (*)(index_t kc, const float* a, const float* b, float* c, index_t c_row, bool add);
struct Tiles {
  StudyTile function[TILES];
  TileSize size[TILES];
};
template <int... i>
constexpr Tiles make_tiles(Indices<i...>) {
  return {{study_tile<ROWS[i / WIDEST], i % WIDEST + 1>...}, {{ROWS[i / WIDEST], (i % WIDEST + 1) * VL}...}};
}
static constexpr Tiles tiles = make_tiles(IndicesBelow<TILES>::type{});

// Panel p of a (count,kc) operand, `width` long vectors side by side, k-major; what is beyond the operand is zero.
static void pack_panel(index_t p, index_t width, index_t count, index_t kc, const float* src, index_t stride,
                       index_t k_stride, float* dst) {
  const index_t first = p * width, whole = min(width, count - first);
  src += first * stride;
  dst += first * kc;
  for (index_t k = 0; k < kc; ++k, dst += width) {
    for (index_t i = 0; i < whole; ++i) dst[i] = src[i * stride + k * k_stride];
    for (index_t i = whole; i < width; ++i) dst[i] = 0;
  }
}

// One block of A against one strip of B, both packed.
struct BlockProduct {
  index_t mc, nc, kc, MR, NR;
  const float *a, *b;
  float* c;
  index_t c_row;
  bool add;
  StudyTile tile;

  void multiply(index_t ir, index_t jr) const {  // the tile at row panel ir, column panel jr
    const index_t i = ir * MR, j = jr * NR, mr = min(MR, mc - i), nr = min(NR, nc - j);
    float* const c_tile = c + i * c_row + j;
    if (mr == MR && nr == NR) return tile(kc, a + i * kc, b + j * kc, c_tile, c_row, add);
    float local[ROWS[TILES / WIDEST - 1] * WIDEST * VL];  // (MR,NR)
    tile(kc, a + i * kc, b + j * kc, local, NR, false);
    for (index_t r = 0; r < mr; ++r)
      for (index_t s = 0; s < nr; ++s) {
        float& target = c_tile[r * c_row + s];
        target = add ? target + local[r * NR + s] : local[r * NR + s];
      }
  }
};

// Threads share out the panels of one loop; each takes those of the other loop that cross its own.
static void multiply_block(const BlockProduct& block, bool over_columns, int threads) {
  const index_t row_panels = ceil_div(block.mc, block.MR), column_panels = ceil_div(block.nc, block.NR);
  const index_t shared = over_columns ? column_panels : row_panels, own = over_columns ? row_panels : column_panels;
#pragma omp parallel for num_threads(threads) schedule(runtime)
  for (index_t s = 0; s < shared; ++s)
    for (index_t o = 0; o < own; ++o) over_columns ? block.multiply(o, s) : block.multiply(s, o);
}

static bool gemm(const Gemm& g, const Knobs& knobs) {
  int t = 0;
  while (t < TILES && (tiles.size[t].MR != knobs.MR || tiles.size[t].NR != knobs.NR)) ++t;
  if (t == TILES) return false;
  const index_t MR = knobs.MR, NR = knobs.NR, MC = min(knobs.MC, g.M), KC = min(knobs.KC, g.K), NC = min(knobs.NC, g.N);
  const index_t for_a = round_up(MC, MR) * KC;
  const Workspace workspace(for_a + round_up(NC, NR) * KC);
  float *const a = workspace.data(), *const b = a + for_a;
  omp_sched_t kind_before;
  int chunk_before;
  omp_get_schedule(&kind_before, &chunk_before);
  constexpr omp_sched_t kinds[] = {omp_sched_static, omp_sched_dynamic, omp_sched_guided};
  omp_set_schedule(kinds[knobs.schedule], knobs.chunk);
  for (index_t jc = 0; jc < g.N; jc += NC) {
    const index_t nc = min(NC, g.N - jc);
    for (index_t pc = 0; pc < g.K; pc += KC) {
      const index_t kc = min(KC, g.K - pc);
#pragma omp parallel for num_threads(g.threads) schedule(static)
      for (index_t p = 0; p < ceil_div(nc, NR); ++p)
        pack_panel(p, NR, nc, kc, g.B.data + pc * g.B.row_stride + jc * g.B.col_stride, g.B.col_stride, g.B.row_stride,
                   b);
      for (index_t ic = 0; ic < g.M; ic += MC) {
        const index_t mc = min(MC, g.M - ic);
#pragma omp parallel for num_threads(g.threads) schedule(static)
        for (index_t p = 0; p < ceil_div(mc, MR); ++p)
          pack_panel(p, MR, mc, kc, g.A.data + ic * g.A.row_stride + pc * g.A.col_stride, g.A.row_stride,
                     g.A.col_stride, a);
        multiply_block(
            {mc, nc, kc, MR, NR, a, b, g.C.data + ic * g.C.row_stride + jc, g.C.row_stride, pc > 0, tiles.function[t]},
            knobs.over_columns, g.threads);
      }
    }
  }
  omp_set_schedule(kind_before, chunk_before);
  return true;
}

// Eight registers at a time, to have enough loads under way. The compiler must believe that the sum is wanted.
static double sweep(float* a, const float* b, const float* c, index_t n, int threads) {
  constexpr index_t step = 8 * VL;
  const index_t steps = n / step;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; ++t) {
    vec sum[8] = {};
    for (index_t s = t * steps / threads; s < (t + 1) * steps / threads; ++s)
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const index_t i = s * step + r * VL;
        if (b)
          store(a + i, load(b + i) + 3.0f * load(c + i));
        else
          sum[r] += load(a + i);
      }
    asm volatile("" : : "m"(sum));
  }
  return static_cast<double>(steps * step * index_t{sizeof(float)} * (b ? 3 : 1));
}

constinit const Study study_code = {tiles.size, TILES, gemm, sweep};

}  // namespace fb::FB_VARIANT
