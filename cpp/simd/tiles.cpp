// tiles.cpp: the register tiles there are, compiled once for all rungs of this build.
//
// Every size of every source of operands is an instantiation of compute_tile (tile.hpp) of its own: some 130 small
// functions, twice that with AVX-512 and NEON, and half the time that a build takes to compile. Rungs take them out of
// the table by size.
#include "tile.hpp"

namespace fb::FB_VARIANT {

constexpr int most_rows(Source source, int nv) {
  return source == Source::columns || source == Source::direct || source == Source::direct_edge ? height(nv) : MR;
}
constexpr bool is_used(Source source) {
  if (source == Source::far_packed || source == Source::far_rows || source == Source::columns) return !study;
  if (source == Source::next_b) return asks_for_b;
  if (source == Source::fetching || source == Source::fetching_l2) return reads_b_in_place;
  return true;
}

template <Source source, int mr, int nv>
constexpr TileFunction tile_of_size() {
  if constexpr (is_used(source) && mr <= most_rows(source, nv)) return compute_tile<mr, nv, source>;
  return nullptr;
}
template <Source source, int... i>
constexpr TileTable table(Indices<i...>) {
  return {{tile_of_size<source, i / NV + 1, i % NV + 1>()...}};
}
template <int... source>
constexpr TileTables tables(Indices<source...>) {
  return {{table<static_cast<Source>(source)>(IndicesBelow<TALL * NV>::type{})...}};
}
constinit const TileTables tile_tables = tables(IndicesBelow<SOURCES>::type{});

}  // namespace fb::FB_VARIANT
