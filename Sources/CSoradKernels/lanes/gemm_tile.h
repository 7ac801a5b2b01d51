// The register tile of the int8 GEMM: the interface between the loops, which are written once, and each instruction
// set. SORAD_GEMM_TILE names the file of the instruction set that includes this. That file defines:
//
//   MR, NR              rows and outputs of a tile; NR is a multiple of 16
//   KC                  inputs of one pass: the weights [NC, KC] fit the second-level cache; a multiple of 64
//   NC                  outputs of a group: a packed row tile meets them while it is in the first-level cache
//   TILE_A_BYTES        bytes of one packed activation: 1, or 2 where products are of 16-bit values
//   TILE_A_OFFSET       what packing adds to each activation (128 for u8 x s8 products, else 0)
//   TILE_INTERLEAVES    whether hooks pay: the tile leaves issue slots and registers free while the multipliers are busy
//   a_pack_kblock(a, out)              one K-block of 64 / TILE_A_BYTES int8 values to its packed form
//   gemm_tile(mr, panels, a, w, w_stride, steps, start, sum, every, hook, context, variant)
//       sum[p * mr + r] = start[p * mr + r] + sum over k of a[r, k] * w[p, k], for mr rows and `panels` weight panels of 16
//       outputs, `w_stride` bytes apart; `start` null means 0. One step is one 4-byte broadcast of every row. Before every `every`
//       steps (a divisor of 16) of a whole K-block the tile calls hook(context, variant). `mr`, `panels`, `every`, `hook` and
//       `variant` are constants at every call, so the hook is inlined; no_hook leaves nothing behind.
//
// and, where it differs from the default below: w_widen_panel, a_interleave_rows, TILE_V_OFFSET with
// gemm_tile_unsigned, and conv_tile for instruction sets that convolve with conv_implicit_gemm.h.
#ifndef SORAD_LANES_GEMM_TILE_H
#define SORAD_LANES_GEMM_TILE_H

#include "lanes.h"

enum {
    KBLOCK_BYTES = 64,       // a packed row tile is [K-block][row][64 bytes]
    STEPS_OF_KBLOCK = KBLOCK_BYTES / 4,
    PANEL = SORAD_LANES,     // outputs of one packed panel of weights: [K/4][16][4] bytes
};

// 16 sums of one row between two passes over K, at any address.
typedef lanes_i32_anywhere partial_sums;

typedef void tile_hook(void *context, int variant);
SORAD_INLINE void no_hook(void *context, int variant) { (void)context, (void)variant; }

// The pixels of an image that a tile of neighboring output pixels reads: `rows` runs of 4 * steps bytes, one in each
// of as many image rows; those of the next output pixel lie `pixel` bytes further on.
typedef struct conv_window {
    const char *row[3];
    size_t rows, steps, pixel;
} conv_window;

// sum[r] += start[r], for tiles whose own sums begin at 0.
SORAD_INLINE void add_partial_sums(partial_sums *sum, const partial_sums *start, const size_t count) {
    if (!start) return;
    for (size_t i = 0; i < count; i++) sum[i] = (partial_sums)((lanes_u32)sum[i] + (lanes_u32)start[i]);
}

#include SORAD_GEMM_TILE

enum {
    NR_PANELS = NR / PANEL,
    TILE_VECTORS = MR * NR_PANELS,   // of 16 sums
    KBLOCK_VALUES = KBLOCK_BYTES / TILE_A_BYTES,
    STEP_VALUES = 4 / TILE_A_BYTES,
};

// Widens a panel of weights, int8 [groups][16][4], to 16-bit [2 * groups][16][2]; only called where TILE_A_BYTES is 2.
#if TILE_A_BYTES == 1
typedef uint8_t a_element;
SORAD_INLINE void w_widen_panel(const int8_t *w, size_t groups, void *out) { (void)w, (void)groups, (void)out; }
#else
typedef uint16_t a_element;
#endif

// Interleaves the rows of a packed tile, where the tile's instruction takes several rows at once.
#ifndef TILE_INTERLEAVES_ROWS
SORAD_INLINE void a_interleave_rows(char *tile, size_t rows, size_t kblocks) { (void)tile, (void)rows, (void)kblocks; }
#endif

// Products with unsigned activations (0 to 255): attention's probabilities. An instruction set without u8 x s8
// products packs the values with TILE_V_OFFSET added and multiplies unsigned by unsigned.
#ifndef TILE_V_OFFSET
#define TILE_V_OFFSET 0
#define gemm_tile_unsigned gemm_tile
#endif

#endif
