// Int8 matrix product: everything around the register tile, which each instruction set brings along:
//   SORAD_INT8_ROWS, SORAD_INT8_BLOCKS   rows and blocks of 16 outputs of a tile
//   SORAD_INT8_OFFSET                    what the tile adds to each a[m, k] (128 for u8 x s8 products, else 0)
//   int8_tile(rows, blocks, a, a_step, row_step, w, groups, sum)
// Rows are taken in chunks whose packed form fits a cache; for each, blocks of outputs run outside and rows inside, so
// that one block of weights serves the whole chunk. Sums are exact, so no order changes a bit.

// Rows per chunk; a multiple of every SORAD_INT8_ROWS.
enum { INT8_CHUNK = 96 };

size_t KERNEL(gemm_int8_scratch_bytes)(const sorad_gemm_int8_args *args) {
    if (SORAD_INT8_OFFSET == 0) return 0;
    size_t rows = args->row_end - args->row_begin;
    return (rows < INT8_CHUNK ? rows : INT8_CHUNK) * ((args->k + 3) / 4) * 4;
}

// The sums' destination: integers as they are, or the float result.
typedef struct int8_sink {
    const sorad_gemm_int8_args *args;
    int32_t *out;   // null: float result to args->out
    size_t out_stride;
} int8_sink;

SORAD_INLINE void int8_finish(const int8_sink *sink, size_t m, size_t n, lanes_i32 sum) {
    const sorad_gemm_int8_args *args = sink->args;
    size_t count = lane_count(n, args->col_end);
    lanes_u32 w_sum = (lanes_u32)load_i32(args->w_sum + n, count);
    if (sink->out) {
        sum = (lanes_i32)((lanes_u32)sum - w_sum * (uint32_t)SORAD_INT8_OFFSET);
        store_i32(sink->out + m * sink->out_stride + n, sum, count);
        return;
    }
    uint32_t zero = (uint32_t)((args->a_zero ? args->a_zero[m] : 0) + SORAD_INT8_OFFSET);
    lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)sum - w_sum * zero), lanes);
    lanes scale = splat(args->a_scale[m]) * load(args->w_scale + n, count);
    lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
    lanes y = epilogue_lanes(&args->epilogue, m, n, count, fused(exact, scale, bias));
    store(args->out + m * args->out_stride + n, y, count);
}

// Rows m ..< m + rows against outputs n ..< n + 16 * blocks.
SORAD_INLINE void int8_tile_finish(const int8_sink *sink, const size_t rows, const size_t blocks, size_t m, size_t n,
                                   const int8_t *a, size_t a_step, size_t row_step) {
    size_t groups = (sink->args->k + 3) / 4;
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    int8_tile(rows, blocks, a, a_step, row_step, sink->args->w + n * groups * 4, groups, sum);
    for (size_t b = 0; b < blocks; b++)
        for (size_t r = 0; r < rows; r++) int8_finish(sink, m + r, n + b * SORAD_LANES, sum[b * rows + r]);
}

// Rows of a chunk to [tile][K/4][rows of the tile][4], with the offset added (by flipping the top bit).
static void int8_pack_rows(const sorad_gemm_int8_args *args, size_t m, size_t rows) {
    size_t groups = (args->k + 3) / 4;
    uint32_t *packed = args->scratch;
    for (size_t tile = 0; tile < rows; tile += SORAD_INT8_ROWS) {
        size_t height = rows - tile < SORAD_INT8_ROWS ? rows - tile : SORAD_INT8_ROWS;
        for (size_t r = 0; r < height; r++) {
            const int8_t *a = args->a + (m + tile + r) * args->a_stride;
            for (size_t g = 0; g < groups; g++) {
                uint32_t word;
                memcpy(&word, a + 4 * g, sizeof word);
                packed[g * height + r] = word ^ 0x80808080u;
            }
        }
        packed += height * groups;
    }
}

// One tile, of either width, from the packed chunk or from the rows themselves.
static void int8_rows(const int8_sink *sink, size_t blocks, size_t chunk, size_t m, size_t rows, size_t n) {
    const sorad_gemm_int8_args *args = sink->args;
    const int8_t *a = args->a + m * args->a_stride;
    size_t a_step = 4, row_step = args->a_stride;
    if (SORAD_INT8_OFFSET) {
        a = (const int8_t *)args->scratch + (m - chunk) * ((args->k + 3) / 4) * 4;
        a_step = 4 * rows;
        row_step = 4;
    }
#define SORAD_TILE(r) blocks == 1 ? int8_tile_finish(sink, r, 1, m, n, a, a_step, row_step) \
                                  : int8_tile_finish(sink, r, SORAD_INT8_BLOCKS, m, n, a, a_step, row_step)
    switch (rows) {
        SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
    default: SORAD_TILE(SORAD_INT8_ROWS);
    }
#undef SORAD_TILE
}

static void int8_product(const int8_sink *sink) {
    const sorad_gemm_int8_args *args = sink->args;
    const size_t wide = SORAD_INT8_BLOCKS * SORAD_LANES;
    for (size_t chunk = args->row_begin; chunk < args->row_end; chunk += INT8_CHUNK) {
        size_t end = args->row_end - chunk < INT8_CHUNK ? args->row_end : chunk + INT8_CHUNK;
        if (SORAD_INT8_OFFSET) int8_pack_rows(args, chunk, end - chunk);
        for (size_t n = args->col_begin, width; n < args->col_end; n += width) {
            width = args->col_end - n > wide - SORAD_LANES ? wide : SORAD_LANES;
            for (size_t m = chunk; m < end; m += SORAD_INT8_ROWS) {
                size_t rows = end - m < SORAD_INT8_ROWS ? end - m : SORAD_INT8_ROWS;
                int8_rows(sink, width / SORAD_LANES, chunk, m, rows, n);
            }
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
