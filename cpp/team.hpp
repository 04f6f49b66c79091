// team.hpp: what every OpenMP team of the core needs around it.
#pragma once
#include <omp.h>

namespace fb {

// With OMP_DYNAMIC set the runtime may open a smaller team than asked for; `threads` is a promise.
class FixedTeam {
 public:
  explicit FixedTeam(int threads) : dynamic_(threads > 1 && omp_get_dynamic()) {
    if (dynamic_) omp_set_dynamic(0);
  }
  ~FixedTeam() {
    if (dynamic_) omp_set_dynamic(1);
  }
  FixedTeam(const FixedTeam&) = delete;
  FixedTeam& operator=(const FixedTeam&) = delete;

 private:
  const bool dynamic_;
};

}  // namespace fb
