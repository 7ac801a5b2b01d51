// Float attention with streaming softmax over fixed key blocks.
//
// Packed form of a head: keys as [Lk padded to 64 / 16][D][16] (16 keys in the lanes, zero-filled), then values as
// [Lk padded to 64][D padded to 16]. A super-tile of queries shares each block of keys and values while it is in cache.
#ifndef SORAD_LANES_ATTENTION_F32_H
#define SORAD_LANES_ATTENTION_F32_H

#include "gemm_f32.h"

enum {
    ATTENTION_KEY_BLOCK = SORAD_ATTENTION_KEY_BLOCK,
    ATTENTION_QUERIES = 4 * F32_MR,   // queries per super-tile
    ATTENTION_VECTORS = SORAD_MAX_FLOAT_HEAD_DIM / SORAD_LANES,
};

void KERNEL(attention_pack_f32)(const sorad_attention_pack_args *args) {
    size_t d = args->head_dim, d16 = (d + SORAD_LANES - 1) / SORAD_LANES * SORAD_LANES;
    size_t padded = (args->lk + ATTENTION_KEY_BLOCK - 1) / ATTENTION_KEY_BLOCK * ATTENTION_KEY_BLOCK;
    size_t key_end = args->key_end == args->lk ? padded : args->key_end;
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        float *keys = args->packed + h * sorad_attention_packed_floats_f32(1, args->lk, d), *values = keys + padded * d;
        for (size_t j = args->key_begin; j < key_end; j++) {
            float *key = keys + j / SORAD_LANES * SORAD_LANES * d + j % SORAD_LANES, *value = values + j * d16;
            bool real = j < args->lk;
            if (args->k) {
                const float *k = args->k + (real ? j : 0) * args->k_stride + h * d;
                for (size_t i = 0; i < d; i++) key[i * SORAD_LANES] = real ? k[i] : 0.0f;
            }
            if (args->v) {
                const float *v = args->v + (real ? j : 0) * args->v_stride + h * d;
                for (size_t i = 0; i < d16; i++) value[i] = real && i < d ? v[i] : 0.0f;
            }
        }
    }
}

// The streaming softmax of each query of a super-tile after some key blocks.
typedef struct attention_state {
    float max_score[ATTENTION_QUERIES + SORAD_LANES];   // the last ones are read, not used
    lanes sums[ATTENTION_QUERIES];
    lanes acc[ATTENTION_VECTORS][ATTENTION_QUERIES];
} attention_state;

// The scores of `rows` queries and one block of keys -> probs [rows][64]; those of keys beyond Lk, up to a multiple
// of 16, are -infinity.
SORAD_INLINE void attention_scores(const sorad_attention_args *args, const size_t rows, size_t h, size_t m, size_t j0,
                                   size_t count, const float *keys, float (*probs)[ATTENTION_KEY_BLOCK]) {
    const float *q[F32_MR];
    for (size_t r = 0; r < rows; r++) q[r] = args->q + (m + r) * args->q_stride + h * args->head_dim;
    for (size_t j = 0; j < count; j += SORAD_LANES) {
        lanes sum[F32_MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) sum[r] = splat(0.0f);
        f32_tile(rows, q, keys + (j0 + j) * args->head_dim, args->head_dim, sum);
        size_t real = lane_count(j, count);
        const lanes_i32 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        lanes_i32 valid = index < (lanes_i32)splat_u32((uint32_t)real);
        lanes key_bias = args->key_bias ? load(args->key_bias + j0 + j, real) : splat(0.0f);
        for (size_t r = 0; r < rows; r++) {
            lanes offset = key_bias;
            if (args->bias)
                offset += load(args->bias + h * args->bias_head_stride + (m + r) * args->bias_query_stride + j0 + j, real);
            else
                offset += 0.0f;
            store16(probs[r] + j, vselect(valid, vfma(sum[r], splat(args->scale), offset), splat(-INFINITY)));
        }
    }
}

// acc[r] += probs x values of a block, for 16 channels of `rows` queries.
SORAD_INLINE void attention_values(const size_t rows, float (*probs)[ATTENTION_KEY_BLOCK], size_t count, const float *v, size_t v_stride,
                                   lanes *acc) {
    for (size_t j = 0; j < count; j++) {
        lanes value = load16(v + j * v_stride);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = vfma(splat(probs[r][j]), value, acc[r]);
    }
}

// One block of keys for `rows` queries, of which the first is number `at` of the super-tile. If it is the only block
// (`only`), there is no earlier state, and the results are written at once.
SORAD_INLINE void attention_block(const sorad_attention_args *args, const size_t rows, const bool only, size_t h, size_t m, size_t at,
                                  size_t j0, const float *keys, const float *values, attention_state *state) {
    size_t count = args->lk - j0 < ATTENTION_KEY_BLOCK ? args->lk - j0 : ATTENTION_KEY_BLOCK;
    float probs[F32_MR][ATTENTION_KEY_BLOCK], correction[SORAD_LANES] = {0}, max_score[SORAD_LANES] = {0};
    lanes inverse[F32_MR];
    attention_scores(args, rows, h, m, j0, count, keys, probs);
    for (size_t r = 0; r < rows; r++) {
        lanes block_max = splat(only ? SORAD_ATTENTION_MIN_SCORE : state->max_score[at + r]);
        for (size_t j = 0; j < count; j += SORAD_LANES) block_max = vmax(load16(probs[r] + j), block_max);
        max_score[r] = lanes_max(block_max);
    }
    if (!only) store16(correction, exp_lanes(load16(state->max_score + at) - load16(max_score)));   // of all rows at once
    for (size_t r = 0; r < rows; r++) {
        lanes sums = only ? splat(0.0f) : state->sums[at + r] * splat(correction[r]);
        for (size_t j = 0; j < count; j += SORAD_LANES) {   // the probs of keys beyond Lk are exactly 0
            lanes p = exp_lanes(load16(probs[r] + j) - splat(max_score[r]));
            store16(probs[r] + j, p);
            sums += p;
        }
        if (only) inverse[r] = splat(1.0f / lanes_sum(sums));
        else state->sums[at + r] = sums, state->max_score[at + r] = max_score[r];
    }
    const size_t d = args->head_dim, vectors = (d + SORAD_LANES - 1) / SORAD_LANES;
    for (size_t i = 0; i < vectors; i++) {
        lanes acc[F32_MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = only ? splat(0.0f) : state->acc[i][at + r] * splat(correction[r]);
        attention_values(rows, probs, count, values + (j0 * vectors + i) * SORAD_LANES, vectors * SORAD_LANES, acc);
        const size_t lane = i * SORAD_LANES;
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            if (only) store(args->out + (m + r) * args->out_stride + h * d + lane, acc[r] * inverse[r], lane_count(lane, d));
            else state->acc[i][at + r] = acc[r];
        }
    }
}

// Queries m ..< m + queries of head h; `only` says that there is one block of keys.
SORAD_INLINE void attention_super_tile(const sorad_attention_args *args, const bool only, size_t h, size_t m, size_t queries) {
    size_t d = args->head_dim, padded = (args->lk + ATTENTION_KEY_BLOCK - 1) / ATTENTION_KEY_BLOCK * ATTENTION_KEY_BLOCK;
    const float *keys = args->packed + h * sorad_attention_packed_floats_f32(1, args->lk, d), *values = keys + padded * d;
    attention_state state;
    if (!only) {
        for (size_t r = 0; r < ATTENTION_QUERIES + SORAD_LANES; r++) state.max_score[r] = SORAD_ATTENTION_MIN_SCORE;
        for (size_t r = 0; r < queries; r++) state.sums[r] = splat(0.0f);
        for (size_t i = 0; i * SORAD_LANES < d; i++)
            for (size_t r = 0; r < queries; r++) state.acc[i][r] = splat(0.0f);
    }
    const float *next = args->q + (m + ATTENTION_QUERIES) * args->q_stride + h * d;
    for (size_t j0 = 0; j0 < args->lk; j0 += ATTENTION_KEY_BLOCK)
        for (size_t at = 0; at < queries; at += F32_MR) {
            for (size_t r = 0; r < F32_MR && j0 + ATTENTION_KEY_BLOCK >= args->lk && at + r < queries; r++) {
                prefetch_row(next + (at + r) * args->q_stride, d, false);
                prefetch_row(args->out + (m + at + r) * args->out_stride + h * d, d, true);
            }
#define SORAD_TILE(mr) attention_block(args, mr, only, h, m + at, at, j0, keys, values, &state)
            SORAD_DISPATCH_ROWS(queries - at, F32_MR, SORAD_TILE);
#undef SORAD_TILE
        }
    if (only) return;
    for (size_t r = 0; r < queries; r++) {
        lanes inverse = splat(1.0f / lanes_sum(state.sums[r]));
        float *out = args->out + (m + r) * args->out_stride + h * d;
        for (size_t i = 0; i < d; i += SORAD_LANES)
            store(out + i, state.acc[i / SORAD_LANES][r] * inverse, lane_count(i, d));
    }
}

static __attribute__((noinline)) void attention_few_keys(const sorad_attention_args *args, size_t h, size_t m, size_t queries) {
    attention_super_tile(args, true, h, m, queries);
}

static __attribute__((noinline)) void attention_many_keys(const sorad_attention_args *args, size_t h, size_t m, size_t queries) {
    attention_super_tile(args, false, h, m, queries);
}

void KERNEL(attention_f32)(const sorad_attention_args *args) {
    for (size_t h = args->head_begin; h < args->head_end; h++)
        for (size_t m = args->query_begin; m < args->query_end; m += ATTENTION_QUERIES) {
            size_t left = args->query_end - m, queries = left < ATTENTION_QUERIES ? left : ATTENTION_QUERIES;
            if (args->lk <= ATTENTION_KEY_BLOCK) attention_few_keys(args, h, m, queries);
            else attention_many_keys(args, h, m, queries);
        }
}

#endif
