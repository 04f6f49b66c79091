// small_products.cpp: what small_products.hpp declares.
#include "small_products.hpp"

#include <algorithm>
#include <chrono>

namespace fb {
namespace {

using Clock = std::chrono::steady_clock;

// After a longer pause a team may have gone to sleep: libgomp's threads spin for 300,000 turns, some milliseconds.
constexpr auto pause = std::chrono::milliseconds(1);
// Waking takes 100 to 500 us on the virtual CPUs of a Zen 3, up to 150 us on those of a Zen 1. For so long, and so many
// products, one thread computes before a team is tried, which at worst doubles what a row of products takes; twice as
// long after a try in vain.
constexpr double first_wait_ns = 0.5e6, longest_wait_ns = 100e6;
constexpr int first_wait_products = 8;
// Products after which a team is judged: the first 30 or so take longer, until both caches have what they need. Before,
// and whenever it has cost so much: where others' threads spin, a product may take milliseconds.
constexpr int judged_after = 64;
constexpr double tried_at_most_ns = 3e6;
// Products, and rows of them, after which one thread is measured again, which costs some hundredths of them.
constexpr int measured_again_after = 1 << 13, rows_measured_again_after = 64;
// A caller whose last row of products gained by its team, its waking included, is expected to come with another such
// row, and has its team at once; unless it stayed away so long that nothing is known about it.
constexpr auto remembered = std::chrono::seconds(1);

// Of each thread that calls, for so are the runtime's teams.
struct Caller {
  double asked_for;  // flops of the product that was asked for and has not ended; 0: none
  Clock::time_point asked, ended, team_ended;
  double alone_ns, team_ns;  // per flop, of late; 0: none yet
  double alone_for_ns;       // products of one thread since the last pause, or since a team was last given up
  int alone;                 // how many
  double wait_ns = first_wait_ns;
  int with_team;     // products since one was woken
  double gained_ns;  // by it since, as far as it counts
  // Rows that were expected to gain by a team, up to this one: 0 if this one is not. The last that is counted begins
  // alone all the same, to measure one thread again.
  int rows;

  bool measures() const { return rows == rows_measured_again_after; }
  bool begins_with_team() const { return rows > 0 && !measures(); }
};
constinit thread_local Caller caller = {};

// A running mean; a product that others held up counts for no more than twice the mean.
void follow(double& mean, double value) { mean = mean == 0 ? value : mean + (std::min(value, 2 * mean) - mean) / 8; }

void start_alone() {
  caller.with_team = caller.alone = 0;
  caller.team_ns = caller.gained_ns = caller.alone_for_ns = 0;
}

void give_up() {
  caller.rows = 0;
  caller.wait_ns = std::min(2 * caller.wait_ns, longest_wait_ns);
  start_alone();
}

void note_alone(double flops, double took) {
  // The first one finds caches cold.
  if (caller.alone++ > 0) follow(caller.alone_ns, took / flops);
  caller.alone_for_ns += caller.alone_ns > 0 ? std::min(took, 2 * caller.alone_ns * flops) : 0;
}

void note_with_team(double flops, double took) {
  caller.gained_ns = std::min(caller.gained_ns + caller.alone_ns * flops - took, tried_at_most_ns);
  if (caller.with_team++ > 0) follow(caller.team_ns, took / flops);  // the first one may wake it
  if (caller.gained_ns < -tried_at_most_ns || (caller.with_team > judged_after && caller.team_ns >= caller.alone_ns))
    return give_up();
  if (caller.with_team < measured_again_after) return;
  caller.wait_ns = first_wait_ns;
  start_alone();
  caller.alone = 1;  // and no team at once because one is awake
}

}  // namespace

bool small_team_pays(double flops) {
  caller.asked = Clock::now();
  caller.asked_for = flops;
  const auto away = caller.asked - caller.ended;
  const bool any_since = caller.alone > 0 || caller.with_team > 0;  // products; who only asked has not begun a row
  if (away > pause && (any_since || away >= remembered)) {
    const bool tried = caller.with_team > 0, gained = tried ? caller.gained_ns > 0 : caller.measures();
    if (tried && !gained) {
      give_up();
    } else {  // whoever comes in short rows shall not wait forever after tries in vain
      caller.wait_ns = tried ? first_wait_ns : std::max(0.75 * caller.wait_ns, first_wait_ns);
      start_alone();
    }
    caller.rows = gained && away < remembered ? caller.rows % rows_measured_again_after + 1 : 0;
  }
  // A larger product has woken it, or one of these.
  const bool is_awake = caller.asked - caller.team_ended <= pause;
  const bool expected = is_awake || caller.begins_with_team();
  if (expected && caller.alone_ns > 0 && caller.alone == 0 && caller.wait_ns == first_wait_ns) return true;
  return caller.alone_for_ns >= caller.wait_ns && caller.alone > first_wait_products;
}

void note_product(double flops, int threads) {
  if (threads == 1 && caller.asked_for == 0) return;  // nobody asked about it, and reading the clock takes 20 ns
  caller.ended = Clock::now();
  if (threads > 1) caller.team_ended = caller.ended;
  if (caller.asked_for != flops) return;
  caller.asked_for = 0;
  const double took = std::chrono::duration<double, std::nano>(caller.ended - caller.asked).count();
  threads > 1 ? note_with_team(flops, took) : note_alone(flops, took);
}

}  // namespace fb
