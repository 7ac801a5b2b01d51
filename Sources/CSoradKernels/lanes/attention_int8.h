// Attention with int8 products on the register tile of the matrix product: queries are its rows; keys, then channels of
// the values, its outputs.
//
// A few tiles of queries go over a head's keys together, block by block, so that keys which do not fit the second-level cache come to it
// once for all of them. What is to be done for one tile and one block has three stages: scores (products with the keys), weights
// (their exponentials) and values (products with the values). Three such pairs are under way at a time, each a stage behind the one
// after it: where a tile of products can do chores on its way, the weights of one pair cost little beside the products of its
// neighbours.
#include "attention_int8_pack.h"

enum {
    INT8_QUERY_TILES = 4,
    INT8_ATTENTION_BLOCK = SORAD_ATTENTION_QD8KV_KEY_BLOCK,
    INT8_HEAD_LINES = SORAD_MAX_HEAD_DIM / INT8_LINE_VALUES,        // of a query
    INT8_WEIGHT_LINES = INT8_ATTENTION_BLOCK / INT8_LINE_VALUES,    // of a block's weights
};

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
    char low[SORAD_INT8_ROWS * INT8_WEIGHT_LINES * INT8_LINE];       // of weights in two planes: `codes` are their upper bytes
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
static __attribute__((noinline)) void int8_weighed(int8_weights *weights, bool probs_16bit) {
    int8_queries *q = weights->queries;
    lanes now = load16(weights->most), previous = load16(q->highest), highest = greater(now, previous);
    lanes correction = exp_lanes((previous - highest) * SORAD_LN2), factor = exp_lanes((now - highest) * SORAD_LN2);
    store16(q->highest, highest), store16(weights->correction, correction), store16(weights->factor, factor);
    store16(q->sum, fused(load16(weights->totals), factor, load16(q->sum) * correction));
#ifdef SORAD_INT8_PAIRS
    int8_pair(weights->codes, q->rows, (weights->count + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES);
    if (probs_16bit) int8_pair(weights->low, q->rows, (weights->count + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES);
#else
    (void)probs_16bit;
#endif
}

#if SORAD_INT8_WIDTH == 1
typedef uint8_t int8_weight_codes __attribute__((vector_size(16)));
#else
typedef uint16_t int8_weight_codes __attribute__((vector_size(32)));
#endif

SORAD_INLINE void int8_store_weights(char *out, lanes_u32 weight) {
    const int8_weight_codes codes = __builtin_convertvector(weight, int8_weight_codes);
    memcpy(out, &codes, sizeof codes);
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
            int8_store_weights(out, weight);
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

// All of them in two planes, of which nothing is done as a chore.
static __attribute__((noinline)) void int8_weigh_in_two_planes(const int8_scores *from, int8_weights *to) {
    const size_t rows = to->queries->rows;
    for (size_t r = 0; r < rows; r++) {
        lanes_u32 total = splat_u32(0);
        to->most[r] = lanes_greatest(from->most[r]);
        for (size_t begin = 0, line = 0; begin < from->count; begin += INT8_LINE_VALUES, line++) {
            const size_t at = (line * rows + r) * INT8_LINE, left = from->count - begin;
            for (size_t j = 0; j < INT8_LINE_VALUES && j < left; j += SORAD_LANES) {
                const lanes_u32 weight = exp2_word_lanes(load16(from->score[r] + begin + j) - splat(to->most[r]));
                total += weight;
                int8_store_weights(to->codes + at + j * SORAD_INT8_WIDTH, weight >> 8);
                int8_store_weights(to->low + at + j * SORAD_INT8_WIDTH, weight & 0xFFu);
            }
        }
        to->total[r] = lanes_sum_u32(total), to->totals[r] = (float)(int32_t)to->total[r];
    }
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

static void int8_value_products(const int8_head *head, const int8_weights *weights, bool probs_16bit, int8_chores *chores) {
    const size_t steps = (weights->count + 15) / 16 * 16 / INT8_STEP_VALUES, vectors = head->d16 / SORAD_LANES, rows = weights->queries->rows;
    for (size_t i = 0, blocks; i < vectors; i += blocks) {
        blocks = vectors - i >= SORAD_INT8_BLOCKS ? SORAD_INT8_BLOCKS : 1;
        const char *w = head->values + i * head->value_bytes + weights->j0 * 16 * SORAD_INT8_WIDTH;
        if (!probs_16bit && rows == SORAD_INT8_ROWS && blocks == SORAD_INT8_BLOCKS) {
            int8_value_tile_of(weights, i, w, head->value_bytes, steps, chores);
            continue;
        }
        lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
        int8_any_value_tile(rows, blocks, weights->codes, w, head->value_bytes, steps, sum);
        if (probs_16bit) {
            lanes_i32 low[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
            int8_any_value_tile(rows, blocks, weights->low, w, head->value_bytes, steps, low);
            for (size_t n = 0; n < rows * blocks; n++) sum[n] = (lanes_i32)(((lanes_u32)sum[n] << 8) + (lanes_u32)low[n]);
        }
        for (size_t b = 0; b < blocks; b++)
            for (size_t r = 0; r < rows; r++) int8_value_results(weights, i + b, r, 1, 1, sum + b * rows + r, 1);
    }
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
            chores.row = args->probs_16bit ? SORAD_INT8_ROWS : 0, chores.line = 0;
            if (args->probs_16bit) int8_weigh_in_two_planes(from, to);
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
        if (p >= 2) int8_value_products(head, weights + p % 2, args->probs_16bit, &chores);
        if (weigh) int8_rest_of_weights(&chores), int8_weighed(chores.to, args->probs_16bit);
    }
}

void KERNEL(attention_f32_qd8kv)(const sorad_attention_args *args) {
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
