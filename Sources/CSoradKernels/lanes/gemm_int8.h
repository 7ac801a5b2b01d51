// Int8 matrix product: everything around the register tile, which each instruction set brings along:
//   SORAD_INT8_ROWS, SORAD_INT8_BLOCKS   rows and blocks of 16 outputs of a tile
//   SORAD_INT8_OFFSET                    what packing adds to each a[m, k] (128 for u8 x s8 products, else 0)
//   SORAD_INT8_WIDTH                     bytes of an a[m, k] when packed: 1, or 2 where products are of 16-bit numbers
//   SORAD_INT8_DEPTH                     values of K that are worked on at a time, a multiple of 64
//   int8_convert(a, out)                 64 / SORAD_INT8_WIDTH values to their packed form
//   int8_expand(w, groups, out)          a block of weights to the tile's form; only where the width is 2
//   int8_pair(tile, rows, lines)         weaves the rows of a packed tile; only with SORAD_INT8_PAIRS
//   int8_tile(rows, blocks, a, w, w_stride, steps, sum)
//   int8_tile_with(…, start, sum, every, chore, context)   the same, sums beginning at `start`, chore(context) being done on the way; only
//                                                      with SORAD_INT8_CHORES
//
//   SORAD_INT8_COLUMNS                   outputs that a tile of rows meets while it is in the first-level cache
//
// Rows come packed (quantize_rows.h) to [tile][line][row of the tile][64 bytes]: a line holds the next values of every row of
// a tile, so what a tile reads lies in one piece. K is cut into equal depths and the outputs into groups, so that a group's
// weights of one depth stay in the second-level cache: they are read from far away once for a whole chunk of rows, which
// pass by one tile after the other. Between depths the sums wait in memory. Sums are exact, so no order changes a bit.

enum {
    INT8_CHUNK = 384,           // rows whose sums wait between depths; a multiple of every SORAD_INT8_ROWS
    INT8_LONG = 1024,           // values of a row from which a tile's products are time enough to ask for what comes next
    INT8_LINE = 64,             // bytes
    INT8_LINE_VALUES = INT8_LINE / SORAD_INT8_WIDTH,
    INT8_STEP_VALUES = 4 / SORAD_INT8_WIDTH,   // values that one 4-byte broadcast brings
};

typedef lanes_i32_anywhere int8_waiting;   // 16 sums between depths

// How K is cut: `depths` pieces of `depth` values (a multiple of 64), the last one shorter or equal.
typedef struct int8_plan {
    size_t padded;   // K up to a multiple of 4
    size_t depth, depths;
    size_t lines;    // of one row
} int8_plan;

static int8_plan int8_plan_of(size_t k) {
    size_t padded = (k + 3) / 4 * 4, pieces = (padded + SORAD_INT8_DEPTH - 1) / SORAD_INT8_DEPTH;
    size_t depth = ((padded + pieces - 1) / (pieces ? pieces : 1) + 63) / 64 * 64;
    int8_plan plan = {padded, depth, depth ? (padded + depth - 1) / depth : 0, 0};
    plan.lines = (padded + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
    return plan;
}

size_t KERNEL(gemm_qd8_mr)(void) { return SORAD_INT8_ROWS; }

size_t KERNEL(qd8_packed_bytes)(size_t rows, size_t k) { return rows * int8_plan_of(k).lines * INT8_LINE; }

static size_t int8_sum_bytes(const int8_plan *plan, size_t rows) {
    return plan->depths > 1 ? rows * SORAD_INT8_COLUMNS * sizeof(int32_t) : 0;
}

size_t KERNEL(gemm_qd8_scratch_bytes)(const sorad_gemm_qd8_args *args) {
    const int8_plan plan = int8_plan_of(args->k);
    size_t rows = args->row_end - args->row_begin + 2 * (SORAD_INT8_ROWS - 1);   // the tiles that hold them
    if (rows > INT8_CHUNK) rows = INT8_CHUNK;
    return int8_sum_bytes(&plan, rows) + (SORAD_INT8_WIDTH == 1 ? 0 : plan.depth * SORAD_INT8_COLUMNS * SORAD_INT8_WIDTH);
}

// Where the sums go: integers as they are, or the float result.
typedef struct int8_sink {
    const sorad_gemm_qd8_args *args;
    int32_t *out;   // null: float result to args->out
    size_t out_stride;
} int8_sink;

// Sums [rows] of outputs n ..< n + 16 to their results, rows m and on.
SORAD_INLINE void int8_finish_as(const sorad_gemm_qd8_args *args, const sorad_epilogue epilogue, const size_t rows, size_t m,
                                 size_t n, const size_t count, const lanes_i32 *sum) {
    lanes_u32 w_sum = (lanes_u32)load_i32(args->w_sum + n, count), plain = w_sum * (uint32_t)SORAD_INT8_OFFSET;
    lanes w_scale = load(args->w_scale + n, count), bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
#pragma clang loop unroll_count(4)
    for (size_t r = 0; r < rows; r++, m++) {
        lanes_u32 offset = args->a_zero ? w_sum * (uint32_t)(args->a_zero[m] + SORAD_INT8_OFFSET) : plain;
        lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)sum[r] - offset), lanes);
        lanes y = fused(exact, splat(args->a_scale[m]) * w_scale, bias);
        store(args->out + m * args->out_stride + n, epilogue_lanes(&epilogue, m, n, count, y), count);
    }
}

// The epilogue's case as a constant: what is absent is not asked for in every row.
SORAD_INLINE void int8_finish_case(const sorad_gemm_qd8_args *args, const sorad_activation activation, const size_t rows, size_t m,
                                   size_t n, const size_t count, const lanes_i32 *sum) {
    sorad_epilogue epilogue = args->epilogue;
    epilogue.activation = activation;
    if (!epilogue.gate && !epilogue.residual && !epilogue.relu_at_end) {
        sorad_epilogue bare = {.activation = activation};
        int8_finish_as(args, bare, rows, m, n, count, sum);
    } else {
        int8_finish_as(args, epilogue, rows, m, n, count, sum);
    }
}

SORAD_INLINE void int8_finish_count(const int8_sink *sink, const size_t rows, size_t m, size_t n, const size_t count,
                                    const lanes_i32 *sum) {
    const sorad_gemm_qd8_args *args = sink->args;
    if (sink->out) {
        lanes_u32 offset = (lanes_u32)load_i32(args->w_sum + n, count) * (uint32_t)SORAD_INT8_OFFSET;
        for (size_t r = 0; r < rows; r++)
            store_i32(sink->out + (m + r) * sink->out_stride + n, (lanes_i32)((lanes_u32)sum[r] - offset), count);
        return;
    }
    switch (args->epilogue.activation) {
    case SORAD_ACTIVATION_NONE: int8_finish_case(args, SORAD_ACTIVATION_NONE, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_RELU: int8_finish_case(args, SORAD_ACTIVATION_RELU, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_GELU_TANH: int8_finish_case(args, SORAD_ACTIVATION_GELU_TANH, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_SILU: int8_finish_case(args, SORAD_ACTIVATION_SILU, rows, m, n, count, sum); break;
    }
}

// Rows m ..< m + rows of `blocks` blocks of outputs from n on; the sums of a block begin `stride` behind those before it.
static __attribute__((noinline)) void int8_finish(const int8_sink *sink, size_t rows, size_t m, size_t n, size_t blocks,
                                                  const lanes_i32 *sum, size_t stride) {
    for (size_t b = 0; b < blocks; b++, n += SORAD_LANES, sum += stride) {
        size_t count = lane_count(n, sink->args->col_end);
        if (count != SORAD_LANES) int8_finish_count(sink, rows, m, n, count, sum);
        else if (rows != SORAD_INT8_ROWS) int8_finish_count(sink, rows, m, n, SORAD_LANES, sum);
        else int8_finish_count(sink, SORAD_INT8_ROWS, m, n, SORAD_LANES, sum);
    }
}

#include "gemm_int8_late.h"

// One depth of a group of outputs against a chunk of rows.
typedef struct int8_work {
    const int8_sink *sink;
    const int8_plan *plan;
    size_t first_line, values;   // of this depth
    bool first, last;            // depth
    const char *w;               // the group's first block of weights, this depth
    size_t w_stride;             // bytes from one block of weights to the next
    size_t begin, end;           // the group's outputs
    int8_waiting *waiting;       // [row of the chunk][block of the group], tile by tile
    int8_ahead weights, rows;    // what comes after these weights; after this tile of rows
#ifdef SORAD_INT8_CHORES
    lanes_i32 sums[2][SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];   // of the late tile and of the present one
    size_t present;
    size_t weights_each, rows_each;   // lines of what comes next that a chore brings
    int8_late late;
#endif
} int8_work;

#ifdef SORAD_INT8_CHORES
// Results first and then what comes next, or products would wait for both.
SORAD_INLINE void int8_tile_chore(int8_work *work, const int kind) {
    if (work->late.next < INT8_LATE_VECTORS) {
        for (size_t i = work->late.share; i > 0 && work->late.next < INT8_LATE_VECTORS; i--) int8_late_vector(&work->late, kind);
        return;
    }
    for (size_t i = 0; i < work->weights_each; i++) int8_bring_line(&work->weights);
    for (size_t i = 0; i < work->rows_each; i++) int8_bring_line(&work->rows);
}

static inline void int8_chore_bare(void *work) { int8_tile_chore(work, INT8_LATE_BARE); }
static inline void int8_chore_gelu(void *work) { int8_tile_chore(work, INT8_LATE_GELU); }
static inline void int8_chore_added(void *work) { int8_tile_chore(work, INT8_LATE_ADDED); }
static inline void int8_chore_any(void *work) { int8_tile_chore(work, INT8_LATE_ANY); }
#endif

// The part of a tile that the call is about: rows low ..< high of those from m on.
typedef struct int8_rows {
    size_t m, low, high;
} int8_rows;

// Has memory that a tile is about to write or to read at its end on its way.
SORAD_INLINE void int8_prefetch(const int8_work *work, int8_rows rows, size_t n) {
    const sorad_gemm_qd8_args *args = work->sink->args;
    if (!work->last || work->sink->out || work->plan->padded < INT8_LONG) return;
    const size_t m = rows.m + rows.low, count = rows.high - rows.low;
    const size_t blocks = work->end - n > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
    const float *out = args->out + m * args->out_stride + n;
    for (size_t r = 0; r < count; r++, out += args->out_stride)
        for (size_t b = 0; b < blocks; b++) __builtin_prefetch(out + b * SORAD_LANES, 1);
    const float *residual = args->epilogue.residual;
    if (!residual) return;
    residual += m * args->epilogue.residual_stride + n;
    for (size_t r = 0; r < count; r++, residual += args->epilogue.residual_stride)
        for (size_t b = 0; b < blocks; b++) __builtin_prefetch(residual + b * SORAD_LANES);
}

// One tile of `count` rows at `a` against outputs n ..< n + 16 * blocks. `waiting` holds its sums between depths.
SORAD_INLINE void int8_tile_at(int8_work *work, const size_t count, const size_t blocks, const char *a, int8_rows rows,
                               size_t n, int8_waiting *waiting) {
    const char *w = work->w + (n - work->begin) / SORAD_LANES * work->w_stride;
    const size_t steps = work->values / INT8_STEP_VALUES;
#ifdef SORAD_INT8_CHORES
    if (count == SORAD_INT8_ROWS && blocks == SORAD_INT8_BLOCKS) {
        int8_ahead_begin(&work->weights, work->weights.share), int8_ahead_begin(&work->rows, work->rows.share);
        static const lanes_i32 zeros[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
        lanes_i32 *sum = work->sums[work->present];
        const sorad_gemm_qd8_args *args = work->sink->args;
        int8_late_before(&work->late, rows.m, n);
        const int8_waiting *start = work->first ? (const int8_waiting *)zeros : waiting;
        int8_waiting *const to = work->last ? (int8_waiting *)sum : waiting;
#define SORAD_TILE(chore) int8_tile_with(count, blocks, a, w, work->w_stride, steps, start, to, INT8_LATE_STEPS, chore, work)
        switch (work->late.kind) {
        case INT8_LATE_BARE: SORAD_TILE(int8_chore_bare); break;
        case INT8_LATE_GELU: SORAD_TILE(int8_chore_gelu); break;
        case INT8_LATE_ADDED: SORAD_TILE(int8_chore_added); break;
        default: SORAD_TILE(int8_chore_any);
        }
#undef SORAD_TILE
        if (work->late.next < INT8_LATE_VECTORS) int8_late_rest(&work->late);
        if (!work->last) return;
        if (rows.high - rows.low == count && !work->sink->out && args->col_end - n >= SORAD_INT8_BLOCKS * SORAD_LANES) {
            int8_late_begin(&work->late, args, rows.m, n, sum);
            work->present ^= 1;
        } else {
            int8_finish(work->sink, rows.high - rows.low, rows.m + rows.low, n, blocks, sum + rows.low, count);
        }
        return;
    }
#endif
    int8_prefetch(work, rows, n);
    int8_bring(&work->weights);
    int8_bring(&work->rows);
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    int8_tile(count, blocks, a, w, work->w_stride, steps, sum);
    if (!work->first)
        for (size_t i = 0; i < count * blocks; i++) sum[i] = (lanes_i32)((lanes_u32)sum[i] + (lanes_u32)waiting[i]);
    if (work->last) {
        int8_finish(work->sink, rows.high - rows.low, rows.m + rows.low, n, blocks, sum + rows.low, count);
    } else {
        for (size_t i = 0; i < count * blocks; i++) waiting[i] = sum[i];
    }
}

// A tile of rows against all outputs of the group.
SORAD_INLINE void int8_tile_row(int8_work *work, const size_t count, int8_rows rows, int8_waiting *waiting) {
    const sorad_gemm_qd8_args *args = work->sink->args;
    const char *a = (const char *)args->a + (rows.m * work->plan->lines + work->first_line * count) * INT8_LINE;
    for (size_t n = work->begin, blocks; n < work->end; n += blocks * SORAD_LANES) {
        blocks = work->end - n > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
        int8_waiting *kept = waiting + (n - work->begin) / SORAD_LANES * count;
        if (blocks == 1) int8_tile_at(work, count, 1, a, rows, n, kept);
        else int8_tile_at(work, count, SORAD_INT8_BLOCKS, a, rows, n, kept);
    }
}

// The tile of rows from m on, spread over the outputs of the one before it.
static int8_ahead int8_rows_ahead(const int8_work *work, size_t m, size_t end) {
    const sorad_gemm_qd8_args *args = work->sink->args;
    if (m >= end) return int8_ahead_of(NULL, 0, 0, 0, 1);
    size_t count = end - m < SORAD_INT8_ROWS ? end - m : SORAD_INT8_ROWS;
    size_t panels = (work->end - work->begin + SORAD_INT8_BLOCKS * SORAD_LANES - 1) / (SORAD_INT8_BLOCKS * SORAD_LANES);
    return int8_ahead_of((const char *)args->a + (m * work->plan->lines + work->first_line * count) * INT8_LINE, 1,
                         (work->values + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES * count, 0, panels);
}

// Tiles of rows m ..< end, m the first of a tile.
static void int8_chunk(int8_work *work, size_t m, size_t end) {
    const sorad_gemm_qd8_args *args = work->sink->args;
    int8_waiting *waiting = work->waiting;
#ifdef SORAD_INT8_CHORES
    work->late.epilogue = args->epilogue, work->late.kind = int8_late_kind(&args->epilogue);
    work->late.a_scale = args->a_scale, work->late.a_zero = args->a_zero;
    work->late.out_stride = args->out_stride;
    work->late.next = INT8_LATE_VECTORS;
    work->late.long_rows = work->values >= INT8_LONG;
    const size_t times = work->values / INT8_STEP_VALUES / INT8_LATE_STEPS, most = times * 3 / 4;
    work->late.share = most > 0 ? (INT8_LATE_VECTORS + most - 1) / most : INT8_LATE_VECTORS;
    const size_t busy = (INT8_LATE_VECTORS + work->late.share - 1) / work->late.share, slots = times > busy ? times - busy : 0;
    work->weights_each = int8_lines_each(&work->weights, slots);
#endif
    for (size_t count; m < end; m += count) {
        count = args->rows - m < SORAD_INT8_ROWS ? args->rows - m : SORAD_INT8_ROWS;
        int8_rows rows = {m, args->row_begin > m ? args->row_begin - m : 0, args->row_end - m < count ? args->row_end - m : count};
        work->rows = int8_rows_ahead(work, m + count, end);
#ifdef SORAD_INT8_CHORES
        work->rows_each = int8_lines_each(&work->rows, slots);
#endif
#define SORAD_TILE(r) int8_tile_row(work, r, rows, waiting)
        switch (count) {
            SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
        default: SORAD_TILE(SORAD_INT8_ROWS);
        }
#undef SORAD_TILE
        waiting += count * (SORAD_INT8_COLUMNS / SORAD_LANES);
    }
#ifdef SORAD_INT8_CHORES
    int8_late_rest(&work->late);
#endif
}

// The weights that come next, spread over the tiles before them.
SORAD_INLINE int8_ahead int8_weights_ahead(const char *w, size_t outputs, size_t values, size_t stride, size_t tiles) {
    return int8_ahead_of(w, (outputs + SORAD_LANES - 1) / SORAD_LANES, values * SORAD_LANES / INT8_LINE, stride, tiles);
}

// Rows m ..< end against outputs begin ..< columns, SORAD_INT8_COLUMNS at most. After them come the outputs next ..< next_end.
static void int8_group(const int8_sink *sink, const int8_plan *plan, size_t m, size_t end, size_t begin, size_t columns, size_t next,
                       size_t next_end) {
    const sorad_gemm_qd8_args *args = sink->args;
    int8_work work = {.sink = sink, .plan = plan, .begin = begin, .end = columns, .waiting = args->scratch};
    size_t k0 = 0;
    do {
        work.values = plan->padded - k0 < plan->depth ? plan->padded - k0 : plan->depth;
        work.first_line = k0 / INT8_LINE_VALUES;
        work.first = k0 == 0, work.last = k0 + work.values >= plan->padded;
        work.w = (const char *)args->w + begin * plan->padded + k0 * SORAD_LANES;
        work.w_stride = plan->padded * SORAD_LANES;
#if SORAD_INT8_WIDTH > 1
        size_t rows = end - m < INT8_CHUNK ? end - m : INT8_CHUNK;
        char *expanded = (char *)args->scratch + int8_sum_bytes(plan, rows);
        for (size_t n = begin; n < columns; n += SORAD_LANES)
            int8_expand((const int8_t *)work.w + (n - begin) / SORAD_LANES * work.w_stride, work.values / 4,
                        expanded + (n - begin) * work.values * SORAD_INT8_WIDTH);
        work.w = expanded, work.w_stride = work.values * SORAD_LANES * SORAD_INT8_WIDTH;
        (void)next, (void)next_end;
#else
        size_t tiles = (end - m + SORAD_INT8_ROWS - 1) / SORAD_INT8_ROWS;
        tiles *= ((columns - begin + SORAD_LANES - 1) / SORAD_LANES + SORAD_INT8_BLOCKS - 1) / SORAD_INT8_BLOCKS;
        size_t after = k0 + work.values, rest = plan->padded - after;
        work.weights = rest > 0 ? int8_weights_ahead(work.w + work.values * SORAD_LANES, columns - begin,
                                                     rest < plan->depth ? rest : plan->depth, work.w_stride, tiles)
                                : int8_weights_ahead((const char *)args->w + next * plan->padded, next_end - next,
                                                     plan->padded < plan->depth ? plan->padded : plan->depth, work.w_stride, tiles);
#endif
        int8_chunk(&work, m, end);
        k0 += work.values;
    } while (k0 < plan->padded);
}

static void int8_product(const int8_sink *sink) {
    const sorad_gemm_qd8_args *args = sink->args;
    const int8_plan plan = int8_plan_of(args->k);
    if (args->row_begin >= args->row_end) return;
    const size_t begin = args->row_begin / SORAD_INT8_ROWS * SORAD_INT8_ROWS;
    size_t end = (args->row_end + SORAD_INT8_ROWS - 1) / SORAD_INT8_ROWS * SORAD_INT8_ROWS;
    if (end > args->rows) end = args->rows;
    for (size_t n = args->col_begin; n < args->col_end; n += SORAD_INT8_COLUMNS) {
        size_t columns = args->col_end - n < SORAD_INT8_COLUMNS ? args->col_end : n + SORAD_INT8_COLUMNS;
        for (size_t m = begin, next; m < end; m = next) {
            next = plan.depths <= 1 || end - m < INT8_CHUNK ? end : m + INT8_CHUNK;
            bool same = next < end;
            size_t more = args->col_end - columns < SORAD_INT8_COLUMNS ? args->col_end : columns + SORAD_INT8_COLUMNS;
            int8_group(sink, &plan, m, next, n, columns, same ? n : columns, same ? columns : more);
        }
    }
}

void KERNEL(gemm_qd8_f32_qc8w)(const sorad_gemm_qd8_args *args) {
    const int8_sink sink = {args, NULL, 0};
    int8_product(&sink);
}

void KERNEL(gemm_qd8_i32_qc8w)(const sorad_gemm_qd8_args *args, int32_t *out, size_t out_stride) {
    const int8_sink sink = {args, out, out_stride};
    int8_product(&sink);
}
