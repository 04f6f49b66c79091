// study.hpp: what a study may turn and no strategy offers: block sizes, the register tile, the loop that threads share.
#pragma once
#include "gemm.hpp"

namespace fb {

struct Knobs {
  index_t MR, NR;                                           // one of `tiles`
  index_t MC, KC, NC;                                       // >= 1; cut to the job
  bool over_columns;                                        // threads share out column panels of C, else row panels
  enum Schedule : int { fixed, dynamic, guided } schedule;  // of that loop: OpenMP's static, dynamic, guided
  int chunk;                                                // panels handed out at a time; 0: OpenMP's default
};
struct TileSize {
  index_t MR, NR;
};

// One instruction-set level's copy of study.cpp.
struct Study {
  const TileSize* tiles;
  int tile_count;
  // C = A·B on job.threads threads. False, and C is as it was, for a tile that does not exist. Throws std::bad_alloc.
  bool (*gemm)(const Gemm& job, const Knobs& knobs);
  // Streams n floats on so many threads: reads a, or with b and c computes a = b + 3c. Returns bytes read and written.
  double (*sweep)(float* a, const float* b, const float* c, index_t n, int threads);
};

}  // namespace fb
