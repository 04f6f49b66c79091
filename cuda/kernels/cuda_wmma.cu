// cuda_wmma — tensor cores through mma.h: each warp multiplies fragments of 16 x 16, the inputs rounded to fewer bits.
//
// One instruction multiplies a warp's fragments of A (16,K) and B (K,16) and adds them to one of C; K is 16 for fp16
// and bf16, 8 for tf32: inputs of 11, 8 and 11 significant bits, exact products, FP32 sums, or FP16 ones on request, as
// on the course's slides. FP32 operands are first rounded into a workspace with rows padded to 16 bytes, so that the
// multiplication only meets aligned rows; operands of the right type and alignment are used where they are.
// Still wasted: these instructions reach less than two thirds of what a Hopper chip can do, whatever the code; its own
// read shared memory without passing through registers, and would be a rung of their own. And K is never cut: where C
// has fewer tiles than the chip has processors, as 64 x 64 x 65536 has one, `cuda_tiled` uses more of it.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include <algorithm>

#include "../tile.cuh"

namespace fb::cuda {
namespace {

namespace wmma = nvcuda::wmma;
using bf16 = __nv_bfloat16;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
struct tf32 {};  // mma.h does not have it
#else
using tf32 = wmma::precision::tf32;
#endif

// What an element of each input type is in memory, and how much of K a fragment holds.
template <class In>
struct Input {
  using Memory = In;
  static constexpr int K = 16;
};
template <>
struct Input<tf32> {
  using Memory = float;
  static constexpr int K = 8;
};

constexpr int F = 16;             // rows and columns of a fragment of C
constexpr int WARP_TILE = 4 * F;  // of a warp's part of C, both ways
// Of K in a stage: two fragments, four copies of 16 bytes. 3 stages of the large tile are 75 to 90 KiB, as the operands
// lie, of 99 on every chip since 8.0; 2 ahead are some 1600 clocks of multiplying, twice what main memory takes.
constexpr int DEPTH_BYTES = 64;
constexpr int PAD_BYTES = 16;  // after each row in shared memory: 8 rows, read together, then start in different banks
// 7.5 has 64 KiB of shared memory and no asynchronous copies, so a third stage would not fit and not help.
__host__ __device__ constexpr int stages(int capability) { return capability < 80 ? 2 : 3; }

template <int WARPS_M, int WARPS_N>
struct Tile {
  static constexpr int WARPS_PER_ROW = WARPS_N, THREADS = 32 * WARPS_M * WARPS_N;
  static constexpr int BM = WARPS_M * WARP_TILE, BN = WARPS_N * WARP_TILE;
};
// A warp of 64x64, because tensor cores outrun shared memory: with 32x32 a warp would ask for some 159 bytes a clock at
// the rate of these instructions on an H100, of 128 there are; with 64x64 for 80. Its 16 fragments of C are 128
// registers, those of A and B 64: with addresses below 255, so 8 warps, 128x256 a block, fill a processor. Two of them
// share a scheduler: one loads fragments while the other multiplies, so none are read ahead into more registers.
using Large = Tile<2, 4>;
using Small = Tile<1, 2>;  // for products of too few large tiles

struct Product {
  index_t M, N, K;
  const void *A, *B;
  index_t lda, ldb;
  float alpha, beta;
  float* C;
  index_t ldc;
  bool vector_stores;
  index_t tile_rows, tile_cols;
};

// How an operand's tile lies in shared memory: as in global memory, so that transposing is the fragments' business.
template <class T, int M_OR_N, bool K_FIRST>  // K_FIRST: rows are k
struct Panel {
  static constexpr int DEPTH = DEPTH_BYTES / sizeof(T);
  static constexpr int ROWS = K_FIRST ? DEPTH : M_OR_N, COLS = K_FIRST ? M_OR_N : DEPTH;
  static constexpr int LD = COLS + PAD_BYTES / sizeof(T);
  static constexpr int SIZE = ROWS * LD;
  // Of the fragment at (row or column `x` of C, `k`).
  __device__ static constexpr int at(int x, int k) { return K_FIRST ? k * LD + x : x * LD + k; }
};

// Starts copying a panel whose first element is (x, k) of an operand that has (xs, ks); zeros come from beyond.
template <class P, bool K_FIRST, int THREADS, class T>
__device__ __forceinline__ void load_panel(T* panel, const T* from, index_t ld, index_t x, index_t xs, index_t k,
                                           index_t ks) {
  constexpr int WIDTH = 16 / sizeof(T), PER_ROW = P::COLS / WIDTH;
  const index_t row = K_FIRST ? k : x, rows = K_FIRST ? ks : xs;
  const index_t col = K_FIRST ? x : k, cols = K_FIRST ? xs : ks;
  from += row * ld + col;
  const int rows_left = static_cast<int>(min(rows - row, index_t{P::ROWS}));
  const int cols_left = static_cast<int>(min(cols - col, index_t{P::COLS}));
#pragma unroll
  for (int i = 0; i < P::ROWS * PER_ROW / THREADS; ++i) {
    const int piece = static_cast<int>(threadIdx.x) + i * THREADS;
    const int r = piece / PER_ROW, c = piece % PER_ROW * WIDTH;
    const int elements = r < rows_left ? max(min(cols_left - c, WIDTH), 0) : 0;
    copy_async<16>(panel + r * P::LD + c, from + r * ld + c, elements * static_cast<int>(sizeof(T)));
  }
}

__device__ inline float4 four(const float* x) { return *reinterpret_cast<const float4*>(x); }
__device__ inline float4 four(const half* x) {
  return make_float4(__half2float(x[0]), __half2float(x[1]), __half2float(x[2]), __half2float(x[3]));
}

// A warp's strip of C, 16 rows of its tile: through shared memory, because nobody may know which lane holds what.
template <class Acc>
struct Strip {
  static constexpr int LD = WARP_TILE + PAD_BYTES / sizeof(Acc);
  static constexpr int SIZE = F * LD;
};

template <class Acc>
__device__ __forceinline__ void store_strip(const Product& p, const Acc* strip, index_t row0, index_t col0) {
  constexpr int PER_ROW = WARP_TILE / 4;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < F * PER_ROW / 32; ++i) {
    const int r = (lane + 32 * i) / PER_ROW, c = (lane + 32 * i) % PER_ROW * 4;
    const index_t row = row0 + r, col = col0 + c;
    if (row >= p.M || col >= p.N) continue;
    const float4 sum = four(strip + r * Strip<Acc>::LD + c);
    float* const to = p.C + row * p.ldc + col;
    if (p.vector_stores) {
      store(reinterpret_cast<float4*>(to), sum, p.alpha, p.beta);
    } else {
      store(to, sum.x, p.alpha, p.beta);
      if (col + 1 < p.N) store(to + 1, sum.y, p.alpha, p.beta);
      if (col + 2 < p.N) store(to + 2, sum.z, p.alpha, p.beta);
      if (col + 3 < p.N) store(to + 3, sum.w, p.alpha, p.beta);
    }
  }
}

template <class In, class Acc, bool A_TRANS, bool B_TRANS, class T>
struct Multiply {
  using Memory = typename Input<In>::Memory;
  using PanelA = Panel<Memory, T::BM, A_TRANS>;
  using PanelB = Panel<Memory, T::BN, !B_TRANS>;
  static constexpr int KF = Input<In>::K, STAGE = PanelA::SIZE + PanelB::SIZE;
  using FragmentA =
      wmma::fragment<wmma::matrix_a, F, F, KF, In, std::conditional_t<A_TRANS, wmma::col_major, wmma::row_major>>;
  using FragmentB =
      wmma::fragment<wmma::matrix_b, F, F, KF, In, std::conditional_t<B_TRANS, wmma::col_major, wmma::row_major>>;
  using FragmentC = wmma::fragment<wmma::accumulator, F, F, KF, Acc>;

  static std::size_t shared_bytes(int capability) {
    return std::max(stages(capability) * STAGE * sizeof(Memory), T::THREADS / 32 * Strip<Acc>::SIZE * sizeof(Acc));
  }

  // sum += A·B of one stage, for the warp's 64 x 64.
  __device__ static void multiply_stage(FragmentC (&sum)[4][4], const Memory* a, const Memory* b, int m0, int n0) {
#pragma unroll
    for (int k = 0; k < PanelA::DEPTH; k += KF) {
      FragmentA fa[4];
      FragmentB fb[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) load_shared(fa[i], a + PanelA::at(m0 + i * F, k), PanelA::LD);
#pragma unroll
      for (int j = 0; j < 4; ++j) load_shared(fb[j], b + PanelB::at(n0 + j * F, k), PanelB::LD);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) wmma::mma_sync(sum[i][j], fa[i], fb[j], sum[i][j]);
    }
  }

  __device__ static void run(const Product& p) {
    constexpr int STAGES = stages(CAPABILITY);
    Memory* const shared = static_cast<Memory*>(dynamic_shared());  // STAGES x [panel of A | panel of B]
    const int warp = threadIdx.x / 32;
    const int m0 = warp / T::WARPS_PER_ROW * WARP_TILE,
              n0 = warp % T::WARPS_PER_ROW * WARP_TILE;  // of the warp, in the block
    const Place place = grouped(blockIdx.x, p.tile_rows, p.tile_cols);
    const index_t row0 = place.row * T::BM, col0 = place.col * T::BN;
    const int panels = static_cast<int>(ceil_div(p.K, PanelA::DEPTH));
    const auto load = [&](int panel) {
      Memory* const stage = shared + panel % STAGES * STAGE;
      const index_t k = index_t{panel} * PanelA::DEPTH;
      load_panel<PanelA, A_TRANS, T::THREADS>(stage, static_cast<const Memory*>(p.A), p.lda, row0, p.M, k, p.K);
      load_panel<PanelB, !B_TRANS, T::THREADS>(stage + PanelA::SIZE, static_cast<const Memory*>(p.B), p.ldb, col0, p.N,
                                               k, p.K);
    };

    FragmentC sum[4][4];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) wmma::fill_fragment(sum[i][j], Acc(0.0f));
    for (int s = 0; s < STAGES - 1; ++s) {
      if (s < panels) load(s);
      copy_async_commit();
    }
    for (int t = 0; t < panels; ++t) {
      copy_async_wait<STAGES - 2>();
      __syncthreads();  // panel t is there for all, and all have left the stage that is filled next
      if (t + STAGES - 1 < panels) load(t + STAGES - 1);
      copy_async_commit();  // also where there is nothing left: the wait counts groups
      const Memory* const stage = shared + t % STAGES * STAGE;
      multiply_stage(sum, stage, stage + PanelA::SIZE, m0, n0);
    }

    __syncthreads();  // the strips take the place of the panels
    Acc* const strip = static_cast<Acc*>(dynamic_shared()) + warp * Strip<Acc>::SIZE;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        wmma::store_matrix_sync(strip + j * F, sum[i][j], Strip<Acc>::LD, wmma::mem_row_major);
      __syncwarp();
      store_strip(p, strip, row0 + m0 + i * F, col0 + n0);
      __syncwarp();
    }
  }
};

template <class In, class Acc, bool A_TRANS, bool B_TRANS, class T>
__global__ void __launch_bounds__(T::THREADS, 1) wmma_kernel(const Product p) {
  // bf16 and tf32 came with compute capability 8.0; the host does not ask an older GPU for them.
  if constexpr (std::is_same_v<In, half> || CAPABILITY >= 80) Multiply<In, Acc, A_TRANS, B_TRANS, T>::run(p);
}

// ---- rounding the operands ----

__device__ inline void rounded(float x, half& to) { to = __float2half_rn(x); }
__device__ inline void rounded(float x, bf16& to) { to = __float2bfloat16_rn(x); }
__device__ inline void rounded(float x, float& to) { to = round_to_tf32(x); }
__device__ inline void rounded(half x, half& to) { to = x; }
__device__ inline void rounded(bf16 x, bf16& to) { to = x; }

constexpr int ROUNDED_PER_THREAD = 8;  // loads under way at once; neighbouring threads take neighbouring elements

// The (rows, cols) matrix `from` as it lies in memory, into rows of `to_ld` elements.
template <class From, class To>
__global__ void __launch_bounds__(256) round_kernel(const From* from, index_t ld, index_t rows, index_t cols,
                                                    index_t blocks_per_row, To* to, index_t to_ld) {
  const index_t row = blockIdx.x / blocks_per_row;
  const index_t col0 = blockIdx.x % blocks_per_row * (256 * ROUNDED_PER_THREAD) + threadIdx.x;
  if (row >= rows) return;
#pragma unroll
  for (int i = 0; i < ROUNDED_PER_THREAD; ++i)
    if (col0 + i * 256 < cols) rounded(from[row * ld + col0 + i * 256], to[row * to_ld + col0 + i * 256]);
}

// An operand as the multiplication wants it: `bytes` of workspace, or 0 where it can stay where it is.
struct Rounding {
  index_t rows, cols, ld;  // in memory
  std::size_t bytes;
};

std::size_t element_bytes(Precision precision) { return precision == Precision::tf32 ? 4 : 2; }

Rounding rounding(const Operand& m, index_t rows, index_t cols, Precision precision) {
  const std::size_t size = element_bytes(precision);
  Rounding r{m.transposed ? cols : rows, m.transposed ? rows : cols, m.ld, 0};
  const bool usable = m.type != Type::fp32 && aligned(m.data, 16) && static_cast<std::size_t>(m.ld) * size % 16 == 0;
  if (usable) return r;
  r.ld = round_up(r.cols, static_cast<index_t>(16 / size));
  r.bytes = static_cast<std::size_t>(round_up(r.rows * r.ld * static_cast<index_t>(size), 256));
  return r;
}

std::size_t workspace_bytes(const Job& job) {
  if (job.K == 0) return 0;
  return rounding(job.A, job.M, job.K, job.precision).bytes + rounding(job.B, job.K, job.N, job.precision).bytes;
}

template <class From, class To>
cudaError_t round_operand(const Job& job, const Operand& m, const Rounding& r, void* to) {
  const index_t blocks_per_row = ceil_div(r.cols, 256 * ROUNDED_PER_THREAD);
  return launch(round_kernel<From, To>, dim3(static_cast<unsigned>(r.rows * blocks_per_row)), dim3(256), 0, job.stream,
                static_cast<const From*>(m.data), m.ld, r.rows, r.cols, blocks_per_row, static_cast<To*>(to), r.ld);
}

// ---- the launcher ----

template <class In, class Acc, bool A_TRANS, bool B_TRANS, class T>
cudaError_t run_tile(const Job& job, Product p) {
  p.tile_rows = ceil_div(job.M, T::BM), p.tile_cols = ceil_div(job.N, T::BN);
  return launch(wmma_kernel<In, Acc, A_TRANS, B_TRANS, T>, dim3(static_cast<unsigned>(p.tile_rows * p.tile_cols)),
                dim3(T::THREADS), Multiply<In, Acc, A_TRANS, B_TRANS, T>::shared_bytes(job.capability), job.stream, p);
}

// Waves of tiles over the processors, times a tile's size; 4 small blocks share one. A model, not measured.
bool large_is_faster(const Job& job) {
  const auto time = [&](index_t bm, index_t bn, index_t resident) {
    const index_t tiles = ceil_div(job.M, bm) * ceil_div(job.N, bn);
    return ceil_div(tiles, job.processors * resident) * resident * bm * bn;
  };
  return time(Large::BM, Large::BN, 1) <= time(Small::BM, Small::BN, 4);
}

bool takes_large(const Job& job) { return job.tile >= 0 ? job.tile == 0 : large_is_faster(job); }

template <class In, class Acc>
cudaError_t run_as(const Job& job) {
  using Memory = typename Input<In>::Memory;
  Product p{job.M,     job.N,    job.K, job.A.data, job.B.data,         job.A.ld, job.B.ld,
            job.alpha, job.beta, job.C, job.ldc,    vector_stores(job), 0,        0};
  if (job.K > 0) {
    const Rounding a = rounding(job.A, job.M, job.K, job.precision), b = rounding(job.B, job.K, job.N, job.precision);
    void* const for_a = job.workspace;
    void* const for_b = static_cast<char*>(job.workspace) + a.bytes;
    cudaError_t error = cudaSuccess;
    if (a.bytes) {
      p.A = for_a, p.lda = a.ld;
      error = job.A.type == Type::fp32 ? round_operand<float, Memory>(job, job.A, a, for_a)
                                       : round_operand<Memory, Memory>(job, job.A, a, for_a);
    }
    if (b.bytes && error == cudaSuccess) {
      p.B = for_b, p.ldb = b.ld;
      error = job.B.type == Type::fp32 ? round_operand<float, Memory>(job, job.B, b, for_b)
                                       : round_operand<Memory, Memory>(job, job.B, b, for_b);
    }
    if (error != cudaSuccess) return error;
  }
  const bool large = takes_large(job);
  const auto with = [&]<bool A_TRANS, bool B_TRANS>() {
    return large ? run_tile<In, Acc, A_TRANS, B_TRANS, Large>(job, p)
                 : run_tile<In, Acc, A_TRANS, B_TRANS, Small>(job, p);
  };
  if (job.A.transposed)
    return job.B.transposed ? with.template operator()<true, true>() : with.template operator()<true, false>();
  return job.B.transposed ? with.template operator()<false, true>() : with.template operator()<false, false>();
}

cudaError_t run(const Job& job) {
  switch (job.precision) {
    case Precision::fp16:
      return job.accumulate == Accumulate::fp16 ? run_as<half, half>(job) : run_as<half, float>(job);
    case Precision::bf16:
      return run_as<bf16, float>(job);
    case Precision::tf32:
      return run_as<tf32, float>(job);
    case Precision::fp32:
      break;
  }
  return cudaErrorInvalidValue;
}

// The same for every input type but for a row's padding: of the operands as they lie, the largest.
template <class T>
std::size_t largest_shared_bytes(int capability) {
  return std::max({Multiply<half, float, false, false, T>::shared_bytes(capability),
                   Multiply<half, float, true, true, T>::shared_bytes(capability),
                   Multiply<half, float, false, true, T>::shared_bytes(capability),
                   Multiply<half, float, true, false, T>::shared_bytes(capability)});
}

std::size_t shared_bytes(const Job& job) {
  return takes_large(job) ? largest_shared_bytes<Large>(job.capability) : largest_shared_bytes<Small>(job.capability);
}

}  // namespace

const Kernel cuda_wmma = {.workspace_bytes = workspace_bytes, .run = run, .shared_bytes = shared_bytes, .tiles = 2};

}  // namespace fb::cuda
