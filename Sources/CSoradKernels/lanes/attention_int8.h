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

// Columns of a head's rows [keys, d] from vector `at` on, as many as stay in registers while the rows pass by: `vectors`, of which the last has
// `count` numbers. Rows one after the other, for columns far apart in memory would push each other out of the caches.
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

void KERNEL(attention_int8_pack)(const sorad_attention_pack_args *args) {
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        int8_head head = int8_head_of(args->packed, h, args->lk, args->head_dim);
        if (args->k) int8_pack_keys(args, &head, args->k + h * args->head_dim);
        if (args->v) int8_pack_values(args, &head, args->v + h * args->head_dim);
    }
}

// ---- Attention -----------------------------------------------------------------------------------------------------

// A few tiles of queries go over a head's keys together, block by block, so that keys which do not fit the second-level cache come to it
// once for all of them. What is to be done for one tile and one block has three stages: scores (products with the keys), weights
// (their exponentials) and values (products with the values). Three such pairs are under way at a time, each a stage behind the one
// after it: where a tile of products can do chores on its way, the weights of one pair cost little beside the products of its
// neighbours.
enum { INT8_QUERY_TILES = 4 };

// A tile of queries and what is known of them after some blocks.
typedef struct int8_queries {
    size_t rows;
    char codes[SORAD_INT8_ROWS * INT8_HEAD_LINES * INT8_LINE];       // [line][row][64 bytes]
    float scale[SORAD_INT8_ROWS];
    float highest[SORAD_LANES], sum[SORAD_LANES];                    // by row
    lanes acc[SORAD_MAX_HEAD_DIM / SORAD_LANES][SORAD_INT8_ROWS];
} int8_queries;

// Scores of a tile of queries and keys j0 ..< j0 + count; up to the next multiple of 16 they are -infinity.
typedef struct int8_scores {
    int8_queries *queries;
    size_t j0, count;
    lanes most[SORAD_INT8_ROWS];
    float score[SORAD_INT8_ROWS][INT8_ATTENTION_BLOCK];
} int8_scores;

// The same as bytes of the block's greatest weight.
typedef struct int8_weights {
    int8_queries *queries;
    size_t j0, count;
    char codes[SORAD_INT8_ROWS * INT8_WEIGHT_LINES * INT8_LINE];     // [line][row][64 bytes]
    uint32_t total[SORAD_INT8_ROWS];
    float most[SORAD_LANES], totals[SORAD_LANES], correction[SORAD_LANES], factor[SORAD_LANES];   // by row
} int8_weights;

// Scores that become weights, a line of a row at a time.
typedef struct int8_chores {
    const int8_scores *from;
    int8_weights *to;
    size_t row, line, share;   // the next line; lines at a time
    lanes_u32 total;
    exp2_byte_constants exp2;  // in memory, as registers hold sums
} int8_chores;

// What follows of all rows' weights of a block.
static __attribute__((noinline)) void int8_weighed(int8_weights *weights) {
    int8_queries *q = weights->queries;
    lanes now = load16(weights->most), previous = load16(q->highest), highest = greater(now, previous);
    lanes correction = exp_lanes((previous - highest) * SORAD_LN2), factor = exp_lanes((now - highest) * SORAD_LN2);
    store16(q->highest, highest), store16(weights->correction, correction), store16(weights->factor, factor);
    store16(q->sum, fused(load16(weights->totals), factor, load16(q->sum) * correction));
#ifdef SORAD_INT8_PAIRS
    int8_pair(weights->codes, q->rows, (weights->count + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES);
#endif
}

// The next lines of scores to weights.
SORAD_INLINE void int8_weigh(int8_chores *chores, size_t share) {
    const int8_scores *from = chores->from;
    int8_weights *to = chores->to;
    const size_t rows = to->queries->rows;
    for (; share > 0 && chores->row < rows; share--) {
        const size_t r = chores->row, begin = chores->line * INT8_LINE_VALUES;
        size_t end = begin + INT8_LINE_VALUES;
        if (end > from->count) end = from->count;
        if (begin == 0) to->most[r] = lanes_greatest(from->most[r]), chores->total = splat_u32(0);
        const lanes most = splat(to->most[r]);
        lanes_u32 total = chores->total;
        char *out = to->codes + (chores->line * rows + r) * INT8_LINE;
#pragma clang loop unroll(disable)
        for (size_t j = begin; j < end; j += SORAD_LANES, out += SORAD_LANES * SORAD_INT8_WIDTH) {
            lanes_u32 weight = exp2_byte_lanes(load16(from->score[r] + j) - most, &chores->exp2);
            total += weight;
#if SORAD_INT8_WIDTH == 1
            typedef uint8_t narrow __attribute__((vector_size(16)));
#else
            typedef uint16_t narrow __attribute__((vector_size(32)));
#endif
            narrow bytes = __builtin_convertvector(weight, narrow);
            memcpy(out, &bytes, sizeof bytes);
        }
        chores->total = total;
        if (end < from->count) {
            chores->line++;
        } else {
            to->total[r] = lanes_sum_u32(total), to->totals[r] = (float)(int32_t)to->total[r];
            chores->row++, chores->line = 0;
        }
    }
}

static __attribute__((noinline)) void int8_rest_of_weights(int8_chores *chores) {
    int8_weigh(chores, (size_t)SORAD_INT8_ROWS * INT8_WEIGHT_LINES);
}

SORAD_INLINE void int8_chore(void *context) {
    int8_chores *chores = context;
    int8_weigh(chores, chores->share);
}

// Products of a whole tile, chores on its way where it can do them.
SORAD_INLINE void int8_busy_tile(const char *a, const char *w, size_t w_stride, size_t steps, lanes_i32 *sum, int8_chores *chores) {
#ifdef SORAD_INT8_CHORES
    int8_tile_with(SORAD_INT8_ROWS, SORAD_INT8_BLOCKS, a, w, w_stride, steps, NULL, (lanes_i32_anywhere *)sum, 8, int8_chore, chores);
#else
    (void)chores;
    int8_tile(SORAD_INT8_ROWS, SORAD_INT8_BLOCKS, a, w, w_stride, steps, sum);
#endif
}

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

// Products of queries first ..< first + rows with keys j ..< j + 16 * blocks of a block to scores; of the last 16 keys, `real` are some.
// The sums of 16 keys begin `stride` behind those before them. With constant rows and blocks sums stay in registers.
SORAD_INLINE void int8_score_results(const sorad_attention_args *args, const int8_head *head, int8_scores *scores, size_t j, size_t first,
                                     const size_t rows, const size_t blocks, const size_t real, const lanes_i32 *sum, const size_t stride) {
    lanes_u32 offset[SORAD_INT8_BLOCKS];
    lanes scale[SORAD_INT8_BLOCKS], bias[SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t b = 0; b < blocks; b++) {
        const size_t at = scores->j0 + j + b * SORAD_LANES, count = b + 1 < blocks ? SORAD_LANES : real;
        offset[b] = (lanes_u32)load_i32(head->key_sum + at, SORAD_LANES) * (uint32_t)SORAD_INT8_OFFSET;
        scale[b] = load16(head->key_scale + at);
        bias[b] = args->key_bias ? load(args->key_bias + at, count) * SORAD_LOG2_E : splat(0.0f);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        lanes most = scores->most[first + r];
        const lanes query_scale = splat(scores->queries->scale[first + r]);
#pragma clang loop unroll(full)
        for (size_t b = 0; b < blocks; b++) {
            lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[b * stride + r] - offset[b]), lanes);
            lanes score = fused(dot, query_scale * scale[b], bias[b]);
            if (b + 1 == blocks && real < SORAD_LANES) score = first_lanes(score, splat(-INFINITY), real);
            store16(scores->score[first + r] + j + b * SORAD_LANES, score);
            most = greater(score, most);
        }
        scores->most[first + r] = most;
    }
}

static __attribute__((noinline)) void int8_score_tile(const sorad_attention_args *args, const int8_head *head, int8_scores *scores, size_t j,
                                                      int8_chores *chores) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    int8_busy_tile(scores->queries->codes, head->keys + (scores->j0 + j) / 16 * head->key_bytes, head->key_bytes,
                   head->d4 / INT8_STEP_VALUES, sum, chores);
    int8_score_results(args, head, scores, j, 0, SORAD_INT8_ROWS, SORAD_INT8_BLOCKS, SORAD_LANES, sum, SORAD_INT8_ROWS);
}

static void int8_score_products(const sorad_attention_args *args, const int8_head *head, int8_scores *scores, int8_chores *chores) {
    const int8_queries *q = scores->queries;
    for (size_t r = 0; r < q->rows; r++) scores->most[r] = splat(SORAD_ATTENTION_LOWEST);
    for (size_t j = 0, blocks; j < scores->count; j += blocks * SORAD_LANES) {
        const size_t left = scores->count - j;
        blocks = left > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
        if (q->rows == SORAD_INT8_ROWS && left >= SORAD_INT8_BLOCKS * SORAD_LANES) {
            int8_score_tile(args, head, scores, j, chores);
            continue;
        }
        lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
        int8_any_tile(q->rows, blocks, q->codes, head->keys + (scores->j0 + j) / 16 * head->key_bytes, head->key_bytes,
                      head->d4 / INT8_STEP_VALUES, sum);
        for (size_t b = 0; b < blocks; b++)
            for (size_t r = 0; r < q->rows; r++) {
                const size_t at = j + b * SORAD_LANES;
                int8_score_results(args, head, scores, at, r, 1, 1, lane_count(at, scores->count), sum + b * q->rows + r, 1);
            }
    }
}

// Products of a block's weights with the values' vectors i ..< i + blocks, added to what is known of the queries; see int8_score_results.
SORAD_INLINE void int8_value_results(const int8_weights *weights, size_t i, size_t first, const size_t rows, const size_t blocks,
                                     const lanes_i32 *sum, const size_t stride) {
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        const lanes_u32 offset = splat_u32(weights->total[first + r] * (uint32_t)SORAD_INT8_VALUE_OFFSET);
        const lanes factor = splat(weights->factor[first + r]), correction = splat(weights->correction[first + r]);
#pragma clang loop unroll(full)
        for (size_t b = 0; b < blocks; b++) {
            lanes *acc = &weights->queries->acc[i + b][first + r];
            lanes dot = __builtin_convertvector((lanes_i32)((lanes_u32)sum[b * stride + r] - offset), lanes);
            *acc = fused(dot, factor, *acc * correction);
        }
    }
}

static __attribute__((noinline)) void int8_value_tile_of(const int8_weights *weights, size_t i, const char *w, size_t w_stride,
                                                         size_t steps, int8_chores *chores) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
#if SORAD_INT8_VALUE_OFFSET
    (void)chores;
    int8_value_tile(SORAD_INT8_ROWS, SORAD_INT8_BLOCKS, weights->codes, w, w_stride, steps, sum);
#else
    int8_busy_tile(weights->codes, w, w_stride, steps, sum, chores);
#endif
    int8_value_results(weights, i, 0, SORAD_INT8_ROWS, SORAD_INT8_BLOCKS, sum, SORAD_INT8_ROWS);
}

static void int8_value_products(const int8_head *head, const int8_weights *weights, int8_chores *chores) {
    const size_t steps = (weights->count + 15) / 16 * 16 / INT8_STEP_VALUES, vectors = head->d16 / SORAD_LANES, rows = weights->queries->rows;
    for (size_t i = 0, blocks; i < vectors; i += blocks) {
        blocks = vectors - i >= SORAD_INT8_BLOCKS ? SORAD_INT8_BLOCKS : 1;
        const char *w = head->values + i * head->value_bytes + weights->j0 * 16 * SORAD_INT8_WIDTH;
        if (rows == SORAD_INT8_ROWS && blocks == SORAD_INT8_BLOCKS) {
            int8_value_tile_of(weights, i, w, head->value_bytes, steps, chores);
            continue;
        }
        lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
        int8_any_value_tile(rows, blocks, weights->codes, w, head->value_bytes, steps, sum);
        for (size_t b = 0; b < blocks; b++)
            for (size_t r = 0; r < rows; r++) int8_value_results(weights, i + b, r, 1, 1, sum + b * rows + r, 1);
    }
}

// Whole lines of a query to a tile's form, `stride` bytes apart; returns the scale.
SORAD_INLINE float int8_quantize_query(const float *x, size_t d, char *out, size_t stride) {
    lanes lows = splat(0.0f), highs = splat(0.0f), more_lows = splat(0.0f), more_highs = splat(0.0f);
    for (size_t i = 0; i < d; i += 2 * SORAD_LANES) {
        lanes v = load16(x + i), next = load16(x + i + SORAD_LANES);
        lows = lesser(v, lows), more_lows = lesser(next, more_lows);
        highs = greater(v, highs), more_highs = greater(next, more_highs);
    }
    float scale, inverse;
    int32_t zero;
    sorad_quantize_parameters(-lanes_greatest(-lesser(lows, more_lows)), lanes_greatest(greater(highs, more_highs)), false, &scale, &inverse,
                              &zero);
    for (size_t i = 0; i < d; i += INT8_LINE_VALUES, out += stride) {
        int8_codes_32 codes[INT8_LINE_VALUES / 32];
        for (size_t n = 0; n < INT8_LINE_VALUES / 32; n++) {
            lanes_i8 first = __builtin_convertvector(int8_codes(load16(x + i + 32 * n), splat(inverse)), lanes_i8);
            lanes_i8 second = __builtin_convertvector(int8_codes(load16(x + i + 32 * n + SORAD_LANES), splat(inverse)), lanes_i8);
            codes[n] = int8_join_16(first, second);
        }
#if SORAD_INT8_WIDTH == 1
        const int8_codes_64 line = int8_join_32(codes[0], codes[1]);
        int8_convert((const int8_t *)&line, out);
#else
        int8_convert((const int8_t *)codes, out);
#endif
    }
    return scale;
}

static void int8_load_queries(const sorad_attention_args *args, size_t h, size_t m, int8_queries *q) {
    const size_t d = args->head_dim, lines = (d + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
    memset(q->highest, 0, sizeof q->highest), memset(q->sum, 0, sizeof q->sum);   // of rows that a tile does not have
    for (size_t r = 0; r < q->rows; r++) {
        const float *x = args->q + (m + r) * args->q_stride + h * d;
        float scale;
        if (d % 64 == 0) {
            scale = int8_quantize_query(x, d, q->codes + r * INT8_LINE, q->rows * INT8_LINE);
        } else {
            int8_t codes[SORAD_MAX_HEAD_DIM];
            int32_t total;
            scale = int8_quantize_head(x, NULL, d, lines * INT8_LINE_VALUES, codes, &total);
            for (size_t line = 0; line < lines; line++)
                int8_convert(codes + line * INT8_LINE_VALUES, q->codes + (line * q->rows + r) * INT8_LINE);
        }
        q->scale[r] = args->scale * SORAD_LOG2_E * scale;
        q->highest[r] = SORAD_ATTENTION_LOWEST;
        for (size_t i = 0; i * SORAD_LANES < d; i++) q->acc[i][r] = splat(0.0f);
    }
#ifdef SORAD_INT8_PAIRS
    int8_pair(q->codes, q->rows, lines);
#endif
}

static void int8_store_queries(const sorad_attention_args *args, size_t h, const int8_head *head, size_t m, const int8_queries *q) {
    for (size_t r = 0; r < q->rows; r++) {
        const lanes inverse = splat(1.0f / q->sum[r]);
        float *out = args->out + (m + r) * args->out_stride + h * args->head_dim;
        SORAD_EACH_TWICE(args->head_dim, {
            lanes value = q->acc[i / SORAD_LANES][r] * inverse;
            store(out + i, fused(value, load16(head->value_scale + i), load16(head->value_mean + i)), count);
        });
    }
}

// `tiles` tiles of queries, from query `first` on, against all keys. Pair p is tile p % tiles and block p / tiles.
static void int8_attend(const sorad_attention_args *args, size_t h, const int8_head *head, size_t first, int8_queries *queries, size_t tiles) {
    int8_scores scores[2];
    int8_weights weights[2];
    weights[0].queries = queries;
    int8_chores chores = {.from = scores, .to = weights, .row = SORAD_INT8_ROWS, .exp2 = SORAD_EXP2_BYTE};   // nothing yet
    const size_t pairs = tiles * ((args->lk + INT8_ATTENTION_BLOCK - 1) / INT8_ATTENTION_BLOCK);
    // How often a pair's products let a chore be done: its neighbour's weights are spread over them.
    const size_t tile = SORAD_INT8_BLOCKS * SORAD_LANES;
    const size_t times = INT8_ATTENTION_BLOCK / tile * ((head->d4 + 31) / 32) + head->d16 / tile * (INT8_ATTENTION_BLOCK / 32);
    chores.share = (SORAD_INT8_ROWS * INT8_WEIGHT_LINES + times - 1) / (times > 0 ? times : 1);
    for (size_t p = 0; p < pairs + 2; p++) {
        const bool weigh = p >= 1 && p <= pairs;
        if (weigh) {
            const int8_scores *from = chores.from = scores + (p - 1) % 2;
            int8_weights *to = chores.to = weights + (p - 1) % 2;
            to->queries = from->queries, to->j0 = from->j0, to->count = from->count;
            memset(to->most, 0, sizeof to->most), memset(to->totals, 0, sizeof to->totals);   // of rows that a tile does not have
            chores.row = chores.line = 0;
        }
        if (p < pairs) {
            int8_scores *next = scores + p % 2;
            next->queries = queries + p % tiles, next->j0 = p / tiles * INT8_ATTENTION_BLOCK;
            next->count = args->lk - next->j0 < INT8_ATTENTION_BLOCK ? args->lk - next->j0 : INT8_ATTENTION_BLOCK;
            int8_score_products(args, head, next, &chores);
            if (p + tiles >= pairs) {   // its last block: what is to be written is asked for
                const float *out = args->out + (first + p % tiles * SORAD_INT8_ROWS) * args->out_stride + h * args->head_dim;
                for (size_t r = 0; r < next->queries->rows; r++, out += args->out_stride) bring_row(out, args->head_dim, true);
            }
        }
        if (p >= 2) int8_value_products(head, weights + p % 2, &chores);
        if (weigh) int8_rest_of_weights(&chores), int8_weighed(chores.to);
    }
}

void KERNEL(attention_int8)(const sorad_attention_args *args) {
    int8_queries queries[INT8_QUERY_TILES];
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        const int8_head head = int8_head_of(args->packed, h, args->lk, args->head_dim);
        for (size_t m = args->query_begin; m < args->query_end;) {
            const size_t first = m;
            size_t tiles = 0;
            for (size_t r = 0; r < INT8_QUERY_TILES * SORAD_INT8_ROWS && m + r < args->query_end; r++)
                bring_row(args->q + (m + r) * args->q_stride + h * args->head_dim, args->head_dim, false);
            for (; tiles < INT8_QUERY_TILES && m < args->query_end; m += queries[tiles++].rows) {
                queries[tiles].rows = args->query_end - m < SORAD_INT8_ROWS ? args->query_end - m : SORAD_INT8_ROWS;
                int8_load_queries(args, h, m, queries + tiles);
            }
            int8_attend(args, h, &head, first, queries, tiles);
            for (size_t t = 0, at = first; t < tiles; at += queries[t++].rows) int8_store_queries(args, h, &head, at, queries + t);
        }
    }
}
