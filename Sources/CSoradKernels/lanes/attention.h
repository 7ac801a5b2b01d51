// Attention with streaming softmax over fixed key blocks, a few queries at a time.
//
// Packed form: per head, keys as [Lk padded to 64 / 16][D][16] (16 keys in the lanes, zero-filled), then values as
// [Lk padded to 64][D padded to 16]. A super-tile of queries shares each block of keys and values while it is in cache.

enum {
    ATTENTION_BLOCK = SORAD_ATTENTION_KEY_BLOCK,
    ATTENTION_QUERIES = 4 * SORAD_F32_ROWS,   // queries per super-tile
    ATTENTION_VECTORS = SORAD_MAX_FLOAT_HEAD_DIM / SORAD_LANES,
};

void KERNEL(attention_pack_f32)(const sorad_attention_pack_args *args) {
    size_t d = args->head_dim, d16 = (d + SORAD_LANES - 1) / SORAD_LANES * SORAD_LANES;
    size_t padded = (args->lk + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK;
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

// What is known of each query of a super-tile after some blocks.
typedef struct attention_state {
    float highest[ATTENTION_QUERIES + SORAD_LANES];   // those behind are read, not used
    lanes sums[ATTENTION_QUERIES];
    lanes acc[ATTENTION_VECTORS][ATTENTION_QUERIES];
} attention_state;

// Scores of `rows` queries against one block of keys -> weight [rows][64]; keys beyond Lk, up to a multiple of 16, score -infinity.
SORAD_INLINE void attention_scores(const sorad_attention_args *args, const size_t rows, size_t h, size_t m, size_t j0,
                                   size_t count, const float *keys, float (*weight)[ATTENTION_BLOCK]) {
    const float *q[SORAD_F32_ROWS];
    for (size_t r = 0; r < rows; r++) q[r] = args->q + (m + r) * args->q_stride + h * args->head_dim;
    for (size_t j = 0; j < count; j += SORAD_LANES) {
        lanes sum[SORAD_F32_ROWS];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) sum[r] = splat(0.0f);
        f32_accumulate(rows, q, keys + (j0 + j) * args->head_dim, args->head_dim, sum);
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
            store16(weight[r] + j, choose(valid, fused(sum[r], splat(args->scale), offset), splat(-INFINITY)));
        }
    }
}

// Values of a block, weighted, for 16 numbers of `rows` queries.
SORAD_INLINE void attention_values(const size_t rows, float (*weight)[ATTENTION_BLOCK], size_t count, const float *v, size_t v_stride,
                                   lanes *acc) {
    for (size_t j = 0; j < count; j++) {
        lanes value = load16(v + j * v_stride);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = fused(splat(weight[r][j]), value, acc[r]);
    }
}

// One block of keys for `rows` queries, the first of which is number `at` of the super-tile. Where it is the only one, results are
// written at once: what is known before is nothing, so sums begin at 0.
SORAD_INLINE void attention_block(const sorad_attention_args *args, const size_t rows, const bool only, size_t h, size_t m, size_t at,
                                  size_t j0, const float *keys, const float *values, attention_state *state) {
    size_t count = args->lk - j0 < ATTENTION_BLOCK ? args->lk - j0 : ATTENTION_BLOCK;
    float weight[SORAD_F32_ROWS][ATTENTION_BLOCK], correction[SORAD_LANES] = {0}, highest[SORAD_LANES] = {0};
    lanes inverse[SORAD_F32_ROWS];
    attention_scores(args, rows, h, m, j0, count, keys, weight);
    for (size_t r = 0; r < rows; r++) {
        lanes most = splat(only ? SORAD_ATTENTION_LOWEST : state->highest[at + r]);
        for (size_t j = 0; j < count; j += SORAD_LANES) most = greater(load16(weight[r] + j), most);
        highest[r] = lanes_greatest(most);
    }
    if (!only) store16(correction, exp_lanes(load16(state->highest + at) - load16(highest)));   // of all rows at once
    for (size_t r = 0; r < rows; r++) {
        lanes sums = only ? splat(0.0f) : state->sums[at + r] * splat(correction[r]);
        for (size_t j = 0; j < count; j += SORAD_LANES) {   // the weights of keys beyond are 0 exactly
            lanes p = exp_lanes(load16(weight[r] + j) - splat(highest[r]));
            store16(weight[r] + j, p);
            sums += p;
        }
        if (only) inverse[r] = splat(1.0f / lanes_sum(sums));
        else state->sums[at + r] = sums, state->highest[at + r] = highest[r];
    }
    const size_t d = args->head_dim, vectors = (d + SORAD_LANES - 1) / SORAD_LANES;
    for (size_t i = 0; i < vectors; i++) {
        lanes acc[SORAD_F32_ROWS];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = only ? splat(0.0f) : state->acc[i][at + r] * splat(correction[r]);
        attention_values(rows, weight, count, values + (j0 * vectors + i) * SORAD_LANES, vectors * SORAD_LANES, acc);
        const size_t lane = i * SORAD_LANES;
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            if (only) store(args->out + (m + r) * args->out_stride + h * d + lane, acc[r] * inverse[r], lane_count(lane, d));
            else state->acc[i][at + r] = acc[r];
        }
    }
}

// Queries m ..< m + queries of head h; `only`: of one block of keys, which needs no state.
SORAD_INLINE void attention_super_tile(const sorad_attention_args *args, const bool only, size_t h, size_t m, size_t queries) {
    size_t d = args->head_dim, padded = (args->lk + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK;
    const float *keys = args->packed + h * sorad_attention_packed_floats_f32(1, args->lk, d), *values = keys + padded * d;
    attention_state state;
    if (!only) {
        for (size_t r = 0; r < ATTENTION_QUERIES + SORAD_LANES; r++) state.highest[r] = SORAD_ATTENTION_LOWEST;
        for (size_t r = 0; r < queries; r++) state.sums[r] = splat(0.0f);
        for (size_t i = 0; i * SORAD_LANES < d; i++)
            for (size_t r = 0; r < queries; r++) state.acc[i][r] = splat(0.0f);
    }
    const float *next = args->q + (m + ATTENTION_QUERIES) * args->q_stride + h * d;
    for (size_t j0 = 0; j0 < args->lk; j0 += ATTENTION_BLOCK)
        for (size_t at = 0; at < queries; at += SORAD_F32_ROWS) {
            for (size_t r = 0; r < SORAD_F32_ROWS && j0 + ATTENTION_BLOCK >= args->lk && at + r < queries; r++) {
                bring_row(next + (at + r) * args->q_stride, d, false);
                bring_row(args->out + (m + at + r) * args->out_stride + h * d, d, true);
            }
#define SORAD_TILE(r) attention_block(args, r, only, h, m + at, at, j0, keys, values, &state)
            switch (queries - at) {
                SORAD_F32_PARTIAL_ROWS(SORAD_TILE)
            default: SORAD_TILE(SORAD_F32_ROWS);
            }
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
            if (args->lk <= ATTENTION_BLOCK) attention_few_keys(args, h, m, queries);
            else attention_many_keys(args, h, m, queries);
        }
}
