// registry_test.cpp: every rung x every build variant that runs on this CPU x shapes x strides x alpha and beta x
// threads, against a float64 product. Needs no Python, so it runs under sanitizers and on emulated CPUs.
//
//   registry_test [--quick] [variant or passthrough ...]
//
// --quick visits every shape and every strides, but not all their combinations with alpha, beta and threads.
// On a busy machine set OMP_WAIT_POLICY=passive: spinning threads of a large team hold up the others.
// The last line is `N passed, N failed`; the exit code is 1 if any failed, 2 if the arguments name nothing to test.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <iterator>

#include "../core.hpp"
#include "checker.hpp"

namespace fb::test {

struct Strides {
  const char* name;
  Layout A, B, C;
};
using enum Layout;
constexpr Strides strides[] = {
    {"C order", c_order, c_order, c_order},
    {"F order", f_order, f_order, f_order},  // blocked kernels transpose the whole job
    {"general (both != 1)", general, general, general},
    {"A and B transposed", f_order, f_order, c_order},
    {"A transposed, rows padded", padded_f, padded, padded},
    {"B transposed, columns of C padded", c_order, padded_f, padded_f},
    {"reversed", reversed, reversed, reversed},
    {"reversed, C in F order", reversed, reversed_f, reversed_f},
    {"A's rows and B's columns broadcast", equal_rows, equal_columns, c_order},
    {"broadcast along K", equal_columns, equal_rows, general},
};
constexpr std::size_t FEW_STRIDES = 3;  // of the list above, for large shapes: every path into and out of the panels

struct Scale {
  float alpha, beta;
};
// Plain; accumulate, as between blocks of K; both general, with a sign; C is ignored though alpha is not one.
constexpr Scale scales[] = {{1, 0}, {1, 1}, {-0.5f, 2}, {2, 0}};

constexpr int team_sizes[] = {1, 2, 3, 7};  // the first is the reference for the others' bits

struct Shape {
  index_t M, N, K;
  const char* why;
  bool all_strides;
};

static std::vector<Shape> shapes(const Blocks& b) {
  return {
      {1, 1, 1, "smallest", true},
      {1, 37, 29, "single row", true},
      {41, 1, 31, "single column", true},
      {23, 19, 1, "K = 1", true},
      {b.MR - 1, b.NR - 1, 7, "tile - 1", true},
      {b.MR, b.NR, 8, "one tile", true},
      {b.MR + 1, b.NR + 1, 9, "tile + 1", true},
      {2, 3, 67, "K of many registers", true},
      {31, 37, 41, "primes", true},
      {67, 71, 73, "larger primes", false},
      {b.MR + 1, b.NR + 1, b.KC - 1, "KC - 1", false},
      {b.MR + 1, b.NR + 1, b.KC, "KC", false},
      {b.MR + 1, b.NR + 1, b.KC + 1, "KC + 1", false},
      {b.MC + 1, 7, b.KC + 1, "MC + 1 and KC + 1", false},
      {2 * b.MR + 1, 2 * (b.NR + b.MR) + 5, b.KC + 1, "few rows, KC + 1: B read in place", false},
      {6 * b.MR + 1, 12 * b.MR + b.NR + 7, b.KC + 1, "more rows, KC + 1: B copied panel by panel", false},
      {3, b.NC + 1, 2, "NC + 1", false},
  };
}

struct Rung {
  std::string name;  // as `algo=` has it
  const Algorithm* algorithm;
  Kind kind;
};

// What one line of the report is about: a variant, or a passthrough.
struct Target {
  std::string name;
  std::vector<Rung> rungs;
  Blocks blocks;   // the tile and the largest cache blocks of its rungs
  bool keeps_nan;  // false: built with -ffast-math, which may assume that there is none
  long passed = 0, failed = 0;
};

static void report(Target& target, const Rung& rung, const std::string& where, const std::string& error) {
  if (error.empty()) {
    ++target.passed;
    return;
  }
  constexpr long SHOWN = 20;  // a broken rung fails thousands of times; the first few say how
  if (++target.failed <= SHOWN) std::printf("FAIL %s, %s: %s\n", rung.name.c_str(), where.c_str(), error.c_str());
  if (target.failed == SHOWN + 1) std::printf("FAIL %s: and more\n", target.name.c_str());
}

// C after the call.
static Array run(const Rung& rung, Problem& p, Scale scale, int threads) {
  Array C = p.before(scale.beta);
  const auto input = [](Array& m) { return ConstMatrix{m.memory.data() + m.origin, m.row_stride, m.col_stride}; };
  const Gemm job = {p.M,         p.N,        p.K,
                    input(p.A),  input(p.B), {C.memory.data() + C.origin, C.row_stride, C.col_stride},
                    scale.alpha, scale.beta, threads};
  // Scratch memory kept from the run before holds this run's panels already, and would hide that one is read before it
  // is packed; fresh memory holds 3e38 (see main).
  frugalblas_free_workspace();
  // A refusal must fail the check, whatever C was.
  if (frugalblas_run(rung.algorithm, &job) != Status::done) C.memory.assign(C.memory.size(), canary);
  return C;
}

// How many of alpha, beta and team sizes a problem meets.
enum class Extent {
  full,       // all scales with one thread, one of them with all teams
  all_teams,  // one scale with all teams, and only rungs whose threads share what they pack
  quick,      // one scale with one thread and one team
  single,     // one scale with one thread
};

// One problem, all rungs of the target; `turn` picks the scale and the team where not all run.
static void sweep(Target& target, Problem& p, const char* strides_name, const char* why, std::size_t turn,
                  Extent extent) {
  for (const Rung& rung : target.rungs) {
    if (extent == Extent::all_teams && rung.kind != Kind::team) continue;
    for (std::size_t s = 0; s < std::size(scales); ++s) {
      // Threads take whole tiles whatever alpha and beta are, so teams need not meet every one of them on every shape.
      const bool turns = s == turn % std::size(scales);
      if (!turns && extent != Extent::full) continue;
      const Scale scale = scales[s];
      Array reference = p.before(scale.beta);
      for (std::size_t t = 0; t < (turns && extent != Extent::single ? std::size(team_sizes) : 1); ++t) {
        if (extent == Extent::quick && t != 0 && t != 1 + turn / std::size(scales) % 3) continue;
        const Array C = run(rung, p, scale, team_sizes[t]);
        std::string error = p.first_error(C, scale.alpha, scale.beta);
        if (t == 0) reference = C;
        const std::size_t bytes = C.memory.size() * sizeof(float);
        if (error.empty() && rung.kind != Kind::passthrough &&
            std::memcmp(C.memory.data(), reference.memory.data(), bytes) != 0)
          for (index_t n = p.M * p.N; n-- > 0;) {
            const index_t i = n / p.N, j = n % p.N;
            if (std::bit_cast<std::uint32_t>(C.at(i, j)) != std::bit_cast<std::uint32_t>(reference.at(i, j)))
              error = "C(" + std::to_string(i) + "," + std::to_string(j) + ") has other bits than with one thread";
          }
        char where[200];
        std::snprintf(where, sizeof where, "%tdx%tdx%td (%s), strides %s, alpha %g, beta %g, threads %d",
                      std::ptrdiff_t{p.M}, std::ptrdiff_t{p.N}, std::ptrdiff_t{p.K}, why, strides_name, scale.alpha,
                      scale.beta, team_sizes[t]);
        report(target, rung, where, error);
      }
    }
  }
}

static void test(Target& target, Extent extent) {
  const Blocks& b = target.blocks;
  std::size_t turn = 0;
  for (const Shape& shape : shapes(b))
    for (std::size_t s = 0; s < (shape.all_strides ? std::size(strides) : FEW_STRIDES); ++s) {
      Problem p(shape.M, shape.N, shape.K, strides[s].A, strides[s].B, strides[s].C);
      sweep(target, p, strides[s].name, shape.why, turn++, extent);
    }
  // Few pieces of work that do not divide evenly, so that idle threads run ahead into the next KC and, if nothing stops
  // them, pack it over what others still read: A, in an order that has to be packed.
  if (std::any_of(target.rungs.begin(), target.rungs.end(), [](const Rung& r) { return r.kind == Kind::team; })) {
    constexpr index_t LONGEST_KC = 1024;  // of rungs that pack A for a team; the chunks of `dot` are longer
    Problem p(20 * b.MR, 3 * b.NR + 1, 6 * std::min(b.KC, LONGEST_KC), f_order, c_order, c_order);
    constexpr int CHANCES = 5;  // a race is not lost every time
    for (int n = 0; n < CHANCES; ++n)
      sweep(target, p, "A in F order", "uneven work, many KC", turn++, Extent::all_teams);
  }
  // Each size of tile is code of its own.
  for (index_t m = 1; m <= b.MR; ++m)
    for (index_t n = 1; n <= b.NR; ++n, ++turn) {
      const Strides& s = strides[turn % std::size(strides)];
      Problem p(m, n, 5, s.A, s.B, s.C);
      sweep(target, p, s.name, "every size of tile", turn, Extent::single);
    }
  if (!target.keeps_nan) return;
  for (const Strides& s : strides) {
    Problem p(2 * b.MR + 1, 2 * b.NR + 1, 19, s.A, s.B, s.C, Values::special);
    sweep(target, p, s.name, "NaN and Inf", turn++, extent);
  }
}

// ---- what there is to test -----------------------------------------------------------------------------------------

// The largest blocks a rung can choose: those of a job without end.
static void take_blocks(const Algorithm& algorithm, Blocks& largest) {
  if (!algorithm.blocks) return;
  constexpr index_t endless = index_t{1} << 40;
  const Blocks b = algorithm.blocks({.M = endless,
                                     .N = endless,
                                     .K = endless,
                                     .A = {nullptr, endless, 1},
                                     .B = {nullptr, endless, 1},
                                     .C = {nullptr, endless, 1},
                                     .alpha = 1,
                                     .beta = 0,
                                     .threads = 1});
  for (index_t Blocks::* size : {&Blocks::MR, &Blocks::NR, &Blocks::MC, &Blocks::KC, &Blocks::NC})
    largest.*size = std::max(largest.*size, b.*size);
}

// A variant that shares its name with one for another instruction set carries that set in its name here.
static std::string label(const Variant& variant) {
  const std::string name = variant.name;
  return !variant.study || frugalblas_find_variant(variant.name) == &variant ? name : name + "(" + variant.level + ")";
}

static std::vector<Target> targets() {
  const Entry* entries;
  const int entry_count = frugalblas_entries(&entries);
  const Variant* variants;
  const int variant_count = frugalblas_variants(&variants);
  std::vector<Target> all;
  Blocks blocks = {};  // of the last level that runs here: also for whatever does not tell its own
  for (const Variant* v = variants; v != variants + variant_count; ++v) {
    if (!frugalblas_cpu_supports(v->level)) {
      std::printf("%s: not tested, this CPU lacks level %s\n", label(*v).c_str(), v->level);
      continue;
    }
    Target target = {label(*v), {}, {}, !std::strstr(v->flags, "-ffast-math")};
    for (int e = 0; e < entry_count; ++e) {
      const Kind kind = entries[e].kind;
      if (kind != Kind::scalar && kind != Kind::vector && (kind != Kind::team || v->study)) continue;
      const Algorithm* algorithm = v->algorithms[e];
      if (!algorithm && v->study) continue;  // a combination of flags that only some rungs are built with
      if (!algorithm) {
        std::printf("FAIL %s@%s was not built\n", entries[e].name, v->name);
        ++target.failed;
      } else if (!algorithm->unavailable || !algorithm->unavailable()) {
        target.rungs.push_back({entries[e].name + ("@" + target.name), algorithm, kind});
        take_blocks(*algorithm, target.blocks);
      }
    }
    if (target.rungs.empty()) {
      std::printf("FAIL nothing was built as %s\n", v->name);
      ++target.failed;
    }
    if (!v->study) blocks = target.blocks;
    if (!target.blocks.MR) target.blocks = blocks;  // of its rungs none has any
    all.push_back(target);
  }
  for (int e = 0; e < entry_count; ++e) {
    if (entries[e].kind != Kind::passthrough) continue;
    const Algorithm* algorithm = frugalblas_algorithm(e, nullptr);
    if (const char* reason = algorithm->unavailable ? algorithm->unavailable() : nullptr)
      std::printf("%s: not tested, %s\n", entries[e].name, reason);
    else
      all.push_back({entries[e].name, {{entries[e].name, algorithm, entries[e].kind}}, blocks, true});
  }
  return all;
}

// ---- a fork while a team waits for work: neither the parent nor the child may wait for threads that are not there
// ----

static void test_fork(Target& target) {
  for (const Rung& rung : target.rungs) {
    if (rung.kind != Kind::team) continue;
    Problem p(31, 37, 41, c_order, c_order, c_order);
    const auto right = [&] { return p.first_error(run(rung, p, {1, 0}, 3), 1, 0).empty(); };
    bool survives = right();
    alarm(60);  // ends a process that hangs
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);  // not inherited
      _exit(right() ? 0 : 1);
    }
    int status = -1;
    survives = waitpid(child, &status, 0) == child && status == 0 && right() && survives;
    alarm(0);
    report(target, rung, "fork", survives ? "" : "the child hung or one of the two got a wrong result");
  }
}

// ---- the checker itself: the right answer must pass, every kind of wrong answer must not ----------------------------

static bool checker_works() {
  Problem p(13, 13, 11, padded, padded, padded);
  constexpr Scale scale = {-0.5f, 2};
  Array right = p.before(scale.beta);
  for (index_t i = 0; i < p.M; ++i)
    for (index_t j = 0; j < p.N; ++j) right.at(i, j) = static_cast<float>(p.expected(i, j, scale.alpha, scale.beta));
  if (!p.first_error(right, scale.alpha, scale.beta).empty()) return false;

  bool works = true;
  const auto must_fail = [&](const char* fault, auto change) {
    Array wrong = right;
    change(wrong);
    if (!p.first_error(wrong, scale.alpha, scale.beta).empty()) return;
    std::printf("FAIL the checker accepts %s\n", fault);
    works = false;
  };
  const auto every_element = [&](auto value) {
    return [&p, value](Array& c) {
      for (index_t i = 0; i < p.M; ++i)
        for (index_t j = 0; j < p.N; ++j) c.at(i, j) = value(i, j);
    };
  };
  must_fail("zeros", every_element([](index_t, index_t) { return 0.0f; }));
  must_fail("a transposed result", every_element([&](index_t i, index_t j) { return right.at(j, i); }));
  must_fail("a relative error of 1e-4", every_element([&](index_t i, index_t j) { return right.at(i, j) * 1.0001f; }));
  must_fail("one NaN", [](Array& c) { c.at(12, 12) = NAN; });
  must_fail("one infinity", [](Array& c) { c.at(0, 0) = INFINITY; });
  must_fail("one stale tile", [&](Array& c) {
    for (index_t i = 6; i < 12; ++i)
      for (index_t j = 8; j < 12; ++j) c.at(i, j) = p.C0.at(i, j);
  });
  must_fail("a write beyond the end of a row", [](Array& c) { (&c.at(3, 12))[1] = 0; });
  return works;
}

}  // namespace fb::test

using namespace fb::test;

int main(int argc, char** argv) {
  // Fresh memory is filled with 0x7f bytes, floats of 3.4e38, so that reading what was never written gives a wrong
  // result and not, by luck, a zero.
  mallopt(M_PERTURB, 0x80);
  if (!checker_works()) return 1;

  const bool quick = argc > 1 && !std::strcmp(argv[1], "--quick");
  const std::vector<std::string> wanted(argv + 1 + quick, argv + argc);
  std::vector<Target> all = targets();
  for (const std::string& name : wanted)
    if (std::none_of(all.begin(), all.end(), [&](const Target& t) { return t.name == name; })) {
      std::printf("there is no variant or passthrough %s that runs here\n", name.c_str());
      return 2;
    }
  long passed = 0, failed = 0;
  for (Target& target : all) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), target.name) == wanted.end()) continue;
    test(target, quick ? Extent::quick : Extent::full);
    test_fork(target);
    std::printf("%s: %zu rungs, %ld passed, %ld failed%s\n", target.name.c_str(), target.rungs.size(), target.passed,
                target.failed, target.keeps_nan ? "" : "; NaN and Inf not tested (-ffast-math)");
    std::fflush(stdout);
    passed += target.passed;
    failed += target.failed;
  }
  std::printf("%ld passed, %ld failed\n", passed, failed);
  return failed || !passed;
}
