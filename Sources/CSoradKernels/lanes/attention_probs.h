// The probabilities of int8 attention: a tile of scores becomes a tile of probs, packed as rows of the int8 GEMM.
//
// The probs of one (query tile, key block) pair are computed from the hook of the tiles that multiply for its
// neighbors, one K-block of one row at a time, where the instruction set's tile interleaves; what is left afterwards
// is computed at once.
#ifndef SORAD_LANES_ATTENTION_PROBS_H
#define SORAD_LANES_ATTENTION_PROBS_H

#include "gemm_tile.h"

enum {
    KEY_BLOCK = SORAD_ATTENTION_QD8KV_KEY_BLOCK,
    HEAD_KBLOCKS = SORAD_MAX_HEAD_DIM / KBLOCK_VALUES,   // of a query
    PROB_KBLOCKS = KEY_BLOCK / KBLOCK_VALUES,            // of a row of probs
    PROB_HOOK_STEPS = 8,                                 // steps of a tile between two calls of the hook
};

// A tile of packed queries and the state of their streaming softmax after some key blocks. Scores are in base 2: log2
// of a prob.
typedef struct query_tile {
    size_t rows;
    char packed[MR * HEAD_KBLOCKS * KBLOCK_BYTES];       // [K-block][row][64 bytes]
    float scale[MR];
    float max_score[SORAD_LANES], sum[SORAD_LANES];      // by row; sum of probs relative to max_score
    lanes acc[SORAD_MAX_HEAD_DIM / SORAD_LANES][MR];     // probs * values
} query_tile;

// The scores of a tile of queries and keys j0 ..< j0 + count; -infinity up to the next multiple of 16.
typedef struct score_tile {
    query_tile *queries;
    size_t j0, count;
    lanes max_score[MR];
    float score[MR][KEY_BLOCK];
} score_tile;

// The same as probs relative to the block's greatest score. Of 16-bit probs `packed` has the high bytes, `low` the
// low bytes.
typedef struct prob_tile {
    query_tile *queries;
    size_t j0, count;
    char packed[MR * PROB_KBLOCKS * KBLOCK_BYTES];       // [K-block][row][64 bytes]
    char low[MR * PROB_KBLOCKS * KBLOCK_BYTES];
    uint32_t total[MR];                                  // sum of a row's probs
    // By row: the block's greatest score; `total` as float; what the query tile's state, and what this block, is multiplied by.
    float max_score[SORAD_LANES], totals[SORAD_LANES], correction[SORAD_LANES], factor[SORAD_LANES];
} prob_tile;

// The pair whose probs are being computed.
typedef struct prob_work {
    const score_tile *from;
    prob_tile *to;
    size_t row, kblock, share;   // the next K-block; K-blocks in one call of the hook
    lanes_u32 total;
    exp2_byte_constants exp2;    // in memory: the registers hold sums
} prob_work;

typedef a_element packed_probs __attribute__((vector_size(16 * sizeof(a_element))));

SORAD_INLINE void store_probs(char *out, lanes_u32 probs) {
    const packed_probs packed = __builtin_convertvector(probs, packed_probs);
    memcpy(out, &packed, sizeof packed);
}

// Computes the probs of the next `share` K-blocks.
SORAD_INLINE void probs_share(prob_work *work, size_t share) {
    const score_tile *from = work->from;
    prob_tile *to = work->to;
    const size_t rows = to->queries->rows;
    for (; share > 0 && work->row < rows; share--) {
        const size_t r = work->row, begin = work->kblock * KBLOCK_VALUES;
        size_t end = begin + KBLOCK_VALUES;
        if (end > from->count) end = from->count;
        if (begin == 0) to->max_score[r] = lanes_max(from->max_score[r]), work->total = splat_u32(0);
        const lanes max_score = splat(to->max_score[r]);
        lanes_u32 total = work->total;
        char *out = to->packed + (work->kblock * rows + r) * KBLOCK_BYTES;
#pragma clang loop unroll(disable)
        for (size_t j = begin; j < end; j += SORAD_LANES, out += SORAD_LANES * TILE_A_BYTES) {
            lanes_u32 probs = exp2_byte_lanes(load16(from->score[r] + j) - max_score, &work->exp2);
            total += probs;
            store_probs(out, probs);
        }
        work->total = total;
        if (end < from->count) {
            work->kblock++;
        } else {
            to->total[r] = lanes_sum_u32(total), to->totals[r] = (float)(int32_t)to->total[r];
            work->row++, work->kblock = 0;
        }
    }
}

SORAD_INLINE void probs_hook(void *context, const int variant) {
    (void)variant;
    prob_work *work = context;
    probs_share(work, work->share);
}

// The hook of attention's tiles.
#define PROBS_HOOK (TILE_INTERLEAVES ? probs_hook : no_hook)

static __attribute__((noinline)) void probs_rest(prob_work *work) { probs_share(work, (size_t)MR * PROB_KBLOCKS); }

// All 16-bit probs at once.
static __attribute__((noinline)) void probs_16bit(const score_tile *from, prob_tile *to) {
    const size_t rows = to->queries->rows;
    for (size_t r = 0; r < rows; r++) {
        lanes_u32 total = splat_u32(0);
        to->max_score[r] = lanes_max(from->max_score[r]);
        for (size_t begin = 0, kblock = 0; begin < from->count; begin += KBLOCK_VALUES, kblock++) {
            const size_t at = (kblock * rows + r) * KBLOCK_BYTES, left = from->count - begin;
            for (size_t j = 0; j < KBLOCK_VALUES && j < left; j += SORAD_LANES) {
                const lanes_u32 probs = exp2_word_lanes(load16(from->score[r] + begin + j) - splat(to->max_score[r]));
                total += probs;
                store_probs(to->packed + at + j * TILE_A_BYTES, probs >> 8);
                store_probs(to->low + at + j * TILE_A_BYTES, probs & 0xFFu);
            }
        }
        to->total[r] = lanes_sum_u32(total), to->totals[r] = (float)(int32_t)to->total[r];
    }
}

// Streaming softmax: updates the queries' maximum and sum when all probs of the block are there, and finishes their
// packed form.
static __attribute__((noinline)) void probs_finish(prob_tile *probs, bool is_16bit) {
    query_tile *q = probs->queries;
    lanes now = load16(probs->max_score), previous = load16(q->max_score), max_score = vmax(now, previous);
    lanes correction = exp_lanes((previous - max_score) * SORAD_LN2), factor = exp_lanes((now - max_score) * SORAD_LN2);
    store16(q->max_score, max_score), store16(probs->correction, correction), store16(probs->factor, factor);
    store16(q->sum, vfma(load16(probs->totals), factor, load16(q->sum) * correction));
    const size_t kblocks = (probs->count + KBLOCK_VALUES - 1) / KBLOCK_VALUES;
    a_interleave_rows(probs->packed, q->rows, kblocks);
    if (is_16bit) a_interleave_rows(probs->low, q->rows, kblocks);
}

#endif
