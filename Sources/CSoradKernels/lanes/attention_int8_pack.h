// Keys and values as int8 attention reads them, and queries to codes.
//
// Packed form of a head: key_scale [Lk16], key_sum [Lk16], value_scale [D16], value_mean [D16], keys [Lk16/16][D4][16],
// values [D16/16][Lk16][16], the last two as the tile reads weights; D4, D16, Lk16 are D and Lk filled up with zeros.
//
// An instruction set whose tile wants both factors signed brings another for the values, which have
// SORAD_INT8_VALUE_OFFSET added: int8_value_tile, weights of 0 to 255 against unsigned bytes.
#ifndef SORAD_INT8_VALUE_OFFSET
#define SORAD_INT8_VALUE_OFFSET 0
#endif

enum { INT8_GROUP = 16 * INT8_STEP_VALUES * SORAD_INT8_WIDTH };   // bytes that one step of a tile reads of a block: 64

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
    h.key_scale = (float *)(uintptr_t)packed + head * sorad_attention_packed_floats_qd8kv(1, lk, d);
    h.key_sum = (int32_t *)(h.key_scale + h.lk16);
    h.value_scale = h.key_scale + 2 * h.lk16, h.value_mean = h.value_scale + h.d16;
    h.key_bytes = h.d4 * 16 * SORAD_INT8_WIDTH, h.value_bytes = h.lk16 * 16 * SORAD_INT8_WIDTH;
    h.keys = (char *)(h.value_mean + h.d16), h.values = h.keys + h.lk16 / 16 * h.key_bytes;
    return h;
}

SORAD_INLINE lanes_i32 int8_codes(lanes x, lanes inverse) {
    return clamp_int8((lanes_i32)((lanes_u32)(x * inverse + SORAD_ROUND_MAGIC) - SORAD_ROUND_MAGIC_BITS));
}

// x [D] - mean [D] to codes, zeros up to `padded`; returns the scale. `total` is the sum of the codes.
SORAD_INLINE float int8_quantize_head(const float *x, const float *mean, size_t d, size_t padded, int8_t *codes, int32_t *total) {
    lanes lows = splat(0.0f), highs = splat(0.0f);
    SORAD_EACH_TWICE(d, {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lows = lesser(v, lows), highs = greater(v, highs);
    });
    float scale, inverse;
    int32_t zero;
    sorad_quantize_parameters(-lanes_greatest(-lows), lanes_greatest(highs), false, &scale, &inverse, &zero);
    lanes_i32 sums = {0};
    SORAD_EACH_TWICE(d, {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lanes_i32 q = (lanes_i32)keep((lanes)int8_codes(v, splat(inverse)), count);
        *(lanes_i8_at *)(codes + i) = __builtin_convertvector(q, lanes_i8);   // codes has room for whole vectors
        sums += q;
    });
    for (size_t i = (d + 15) / 16 * 16; i < padded; i++) codes[i] = 0;
    *total = (int32_t)lanes_sum_u32((lanes_u32)sums);
    return scale;
}

// Whole lines of a query to a tile's form, `stride` bytes apart; returns the scale.
SORAD_INLINE float int8_quantize_query(const float *x, size_t d, char *out, size_t stride) {
    float low, high, scale, inverse;
    int32_t zero;
    quantize_range(x, d, &low, &high);
    sorad_quantize_parameters(low, high, false, &scale, &inverse, &zero);
    for (size_t i = 0; i < d; i += INT8_LINE_VALUES, out += stride) quantize_whole_line(x + i, inverse, 0, out);
    return scale;
}

// Some columns of a head's rows [keys, d], as many as stay in registers while the rows pass by: `vectors`, of which the last has `count`
// numbers. Rows one after the other, for columns far apart in memory would push each other out of the caches.
enum { INT8_COLUMN_VECTORS = 4 };

SORAD_INLINE void int8_means(const float *x, size_t stride, size_t keys, size_t d, const size_t vectors, const size_t count, float *mean) {
    lanes sum[INT8_COLUMN_VECTORS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) sum[i] = splat(0.0f);
    for (size_t j = 0; j < keys; j++, x += stride) {
        if (j + ROWS_AHEAD < keys) bring_row(x + ROWS_AHEAD * stride, d, false);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < vectors; i++) sum[i] += load(x + i * SORAD_LANES, i + 1 < vectors ? SORAD_LANES : count);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) store16(mean + i * SORAD_LANES, sum[i] / splat((float)keys));
}

// Lowest and highest of the same columns, less their means; 0 counts.
SORAD_INLINE void int8_ranges(const float *x, size_t stride, size_t keys, const size_t vectors, const size_t count, const float *mean,
                              float *low, float *high) {
    lanes lows[INT8_COLUMN_VECTORS], highs[INT8_COLUMN_VECTORS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) lows[i] = highs[i] = splat(0.0f);
    for (size_t j = 0; j < keys; j++, x += stride) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < vectors; i++) {
            lanes v = load(x + i * SORAD_LANES, i + 1 < vectors ? SORAD_LANES : count) - load16(mean + i * SORAD_LANES);
            lows[i] = lesser(v, lows[i]), highs[i] = greater(v, highs[i]);
        }
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) store16(low + i * SORAD_LANES, lows[i]), store16(high + i * SORAD_LANES, highs[i]);
}

// `each(vectors, count)` for columns `i` and on.
#define INT8_EACH_COLUMNS(d, each)                                                        \
    for (size_t i = 0; i < (d);) {                                                        \
        if ((d) - i >= INT8_COLUMN_VECTORS * SORAD_LANES) {                               \
            each(INT8_COLUMN_VECTORS, SORAD_LANES);                                       \
            i += INT8_COLUMN_VECTORS * SORAD_LANES;                                       \
        } else {                                                                          \
            each(1, lane_count(i, d));                                                    \
            i += SORAD_LANES;                                                             \
        }                                                                                 \
    }

// 16 rows of 16 words to 16 columns: four times, every row is woven with the one 8 further on.
SORAD_INLINE void int8_transpose(lanes_u32 rows[16]) {
    for (size_t round = 0; round < 4; round++) {
        lanes_u32 woven[16];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 8; i++) {
            woven[2 * i] = __builtin_shufflevector(rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            woven[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(rows, woven, sizeof woven);
    }
}

static void int8_pack_keys(const sorad_attention_pack_args *args, const int8_head *head, const float *k) {
    const size_t d = args->head_dim, steps = head->d4 / INT8_STEP_VALUES;
    float mean[SORAD_MAX_HEAD_DIM];
#define SORAD_MEANS(vectors, count) int8_means(k + i, args->k_stride, args->lk, d - i, vectors, count, mean + i)
    INT8_EACH_COLUMNS(d, SORAD_MEANS)
#undef SORAD_MEANS
    for (size_t j0 = 0; j0 < head->lk16; j0 += SORAD_LANES) {
        char codes[SORAD_LANES][SORAD_MAX_HEAD_DIM * SORAD_INT8_WIDTH];
        for (size_t n = 0; n < SORAD_LANES; n++) {
            const size_t j = j0 + n;
            int8_t row[SORAD_MAX_HEAD_DIM];
            head->key_scale[j] = 0.0f, head->key_sum[j] = 0;
            if (j < args->lk)
                head->key_scale[j] = int8_quantize_head(k + j * args->k_stride, mean, d, head->d4, row, head->key_sum + j);
            else
                memset(row, 0, sizeof row);
#if SORAD_INT8_WIDTH == 1
            memcpy(codes[n], row, head->d4);
#else
            int16_t wide[SORAD_MAX_HEAD_DIM];
            for (size_t i = 0; i < head->d4; i++) wide[i] = row[i];
            memcpy(codes[n], wide, head->d4 * sizeof(int16_t));
#endif
        }
        char *out = head->keys + j0 / SORAD_LANES * head->key_bytes;
        for (size_t step = 0; step < steps; step += 16) {   // what the last words are of is not asked for
            lanes_u32 words[16];
            for (size_t n = 0; n < SORAD_LANES; n++) memcpy(words + n, codes[n] + step * 4, sizeof words[n]);
            int8_transpose(words);
            const size_t some = steps - step < 16 ? steps - step : 16;
            memcpy(out + step * INT8_GROUP, words, some * sizeof words[0]);
        }
    }
}

static void int8_pack_values(const sorad_attention_pack_args *args, const int8_head *head, const float *v) {
    const size_t d = args->head_dim;
    float mean[SORAD_MAX_HEAD_DIM], low[SORAD_MAX_HEAD_DIM], high[SORAD_MAX_HEAD_DIM], inverse[SORAD_MAX_HEAD_DIM];
#define SORAD_RANGES(vectors, count)                                                          \
    int8_means(v + i, args->v_stride, args->lk, d - i, vectors, count, mean + i);             \
    int8_ranges(v + i, args->v_stride, args->lk, vectors, count, mean + i, low + i, high + i)
    INT8_EACH_COLUMNS(d, SORAD_RANGES)
#undef SORAD_RANGES
    for (size_t i = 0; i < head->d16; i++) {
        int32_t zero;
        sorad_quantize_parameters(low[i], high[i], false, head->value_scale + i, inverse + i, &zero);
        head->value_mean[i] = mean[i];
    }
    for (size_t j = 0; j < head->lk16; j += INT8_STEP_VALUES)
        SORAD_EACH_TWICE(d, {
            lanes_u32 word = splat_u32(0);
            for (size_t n = 0; n < INT8_STEP_VALUES && j + n < args->lk; n++) {
                lanes x = load(v + (j + n) * args->v_stride + i, count) - load16(mean + i);
                lanes_u32 code = (lanes_u32)keep((lanes)int8_codes(x, load16(inverse + i)), count);
                code += SORAD_INT8_VALUE_OFFSET;
                word |= (code & (SORAD_INT8_WIDTH == 1 ? 0xFFu : 0xFFFFu)) << (8 * SORAD_INT8_WIDTH * n);
            }
            memcpy(head->values + i / SORAD_LANES * head->value_bytes + j / INT8_STEP_VALUES * INT8_GROUP, &word, sizeof word);
        });
}

void KERNEL(attention_pack_qd8kv)(const sorad_attention_pack_args *args) {
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        int8_head head = int8_head_of(args->packed, h, args->lk, args->head_dim);
        if (args->k) int8_pack_keys(args, &head, args->k + h * args->head_dim);
        if (args->v) int8_pack_values(args, &head, args->v + h * args->head_dim);
    }
}
