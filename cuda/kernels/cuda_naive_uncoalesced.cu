// cuda_naive_uncoalesced — one thread per element of C, neighbouring threads down a column of C.
//
// The contrast to `cuda_naive`, and the access pattern of the course's own first GPU kernel: x, the index in which the
// 32 threads of a warp differ, runs over rows. So one load of A asks for 32 elements that lie a whole row apart, each
// in a cache line of its own, of which 4 of 128 bytes are used; the same goes for the store of C. (Where A is passed
// transposed its rows are adjacent and the load is fine: the pattern is then only bad for C.)
// Nothing else differs: the same sums in the same order, to the bit.
#include "../tile.cuh"

namespace fb::cuda {
namespace {

constexpr int BLOCK_ROWS = 32, BLOCK_COLS = 8;  // the block of `cuda_naive`, lying on its side

__global__ void __launch_bounds__(BLOCK_ROWS* BLOCK_COLS)
    uncoalesced_kernel(index_t M, index_t N, index_t K, View<float> A, View<float> B, float alpha, float beta, float* C,
                       index_t ldc, index_t blocks_per_row) {
  const index_t row = blockIdx.x / blocks_per_row * BLOCK_ROWS + threadIdx.x;
  const index_t col = blockIdx.x % blocks_per_row * BLOCK_COLS + threadIdx.y;
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
  const dim3 grid(static_cast<unsigned>(blocks_per_row * ceil_div(job.M, BLOCK_ROWS)));
  return launch(uncoalesced_kernel, grid, dim3(BLOCK_ROWS, BLOCK_COLS), 0, job.stream, job.M, job.N, job.K,
                view<float>(job.A), view<float>(job.B), job.alpha, job.beta, job.C, job.ldc, blocks_per_row);
}

}  // namespace

const Kernel cuda_naive_uncoalesced = {.workspace_bytes = nullptr, .run = run, .shared_bytes = nullptr, .tiles = 0};

}  // namespace fb::cuda
