// Attention with int8 products on the register tile of the matrix product: queries are its rows; keys, then channels of
// the values, its outputs.
//
// Packed form of a head: key_scale [Lk16], key_sum [Lk16], value_scale [D16], value_mean [D16], keys [Lk16/16][D4][16],
// values [D16/16][Lk16][16], the last two as the tile reads weights; D4, D16, Lk16 are D and Lk filled up with zeros.
//
// An instruction set whose tile wants both factors signed brings another for the values, which have
// SORAD_INT8_VALUE_OFFSET added: int8_value_tile, weights of 0 to 255 against unsigned bytes.
#ifndef SORAD_INT8_VALUE_OFFSET
#define SORAD_INT8_VALUE_OFFSET 0
#endif

enum {
    INT8_ATTENTION_BLOCK = SORAD_ATTENTION_INT8_KEY_BLOCK,
    INT8_HEAD_VECTORS = SORAD_MAX_HEAD_DIM / SORAD_LANES,
    INT8_HEAD_LINES = SORAD_MAX_HEAD_DIM / INT8_LINE_VALUES,        // of a query
    INT8_WEIGHT_LINES = INT8_ATTENTION_BLOCK / INT8_LINE_VALUES,    // of a block's weights
    INT8_GROUP = 16 * INT8_STEP_VALUES * SORAD_INT8_WIDTH,          // bytes that one step of a tile reads of a block: 64
};

typedef struct int8_head {
    float *key_scale;
    int32_t *key_sum;
    float *value_scale, *value_mean;
    char *keys, *values;
    size_t d4, d16, lk16;
    size_t key_bytes, value_bytes;   // of one block of 16 keys, of 16 channels
} int8_head;

static int8_head int8_head_of(const float *packed, size_t head, size_t lk, size_t d) {
    int8_head h = {.d4 = (d + 3) / 4 * 4, .d16 = (d + 15) / 16 * 16, .lk16 = (lk + 15) / 16 * 16};
    h.key_scale = (float *)(uintptr_t)packed + head * sorad_attention_int8_packed_floats(1, lk, d);
    h.key_sum = (int32_t *)(h.key_scale + h.lk16);
    h.value_scale = h.key_scale + 2 * h.lk16, h.value_mean = h.value_scale + h.d16;
    h.key_bytes = h.d4 * 16 * SORAD_INT8_WIDTH, h.value_bytes = h.lk16 * 16 * SORAD_INT8_WIDTH;
    h.keys = (char *)(h.value_mean + h.d16), h.values = h.keys + h.lk16 / 16 * h.key_bytes;
    return h;
}

// ---- Packing -------------------------------------------------------------------------------------------------------

SORAD_INLINE lanes_i32 int8_codes(lanes x, lanes inverse) {
    return clamp_int8((lanes_i32)((lanes_u32)(x * inverse + SORAD_ROUND_MAGIC) - SORAD_ROUND_MAGIC_BITS));
}

// x [D] - mean [D] to codes, zeros up to `padded`; returns the scale. `total` is the sum of the codes.
SORAD_INLINE float int8_quantize_head(const float *x, const float *mean, size_t d, size_t padded, int8_t *codes, int32_t *total) {
    lanes lows = splat(0.0f), highs = splat(0.0f);
    SORAD_EACH(d) {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lows = lesser(v, lows), highs = greater(v, highs);
    }
    float scale, inverse;
    int32_t zero;
    sorad_quantize_parameters(-lanes_greatest(-lows), lanes_greatest(highs), false, &scale, &inverse, &zero);
    lanes_i32 sums = {0};
    SORAD_EACH(d) {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lanes_i32 q = (lanes_i32)keep((lanes)int8_codes(v, splat(inverse)), count);
        lanes_i8 bytes = __builtin_convertvector(q, lanes_i8);
        *(lanes_i8_at *)(codes + i) = bytes;   // codes has room for whole vectors
        sums += q;
    }
    for (size_t i = (d + 15) / 16 * 16; i < padded; i++) codes[i] = 0;
    *total = (int32_t)lanes_sum_u32((lanes_u32)sums);
    return scale;
}

// Means of the columns of x [keys, d], row by row: columns far apart in memory would push each other out of the caches.
static void int8_means(const float *x, size_t stride, size_t keys, size_t d, lanes mean[INT8_HEAD_VECTORS]) {
    for (size_t i = 0; i * SORAD_LANES < d; i++) mean[i] = splat(0.0f);
    for (size_t j = 0; j < keys; j++, x += stride)
        SORAD_EACH(d) mean[i / SORAD_LANES] += load(x + i, count);
    for (size_t i = 0; i * SORAD_LANES < d; i++) mean[i] /= splat((float)keys);
}

static void int8_pack_keys(const sorad_attention_pack_args *args, const int8_head *head, const float *k) {
    lanes means[INT8_HEAD_VECTORS];
    float mean[SORAD_MAX_HEAD_DIM];
    int8_t codes[SORAD_MAX_HEAD_DIM];
    int8_means(k, args->k_stride, args->lk, args->head_dim, means);
    SORAD_EACH(args->head_dim) store(mean + i, means[i / SORAD_LANES], count);
    for (size_t j = 0; j < head->lk16; j++) {
        if (j < args->lk) {
            head->key_scale[j] = int8_quantize_head(k + j * args->k_stride, mean, args->head_dim, head->d4, codes, head->key_sum + j);
        } else {
            memset(codes, 0, sizeof codes);
            head->key_scale[j] = 0.0f, head->key_sum[j] = 0;
        }
        char *out = head->keys + j / 16 * head->key_bytes + j % 16 * 4;
        for (size_t i = 0; i < head->d4; i += INT8_STEP_VALUES, out += INT8_GROUP) {
#if SORAD_INT8_WIDTH == 1
            memcpy(out, codes + i, 4);
#else
            int16_t wide[2] = {codes[i], codes[i + 1]};   // little endian, as every CPU with these tiles
            memcpy(out, wide, 4);
#endif
        }
    }
}

static void int8_pack_values(const sorad_attention_pack_args *args, const int8_head *head, const float *v) {
    const size_t d = args->head_dim;
    lanes mean[INT8_HEAD_VECTORS], lows[INT8_HEAD_VECTORS], highs[INT8_HEAD_VECTORS], inverses[INT8_HEAD_VECTORS];
    int8_means(v, args->v_stride, args->lk, d, mean);
    for (size_t i = 0; i * SORAD_LANES < d; i++) lows[i] = highs[i] = splat(0.0f);
    for (size_t j = 0; j < args->lk; j++)
        SORAD_EACH(d) {
            const size_t n = i / SORAD_LANES;
            lanes x = load(v + j * args->v_stride + i, count) - mean[n];
            lows[n] = lesser(x, lows[n]), highs[n] = greater(x, highs[n]);
        }
    SORAD_EACH(d) {
        float low[SORAD_LANES], high[SORAD_LANES], scale[SORAD_LANES], inverse[SORAD_LANES];
        int32_t zero;
        store16(low, lows[i / SORAD_LANES]), store16(high, highs[i / SORAD_LANES]);
        for (size_t n = 0; n < SORAD_LANES; n++) sorad_quantize_parameters(low[n], high[n], false, scale + n, inverse + n, &zero);
        store16(head->value_scale + i, load16(scale)), store16(head->value_mean + i, mean[i / SORAD_LANES]);
        inverses[i / SORAD_LANES] = load16(inverse);
        (void)count;
    }
    for (size_t j = 0; j < head->lk16; j += INT8_STEP_VALUES)
        SORAD_EACH(d) {
            lanes_u32 word = splat_u32(0);
            for (size_t n = 0; n < INT8_STEP_VALUES && j + n < args->lk; n++) {
                lanes x = load(v + (j + n) * args->v_stride + i, count) - mean[i / SORAD_LANES];
                lanes_u32 code = (lanes_u32)keep((lanes)int8_codes(x, inverses[i / SORAD_LANES]), count);
                code += SORAD_INT8_VALUE_OFFSET;
                word |= (code & (SORAD_INT8_WIDTH == 1 ? 0xFFu : 0xFFFFu)) << (8 * SORAD_INT8_WIDTH * n);
            }
            memcpy(head->values + i / SORAD_LANES * head->value_bytes + j / INT8_STEP_VALUES * INT8_GROUP, &word, sizeof word);
        }
}

void KERNEL(attention_int8_pack)(const sorad_attention_pack_args *args) {
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        int8_head head = int8_head_of(args->packed, h, args->lk, args->head_dim);
        int8_pack_keys(args, &head, args->k + h * args->head_dim);
        int8_pack_values(args, &head, args->v + h * args->head_dim);
    }
}

// ---- Attention -----------------------------------------------------------------------------------------------------

// A tile of queries and what is known of them after some blocks.
typedef struct int8_queries {
    size_t rows;
    char codes[SORAD_INT8_ROWS * INT8_HEAD_LINES * INT8_LINE];       // [line][row][64 bytes]
    char weights[SORAD_INT8_ROWS * INT8_WEIGHT_LINES * INT8_LINE];   // the same, of the present block
    float scale[SORAD_INT8_ROWS];
    float highest[SORAD_LANES], sum[SORAD_LANES], correction[SORAD_LANES], factor[SORAD_LANES];   // by row
    uint32_t total[SORAD_INT8_ROWS];   // of the block's weights
    lanes acc[SORAD_MAX_HEAD_DIM / SORAD_LANES][SORAD_INT8_ROWS];
    lanes most[SORAD_INT8_ROWS];
    float score[SORAD_INT8_ROWS][INT8_ATTENTION_BLOCK];
} int8_queries;

static __attribute__((noinline)) void int8_any_tile(size_t rows, const size_t blocks, const char *a, const char *w,
                                                    size_t w_stride, size_t steps, lanes_i32 *sum) {
#define SORAD_TILE(r) blocks == 1 ? int8_tile(r, 1, a, w, w_stride, steps, sum) \
                                  : int8_tile(r, SORAD_INT8_BLOCKS, a, w, w_stride, steps, sum)
    switch (rows) {
        SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
    default: SORAD_TILE(SORAD_INT8_ROWS);
    }
#undef SORAD_TILE
}

#if SORAD_INT8_VALUE_OFFSET
static __attribute__((noinline)) void int8_any_value_tile(size_t rows, const size_t blocks, const char *a, const char *w,
                                                          size_t w_stride, size_t steps, lanes_i32 *sum) {
#define SORAD_TILE(r) int8_value_tile(r, blocks, a, w, w_stride, steps, sum)
    switch (rows) {
        SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
    default: SORAD_TILE(SORAD_INT8_ROWS);
    }
#undef SORAD_TILE
}
#else
#define int8_any_value_tile int8_any_tile
#endif

static void int8_load_queries(const sorad_attention_args *args, size_t h, size_t m, int8_queries *q) {
    size_t lines = (args->head_dim + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
    for (size_t r = 0; r < q->rows; r++) {
        int8_t codes[SORAD_MAX_HEAD_DIM];
        int32_t total;
        q->scale[r] = args->scale * int8_quantize_head(args->q + (m + r) * args->q_stride + h * args->head_dim, NULL, args->head_dim,
                                                       lines * INT8_LINE_VALUES, codes, &total);
        for (size_t line = 0; line < lines; line++)
            int8_convert(codes + line * INT8_LINE_VALUES, q->codes + (line * q->rows + r) * INT8_LINE);
        q->highest[r] = SORAD_ATTENTION_LOWEST, q->sum[r] = 0.0f;
        for (size_t i = 0; i * SORAD_LANES < args->head_dim; i++) q->acc[i][r] = splat(0.0f);
    }
#ifdef SORAD_INT8_PAIRS
    int8_pair(q->codes, q->rows, lines);
#endif
}

// Scores of keys j0 ..< j0 + count; keys up to the next multiple of 16 score -infinity.
static void int8_scores(const sorad_attention_args *args, const int8_head *head, int8_queries *q, size_t j0, size_t count) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    const lanes_i32 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (size_t r = 0; r < q->rows; r++) q->most[r] = splat(SORAD_ATTENTION_LOWEST);
    for (size_t j = 0, blocks; j < count; j += blocks * SORAD_LANES) {
        blocks = count - j > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
        int8_any_tile(q->rows, blocks, q->codes, head->keys + (j0 + j) / 16 * head->key_bytes, head->key_bytes,
                      head->d4 / INT8_STEP_VALUES, sum);
        for (size_t b = 0; b < blocks; b++) {
            size_t at = j0 + j + b * SORAD_LANES, real = lane_count(j + b * SORAD_LANES, count);
            lanes_u32 offset = (lanes_u32)load_i32(head->key_sum + at, SORAD_LANES) * (uint32_t)SORAD_INT8_OFFSET;
            lanes key_scale = load16(head->key_scale + at);
            lanes bias = args->key_bias ? load(args->key_bias + at, real) : splat(0.0f);
            lanes_i32 valid = index < (lanes_i32)splat_u32((uint32_t)real);
            for (size_t r = 0; r < q->rows; r++) {
                lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[b * q->rows + r] - offset), lanes);
                lanes score = choose(valid, fused(dot, splat(q->scale[r]) * key_scale, bias), splat(-INFINITY));
                store16(q->score[r] + j + b * SORAD_LANES, score);
                q->most[r] = greater(score, q->most[r]);
            }
        }
    }
}

// Scores to bytes of the block's greatest weight.
static void int8_weigh(int8_queries *q, size_t count) {
    float most[SORAD_LANES] = {0}, totals[SORAD_LANES] = {0};   // by row
    for (size_t r = 0; r < q->rows; r++) {
        most[r] = lanes_greatest(q->most[r]);
        lanes_u32 total = splat_u32(0);
        for (size_t j = 0; j < count; j += SORAD_LANES) {
            lanes_u32 weight = exp_byte_lanes(load16(q->score[r] + j) - splat(most[r]));
            total += weight;
            size_t at = j * SORAD_INT8_WIDTH;
            char *out = q->weights + (at / INT8_LINE * q->rows + r) * INT8_LINE + at % INT8_LINE;
#if SORAD_INT8_WIDTH == 1
            typedef uint8_t narrow __attribute__((vector_size(16)));
#else
            typedef uint16_t narrow __attribute__((vector_size(32)));
#endif
            narrow bytes = __builtin_convertvector(weight, narrow);
            memcpy(out, &bytes, sizeof bytes);
        }
        q->total[r] = lanes_sum_u32(total);
        totals[r] = (float)(int32_t)q->total[r];
    }
    // What follows of all rows at once.
    lanes now = load16(most), previous = load16(q->highest), highest = greater(now, previous);
    lanes correction = exp_lanes(previous - highest), factor = exp_lanes(now - highest);
    store16(q->highest, highest), store16(q->correction, correction), store16(q->factor, factor);
    store16(q->sum, fused(load16(totals), factor, load16(q->sum) * correction));
#ifdef SORAD_INT8_PAIRS
    int8_pair(q->weights, q->rows, (count + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES);
#endif
}

static void int8_gather(const int8_head *head, int8_queries *q, size_t j0, size_t count) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    size_t steps = (count + 15) / 16 * 16 / INT8_STEP_VALUES, vectors = head->d16 / SORAD_LANES;
    for (size_t i = 0, blocks; i < vectors; i += blocks) {
        blocks = vectors - i >= SORAD_INT8_BLOCKS ? SORAD_INT8_BLOCKS : 1;
        int8_any_value_tile(q->rows, blocks, q->weights, head->values + i * head->value_bytes + j0 * 16 * SORAD_INT8_WIDTH,
                      head->value_bytes, steps, sum);
        for (size_t b = 0; b < blocks; b++)
            for (size_t r = 0; r < q->rows; r++) {
                const lanes_u32 offset = splat_u32(q->total[r] * (uint32_t)SORAD_INT8_VALUE_OFFSET);
                lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[b * q->rows + r] - offset), lanes);
                q->acc[i + b][r] = fused(dot, splat(q->factor[r]), q->acc[i + b][r] * splat(q->correction[r]));
            }
    }
}

void KERNEL(attention_int8)(const sorad_attention_args *args) {
    size_t d = args->head_dim;
    int8_queries q;
    memset(q.highest, 0, sizeof q.highest), memset(q.sum, 0, sizeof q.sum);   // of rows that a tile does not have
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        const int8_head head = int8_head_of(args->packed, h, args->lk, d);
        for (size_t m = args->query_begin; m < args->query_end; m += q.rows) {
            q.rows = args->query_end - m < SORAD_INT8_ROWS ? args->query_end - m : SORAD_INT8_ROWS;
            int8_load_queries(args, h, m, &q);
            for (size_t j0 = 0; j0 < args->lk; j0 += INT8_ATTENTION_BLOCK) {
                size_t count = args->lk - j0 < INT8_ATTENTION_BLOCK ? args->lk - j0 : INT8_ATTENTION_BLOCK;
                int8_scores(args, &head, &q, j0, count);
                int8_weigh(&q, count);
                int8_gather(&head, &q, j0, count);
            }
            for (size_t r = 0; r < q.rows; r++) {
                lanes inverse = splat(1.0f / q.sum[r]);
                float *out = args->out + (m + r) * args->out_stride + h * d;
                SORAD_EACH(d)
                    store(out + i, fused(q.acc[i / SORAD_LANES][r] * inverse, load16(head.value_scale + i), load16(head.value_mean + i)), count);
            }
        }
    }
}
