// cuda_naive — one thread per element of C, neighbouring threads along a row of C.
//
// The GPU's three loops: two of them became the grid, each thread runs the third. What matters is who the neighbours
// are. The 32 threads of a warp execute one load together; here they ask for 32 neighbours in a row of B (one or two
// cache lines) and one element of A (broadcast). `cuda_naive_uncoalesced` is the same with rows and columns exchanged.
// Still wasted: every multiply-add loads two numbers, so the load units are busy while the arithmetic ones wait.
// `cuda_tiled` uses each loaded number many times.
#include "../tile.cuh"

namespace fb::cuda {
namespace {

// 32 columns of C, so that a warp reads whole cache lines of B; 8 rows, so that a block has enough warps.
constexpr int BLOCK_COLS = 32, BLOCK_ROWS = 8;

__global__ void __launch_bounds__(BLOCK_COLS* BLOCK_ROWS)
    naive_kernel(index_t M, index_t N, index_t K, View<float> A, View<float> B, float alpha, float beta, float* C,
                 index_t ldc, index_t blocks_per_row) {
  const index_t row = blockIdx.x / blocks_per_row * BLOCK_ROWS + threadIdx.y;
  const index_t col = blockIdx.x % blocks_per_row * BLOCK_COLS + threadIdx.x;
  if (row >= M || col >= N) return;
  const float* a = A.data + row * A.row_stride;
  const float* b = B.data + col * B.col_stride;
  float sum = 0;
  for (index_t k = 0; k < K; ++k) {
    sum += *a * *b;
    a += A.col_stride;
    b += B.row_stride;
  }
  store(C + row * ldc + col, sum, alpha, beta);
}

cudaError_t run(const Job& job) {
  const index_t blocks_per_row = ceil_div(job.N, BLOCK_COLS);
  // All blocks along x, the only dimension of a grid that counts beyond 65535.
  const dim3 grid(static_cast<unsigned>(blocks_per_row * ceil_div(job.M, BLOCK_ROWS)));
  return launch(naive_kernel, grid, dim3(BLOCK_COLS, BLOCK_ROWS), 0, job.stream, job.M, job.N, job.K,
                view<float>(job.A), view<float>(job.B), job.alpha, job.beta, job.C, job.ldc, blocks_per_row);
}

}  // namespace

const Kernel cuda_naive = {.workspace_bytes = nullptr, .run = run, .shared_bytes = nullptr, .tiles = 0};

}  // namespace fb::cuda
