// Attention with int8 products, on the register tile of the int8 GEMM: queries are its rows; keys, then channels of
// the values, its outputs.
//
// QUERY_TILES tiles of queries go over a head's keys together, one key block after the other, so that keys beyond the
// second-level cache are loaded once for all of them. The work for one (query tile, key block) pair has three stages:
// scores (queries x keys), probs (attention_probs.h) and values (probs x values). Three pairs are in flight, each one
// stage behind the next, so the probs of one can run in the hook of the products of its neighbors.
#ifndef SORAD_LANES_ATTENTION_QD8KV_H
#define SORAD_LANES_ATTENTION_QD8KV_H

#include "attention_pack_qd8kv.h"
#include "attention_probs.h"

enum { QUERY_TILES = 4 };

// A whole tile of products.
SORAD_INLINE void score_tile_products(const char *a, const char *w, size_t w_stride, size_t steps, lanes_i32 *sum, prob_work *work) {
    gemm_tile(MR, NR_PANELS, a, w, w_stride, steps, NULL, (partial_sums *)sum, PROB_HOOK_STEPS, PROBS_HOOK, work, 0);
}
SORAD_INLINE void value_tile_products(const char *a, const char *w, size_t w_stride, size_t steps, lanes_i32 *sum, prob_work *work) {
    gemm_tile_unsigned(MR, NR_PANELS, a, w, w_stride, steps, NULL, (partial_sums *)sum, PROB_HOOK_STEPS, PROBS_HOOK, work, 0);
}

// Products of any number of rows, with one panel or NR_PANELS.
#define PRODUCTS(tile, mr, panels) tile(mr, panels, a, w, w_stride, steps, NULL, (partial_sums *)sum, 1, no_hook, NULL, 0)
static __attribute__((noinline)) void score_products_any(size_t rows, const size_t panels, const char *a, const char *w, size_t w_stride,
                                                         size_t steps, lanes_i32 *sum) {
#define SORAD_TILE(mr)                                  \
    if (panels == 1) PRODUCTS(gemm_tile, mr, 1);        \
    else PRODUCTS(gemm_tile, mr, NR_PANELS)
    SORAD_DISPATCH_ROWS(rows, MR, SORAD_TILE);
#undef SORAD_TILE
}
static __attribute__((noinline)) void value_products_any(size_t rows, const size_t panels, const char *a, const char *w, size_t w_stride,
                                                         size_t steps, lanes_i32 *sum) {
    if (TILE_V_OFFSET == 0) return score_products_any(rows, panels, a, w, w_stride, steps, sum);   // the same tile
#define SORAD_TILE(mr)                                         \
    if (panels == 1) PRODUCTS(gemm_tile_unsigned, mr, 1);      \
    else PRODUCTS(gemm_tile_unsigned, mr, NR_PANELS)
    SORAD_DISPATCH_ROWS(rows, MR, SORAD_TILE);
#undef SORAD_TILE
}

// ---- Scores --------------------------------------------------------------------------------------------------------------

// From sums to scores: `rows` queries from `first` on, `panels` panels of keys from key j of the block on; of the
// last 16 keys `real` exist. The sums of a panel begin `stride` vectors after those of the one before. With constant
// rows and panels the sums stay in registers.
SORAD_INLINE void score_results(const sorad_attention_args *args, const packed_head *head, score_tile *scores, size_t j, size_t first,
                                const size_t rows, const size_t panels, const size_t real, const lanes_i32 *sum, const size_t stride) {
    lanes_u32 offset[NR_PANELS];
    lanes scale[NR_PANELS], bias[NR_PANELS];
#pragma clang loop unroll(full)
    for (size_t p = 0; p < panels; p++) {
        const size_t at = scores->j0 + j + p * PANEL, count = p + 1 < panels ? PANEL : real;
        offset[p] = (lanes_u32)load_i32(head->key_sum + at, PANEL) * (uint32_t)TILE_A_OFFSET;
        scale[p] = load16(head->key_scale + at);
        bias[p] = args->key_bias ? load(args->key_bias + at, count) * SORAD_LOG2_E : splat(0.0f);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        lanes max_score = scores->max_score[first + r];
        const lanes query_scale = splat(scores->queries->scale[first + r]);
#pragma clang loop unroll(full)
        for (size_t p = 0; p < panels; p++) {
            lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[p * stride + r] - offset[p]), lanes);
            lanes score = vfma(dot, query_scale * scale[p], bias[p]);
            if (p + 1 == panels && real < PANEL) score = merge_tail(score, splat(-INFINITY), real);
            store16(scores->score[first + r] + j + p * PANEL, score);
            max_score = vmax(score, max_score);
        }
        scores->max_score[first + r] = max_score;
    }
}

static __attribute__((noinline)) void score_whole_tile(const sorad_attention_args *args, const packed_head *head, score_tile *scores,
                                                       size_t j, prob_work *work) {
    lanes_i32 sum[TILE_VECTORS];
    score_tile_products(scores->queries->packed, head->keys + (scores->j0 + j) / PANEL * head->key_bytes, head->key_bytes,
                        head->d4 / STEP_VALUES, sum, work);
    score_results(args, head, scores, j, 0, MR, NR_PANELS, PANEL, sum, MR);
}

static void score_products(const sorad_attention_args *args, const packed_head *head, score_tile *scores, prob_work *work) {
    const query_tile *q = scores->queries;
    for (size_t r = 0; r < q->rows; r++) scores->max_score[r] = splat(SORAD_ATTENTION_MIN_SCORE);
    for (size_t j = 0, panels; j < scores->count; j += panels * PANEL) {
        const size_t left = scores->count - j;
        panels = left > NR - PANEL ? NR_PANELS : 1;
        if (q->rows == MR && left >= NR) {
            score_whole_tile(args, head, scores, j, work);
            continue;
        }
        lanes_i32 sum[TILE_VECTORS];
        score_products_any(q->rows, panels, q->packed, head->keys + (scores->j0 + j) / PANEL * head->key_bytes, head->key_bytes,
                           head->d4 / STEP_VALUES, sum);
        for (size_t p = 0; p < panels; p++)
            for (size_t r = 0; r < q->rows; r++) {
                const size_t at = j + p * PANEL;
                score_results(args, head, scores, at, r, 1, 1, lane_count(at, scores->count), sum + p * q->rows + r, 1);
            }
    }
}

// ---- Values --------------------------------------------------------------------------------------------------------------

// Adds probs x values to the state of the queries, for channel vectors i ..< i + panels; the other parameters as in
// score_results.
SORAD_INLINE void value_results(const prob_tile *probs, size_t i, size_t first, const size_t rows, const size_t panels,
                                const lanes_i32 *sum, const size_t stride) {
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        const lanes_u32 offset = splat_u32(probs->total[first + r] * (uint32_t)TILE_V_OFFSET);
        const lanes factor = splat(probs->factor[first + r]), correction = splat(probs->correction[first + r]);
#pragma clang loop unroll(full)
        for (size_t p = 0; p < panels; p++) {
            lanes *acc = &probs->queries->acc[i + p][first + r];
            lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[p * stride + r] - offset), lanes);
            *acc = vfma(dot, factor, *acc * correction);
        }
    }
}

static __attribute__((noinline)) void value_whole_tile(const prob_tile *probs, size_t i, const char *w, size_t w_stride, size_t steps,
                                                       prob_work *work) {
    lanes_i32 sum[TILE_VECTORS];
    value_tile_products(probs->packed, w, w_stride, steps, sum, work);
    value_results(probs, i, 0, MR, NR_PANELS, sum, MR);
}

static void value_products(const packed_head *head, const prob_tile *probs, bool is_16bit, prob_work *work) {
    const size_t steps = (probs->count + 15) / 16 * 16 / STEP_VALUES, vectors = head->d16 / PANEL, rows = probs->queries->rows;
    for (size_t i = 0, panels; i < vectors; i += panels) {
        panels = vectors - i >= NR_PANELS ? NR_PANELS : 1;
        const char *w = head->values + i * head->value_bytes + probs->j0 * PANEL * TILE_A_BYTES;
        if (!is_16bit && rows == MR && panels == NR_PANELS) {
            value_whole_tile(probs, i, w, head->value_bytes, steps, work);
            continue;
        }
        lanes_i32 sum[TILE_VECTORS];
        value_products_any(rows, panels, probs->packed, w, head->value_bytes, steps, sum);
        if (is_16bit) {
            lanes_i32 low[TILE_VECTORS];
            value_products_any(rows, panels, probs->low, w, head->value_bytes, steps, low);
            for (size_t n = 0; n < rows * panels; n++) sum[n] = (lanes_i32)(((lanes_u32)sum[n] << 8) + (lanes_u32)low[n]);
        }
        for (size_t p = 0; p < panels; p++)
            for (size_t r = 0; r < rows; r++) value_results(probs, i + p, r, 1, 1, sum + p * rows + r, 1);
    }
}

// ---- Queries -------------------------------------------------------------------------------------------------------------

static void load_queries(const sorad_attention_args *args, size_t h, size_t m, query_tile *q) {
    const size_t d = args->head_dim, kblocks = (d + KBLOCK_VALUES - 1) / KBLOCK_VALUES;
    memset(q->max_score, 0, sizeof q->max_score), memset(q->sum, 0, sizeof q->sum);   // of rows that the tile does not have
    for (size_t r = 0; r < q->rows; r++) {
        const float *x = args->q + (m + r) * args->q_stride + h * d;
        float scale;
        if (d % 64 == 0) {
            scale = quantize_query(x, d, q->packed + r * KBLOCK_BYTES, q->rows * KBLOCK_BYTES);
        } else {
            int8_t values[SORAD_MAX_HEAD_DIM];
            int32_t total;
            scale = quantize_head_row(x, NULL, d, kblocks * KBLOCK_VALUES, values, &total);
            for (size_t b = 0; b < kblocks; b++) a_pack_kblock(values + b * KBLOCK_VALUES, q->packed + (b * q->rows + r) * KBLOCK_BYTES);
        }
        q->scale[r] = args->scale * SORAD_LOG2_E * scale;
        q->max_score[r] = SORAD_ATTENTION_MIN_SCORE;
        for (size_t i = 0; i * SORAD_LANES < d; i++) q->acc[i][r] = splat(0.0f);
    }
    a_interleave_rows(q->packed, q->rows, kblocks);
}

static void store_queries(const sorad_attention_args *args, size_t h, const packed_head *head, size_t m, const query_tile *q) {
    for (size_t r = 0; r < q->rows; r++) {
        const lanes inverse = splat(1.0f / q->sum[r]);
        float *out = args->out + (m + r) * args->out_stride + h * args->head_dim;
        SORAD_FOR_LANES_SPLIT(args->head_dim, {
            lanes value = q->acc[i / SORAD_LANES][r] * inverse;
            store(out + i, vfma(value, load16(head->value_scale + i), load16(head->value_mean + i)), count);
        });
    }
}

// `tiles` tiles of queries, from query `first` on, against all keys. Pair p is tile p % tiles and key block p / tiles.
static void attend_tiles(const sorad_attention_args *args, size_t h, const packed_head *head, size_t first, query_tile *queries,
                         size_t tiles) {
    score_tile scores[2];
    prob_tile probs[2];
    probs[0].queries = queries;
    prob_work work = {.from = scores, .to = probs, .row = MR, .exp2 = SORAD_EXP2_BYTE};   // nothing to do yet
    const size_t pairs = tiles * ((args->lk + KEY_BLOCK - 1) / KEY_BLOCK);
    // The calls of the hook in one pair's products: they compute all probs of its neighbor.
    const size_t calls = KEY_BLOCK / NR * ((head->d4 + 31) / 32) + head->d16 / NR * (KEY_BLOCK / 32);
    work.share = (MR * PROB_KBLOCKS + calls - 1) / (calls > 0 ? calls : 1);
    for (size_t p = 0; p < pairs + 2; p++) {
        const bool has_probs = p >= 1 && p <= pairs;
        if (has_probs) {
            const score_tile *from = work.from = scores + (p - 1) % 2;
            prob_tile *to = work.to = probs + (p - 1) % 2;
            to->queries = from->queries, to->j0 = from->j0, to->count = from->count;
            memset(to->max_score, 0, sizeof to->max_score), memset(to->totals, 0, sizeof to->totals);   // of rows that a tile does not have
            work.row = args->probs_16bit ? MR : 0, work.kblock = 0;
            if (args->probs_16bit) probs_16bit(from, to);
        }
        if (p < pairs) {
            score_tile *next = scores + p % 2;
            next->queries = queries + p % tiles, next->j0 = p / tiles * KEY_BLOCK;
            next->count = args->lk - next->j0 < KEY_BLOCK ? args->lk - next->j0 : KEY_BLOCK;
            score_products(args, head, next, &work);
            if (p + tiles >= pairs) {   // its last key block: its output is written soon
                const float *out = args->out + (first + p % tiles * MR) * args->out_stride + h * args->head_dim;
                for (size_t r = 0; r < next->queries->rows; r++, out += args->out_stride) prefetch_row(out, args->head_dim, true);
            }
        }
        if (p >= 2) value_products(head, probs + p % 2, args->probs_16bit, &work);
        if (has_probs) probs_rest(&work), probs_finish(work.to, args->probs_16bit);
    }
}

void KERNEL(attention_f32_qd8kv)(const sorad_attention_args *args) {
    query_tile queries[QUERY_TILES];
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        const packed_head head = packed_head_of(args->packed, h, args->lk, args->head_dim);
        for (size_t m = args->query_begin; m < args->query_end;) {
            const size_t first = m;
            size_t tiles = 0;
            for (size_t r = 0; r < QUERY_TILES * MR && m + r < args->query_end; r++)
                prefetch_row(args->q + (m + r) * args->q_stride + h * args->head_dim, args->head_dim, false);
            for (; tiles < QUERY_TILES && m < args->query_end; m += queries[tiles++].rows) {
                queries[tiles].rows = args->query_end - m < MR ? args->query_end - m : MR;
                load_queries(args, h, m, queries + tiles);
            }
            attend_tiles(args, h, &head, first, queries, tiles);
            for (size_t t = 0, at = first; t < tiles; at += queries[t++].rows) store_queries(args, h, &head, at, queries + t);
        }
    }
}

#endif
