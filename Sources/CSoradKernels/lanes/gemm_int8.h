// Int8 matrix product: everything around the register tile, which each instruction set brings along:
//   SORAD_INT8_ROWS, SORAD_INT8_BLOCKS   rows and blocks of 16 outputs of a tile
//   SORAD_INT8_OFFSET                    what packing adds to each a[m, k] (128 for u8 x s8 products, else 0)
//   SORAD_INT8_WIDTH                     bytes of an a[m, k] when packed: 1, or 2 where products are of 16-bit numbers
//   SORAD_INT8_DEPTH                     values of K that are worked on at a time, a multiple of 64
//   int8_convert(a, out)                 64 / SORAD_INT8_WIDTH values to their packed form
//   int8_expand(w, groups, out)          a block of weights to the tile's form; only where the width is 2
//   int8_pair(tile, rows, lines)         weaves the rows of a packed tile; only with SORAD_INT8_PAIRS
//   int8_tile(rows, blocks, a, w, w_stride, steps, sum)
//
// K is cut into equal depths, so that a tile's weights stay in the first-level cache and a chunk of rows in the second.
// A chunk is packed to [depth][tile][line][row of the tile][64 bytes]: what a tile reads lies in one piece, and a line of
// it holds the next values of every row. Within a depth, blocks of outputs run outside and tiles of rows inside, so that
// one block of weights serves the whole chunk; between depths the sums wait in memory. Sums are exact, so no order
// changes a bit.

enum {
    INT8_CHUNK = 96,            // rows; a multiple of every SORAD_INT8_ROWS
    INT8_COLUMNS = 256,         // outputs whose sums wait between depths
    INT8_LINE = 64,             // bytes
    INT8_LINE_VALUES = INT8_LINE / SORAD_INT8_WIDTH,
    INT8_STEP_VALUES = 4 / SORAD_INT8_WIDTH,   // values that one 4-byte broadcast brings
};

typedef int32_t int8_waiting __attribute__((vector_size(64), aligned(1), may_alias));   // 16 sums between depths

// How K is cut: `depths` pieces of `depth` values (a multiple of 64), the last one shorter or equal.
typedef struct int8_plan {
    size_t padded;   // K up to a multiple of 4
    size_t depth, depths;
    size_t lines;    // of one row, all depths
} int8_plan;

static int8_plan int8_plan_of(size_t k) {
    size_t padded = (k + 3) / 4 * 4, pieces = (padded + SORAD_INT8_DEPTH - 1) / SORAD_INT8_DEPTH;
    size_t depth = ((padded + pieces - 1) / (pieces ? pieces : 1) + 63) / 64 * 64;
    int8_plan plan = {padded, depth, depth ? (padded + depth - 1) / depth : 0, 0};
    plan.lines = (padded + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
    return plan;
}

static size_t int8_sum_bytes(const int8_plan *plan, size_t rows) {
    return plan->depths > 1 ? rows * INT8_COLUMNS * sizeof(int32_t) : 0;
}

size_t KERNEL(gemm_int8_scratch_bytes)(const sorad_gemm_int8_args *args) {
    const int8_plan plan = int8_plan_of(args->k);
    size_t rows = args->row_end - args->row_begin, expanded = SORAD_INT8_WIDTH == 1 ? 0 : plan.depth * 16 * SORAD_INT8_WIDTH;
    if (rows > INT8_CHUNK) rows = INT8_CHUNK;
    return rows * plan.lines * INT8_LINE + int8_sum_bytes(&plan, rows) + expanded;
}

// Where the sums go: integers as they are, or the float result.
typedef struct int8_sink {
    const sorad_gemm_int8_args *args;
    int32_t *out;   // null: float result to args->out
    size_t out_stride;
} int8_sink;

// Sums [rows] of outputs n ..< n + 16 to their results, rows m and on.
SORAD_INLINE void int8_finish_as(const sorad_gemm_int8_args *args, const sorad_activation activation, size_t rows, size_t m,
                                 size_t n, size_t count, const lanes_i32 *sum) {
    lanes_u32 w_sum = (lanes_u32)load_i32(args->w_sum + n, count), plain = w_sum * (uint32_t)SORAD_INT8_OFFSET;
    lanes w_scale = load(args->w_scale + n, count), bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
    sorad_epilogue epilogue = args->epilogue;
    epilogue.activation = activation;
    for (size_t r = 0; r < rows; r++, m++) {
        lanes_u32 offset = args->a_zero ? w_sum * (uint32_t)(args->a_zero[m] + SORAD_INT8_OFFSET) : plain;
        lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)sum[r] - offset), lanes);
        lanes y = fused(exact, splat(args->a_scale[m]) * w_scale, bias);
        store(args->out + m * args->out_stride + n, epilogue_lanes(&epilogue, m, n, count, y), count);
    }
}

SORAD_INLINE void int8_finish_count(const int8_sink *sink, size_t rows, size_t m, size_t n, const size_t count,
                                    const lanes_i32 *sum) {
    const sorad_gemm_int8_args *args = sink->args;
    if (sink->out) {
        lanes_u32 offset = (lanes_u32)load_i32(args->w_sum + n, count) * (uint32_t)SORAD_INT8_OFFSET;
        for (size_t r = 0; r < rows; r++)
            store_i32(sink->out + (m + r) * sink->out_stride + n, (lanes_i32)((lanes_u32)sum[r] - offset), count);
        return;
    }
    switch (args->epilogue.activation) {
    case SORAD_ACTIVATION_NONE: int8_finish_as(args, SORAD_ACTIVATION_NONE, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_RELU: int8_finish_as(args, SORAD_ACTIVATION_RELU, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_GELU_TANH: int8_finish_as(args, SORAD_ACTIVATION_GELU_TANH, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_SILU: int8_finish_as(args, SORAD_ACTIVATION_SILU, rows, m, n, count, sum); break;
    }
}

static __attribute__((noinline)) void int8_finish(const int8_sink *sink, size_t rows, size_t m, size_t n,
                                                  const lanes_i32 *sum) {
    size_t count = lane_count(n, sink->args->col_end);
    if (count == SORAD_LANES) int8_finish_count(sink, rows, m, n, SORAD_LANES, sum);
    else int8_finish_count(sink, rows, m, n, count, sum);
}

// Rows m ..< m + rows of a, as a chunk.
static void int8_pack_rows(const sorad_gemm_int8_args *args, const int8_plan *plan, size_t m, size_t rows) {
    char *packed = args->scratch;
    for (size_t k0 = 0; k0 < plan->padded; k0 += plan->depth) {
        size_t end = plan->padded - k0 < plan->depth ? plan->padded : k0 + plan->depth;
        size_t lines = (end - k0 + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
        for (size_t at = 0, tile; at < rows; at += tile, packed += tile * lines * INT8_LINE) {
            tile = rows - at < SORAD_INT8_ROWS ? rows - at : SORAD_INT8_ROWS;
            for (size_t r = 0; r < tile; r++) {
                const int8_t *a = args->a + (m + at + r) * args->a_stride;
                char *line = packed + r * INT8_LINE;
                size_t k = k0;
                for (; k + INT8_LINE_VALUES <= end; k += INT8_LINE_VALUES, line += tile * INT8_LINE) int8_convert(a + k, line);
                if (k < end) {
                    int8_t tail[INT8_LINE_VALUES] = {0};
                    memcpy(tail, a + k, end - k);
                    int8_convert(tail, line);
                }
            }
#ifdef SORAD_INT8_PAIRS
            int8_pair(packed, tile, lines);
#endif
        }
    }
}

// One depth of a chunk against some of its outputs.
typedef struct int8_work {
    const int8_sink *sink;
    const char *a;          // the chunk's rows, this depth
    size_t values, lines;   // of this depth; lines per row
    size_t m, rows;         // the chunk
    bool first, last;       // depth
    size_t w_stride;        // bytes from one block of weights to the next
} int8_work;

// Has memory that a tile is about to write or to read at its end on its way.
SORAD_INLINE void int8_prefetch(const int8_work *work, size_t rows, size_t m, size_t n) {
    const sorad_gemm_int8_args *args = work->sink->args;
    if (!work->last || work->sink->out) return;
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < SORAD_INT8_BLOCKS; b++) {
            size_t column = n + b * SORAD_LANES;
            if (column >= args->col_end) break;
            __builtin_prefetch(args->out + (m + r) * args->out_stride + column, 1);
            if (args->epilogue.residual)
                __builtin_prefetch(args->epilogue.residual + (m + r) * args->epilogue.residual_stride + column);
        }
}

// One tile: rows at ..< at + rows of the chunk against outputs n ..< n + 16 * blocks. `waiting` holds the tile's sums
// between depths, a block's every `work->rows` vectors.
SORAD_INLINE void int8_tile_at(const int8_work *work, const size_t rows, const size_t blocks, size_t at, size_t n, const void *w,
                               int8_waiting *waiting) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    int8_prefetch(work, rows, work->m + at, n);
    int8_tile(rows, blocks, work->a + at * work->lines * INT8_LINE, w, work->w_stride, work->values / INT8_STEP_VALUES, sum);
    for (size_t b = 0; b < blocks; b++) {
        int8_waiting *kept = waiting + b * work->rows + at;
        if (!work->first)
            for (size_t r = 0; r < rows; r++) sum[b * rows + r] = (lanes_i32)((lanes_u32)sum[b * rows + r] + (lanes_u32)kept[r]);
        if (work->last) int8_finish(work->sink, rows, work->m + at, n + b * SORAD_LANES, sum + b * rows);
        else
            for (size_t r = 0; r < rows; r++) kept[r] = sum[b * rows + r];
    }
}

static void int8_chunk(const int8_work *work, const size_t blocks, size_t n, const void *w, int8_waiting *waiting) {
    for (size_t at = 0; at < work->rows; at += SORAD_INT8_ROWS) {
#define SORAD_TILE(r) blocks == 1 ? int8_tile_at(work, r, 1, at, n, w, waiting) \
                                  : int8_tile_at(work, r, SORAD_INT8_BLOCKS, at, n, w, waiting)
        switch (work->rows - at) {
            SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
        default: SORAD_TILE(SORAD_INT8_ROWS);
        }
#undef SORAD_TILE
    }
}

// A packed chunk against outputs begin ..< end, at most INT8_COLUMNS where there are several depths.
static void int8_columns(const int8_sink *sink, const int8_plan *plan, size_t m, size_t rows, size_t begin, size_t end) {
    const sorad_gemm_int8_args *args = sink->args;
    char *scratch = args->scratch;
    int8_waiting *waiting = (int8_waiting *)(scratch + rows * plan->lines * INT8_LINE);
    int8_work work = {.sink = sink, .a = scratch, .m = m, .rows = rows, .w_stride = plan->padded * SORAD_LANES};
    size_t k0 = 0;
    do {
        work.values = plan->padded - k0 < plan->depth ? plan->padded - k0 : plan->depth;
        work.lines = (work.values + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
        work.first = k0 == 0, work.last = k0 + work.values >= plan->padded;
        for (size_t n = begin, blocks; n < end; n += blocks * SORAD_LANES) {
            blocks = end - n > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
            const void *w = args->w + n * plan->padded + k0 * SORAD_LANES;
#if SORAD_INT8_WIDTH > 1
            char *expanded = (char *)waiting + int8_sum_bytes(plan, rows);
            int8_expand(w, work.values / 4, expanded);
            w = expanded;
#endif
            int8_chunk(&work, blocks, n, w, waiting + (n - begin) / SORAD_LANES * rows);
        }
        work.a += rows * work.lines * INT8_LINE;
        k0 += work.values;
    } while (k0 < plan->padded);
}

static void int8_product(const int8_sink *sink) {
    const sorad_gemm_int8_args *args = sink->args;
    const int8_plan plan = int8_plan_of(args->k);
    for (size_t m = args->row_begin, rows; m < args->row_end; m += rows) {
        rows = args->row_end - m < INT8_CHUNK ? args->row_end - m : INT8_CHUNK;
        int8_pack_rows(args, &plan, m, rows);
        for (size_t n = args->col_begin, end; n < args->col_end; n = end) {
            end = plan.depths <= 1 || args->col_end - n < INT8_COLUMNS ? args->col_end : n + INT8_COLUMNS;
            int8_columns(sink, &plan, m, rows, n, end);
        }
    }
}

void KERNEL(gemm_int8)(const sorad_gemm_int8_args *args) {
    const int8_sink sink = {args, NULL, 0};
    int8_product(&sink);
}

void KERNEL(gemm_int8_i32)(const sorad_gemm_int8_args *args, int32_t *out, size_t out_stride) {
    const int8_sink sink = {args, out, out_stride};
    int8_product(&sink);
}
