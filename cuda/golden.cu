// golden.cu: what every primitive of ptx.cuh and mma.h that the kernels use gives, bit by bit: recorded on a GPU,
// replayed on the emulator, which claims to give the same.
//
//   golden record FILE     built by nvcc: on a GPU; built as the emulator's programs are (-DFB_EMULATE): on the
//   emulator golden replay FILE...  runs the recorded inputs; exit status 1 and a line for each case that comes out
//   differently
//
// Copies, loads, stores, conversions and products of small integers must agree to the bit (any NaN is any NaN). Other
// products are sums, whose rounding is a tensor core's own business: recorded and replayed ones must lie within
// (K+1) * 2v * (|c| + |A||B|) of the exact one, v being the unit roundoff of the sum, doubled for a core that cuts off.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "launch.h"
#include "ptx.cuh"

namespace {

namespace wmma = nvcuda::wmma;
using namespace fb::cuda;
using Word = std::uint32_t;
using Words = std::vector<Word>;
using bf16 = __nv_bfloat16;
using tf32 = wmma::precision::tf32;
constexpr int LANES = 32, F = 16;

// ---- the primitives, one block of one warp each ----

// What 16-byte copies leave in shared memory if only some of their bytes exist, and 4-byte copies with and without any.
__global__ void copies_kernel(const Word* in, Word* out) {
  Word* const shared = static_cast<Word*>(dynamic_shared());
  const int lane = threadIdx.x;
  for (int i = 0; i < 5; ++i) shared[lane * 5 + i] = 0xffffffff;
  __syncthreads();
  copy_async<16>(shared + lane * 4, in + lane * 4, lane % 9 * 2);
  copy_async<4>(shared + 4 * LANES + lane, in + 4 * LANES + lane, lane % 3 ? 4 : 0);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  for (int i = 0; i < 5; ++i) out[lane * 5 + i] = shared[lane * 5 + i];
}

// Groups land in order: with one still allowed under way, the two before it are there.
__global__ void groups_kernel(const Word* in, Word* out) {
  Word* const shared = static_cast<Word*>(dynamic_shared());
  const int lane = threadIdx.x;
  for (int group = 0; group < 3; ++group) {
    copy_async<4>(shared + group * LANES + lane, in + group * LANES + lane);
    copy_async_commit();
  }
  copy_async_wait<1>();
  __syncthreads();
  for (int group = 0; group < 2; ++group) out[group * LANES + lane] = shared[group * LANES + LANES - 1 - lane];
  copy_async_wait<0>();
  __syncthreads();
  out[2 * LANES + lane] = shared[3 * LANES - 1 - lane];
}

__device__ inline float as_float(Word bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
template <class T>
__device__ inline Word bits_of(T x) {
  Word bits = 0;
  memcpy(&bits, &x, sizeof x);
  return bits;
}

struct ToTf32 {
  __device__ static Word of(Word x) { return bits_of(round_to_tf32(as_float(x))); }
};
struct ToHalf {
  __device__ static Word of(Word x) { return bits_of(__float2half_rn(as_float(x))); }
};
struct FromHalf {
  __device__ static Word of(Word x) {
    half h;
    memcpy(&h, &x, 2);
    return bits_of(__half2float(h));
  }
};
struct ToBf16 {
  __device__ static Word of(Word x) { return bits_of(__float2bfloat16_rn(as_float(x))); }
};

template <class Convert>
__global__ void convert_kernel(const Word* in, Word* out) {
  out[blockIdx.x * LANES + threadIdx.x] = Convert::of(in[blockIdx.x * LANES + threadIdx.x]);
}

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

// c + A·B with A (16,K) and B (K,16), each in its layout as it comes; D row by row, or column by column.
template <class In, class Acc, class LayoutA, class LayoutB>
__global__ void mma_kernel(const Word* in, Word* out, float c, bool by_columns) {
  using Memory = typename Input<In>::Memory;
  constexpr int K = Input<In>::K, PAD = 16 / sizeof(Memory);
  constexpr int A_COLS = std::is_same_v<LayoutA, wmma::row_major> ? K : F, LDA = A_COLS + PAD;
  constexpr int B_COLS = std::is_same_v<LayoutB, wmma::row_major> ? F : K, LDB = B_COLS + PAD;
  char* const shared = static_cast<char*>(dynamic_shared());
  Memory *const a = reinterpret_cast<Memory*>(shared), *const b = reinterpret_cast<Memory*>(shared + 2048);
  Acc* const d = reinterpret_cast<Acc*>(shared + 4096);
  const Memory* const from = reinterpret_cast<const Memory*>(in);
  const int lane = threadIdx.x;
  for (int e = lane; e < F * K; e += LANES) {
    a[e / A_COLS * LDA + e % A_COLS] = from[e];
    b[e / B_COLS * LDB + e % B_COLS] = from[F * K + e];
  }
  __syncthreads();
  wmma::fragment<wmma::matrix_a, F, F, K, In, LayoutA> fa;
  wmma::fragment<wmma::matrix_b, F, F, K, In, LayoutB> fb;
  wmma::fragment<wmma::accumulator, F, F, K, Acc> sum;
  load_shared(fa, a, LDA);
  load_shared(fb, b, LDB);
  wmma::fill_fragment(sum, Acc(c));
  wmma::mma_sync(sum, fa, fb, sum);
  wmma::store_matrix_sync(d, sum, F, by_columns ? wmma::mem_col_major : wmma::mem_row_major);
  __syncwarp();
  for (int e = lane; e < F * F; e += LANES) out[e] = bits_of(d[e]);
}

// ---- running one ----

// Words in the memory of the device that kernels run on.
class DeviceWords {
 public:
#ifdef FB_EMULATE
  explicit DeviceWords(const Words& words) : words_(words) {}
  Word* data() { return words_.data(); }
  Words read() { return words_; }

 private:
#else
  explicit DeviceWords(const Words& words) : words_(words) {
    check(cudaMalloc(&data_, 4 * words.size()));
    check(cudaMemcpy(data_, words.data(), 4 * words.size(), cudaMemcpyHostToDevice));
  }
  ~DeviceWords() { cudaFree(data_); }
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;
  Word* data() { return data_; }
  Words read() {
    check(cudaMemcpy(words_.data(), data_, 4 * words_.size(), cudaMemcpyDeviceToHost));
    return words_;
  }

 private:
  static void check(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "golden: %s\n", cudaGetErrorString(error));
    std::exit(2);
  }
  Word* data_ = nullptr;
#endif
  Words words_;
};

template <class... Rest>
Words run(void (*kernel)(const Word*, Word*, Rest...), const Words& in, std::size_t results, unsigned blocks,
          Rest... rest) {
  DeviceWords from(in), to(Words(results, 0xffffffff));
  const Word* const in_data = from.data();
  const cudaError_t error =
      launch(kernel, dim3(blocks), dim3(LANES), 8192, cudaStream_t{}, in_data, to.data(), rest...);
  if (error != cudaSuccess) std::exit(2);
  return to.read();
}

// ---- the cases ----

struct Case {
  std::string name;
  Words in;  // for a recording; a replay takes the file's
  std::function<Words(const Words&)> run;
  // What may be different: nothing if empty, else for each word how far from `exact` it may lie.
  std::function<void(const Words& in, std::vector<double>& exact, std::vector<double>& bound)> limits;
  bool narrow = false;  // results are fp16, for `limits`
};

Words random_words(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Words words(count);
  for (Word& w : words) w = static_cast<Word>(random());
  return words;
}

// Exponents, both signs, and for each the mantissas where rounding decides: ties, their neighbours, carries.
Words floats_to_round() {
  Words words;
  for (Word exponent = 0; exponent < 256; ++exponent) {
    if (exponent > 2 && exponent < 253 && (exponent < 100 || exponent > 146)) continue;  // neither fp16's nor an end
    for (const Word mantissa :
         {0u, 0x1000u, 0x1001u, 0xfffu, 0x3000u, 0x8000u, 0x8001u, 0x18000u, 0x7fffffu, 0x2aaaaau})
      words.push_back((exponent & 1) << 31 | exponent << 23 | mantissa);
  }
  words.resize(round_up(words.size(), LANES));
  return words;
}

template <class T>
T element(const Words& words, int i) {
  T x;
  std::memcpy(&x, reinterpret_cast<const char*>(words.data()) + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
  return x;
}
double value(float x) { return x; }
double value(half x) { return __half2float(x); }
double value(bf16 x) { return __bfloat162float(x); }
void set(float x, half& to) { to = __float2half_rn(x); }
void set(float x, bf16& to) { to = __float2bfloat16_rn(x); }
void set(float x, float& to) {  // with the bits that TF32 has
  Word bits;
  std::memcpy(&bits, &x, 4);
  bits &= ~Word{0x1fff};
  std::memcpy(&to, &bits, 4);
}

template <class In, class Acc, class LayoutA, class LayoutB>
Case mma_case(const std::string& types, bool integers, bool by_columns) {
  using Memory = typename Input<In>::Memory;
  constexpr int K = Input<In>::K;
  constexpr bool a_rows = std::is_same_v<LayoutA, wmma::row_major>, b_rows = std::is_same_v<LayoutB, wmma::row_major>;
  const float c = integers ? 3.0f : 0.375f;
  Case result;
  result.name = std::string("mma ") + types + (a_rows ? " row" : " col") + (b_rows ? " row" : " col") +
                (integers ? " integers" : " fractions");
  result.in.resize(2 * F * K * sizeof(Memory) / 4);
  std::mt19937 random(F + static_cast<unsigned>(integers));
  for (int i = 0; i < 2 * F * K; ++i) {
    const float x = integers ? static_cast<float>(static_cast<int>(random() % 9) - 4)
                             : static_cast<float>(static_cast<int>(random() % 65537) - 32768) / 32768;
    Memory m;
    set(x, m);
    std::memcpy(reinterpret_cast<char*>(result.in.data()) + static_cast<std::size_t>(i) * sizeof m, &m, sizeof m);
  }
  result.run = [=](const Words& in) {
    return run<float, bool>(mma_kernel<In, Acc, LayoutA, LayoutB>, in, F * F, 1, c, by_columns);
  };
  if (integers) return result;
  result.narrow = std::is_same_v<Acc, half>;
  result.limits = [=](const Words& in, std::vector<double>& exact, std::vector<double>& bound) {
    const double v = std::is_same_v<Acc, half> ? 0x1p-11 : 0x1p-24;
    for (int row = 0; row < F; ++row)
      for (int col = 0; col < F; ++col) {
        double sum = c, magnitude = c;
        for (int k = 0; k < K; ++k) {
          const double term = value(element<Memory>(in, a_rows ? row * K + k : k * F + row)) *
                              value(element<Memory>(in, F * K + (b_rows ? k * F + col : col * K + k)));
          sum += term, magnitude += std::abs(term);
        }
        exact.push_back(sum), bound.push_back((K + 1) * 2 * v * magnitude);
      }
  };
  return result;
}

template <class In, class Acc>
void add_mma_cases(std::vector<Case>& all, const std::string& types) {
  using wmma::col_major, wmma::row_major;
  all.push_back(mma_case<In, Acc, row_major, row_major>(types, true, false));
  all.push_back(mma_case<In, Acc, row_major, col_major>(types, true, true));
  all.push_back(mma_case<In, Acc, col_major, row_major>(types, true, false));
  all.push_back(mma_case<In, Acc, col_major, col_major>(types, true, true));
  all.push_back(mma_case<In, Acc, row_major, row_major>(types, false, false));
}

template <class Convert>
Case convert_case(const char* name, const Words& in) {
  const auto run_it = [](const Words& given) {
    return run<>(convert_kernel<Convert>, given, given.size(), static_cast<unsigned>(given.size() / LANES));
  };
  return {name, in, run_it, nullptr, false};
}

std::vector<Case> cases() {
  Words halves(1 << 11);
  for (Word i = 0; i < halves.size(); ++i) halves[i] = i * 32 + i % 32;  // every exponent of fp16, both signs
  std::vector<Case> all;
  all.push_back({"copy_async, some bytes", random_words(5 * LANES, 1),
                 [](const Words& in) { return run<>(copies_kernel, in, 5 * LANES, 1); }, nullptr, false});
  all.push_back({"copy_async, groups", random_words(3 * LANES, 2),
                 [](const Words& in) { return run<>(groups_kernel, in, 3 * LANES, 1); }, nullptr, false});
  all.push_back(convert_case<ToTf32>("float to tf32", floats_to_round()));
  all.push_back(convert_case<ToHalf>("float to fp16", floats_to_round()));
  all.push_back(convert_case<ToBf16>("float to bf16", floats_to_round()));
  all.push_back(convert_case<FromHalf>("fp16 to float", halves));
  add_mma_cases<half, float>(all, "fp16 fp32");
  add_mma_cases<half, half>(all, "fp16 fp16");
  add_mma_cases<bf16, float>(all, "bf16 fp32");
  add_mma_cases<tf32, float>(all, "tf32 fp32");
  return all;
}

// ---- files ----

std::string device_name() {
#ifdef FB_EMULATE
  return "the emulator";
#else
  cudaDeviceProp properties;
  return cudaGetDeviceProperties(&properties, 0) == cudaSuccess ? properties.name : "no GPU";
#endif
}

void write_words(std::ostream& to, const char* what, const Words& words) {
  to << what << std::hex;
  for (const Word w : words) to << ' ' << w;
  to << std::dec << '\n';
}

int record(const char* path) {
  std::ofstream file(path);
  file << "frugalblas golden vectors 1\ndevice " << device_name() << '\n';
  const std::vector<Case> all = cases();
  for (const Case& c : all) {
    file << "case " << c.name << '\n';
    write_words(file, "in", c.in);
    write_words(file, "out", c.run(c.in));
  }
  file << "end " << all.size() << '\n';
  return file.flush() ? 0 : 2;
}

bool same(Word a, Word b, bool narrow) {
  const auto is_nan = [&](Word w) { return narrow ? (w & 0x7fff) > 0x7c00 : (w & 0x7fffffff) > 0x7f800000; };
  return a == b || (is_nan(a) && is_nan(b));
}

// Why the words that were recorded and those that came out now do not say the same; "" if they do.
std::string difference(const Case& c, const Words& in, const Words& recorded, const Words& replayed) {
  if (recorded.size() != replayed.size()) return "as many results as never were";
  std::vector<double> exact, bound;
  if (c.limits) c.limits(in, exact, bound);
  const bool half_results = c.name.rfind("float to fp16", 0) == 0;
  const bool bf16_results = c.name.rfind("float to bf16", 0) == 0;
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    bool agree =
        bf16_results ? same(recorded[i] << 16, replayed[i] << 16, false) : same(recorded[i], replayed[i], half_results);
    if (c.limits) {
      const auto off = [&](const Words& w) {
        const double got =
            c.narrow ? value(element<half>(w, static_cast<int>(2 * i))) : value(element<float>(w, static_cast<int>(i)));
        return std::abs(got - exact[i]);
      };
      agree = off(recorded) <= bound[i] && off(replayed) <= bound[i];
    }
    if (agree) continue;
    char text[128];
    std::snprintf(text, sizeof text, "word %zu was %08x, is %08x", i, recorded[i], replayed[i]);
    return text;
  }
  return "";
}

Words read_words(const std::string& line, const char* what) {
  std::istringstream from(line);
  std::string word;
  from >> word >> std::hex;
  Words words;
  if (word == what)
    for (Word w; from >> w;) words.push_back(w);
  return from.eof() ? words : Words{};
}

int replay(const char* path) {
  std::ifstream file(path);
  std::string line, device, in_line, out_line;
  const auto wrong = [&](const std::string& what) {
    std::cerr << path << ": " << what << '\n';
    return 1;
  };
  if (!std::getline(file, line) || line != "frugalblas golden vectors 1") return wrong("no golden vectors, version 1");
  std::getline(file, device);
  const std::vector<Case> all = cases();
  int found = 0, different = 0;
  while (std::getline(file, line) && line.rfind("case ", 0) == 0) {
    const std::string name = line.substr(5);
    if (!std::getline(file, in_line) || !std::getline(file, out_line)) return wrong(name + ": cut short");
    const Words in = read_words(in_line, "in"), out = read_words(out_line, "out");
    const Case* c = nullptr;
    for (const Case& each : all)
      if (each.name == name) c = &each;
    if (!c || in.size() != c->in.size() || out.empty()) return wrong(name + ": no such case now; record again");
    const std::string said = difference(*c, in, out, c->run(in));
    if (!said.empty()) different += wrong(name + ": " + said);
    ++found;
  }
  if (line != "end " + std::to_string(found)) return wrong("cut short");
  std::cout << path << ": " << device << ", " << found - different << " of " << found << " cases agree, "
            << all.size() - static_cast<std::size_t>(found) << " not recorded\n";
  return different ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "record" && argc == 3) return record(argv[2]);
  int status = what == "replay" ? 0 : 2;
  for (int i = 2; i < argc && what == "replay"; ++i) status |= replay(argv[i]);
  if (status == 2) std::cerr << "usage: golden record FILE | golden replay FILE...\n";
  return status;
}
