// multiply_host.cpp: the product of arrays in host memory: up, computed and down again, all three at the same time.
//
// A travels in panels of rows, B in panels of columns, by turns. Each makes one more part of C computable: itself
// against all that is there of the other operand. So a GPU that is slower than the bus starts early, and one that is
// faster has little left to do, and to send, behind the last panel. (C cut along its rows alone waits for the whole of
// B first.) What is cut depends on the shape, and nothing that is computed depends on when anything arrives.
#include <algorithm>
#include <vector>

#include "staging.hpp"

namespace fb::cuda {
namespace {

// Of a panel, at least: of less, starting a kernel and its copies costs more than their overlapping saves. An estimate.
constexpr index_t PANEL_BYTES = SLOT_BYTES / 2;
// Panels are multiples: of rows, whole tiles of every kernel; of columns, 4 KiB, a page of each row of B. With less the
// copies of the host and of the bus are slower. An estimate, not measured on a GPU yet.
constexpr index_t ROWS = 256, COLUMNS = 1024;
// Of B, twice the share that is sent of A: were they to end together, the last steps would make results faster than the
// bus takes them away. An estimate, by the model of time in emu/fuzz_host.cpp.
constexpr index_t B_AHEAD = 2;

// What one slot carries: the same part of a matrix on the host and on the GPU.
struct Piece {
  Rows host, device;
  int step;
};

// A part of C, computable once so many pieces have been sent.
struct Step {
  Job job;
  std::size_t uploads;
};

struct Plan {
  std::vector<Piece> uploads, downloads;  // in the order in which they travel
  std::vector<Step> steps;
};

// Appends a matrix in pieces: whole rows, or, of rows longer than a slot, parts.
void cut(const Rows& host, const Rows& device, int step, std::vector<Piece>& pieces) {
  const index_t cols = std::min(host.cols, SLOT_BYTES / host.size);
  const index_t rows = SLOT_BYTES / host.size / cols;
  for (index_t i = 0; i < host.rows; i += rows)
    for (index_t j = 0; j < host.cols; j += cols) {
      const auto piece = [&](const Rows& m) {
        return part(part(m, false, i, std::min(rows, m.rows - i)), true, j, std::min(cols, m.cols - j));
      };
      pieces.push_back({piece(host), piece(device), step});
    }
}

// Rows or columns of C in one panel, of `extent`; `line`: bytes that travel for each. Not by how the matrices lie.
index_t panel_length(index_t extent, index_t line, index_t quantum) {
  const index_t length = std::max(ceil_div(extent, PANELS), ceil_div(PANEL_BYTES, line));
  return std::min(round_up(length, quantum), extent);
}

Rows host_rows(const Operand& m, index_t rows, index_t cols) {
  if (m.transposed) std::swap(rows, cols);
  return {static_cast<char*>(const_cast<void*>(m.data)), rows, cols, m.ld, m.type == Type::fp32 ? 4 : 2};
}

// The same matrix on the GPU, without gaps.
Rows device_rows(const Rows& host, char* data) {
  return {data, host.rows, host.cols, std::max<index_t>(host.cols, 1), host.size};
}

std::size_t bytes(const Rows& m) { return static_cast<std::size_t>(m.rows * m.cols * m.size); }

class Planner {
 public:
  Planner(const Job& job, const Rows& A, const Rows& B, const Rows& C, char* a, char* b, char* c)
      : job_(job), A_(A), B_(B), C_(C), a_(device_rows(A, a)), b_(device_rows(B, b)), c_(c) {}

  // The parts of C begin at multiples of this, so that kernels can store four elements at a time.
  static constexpr index_t ALIGNMENT = 256;
  static std::size_t bytes_of_parts(const Rows& C) { return bytes(C) + STEPS * ALIGNMENT; }

  Plan make() {
    const Job& job = job_;
    const index_t m_panel = panel_length(job.M, std::max(job.K * A_.size, job.N * C_.size), ROWS);
    const index_t n_panel = panel_length(job.N, std::max(job.K * B_.size, job.M * C_.size), COLUMNS);
    index_t m = 0, n = 0;  // rows of A and columns of B that are on their way
    while (m < job.M || n < job.N) {
      const bool next_is_a = m == 0 || n == job.N || (m < job.M && B_AHEAD * m * job.N <= n * job.M && n > 0);
      index_t& first = next_is_a ? m : n;
      const index_t count = next_is_a ? std::min(m_panel, job.M - m) : std::min(n_panel, job.N - n);
      if (job.K > 0 && next_is_a) send(A_, a_, job.A.transposed, first, count);
      if (job.K > 0 && !next_is_a) send(B_, b_, !job.B.transposed, first, count);
      if (next_is_a && n > 0) add_step(m, count, 0, n);
      if (!next_is_a) add_step(0, m, n, count);
      first += count;
    }
    return std::move(plan_);
  }

 private:
  void send(const Rows& host, const Rows& device, bool columns, index_t first, index_t count) {
    cut(part(host, columns, first, count), part(device, columns, first, count), 0, plan_.uploads);
  }

  void add_step(index_t row, index_t rows, index_t col, index_t cols) {
    const int step = static_cast<int>(plan_.steps.size());
    const Rows host = part(part(C_, false, row, rows), true, col, cols), device = device_rows(host, c_);
    c_ += round_up(rows * cols * host.size, ALIGNMENT);
    if (job_.beta != 0) cut(host, device, step, plan_.uploads);
    cut(host, device, step, plan_.downloads);
    Job job = job_;
    job.M = rows, job.N = cols;
    job.A.ld = a_.ld, job.B.ld = b_.ld;
    job.A.data = job.K > 0 ? part(a_, job.A.transposed, row, rows).data : nullptr;
    job.B.data = job.K > 0 ? part(b_, !job.B.transposed, col, cols).data : nullptr;
    job.C = reinterpret_cast<float*>(device.data), job.ldc = device.ld;
    plan_.steps.push_back({job, plan_.uploads.size()});
  }

  const Job& job_;
  const Rows A_, B_, C_, a_, b_;
  char* c_;  // where the next part of C will be on the GPU
  Plan plan_;
};

// Carries out a plan. The calling thread keeps both directions of the bus busy: it fills a slot that is free and
// empties one that has arrived by turns, and waits only where neither is there. Kernels and copies are enqueued as soon
// as what they need is, long before it has happened.
class Journey {
 public:
  Journey(const Kernel& kernel, const Plan& plan, const Ring& ring, int threads)
      : kernel_(kernel), plan_(plan), ring_(ring), threads_(threads) {}

  void run() {
    while (emptied_ < plan_.downloads.size()) {
      start_steps();
      request_results();
      const bool emptied = empty_next(), sent = send_next();
      if (!sent && !emptied) wait();
    }
  }

 private:
  void start_steps() {
    for (; started_ < plan_.steps.size() && plan_.steps[started_].uploads <= sent_; ++started_) {
      const cudaStream_t stream = ring_.compute[kernel_.side_by_side ? started_ % COMPUTE_STREAMS : 0];
      check(cudaEventRecord(ring_.sent, ring_.up.stream), "marking a panel");
      check(cudaStreamWaitEvent(stream, ring_.sent, 0), "waiting for a panel");
      Job job = plan_.steps[started_].job;
      job.stream = stream;
      if (kernel_.side_by_side) job.processors = static_cast<int>(ceil_div(job.processors, COMPUTE_STREAMS));
      start(kernel_, job);
      check(cudaEventRecord(ring_.computed[started_], stream), "marking a result");
    }
  }

  void request_results() {
    for (; requested_ < plan_.downloads.size() && requested_ < emptied_ + SLOTS; ++requested_) {
      const Piece& piece = plan_.downloads[requested_];
      const std::size_t step = static_cast<std::size_t>(piece.step);
      if (step >= started_) return;
      if (step == awaited_)
        check(cudaStreamWaitEvent(ring_.down.stream, ring_.computed[awaited_++], 0), "waiting for a result");
      check(cudaMemcpyAsync(ring_.down.slot(requested_), piece.device.data, bytes(piece.device), cudaMemcpyDeviceToHost,
                            ring_.down.stream),
            "copying from the GPU");
      check(cudaEventRecord(ring_.down.event(requested_), ring_.down.stream), "marking a copy from the GPU");
    }
  }

  bool send_next() {
    if (sent_ == plan_.uploads.size() || !passed(ring_.up.event(sent_))) return false;
    const Piece& piece = plan_.uploads[sent_];
    const Rows &host = piece.host, &to = piece.device;
    char* const slot = ring_.up.slot(sent_);
    copy_rows(host, device_rows(host, slot), threads_);
    const std::size_t width = static_cast<std::size_t>(host.cols * host.size);
    check(to.rows == 1 || to.cols == to.ld
              ? cudaMemcpyAsync(to.data, slot, bytes(host), cudaMemcpyHostToDevice, ring_.up.stream)
              : cudaMemcpy2DAsync(to.data, static_cast<std::size_t>(to.ld * to.size), slot, width, width,
                                  static_cast<std::size_t>(to.rows), cudaMemcpyHostToDevice, ring_.up.stream),
          "copying to the GPU");
    check(cudaEventRecord(ring_.up.event(sent_++), ring_.up.stream), "marking a copy to the GPU");
    return true;
  }

  bool empty_next() {
    if (emptied_ == requested_ || !passed(ring_.down.event(emptied_))) return false;
    const Rows& host = plan_.downloads[emptied_].host;
    copy_rows(device_rows(host, ring_.down.slot(emptied_++)), host, threads_);
    return true;
  }

  // While there is more to send, for the slot that is free next: that takes no longer than one slot takes the bus, and
  // results have more slots than that to arrive in meanwhile.
  void wait() const {
    const bool sending = sent_ < plan_.uploads.size();
    check(cudaEventSynchronize(sending ? ring_.up.event(sent_) : ring_.down.event(emptied_)), "waiting for the GPU");
  }

  static bool passed(cudaEvent_t event) {
    const cudaError_t error = cudaEventQuery(event);
    if (error == cudaErrorNotReady) cudaGetLastError();  // no error: the next call must not find it
    if (error != cudaErrorNotReady) check(error, "asking the GPU");
    return error == cudaSuccess;
  }

  const Kernel& kernel_;
  const Plan& plan_;
  const Ring& ring_;
  const int threads_;
  // Pieces sent to the GPU, steps started and waited for, pieces of results requested from the GPU, and taken from
  // slots.
  std::size_t sent_ = 0, started_ = 0, awaited_ = 0, requested_ = 0, emptied_ = 0;
};

void multiply(const Kernel& kernel, const Job& job, const Ring& ring, int threads) {
  const Rows A = host_rows(job.A, job.M, job.K), B = host_rows(job.B, job.K, job.N);
  const Rows C{reinterpret_cast<char*>(job.C), job.M, job.N, job.ldc, sizeof(float)};
  const cudaStream_t stream = ring.up.stream;
  const DeviceMemory a(bytes(A), stream), b(bytes(B), stream), c(Planner::bytes_of_parts(C), stream);
  const struct Drain {  // the last to be made, the first to go: no memory is freed that work under way still needs
    const Ring& ring;
    ~Drain() { ring.drain(); }
  } drain{ring};
  const Plan plan = Planner(job, A, B, C, a.data(), b.data(), c.data()).make();
  Journey(kernel, plan, ring, threads).run();
}

}  // namespace

void multiply_host(const Kernel& kernel, Job job, int device, int threads) {
  const CurrentDevice current(device);
  describe_device(job);
  Kept& kept = kept_of(device);
  const std::lock_guard lock(kept.in_use);
  try {
    if (!kept.ring) kept.ring = std::make_unique<Ring>();
    multiply(kernel, job, *kept.ring, threads);
  } catch (...) {  // whatever it was, be it a GPU that another library has reset: the next call starts afresh
    kept.ring.reset();
    cudaGetLastError();
    throw;
  }
}

}  // namespace fb::cuda
