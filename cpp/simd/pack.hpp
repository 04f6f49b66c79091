// pack.hpp: copies a block of A or B into panels in exactly the order the register tile reads them.
//
// A block (mc,kc) becomes row panels, each k-major: element (i,k) of a panel of mr rows at [k*mr + i].
// B block (kc,nc) becomes column panels, each k-major: element (k,j) at [k*width + j], width = whole registers.
// Packing costs one pass over the data and reads any strides; afterwards every load of the tile is sequential, so the
// prefetchers keep up, no TLB entry is wasted, and the block cannot evict itself through cache-set conflicts.
#pragma once
#include "matrix.hpp"
#include "tile_table.hpp"

namespace fb::FB_VARIANT {

// A length cut into whole parts, the last two evened out so that none is thin: a tile of one row takes a third of the
// time of a whole one for an eighth of its work. Where a part starts follows from its number alone, so that threads
// can share the parts out.
struct Cut {
  index_t total, whole;
  index_t count() const { return ceil_div(total, whole); }
  index_t start(index_t part) const {
    const index_t last = count() - 1;
    if (part > last) return total;
    if (part < last || last == 0) return part * whole;
    return (last - 1) * whole + ceil_div(total - (last - 1) * whole, 2);
  }
  index_t size(index_t part) const { return start(part + 1) - start(part); }
};

// The size of the first part of what is left: goes through a Cut in order without its divisions, which cost a small
// tile a tenth of its time.
static inline index_t next_part(index_t rest, index_t whole) {
  return rest >= 2 * whole ? whole : rest > whole ? rest - rest / 2 : rest;
}

// The row panels of an A block of mc rows, and the column panels of a B block of nc columns, in registers.
static inline Cut row_panels(index_t mc) { return {mc, MR}; }
static inline Cut column_panels(index_t nc) { return {ceil_div(nc, VL), NV}; }

// A column of a panel of A is half a cache line or less. Where columns of A are contiguous, this many panels are packed
// side by side, so that a line is used up before the next column, a long stride away, can evict it. Not more, because
// the panels they are written to are a multiple of 4 KiB apart and share the 8 ways of their sets of L1.
constexpr index_t SIDE = 6;

// Up to SIDE panels from panel p of an A block with mc rows: dst (rows,kc).
void pack_a_panels(index_t mc, index_t kc, const ConstMatrix& A, index_t p, float* block);
// All panels of an A block (mc,kc).
void pack_a_block(index_t mc, index_t kc, const ConstMatrix& A, float* block);
// One panel of nc columns of B, rounded up to registers: dst (kc,width).
void pack_b_panel(index_t nc, index_t kc, const ConstMatrix& B, float* panel);
// Strip of B with nc columns: dst (kc,nc) in panels, the width of the last rounded up to registers.
void pack_strip(index_t nc, index_t kc, const ConstMatrix& B, float* strip);
// The same for contiguous rows of B, each row through all panels before the next one.
void pack_strip_by_rows(index_t nc, index_t kc, const ConstMatrix& B, float* strip);

}  // namespace fb::FB_VARIANT
