// Packs keys and values for attention_qd8kv.h, and quantizes its queries.
//
// Packed form of a head: key_scale [Lk16], key_sum [Lk16], value_scale [D16], value_mean [D16], keys
// [Lk16/16][D4][16], values [D16/16][Lk16][16], the last two as weight panels of the tile. D4, D16 and Lk16 are D and
// Lk padded with zeros to multiples. Values have TILE_V_OFFSET added.
#ifndef SORAD_LANES_ATTENTION_PACK_QD8KV_H
#define SORAD_LANES_ATTENTION_PACK_QD8KV_H

#include "gemm_tile.h"
#include "quantize_qd8.h"

enum { STEP_BYTES = PANEL * STEP_VALUES * TILE_A_BYTES };   // of a panel: 64

typedef struct packed_head {
    float *key_scale;
    int32_t *key_sum;
    float *value_scale, *value_mean;
    char *keys, *values;
    size_t d4, d16, lk16;
    size_t key_bytes, value_bytes;   // of one panel of 16 keys; of 16 channels
} packed_head;

static packed_head packed_head_of(const float *packed, size_t head, size_t lk, size_t d) {
    packed_head h = {.d4 = (d + 3) / 4 * 4, .d16 = (d + 15) / 16 * 16, .lk16 = (lk + 15) / 16 * 16};
    h.key_scale = (float *)(uintptr_t)packed + head * sorad_attention_packed_floats_qd8kv(1, lk, d);
    h.key_sum = (int32_t *)(h.key_scale + h.lk16);
    h.value_scale = h.key_scale + 2 * h.lk16, h.value_mean = h.value_scale + h.d16;
    h.key_bytes = h.d4 * 16 * TILE_A_BYTES, h.value_bytes = h.lk16 * 16 * TILE_A_BYTES;
    h.keys = (char *)(h.value_mean + h.d16), h.values = h.keys + h.lk16 / 16 * h.key_bytes;
    return h;
}

SORAD_INLINE lanes_i32 quantize_lanes_i32(lanes x, lanes inverse) {
    return clamp_int8((lanes_i32)((lanes_u32)(x * inverse + SORAD_ROUND_MAGIC) - SORAD_ROUND_MAGIC_BITS));
}

// Quantizes x [D] - mean [D] to `values`, zeros up to `padded`; returns the scale. `total` is their sum.
SORAD_INLINE float quantize_head_row(const float *x, const float *mean, size_t d, size_t padded, int8_t *values, int32_t *total) {
    lanes lows = splat(0.0f), highs = splat(0.0f);
    SORAD_FOR_LANES_SPLIT(d, {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lows = vmin(v, lows), highs = vmax(v, highs);
    });
    float scale, inverse;
    int32_t zero;
    sorad_quantize_parameters(-lanes_max(-lows), lanes_max(highs), false, &scale, &inverse, &zero);
    lanes_i32 sums = {0};
    SORAD_FOR_LANES_SPLIT(d, {
        lanes v = load(x + i, count);
        if (mean) v -= load(mean + i, count);
        lanes_i32 q = (lanes_i32)mask_tail((lanes)quantize_lanes_i32(v, splat(inverse)), count);
        *(lanes_i8_at *)(values + i) = __builtin_convertvector(q, lanes_i8);   // `values` has room for whole vectors
        sums += q;
    });
    for (size_t i = (d + 15) / 16 * 16; i < padded; i++) values[i] = 0;
    *total = (int32_t)lanes_sum_u32((lanes_u32)sums);
    return scale;
}

// Quantizes the whole K-blocks of a query to packed form, `stride` bytes apart; returns the scale.
SORAD_INLINE float quantize_query(const float *x, size_t d, char *out, size_t stride) {
    float low, high, scale, inverse;
    int32_t zero;
    quantize_minmax(x, d, &low, &high);
    sorad_quantize_parameters(low, high, false, &scale, &inverse, &zero);
    for (size_t i = 0; i < d; i += KBLOCK_VALUES, out += stride) quantize_kblock(x + i, inverse, 0, out);
    return scale;
}

// Reductions over the rows of a head [keys, d], for as many columns as registers hold: `vectors` vectors, of which
// the last has `count` columns. Row after row: column after column would evict the rows from the caches before their
// neighbors are read.
enum { COLUMN_VECTORS = 4 };

SORAD_INLINE void column_means(const float *x, size_t stride, size_t keys, size_t d, const size_t vectors, const size_t count,
                               float *mean) {
    lanes sum[COLUMN_VECTORS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) sum[i] = splat(0.0f);
    for (size_t j = 0; j < keys; j++, x += stride) {
        if (j + PREFETCH_ROWS < keys) prefetch_row(x + PREFETCH_ROWS * stride, d, false);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < vectors; i++) sum[i] += load(x + i * SORAD_LANES, i + 1 < vectors ? SORAD_LANES : count);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) store16(mean + i * SORAD_LANES, sum[i] / splat((float)keys));
}

// Min-max reduction of the same columns minus their means, and 0.
SORAD_INLINE void column_minmax(const float *x, size_t stride, size_t keys, const size_t vectors, const size_t count, const float *mean,
                              float *low, float *high) {
    lanes lows[COLUMN_VECTORS], highs[COLUMN_VECTORS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) lows[i] = highs[i] = splat(0.0f);
    for (size_t j = 0; j < keys; j++, x += stride) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < vectors; i++) {
            lanes v = load(x + i * SORAD_LANES, i + 1 < vectors ? SORAD_LANES : count) - load16(mean + i * SORAD_LANES);
            lows[i] = vmin(v, lows[i]), highs[i] = vmax(v, highs[i]);
        }
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < vectors; i++) store16(low + i * SORAD_LANES, lows[i]), store16(high + i * SORAD_LANES, highs[i]);
}

// each(vectors, count) for the columns from `i` on.
#define FOR_COLUMNS(d, each)                                                        \
    for (size_t i = 0; i < (d);) {                                                        \
        if ((d) - i >= COLUMN_VECTORS * SORAD_LANES) {                               \
            each(COLUMN_VECTORS, SORAD_LANES);                                       \
            i += COLUMN_VECTORS * SORAD_LANES;                                       \
        } else {                                                                          \
            each(1, lane_count(i, d));                                                    \
            i += SORAD_LANES;                                                             \
        }                                                                                 \
    }

// Transposes 16 x 16 words: four times, every row is zipped with the one 8 below.
SORAD_INLINE void transpose_words(lanes_u32 rows[16]) {
    for (size_t round = 0; round < 4; round++) {
        lanes_u32 zipped[16];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 8; i++) {
            zipped[2 * i] = __builtin_shufflevector(rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            zipped[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(rows, zipped, sizeof zipped);
    }
}

static void pack_keys(const sorad_attention_pack_args *args, const packed_head *head, const float *k) {
    const size_t d = args->head_dim, steps = head->d4 / STEP_VALUES;
    float mean[SORAD_MAX_HEAD_DIM];
#define PACK_MEANS(vectors, count) column_means(k + i, args->k_stride, args->lk, d - i, vectors, count, mean + i)
    FOR_COLUMNS(d, PACK_MEANS)
#undef PACK_MEANS
    for (size_t j0 = 0; j0 < head->lk16; j0 += SORAD_LANES) {
        char packed[SORAD_LANES][SORAD_MAX_HEAD_DIM * TILE_A_BYTES];
        for (size_t n = 0; n < SORAD_LANES; n++) {
            const size_t j = j0 + n;
            int8_t row[SORAD_MAX_HEAD_DIM];
            head->key_scale[j] = 0.0f, head->key_sum[j] = 0;
            if (j < args->lk)
                head->key_scale[j] = quantize_head_row(k + j * args->k_stride, mean, d, head->d4, row, head->key_sum + j);
            else
                memset(row, 0, sizeof row);
            if (TILE_A_BYTES == 1) {
                memcpy(packed[n], row, head->d4);
            } else {
                int16_t wide[SORAD_MAX_HEAD_DIM];
                for (size_t i = 0; i < head->d4; i++) wide[i] = row[i];
                memcpy(packed[n], wide, head->d4 * TILE_A_BYTES);
            }
        }
        char *out = head->keys + j0 / SORAD_LANES * head->key_bytes;
        for (size_t step = 0; step < steps; step += 16) {   // the last words may be beyond d4: they are not stored
            lanes_u32 words[16];
            for (size_t n = 0; n < SORAD_LANES; n++) memcpy(words + n, packed[n] + step * 4, sizeof words[n]);
            transpose_words(words);
            const size_t some = steps - step < 16 ? steps - step : 16;
            memcpy(out + step * STEP_BYTES, words, some * sizeof words[0]);
        }
    }
}

static void pack_values(const sorad_attention_pack_args *args, const packed_head *head, const float *v) {
    const size_t d = args->head_dim;
    float mean[SORAD_MAX_HEAD_DIM], low[SORAD_MAX_HEAD_DIM], high[SORAD_MAX_HEAD_DIM], inverse[SORAD_MAX_HEAD_DIM];
#define PACK_MINMAX(vectors, count)                                                          \
    column_means(v + i, args->v_stride, args->lk, d - i, vectors, count, mean + i);             \
    column_minmax(v + i, args->v_stride, args->lk, vectors, count, mean + i, low + i, high + i)
    FOR_COLUMNS(d, PACK_MINMAX)
#undef PACK_MINMAX
    for (size_t i = 0; i < head->d16; i++) {
        int32_t zero;
        sorad_quantize_parameters(low[i], high[i], false, head->value_scale + i, inverse + i, &zero);
        head->value_mean[i] = mean[i];
    }
    for (size_t j = 0; j < head->lk16; j += STEP_VALUES)
        SORAD_FOR_LANES_SPLIT(d, {
            lanes_u32 word = splat_u32(0);
            for (size_t n = 0; n < STEP_VALUES && j + n < args->lk; n++) {
                lanes x = load(v + (j + n) * args->v_stride + i, count) - load16(mean + i);
                lanes_u32 value = (lanes_u32)mask_tail((lanes)quantize_lanes_i32(x, load16(inverse + i)), count);
                value += TILE_V_OFFSET;
                word |= (value & (TILE_A_BYTES == 1 ? 0xFFu : 0xFFFFu)) << (8 * TILE_A_BYTES * n);
            }
            memcpy(head->values + i / SORAD_LANES * head->value_bytes + j / STEP_VALUES * STEP_BYTES, &word, sizeof word);
        });
}

void KERNEL(attention_pack_qd8kv)(const sorad_attention_pack_args *args) {
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        packed_head head = packed_head_of(args->packed, h, args->lk, args->head_dim);
        if (args->k) pack_keys(args, &head, args->k + h * args->head_dim);
        if (args->v) pack_values(args, &head, args->v + h * args->head_dim);
    }
}

#endif
