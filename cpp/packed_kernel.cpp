// packed_kernel.cpp: a product with a B that was packed beforehand (frugalblas.pack).
//
// All of B lies in the panels of pack.hpp, KC rows after KC rows, so a product reads it from front to back, each panel
// once for all rows of A that fit in cache. What is left to do is to keep memory busy:
//   one panel of rows (M <= MR): B goes by as one or several streams, asked for a little ahead of their use;
//   more: while the row panels take their turns with a panel of B in L2, each asks for its share of the next one.
// Threads own rows and columns of C and share nothing but what they read: no barrier, no part of K split.
// Every element is a chain of FMAs over parts of K that `blocked` has too, for most shapes: there, the same bits.
#include <omp.h>

#include "packed.hpp"
#include "simd/blocking.hpp"
#include "team.hpp"
#include "workspace.hpp"

namespace fb::FB_VARIANT {

// Panels of B that a tile of mr rows works through side by side: as many as it takes for 10 independent sums, FMA
// latency x FMA units, if there are registers for them, the elements of A and one vector of B.
constexpr int panels_at_once(int mr) {
  const int wanted = (10 + mr * NV - 1) / (mr * NV), fitting = (REGISTERS - 1 - mr) / (mr * NV);
  const int count = wanted < fitting ? wanted : fitting;
  return count < 1 ? 1 : count;
}

// How far ahead of its use a stream of B is asked for, in floats.
constexpr index_t AHEAD = 1024;

struct PanelOperands {
  const float* a;     // (mr,kc), k-major
  const float* b;     // the first panel
  index_t panel;      // floats from one panel to the next
  const float* next;  // what to ask for at the first step, and for each panel as far on as the panel is
  index_t next_step;  // floats further at each step
};

// sums (mr, panels*nv*VL) = alpha * A(mr,kc)·B(kc, panels*nv*VL)
template <int mr, int nv, int panels>
static void multiply_panels(index_t kc, const PanelOperands& op, float alpha, float* sums) {
  const float *a = op.a, *b = op.b, *next = op.next;
  const index_t panel = op.panel, next_step = op.next_step;
  vec acc[mr][panels * nv] = {};
  for (index_t k = 0; k < kc; ++k, a += mr, b += nv * VL, next += next_step) {
#pragma GCC unroll 8
    for (int p = 0; p < panels; ++p) {
#pragma GCC unroll 4
      for (int line = 0; line < nv * VL; line += LINE) __builtin_prefetch(next + p * panel + line, 0, 2);
      vec b_row[nv];  // (1,nr)
#pragma GCC unroll 4
      for (int v = 0; v < nv; ++v) b_row[v] = load(b + p * panel + v * VL);
#pragma GCC unroll 16
      for (int i = 0; i < mr; ++i) {
        const vec a_element = broadcast(a[i]);
#pragma GCC unroll 4
        for (int v = 0; v < nv; ++v) multiply_add(acc[i][p * nv + v], a_element, b_row[v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < panels * nv; ++v) store(sums + (i * panels * nv + v) * VL, alpha * acc[i][v]);
}

using PanelFunction = void (*)(index_t kc, const PanelOperands&, float alpha, float* sums);
struct PanelTable {
  PanelFunction one[MR * NV];  // a panel of any width: [(mr - 1) * NV + nv - 1]
  PanelFunction several[MR];   // panels_at_once(mr) whole ones: [mr - 1]
};
template <int... i, int... m>
constexpr PanelTable make_panel_table(Indices<i...>, Indices<m...>) {
  return {{multiply_panels<i / NV + 1, i % NV + 1, 1>...}, {multiply_panels<m + 1, NV, panels_at_once(m + 1)>...}};
}
constexpr PanelTable panel_table = make_panel_table(IndicesBelow<MR * NV>::type{}, IndicesBelow<MR>::type{});

// C(mr,nr) = sums + beta * C, the rows of `sums` being `sums_row` apart.
static void store_sums(int mr, index_t nr, const float* sums, index_t sums_row, float beta, const Matrix& C) {
  for (int i = 0; i < mr; ++i) {
    const float* const from = sums + i * sums_row;
    float* const row = C.data + i * C.row_stride;
    if (C.col_stride == 1)
      for (index_t j = 0; j < nr; ++j) row[j] = beta == 0 ? from[j] : from[j] + beta * row[j];
    else
      for (index_t j = 0; j < nr; ++j) {
        float& c = row[j * C.col_stride];
        c = beta == 0 ? from[j] : from[j] + beta * c;
      }
  }
}

// ---- the layout ----

// K is cut as `blocked` cuts it where it copies strips of B, which but for few columns depends on K and the caches
// alone: the number of rows is not known yet.
static index_t part_of_k(index_t K, index_t N) {
  Gemm job{};
  job.M = MR, job.N = N, job.K = K;
  return cache_blocks(job).KC;
}
static index_t padded(index_t N) { return round_up(N, VL); }

static Blocks packed_blocks(index_t K, index_t N) { return {MR, NR, 0, K && N ? part_of_k(K, N) : 0, 0}; }
static index_t packed_floats(index_t K, index_t N) { return K * padded(N); }

// The panel `part` of steps pc.. of K, kc of them: where it is, and which columns of B it has.
struct Panel {
  float* data;
  index_t first, columns;
  int registers;
};
static Panel panel_at(index_t N, index_t pc, index_t kc, index_t part, float* panels) {
  const Cut cut = column_panels(N);
  const index_t first = cut.start(part) * VL, registers = cut.size(part);
  return {panels + pc * padded(N) + first * kc, first, min(registers * VL, N - first), static_cast<int>(registers)};
}

static void pack(index_t K, index_t N, const ConstMatrix& B, int threads, float* panels) {
  const index_t KC = part_of_k(K, N), parts = ceil_div(K, KC), across = column_panels(N).count();
#pragma omp parallel for num_threads(threads) schedule(static)
  for (index_t n = 0; n < parts * across; ++n) {
    const index_t pc = n / across * KC, kc = min(KC, K - pc);
    const Panel to = panel_at(N, pc, kc, n % across, panels);
    pack_b_panel(to.columns, kc, at(B, pc, to.first), to.data);
  }
}

static void unpack(index_t K, index_t N, const float* panels, float* B) {
  const index_t KC = part_of_k(K, N), across = column_panels(N).count();
  for (index_t pc = 0; pc < K; pc += KC) {
    const index_t kc = min(KC, K - pc);
    for (index_t p = 0; p < across; ++p) {
      const Panel from = panel_at(N, pc, kc, p, const_cast<float*>(panels));
      for (index_t k = 0; k < kc; ++k)
        for (index_t j = 0; j < from.columns; ++j)
          B[(pc + k) * N + from.first + j] = from.data[k * from.registers * VL + j];
    }
  }
}

// ---- the product ----

// A range of rows, and a range of column panels.
struct Share {
  index_t row, rows, panel, panels;
};

// One block of A, packed, times some panels of the part of K: C(mc, …) += A(mc,kc)·B(kc, …).
static void multiply_block(const Gemm& g, const float* a_block, index_t ic, index_t mc, index_t pc, index_t kc,
                           float* panels, const Share& share) {
  const Cut rows = row_panels(mc);
  const float beta = pc == 0 ? g.beta : 1;
  const int at_once = panels_at_once(static_cast<int>(mc < MR ? mc : MR));
  float sums[REGISTERS * VL];
  for (index_t p = share.panel; p < share.panel + share.panels;) {
    const Panel b = panel_at(g.N, pc, kc, p, panels);
    const index_t width = b.registers * VL, panel = kc * width;
    const index_t last = p + at_once - 1;
    const bool several = rows.count() == 1 && at_once > 1 && last < share.panel + share.panels &&
                         panel_at(g.N, pc, kc, last, panels).registers == NV;
    for (index_t q = 0; q < rows.count(); ++q) {
      const index_t ir = rows.start(q);
      const int mr = static_cast<int>(rows.size(q));
      // A single row panel is over too soon to fetch a whole panel of B; several fetch the next one between them.
      PanelOperands op = {a_block + ir * kc, b.data, panel, b.data + AHEAD, width};
      if (rows.count() > 1) {
        op.next_step = ceil_div(width, rows.count());
        op.next = b.data + panel + q * op.next_step * kc;
      }
      const PanelFunction function =
          several ? panel_table.several[mr - 1] : panel_table.one[(mr - 1) * NV + b.registers - 1];
      const index_t sums_row = several ? at_once * width : width;
      function(kc, op, g.alpha, sums);
      store_sums(mr, min(sums_row, g.N - b.first), sums, sums_row, beta, at(g.C, ic + ir, b.first));
    }
    p += several ? at_once : 1;
  }
}

// Rows of A whose part of K stays in L2 beside two panels of B: half of L2.
static index_t rows_in_cache(index_t M, index_t KC) {
  return equal_part(M, cache_sizes().l2 / 2 / (KC * index_t{sizeof(float)}), MR);
}

static void multiply_share(const Gemm& g, index_t KC, index_t MC, float* panels, const Share& share, float* scratch) {
  for (index_t ic = share.row; ic < share.row + share.rows; ic += MC) {
    const index_t mc = min(MC, share.row + share.rows - ic);
    for (index_t pc = 0; pc < g.K; pc += KC) {
      const index_t kc = min(KC, g.K - pc);
      const ConstMatrix A = at(g.A, ic, pc);
      const bool is_panel = mc == 1 && A.col_stride == 1;  // a row of adjacent elements
      if (!is_panel) pack_a_block(mc, kc, A, scratch);
      multiply_block(g, is_panel ? A.data : scratch, ic, mc, pc, kc, panels, share);
    }
  }
}

// How many ways to share rows out; columns go to threads / that many. A panel of B costs about as much to fetch as two
// tiles take to compute, so rows are shared only where there are too few columns.
static index_t row_shares(index_t row_panels, index_t column_panels, index_t threads) {
  index_t best = 1, least = 0;
  for (index_t r = 1; r <= min(threads, row_panels); ++r) {
    const index_t cost = (ceil_div(row_panels, r) + 2) * ceil_div(column_panels, threads / r);
    if (r == 1 || cost < least) best = r, least = cost;
  }
  return best;
}

static void run(const Gemm& g, const float* packed) {
  float* const panels = const_cast<float*>(packed);  // Panel is for both directions; nothing below writes to it
  const index_t KC = part_of_k(g.K, g.N);
  const index_t across = column_panels(g.N).count(), down = ceil_div(g.M, MR);
  const index_t by_rows = row_shares(down, across, g.threads), by_columns = g.threads / by_rows;
  const index_t MC = rows_in_cache(min(g.M, ceil_div(down, by_rows) * MR), KC);
  const Workspace workspace(g.threads * MC * KC);
  const auto multiply = [&](index_t thread) {
    const index_t r = thread / by_columns, c = thread % by_columns;
    if (r >= by_rows) return;
    const index_t row = min(g.M, down * r / by_rows * MR), end = min(g.M, down * (r + 1) / by_rows * MR);
    const index_t first = across * c / by_columns, last = across * (c + 1) / by_columns;
    multiply_share(g, KC, MC, panels, {row, end - row, first, last - first}, workspace.data() + thread * MC * KC);
  };
  if (g.threads == 1) return multiply(0);
#pragma omp parallel num_threads(g.threads)
  {
    const TeamThread team_thread(g.team);
    multiply(omp_get_thread_num());
  }
}

extern const PackedKernel packed_kernel;  // or const would keep it private to this file
constinit const PackedKernel packed_kernel = {packed_blocks, packed_floats, pack, unpack, run};

}  // namespace fb::FB_VARIANT
