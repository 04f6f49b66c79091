// small_products.cpp: what small_products.hpp declares.
#include "small_products.hpp"

#include <algorithm>
#include <chrono>

namespace fb {
namespace {

using Clock = std::chrono::steady_clock;

// Of products that follow each other less quickly a team has gone to sleep: libgomp's threads spin for 300,000 turns.
constexpr auto quick_succession = std::chrono::milliseconds(1);
// Waking takes 100 to 500 us on the virtual CPUs of a Zen 3, which some milliseconds of work for two threads bring in.
// For so long products are computed by one before a team is tried, twice as long before each try after one in vain.
constexpr double first_wait_ns = 1.5e6, longest_wait_ns = 100e6;
// Products after which a team is judged: the first 30 or so take longer, until both caches have what they need. Before,
// if it has cost so much: where others' threads spin, each product may take a millisecond.
constexpr int judged_after = 64;
constexpr double tried_at_most_ns = 3e6;

// Of each thread that calls, for so are the runtime's teams.
struct Caller {
  double asked_for;  // flops of the product that was asked for and has not ended; 0: none
  Clock::time_point asked, ended;
  double alone_ns, team_ns;        // per flop, of late; 0: none yet
  double alone_for_ns;             // products in quick succession, since a team was last given up
  double wait_ns = first_wait_ns;  // of those, before a team is tried
  int with_team;                   // products since it was woken
  double gained_ns;                // by it since
};
constinit thread_local Caller caller = {};

// A running mean; a product that others held up counts for no more than twice the mean.
void follow(double& mean, double value) { mean = mean == 0 ? value : mean + (std::min(value, 2 * mean) - mean) / 8; }

void end_of_team(bool in_vain) {
  caller.wait_ns = in_vain ? std::min(2 * caller.wait_ns, longest_wait_ns) : first_wait_ns;
  caller.alone_for_ns = caller.gained_ns = caller.team_ns = 0;
  caller.with_team = 0;
}

}  // namespace

bool small_team_pays(double flops) {
  caller.asked = Clock::now();
  caller.asked_for = flops;
  if (caller.asked - caller.ended > quick_succession) {
    if (caller.with_team) end_of_team(caller.gained_ns < 0);
    caller.alone_for_ns = 0;
  }
  return caller.alone_for_ns >= caller.wait_ns;
}

void note_small_product(double flops) {
  if (caller.asked_for != flops) return;
  caller.asked_for = 0;
  caller.ended = Clock::now();
  const double took = std::chrono::duration<double, std::nano>(caller.ended - caller.asked).count();
  if (caller.alone_for_ns < caller.wait_ns) {
    caller.alone_for_ns += took;
    return follow(caller.alone_ns, took / flops);
  }
  caller.gained_ns += caller.alone_ns * flops - took;
  if (caller.with_team++) follow(caller.team_ns, took / flops);  // the first one wakes it
  const bool judged = caller.with_team > judged_after || caller.gained_ns < -tried_at_most_ns;
  if (judged && caller.team_ns >= caller.alone_ns) end_of_team(true);
}

}  // namespace fb
