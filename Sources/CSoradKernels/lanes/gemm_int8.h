// Int8 matrix product: everything around the register tile, which each instruction set brings along:
//   SORAD_INT8_ROWS, SORAD_INT8_BLOCKS   rows and blocks of 16 outputs of a tile
//   SORAD_INT8_OFFSET                    what packing adds to each a[m, k] (128 for u8 x s8 products, else 0)
//   SORAD_INT8_WIDTH                     bytes of an a[m, k] when packed: 1, or 2 where products are of 16-bit numbers
//   int8_convert(a, out)                 64 / SORAD_INT8_WIDTH values to their packed form
//   int8_expand(w, groups, out)          a block of weights to the tile's form; only where the width is 2
//   int8_tile(rows, blocks, a, pitch, w, w_stride, steps, sum)
//
// Rows are taken in chunks. A chunk is packed to [K / (64 / width)][rows][64 bytes]: one cache line holds the next
// values of a row, and the rows of a tile lie a constant 64 bytes apart. Blocks of outputs run outside and rows inside,
// so that one block of weights serves the whole chunk. Sums are exact, so no order changes a bit.

enum {
    // Rows; a multiple of every SORAD_INT8_ROWS. Smaller chunks for long K (24 rows at K = 8960, so that they fit the
    // second-level cache) were 14 % slower on Zen 3: the weights then travel four times as often.
    INT8_CHUNK = 96,
    INT8_LINE = 64,    // bytes
    INT8_LINE_VALUES = INT8_LINE / SORAD_INT8_WIDTH,
    INT8_STEP_VALUES = 4 / SORAD_INT8_WIDTH,   // values that one 4-byte broadcast brings
};

static size_t int8_groups(const sorad_gemm_int8_args *args) { return (args->k + 3) / 4; }
static size_t int8_lines(const sorad_gemm_int8_args *args) {
    return (4 * int8_groups(args) + INT8_LINE_VALUES - 1) / INT8_LINE_VALUES;
}
// Bytes of one block of weights in the tile's own form; 0 if that is the file's.
static size_t int8_expanded(const sorad_gemm_int8_args *args) { return SORAD_INT8_WIDTH == 1 ? 0 : int8_groups(args) * 128; }

size_t KERNEL(gemm_int8_scratch_bytes)(const sorad_gemm_int8_args *args) {
    size_t rows = args->row_end - args->row_begin;
    return (rows < INT8_CHUNK ? rows : INT8_CHUNK) * int8_lines(args) * INT8_LINE + int8_expanded(args);
}

// Where the sums go: integers as they are, or the float result.
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

static void int8_pack_rows(const sorad_gemm_int8_args *args, size_t m, size_t rows) {
    size_t padded = 4 * int8_groups(args);
    char *packed = args->scratch;
    for (size_t k = 0; k < padded; k += INT8_LINE_VALUES)
        for (size_t r = 0; r < rows; r++, packed += INT8_LINE) {
            const int8_t *a = args->a + (m + r) * args->a_stride + k;
            int8_t tail[INT8_LINE_VALUES] = {0};
            if (padded - k < INT8_LINE_VALUES) a = memcpy(tail, a, padded - k);
            int8_convert(a, packed);
        }
}

// One tile of a chunk: rows m ..< m + rows, number `at` of the chunk and on, against outputs n ..< n + 16 * blocks.
SORAD_INLINE void int8_tile_at(const int8_sink *sink, const size_t rows, const size_t blocks, size_t m, size_t at,
                               size_t chunk_rows, size_t n, const void *w) {
    const sorad_gemm_int8_args *args = sink->args;
    size_t groups = int8_groups(args);
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    int8_tile(rows, blocks, (const char *)args->scratch + at * INT8_LINE, chunk_rows * INT8_LINE, w, groups * 64,
              groups * 4 / INT8_STEP_VALUES, sum);
    for (size_t b = 0; b < blocks; b++)
        for (size_t r = 0; r < rows; r++) int8_finish(sink, m + r, n + b * SORAD_LANES, sum[b * rows + r]);
}

// Rows m ..< m + rows, packed in scratch, against `blocks` blocks of outputs from n.
static void int8_chunk(const int8_sink *sink, const size_t blocks, size_t m, size_t rows, size_t n, const void *w) {
    for (size_t at = 0; at < rows; at += SORAD_INT8_ROWS) {
#define SORAD_TILE(r) blocks == 1 ? int8_tile_at(sink, r, 1, m + at, at, rows, n, w) \
                                  : int8_tile_at(sink, r, SORAD_INT8_BLOCKS, m + at, at, rows, n, w)
        switch (rows - at) {
            SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
        default: SORAD_TILE(SORAD_INT8_ROWS);
        }
#undef SORAD_TILE
    }
}

static void int8_product(const int8_sink *sink) {
    const sorad_gemm_int8_args *args = sink->args;
    const size_t wide = SORAD_INT8_BLOCKS * SORAD_LANES;
    for (size_t m = args->row_begin, rows; m < args->row_end; m += rows) {
        rows = args->row_end - m < INT8_CHUNK ? args->row_end - m : INT8_CHUNK;
        int8_pack_rows(args, m, rows);
        for (size_t n = args->col_begin, width; n < args->col_end; n += width) {
            width = args->col_end - n > wide - SORAD_LANES ? wide : SORAD_LANES;
            const void *w = args->w + n * int8_groups(args) * 4;
#if SORAD_INT8_EXPANDS
            char *expanded = (char *)args->scratch + rows * int8_lines(args) * INT8_LINE;
            int8_expand(w, int8_groups(args), expanded);
            w = expanded;
#endif
            int8_chunk(sink, width / SORAD_LANES, m, rows, n, w);
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
