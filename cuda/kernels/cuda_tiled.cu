// cuda_tiled — FP32 in three levels of tiles: a block's in shared memory, a warp's, and a thread's in registers.
//
// A block computes BM x BN of C, walking along K in steps of BK; a thread TM x TN of it in registers, so that a number
// read from shared memory is used 8 or 16 times: 128 FMAs for 6 loads of 128 bits, where `cuda_naive` has 1 for 2.
// Panels of A and B for later steps arrive meanwhile by cp.async, STAGES deep, past the registers. Products of too few
// tiles are cut along K into chunks, their number fixed by the shape, and a second kernel adds the partial sums in
// order. Every element is one chain of FMAs along k, or of each chunk, whatever the tile: bits depend on the shape
// alone. Still wasted: the FP32 lanes are the small part of such a chip; `cuda_wmma` uses the large one.
#include <algorithm>

#include "../tile.cuh"

namespace fb::cuda {
namespace {

// One step along K. 8: a quarter of a warp reads 32 contiguous bytes of a row of A, a whole sector, and 4 stages of the
// large tile stay below the 64 KiB of shared memory that compute capability 7.5 has.
constexpr int BK = 8;
// Panels in flight or in use. 3 ahead are 3 * 2048 clocks of the large tile: several times what main memory takes.
constexpr int STAGES = 4;
// A warp's lanes form 4 x 8: lanes side by side read 8 * 16 = 128 contiguous bytes of B, once through all 32 banks.
constexpr int LANES_M = 4, LANES_N = 8;

template <int WARPS_M, int WARPS_N, int TM_, int TN_, int BLOCKS_>
struct Tile {
  static constexpr int TM = TM_, TN = TN_;  // of a thread: groups of 4 rows and columns, 4 lanes' groups interleaved
  static constexpr int WARPS_PER_ROW = WARPS_N;
  static constexpr int WM = LANES_M * TM, WN = LANES_N * TN;  // of a warp
  static constexpr int BM = WARPS_M * WM, BN = WARPS_N * WN;  // of a block
  static constexpr int THREADS = 32 * WARPS_M * WARPS_N;
  static constexpr int BLOCKS = BLOCKS_;  // resident on one processor
  // A row of a panel, all m (n) of one k. Padded by 4: lanes of 8 different k then store into different banks.
  static constexpr int LDA = BM + 4, LDB = BN + 4;
  static constexpr int STAGE = BK * (LDA + LDB);  // floats
  static constexpr std::size_t SHARED_BYTES = STAGES * STAGE * sizeof(float);
};
// On an H100 (4 x 32 FMA lanes and 128 bytes of shared memory a clock in each of 132 processors) the FMAs of 128x256
// take 256 clocks a step of k, the loads of its 8 warps at most 192. A thread's 128 sums, 2 x 24 numbers in use or read
// ahead and some addresses stay below 255 registers, so one block fills a processor; its 2 warps a scheduler suffice,
// because 128 independent FMAs lie between a load and its use. 4096 and 8192 make 3.88 and 15.5 waves of tiles: 97 %.
using Large = Tile<2, 4, 16, 8, 1>;
// For products of too few large tiles. 5 blocks on a processor hide each other's barriers; at most 102 registers.
using Small = Tile<2, 2, 8, 4, 5>;

// How one thread copies its part of an operand's (BK, B) panel into shared memory. "row" is m of A or n of B.
// WIDTH 4: rows are adjacent in memory and aligned; 1: any strides. Rows past the end repeat the last one instead of
// being masked: they only reach sums that nobody stores, and the loop needs no predicate.
template <int WIDTH, int B, int THREADS>
struct Panel {
  static constexpr int LD = B + 4;
  static constexpr int PASSES = B * BK / WIDTH / THREADS;
  const float* source[PASSES];
  index_t step;             // floats from one panel to the next
  int k, k_step;            // of the first pass, and from pass to pass
  int target, target_step;  // floats into the panel

  __device__ Panel(const View<float>& m, index_t first_row, index_t rows, index_t first_k, int thread) {
    const bool along_k = WIDTH == 1 && m.col_stride == 1;  // lanes follow what is contiguous
    const int row = along_k ? thread / BK : thread % (B / WIDTH) * WIDTH;
    const int row_step = along_k ? THREADS / BK : 0;
    k = along_k ? thread % BK : thread / (B / WIDTH);
    k_step = along_k ? 0 : THREADS / (B / WIDTH);
    target = k * LD + row;
    target_step = k_step * LD + row_step;
    step = BK * m.col_stride;
#pragma unroll
    for (int i = 0; i < PASSES; ++i) {
      const index_t r = min(first_row + row + i * row_step, rows - WIDTH);
      source[i] = m.data + r * m.row_stride + (first_k + k + i * k_step) * m.col_stride;
    }
  }

  // Starts the copies of the next panel, of which only the first `ks` of BK steps exist; the others become zeros.
  template <bool WHOLE>
  __device__ void load(float* panel, int ks) {
#pragma unroll
    for (int i = 0; i < PASSES; ++i) {
      const bool exists = WHOLE || k + i * k_step < ks;
      copy_async<4 * WIDTH>(panel + target + i * target_step, source[i], exists ? 4 * WIDTH : 0);
      source[i] += WHOLE ? step : ks * (step / BK);
    }
  }
};

struct Product {
  index_t M, N, K;
  View<float> A, B;  // A (M,K); B transposed, (N,K), so that both have k second
  float alpha, beta;
  float* C;
  index_t ldc;
  bool vector_stores;
  index_t tile_rows, tile_cols;
  index_t chunk;  // length of K that one z of the grid takes; multiple of BK, except in the last
};

// The numbers of one k that a thread multiplies: TM (TN) of a panel row, in groups of 4, LANES groups apart.
template <int T, int LANES>
__device__ __forceinline__ void load_fragment(float (&fragment)[T], const float* panel_row) {
#pragma unroll
  for (int g = 0; g < T / 4; ++g) {
    const float4 four = *reinterpret_cast<const float4*>(panel_row + g * 4 * LANES);
    fragment[4 * g] = four.x, fragment[4 * g + 1] = four.y, fragment[4 * g + 2] = four.z, fragment[4 * g + 3] = four.w;
  }
}

template <class T>
__device__ __forceinline__ void store_tile(const Product& p, const float (&sum)[T::TM][T::TN], index_t row0,
                                           index_t col0) {
  float* const C = p.C + blockIdx.z * p.M * p.ldc;
#pragma unroll
  for (int i = 0; i < T::TM; ++i) {
    const index_t row = row0 + i / 4 * 4 * LANES_M + i % 4;
    if (row >= p.M) continue;
#pragma unroll
    for (int j = 0; j < T::TN; j += 4) {
      const index_t col = col0 + j * LANES_N;
      float* const c = C + row * p.ldc + col;
      if (p.vector_stores) {
        if (col < p.N)
          store(reinterpret_cast<float4*>(c), make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]),
                p.alpha, p.beta);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (col + e < p.N) store(c + e, sum[i][j + e], p.alpha, p.beta);
      }
    }
  }
}

template <class T, int A_WIDTH, int B_WIDTH>
__global__ void __launch_bounds__(T::THREADS, T::BLOCKS) tiled_kernel(const Product p) {
  float* const shared = static_cast<float*>(dynamic_shared());  // STAGES x [A (BK,LDA) | B (BK,LDB)]
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const int m0 = warp / T::WARPS_PER_ROW * T::WM + lane / LANES_N * 4;  // of this thread's first group, in the block
  const int n0 = warp % T::WARPS_PER_ROW * T::WN + lane % LANES_N * 4;
  const Place place = grouped(blockIdx.x, p.tile_rows, p.tile_cols);

  const index_t first_k = blockIdx.z * p.chunk;
  const index_t depth = min(p.chunk, p.K - first_k);
  const int panels = static_cast<int>(ceil_div(depth, BK));
  Panel<A_WIDTH, T::BM, T::THREADS> a(p.A, place.row * T::BM, p.M, first_k, thread);
  Panel<B_WIDTH, T::BN, T::THREADS> b(p.B, place.col * T::BN, p.N, first_k, thread);

  // The incomplete panel comes first, so that the loop below has only whole ones.
  const int ragged = panels ? static_cast<int>(depth - index_t{panels - 1} * BK) : 0;
  for (int s = 0; s < STAGES - 1; ++s) {
    float* const stage = shared + s * T::STAGE;
    if (s == 0 && panels > 0) {
      a.template load<false>(stage, ragged);
      b.template load<false>(stage + BK * T::LDA, ragged);
    } else if (s < panels) {
      a.template load<true>(stage, BK);
      b.template load<true>(stage + BK * T::LDA, BK);
    }
    copy_async_commit();  // also where there is nothing left: the wait below counts groups
  }

  float sum[T::TM][T::TN] = {};
  float fa[2][T::TM], fb[2][T::TN];  // in use, and read ahead
  copy_async_wait<STAGES - 2>();
  __syncthreads();
  load_fragment<T::TM, LANES_M>(fa[0], shared + m0);
  load_fragment<T::TN, LANES_N>(fb[0], shared + BK * T::LDA + n0);

  for (int t = 0; t < panels; ++t) {
    const float* stage = shared + t % STAGES * T::STAGE;
#pragma unroll
    for (int k = 0; k < BK; ++k) {
      if (k == 0) {  // into the stage that all threads had left before the last barrier
        float* const free_stage = shared + (t + STAGES - 1) % STAGES * T::STAGE;
        if (t + STAGES - 1 < panels) {
          a.template load<true>(free_stage, BK);
          b.template load<true>(free_stage + BK * T::LDA, BK);
        }
        copy_async_commit();
      }
      if (k == BK - 1) {  // this panel has been read: the last step runs on registers while the next panel opens
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        stage = shared + (t + 1) % STAGES * T::STAGE;
      }
      const int next = (k + 1) % BK;
      load_fragment<T::TM, LANES_M>(fa[(k + 1) % 2], stage + next * T::LDA + m0);
      load_fragment<T::TN, LANES_N>(fb[(k + 1) % 2], stage + BK * T::LDA + next * T::LDB + n0);
#pragma unroll
      for (int i = 0; i < T::TM; ++i)
#pragma unroll
        for (int j = 0; j < T::TN; ++j) sum[i][j] = fmaf(fa[k % 2][i], fb[k % 2][j], sum[i][j]);
    }
  }
  store_tile<T>(p, sum, place.row * T::BM + m0, place.col * T::BN + n0);
}

// C = alpha * (the sum of the chunks' partial products, in order) + beta * C.
__global__ void __launch_bounds__(256) add_chunks_kernel(const float* partial, index_t chunks, index_t M, index_t N,
                                                         float alpha, float beta, float* C, index_t ldc) {
  const index_t element = index_t{blockIdx.x} * 256 + threadIdx.x;
  if (element >= M * N) return;
  float sum = 0;
  for (index_t c = 0; c < chunks; ++c) sum += partial[c * M * N + element];
  store(C + element / N * ldc + element % N, sum, alpha, beta);
}

template <class T>
index_t tile_count(const Job& job) {
  return ceil_div(job.M, T::BM) * ceil_div(job.N, T::BN);
}

// Small tiles that a product should have before K is left whole: about 4 on each of the H100's processors. A constant,
// not a property of the device: the number of chunks decides the bits.
constexpr index_t WANTED_TILES = 512;
// Of K in a chunk: the partial sums of a shorter one cost more traffic than its operands.
constexpr index_t SHORTEST_CHUNK = 256;

// Length of K that one chunk takes; K itself where it is not cut.
index_t chunk_length(const Job& job) {
  const index_t chunks = std::min(WANTED_TILES / tile_count<Small>(job), job.K / SHORTEST_CHUNK);
  return chunks < 2 ? std::max<index_t>(job.K, 1) : round_up(ceil_div(job.K, chunks), BK);
}

std::size_t workspace_bytes(const Job& job) {
  const index_t chunks = ceil_div(job.K, chunk_length(job));
  return chunks < 2 ? 0 : static_cast<std::size_t>(chunks * job.M * job.N) * sizeof(float);
}

// Waves of tiles over the processors, times the clocks of one wave: 1 per FMA of a lane, and for the small tile, whose
// 3 loads of 128 bits per 32 FMAs are more than shared memory delivers, half as much again. A model, not measured.
bool large_is_faster(const Job& job) {
  const auto clocks = [&](index_t tiles, index_t resident, double wave) {
    return static_cast<double>(ceil_div(tiles, job.processors * resident)) * static_cast<double>(resident) * wave;
  };
  return clocks(tile_count<Large>(job), Large::BLOCKS, Large::BM * Large::BN) <
         clocks(tile_count<Small>(job), Small::BLOCKS, 1.5 * Small::BM * Small::BN);
}

template <class T>
cudaError_t run_tile(const Job& job) {
  const View<float> A = view<float>(job.A), B = view<float>(job.B);
  Product p{job.M,
            job.N,
            job.K,
            A,
            {B.data, B.col_stride, B.row_stride},
            job.alpha,
            job.beta,
            job.C,
            job.ldc,
            vector_stores(job),
            ceil_div(job.M, T::BM),
            ceil_div(job.N, T::BN),
            chunk_length(job)};
  const index_t chunks = std::max<index_t>(ceil_div(job.K, p.chunk), 1);
  if (chunks > 1) {
    p.C = static_cast<float*>(job.workspace), p.ldc = job.N, p.vector_stores = job.N % 4 == 0;
    p.alpha = 1, p.beta = 0;
  }
  // Copies of 16 bytes: rows adjacent, every start aligned, and no piece across the end of a row.
  const auto wide = [](const View<float>& m, index_t rows) {
    return m.row_stride == 1 && m.col_stride % 4 == 0 && rows % 4 == 0 && aligned(m.data, 16);
  };
  const bool a = wide(p.A, p.M), b = wide(p.B, p.N);
  const auto kernel =
      a ? (b ? tiled_kernel<T, 4, 4> : tiled_kernel<T, 4, 1>) : (b ? tiled_kernel<T, 1, 4> : tiled_kernel<T, 1, 1>);
  const dim3 grid(static_cast<unsigned>(p.tile_rows * p.tile_cols), 1, static_cast<unsigned>(chunks));
  const cudaError_t error = launch(kernel, grid, dim3(T::THREADS), T::SHARED_BYTES, job.stream, p);
  if (chunks == 1 || error != cudaSuccess) return error;
  return launch(add_chunks_kernel, dim3(static_cast<unsigned>(ceil_div(job.M * job.N, 256))), dim3(256), 0, job.stream,
                static_cast<const float*>(job.workspace), chunks, job.M, job.N, job.alpha, job.beta, job.C, job.ldc);
}

bool takes_large(const Job& job) {
  if (job.tile >= 0) return job.tile == 0;
  return workspace_bytes(job) == 0 && large_is_faster(job);
}

cudaError_t run(const Job& job) { return takes_large(job) ? run_tile<Large>(job) : run_tile<Small>(job); }

std::size_t shared_bytes(const Job& job) { return takes_large(job) ? Large::SHARED_BYTES : Small::SHARED_BYTES; }

}  // namespace

const Kernel cuda_tiled = {.workspace_bytes = workspace_bytes, .run = run, .shared_bytes = shared_bytes, .tiles = 2};

}  // namespace fb::cuda
