// Convolution of int8 numbers that reads its rows where they lie. The neighbourhood of an output pixel is `kernel` runs of bytes, one in
// each of as many lines of the image, and that of the next pixel lies `stride` pixels further on: a tile of neighbouring pixels needs no
// gathering, only these addresses. What the instruction set brings along beside int8_tile:
//   int8_pixel_tile(rows, blocks, window, w, w_stride, sum)
//
// The lines that a few rows of outputs see are first copied in the form that products read (and zoomed, if they are), about
// CONV_INT8_BAND_BYTES of them, so that they stay in the second-level cache while a group of outputs after the other, whose weights do
// too, passes over them.

enum {
    CONV_INT8_BAND_BYTES = 192 * 1024,
    CONV_INT8_WEIGHT_BYTES = 384 * 1024,
};

typedef struct conv_int8_plan {
    size_t zoom;
    size_t line, wide;   // bytes of a line as stored, and as the taps see it
    size_t out_width;
    size_t rows;         // output rows of a band, at most
    size_t columns;      // outputs of a group
    size_t k;
} conv_int8_plan;

static conv_int8_plan conv_int8_plan_of(const sorad_conv2d_qt8_args *args) {
    conv_int8_plan plan = {.zoom = args->upsample ? 1 : 0, .line = (args->width + 2) * args->channels};
    const size_t width = args->width << plan.zoom;
    plan.wide = (width + 2) * args->channels;
    plan.out_width = (width + 2 * args->padding - args->kernel) / args->stride + 1;
    const size_t lines = CONV_INT8_BAND_BYTES / plan.wide;
    plan.rows = lines > args->kernel ? (lines - args->kernel) / args->stride + 1 : 1;
    plan.k = args->kernel * args->kernel * args->channels;
    const size_t unit = SORAD_INT8_BLOCKS * SORAD_LANES, units = CONV_INT8_WEIGHT_BYTES / (plan.k * unit);
    plan.columns = units * unit < SORAD_INT8_COLUMNS ? (units > 0 ? units * unit : unit) : SORAD_INT8_COLUMNS;
    return plan;
}

// The stored line of row `i` of the zoomed image and its border.
static size_t conv_int8_line(const conv_int8_plan *plan, size_t i) { return (i + plan->zoom) >> plan->zoom; }
// The first such row that output row y sees.
static size_t conv_int8_top(const sorad_conv2d_qt8_args *args, size_t y) { return y * args->stride + 1 - args->padding; }

static size_t conv_int8_round(size_t bytes) { return (bytes + INT8_LINE - 1) / INT8_LINE * INT8_LINE; }

size_t KERNEL(conv2d_qt8_scratch_bytes)(const sorad_conv2d_qt8_args *args) {
    const conv_int8_plan plan = conv_int8_plan_of(args);
    size_t rows = args->row_end - args->row_begin;
    if (rows > plan.rows) rows = plan.rows;
    // Wherever a band begins.
    size_t lines = rows == 0 ? 0 : (((rows - 1) * args->stride + args->kernel - 1) >> plan.zoom) + 1 + plan.zoom;
    return conv_int8_round(lines * plan.line) + (plan.zoom ? conv_int8_round(lines * plan.wide) : 0);
}

// Stored lines first ..< end as products read them; what this returns is where the first of them lies, `wide` bytes each.
static const char *conv_int8_band(const sorad_conv2d_qt8_args *args, const conv_int8_plan *plan, size_t first, size_t end) {
    const int8_t *from = args->x + first * plan->line;
    const size_t bytes = (end - first) * plan->line, whole = bytes / INT8_LINE * INT8_LINE;
    char *lines = args->scratch;
    for (size_t i = 0; i < whole; i += INT8_LINE) int8_convert(from + i, lines + i);
    if (whole < bytes) {
        int8_t last[INT8_LINE] = {0};
        memcpy(last, from + whole, bytes - whole);
        int8_convert(last, lines + whole);
    }
    if (!plan->zoom) return lines;
    char *const zoomed = lines + conv_int8_round(bytes);
    char *to = zoomed;
    for (size_t y = first; y < end; y++, lines += plan->line)
        for (size_t x = 0; x < 2 * args->width + 2; x++, to += args->channels)
            memcpy(to, lines + ((x + 1) >> 1) * args->channels, args->channels);
    return zoomed;
}

// One tile of `count` pixels, output pixel m and on, against outputs n ..< n + 16 * blocks.
SORAD_INLINE void conv_int8_tile(const int8_sink *sink, const size_t count, const size_t blocks, const int8_window *window,
                                 const char *w, size_t w_stride, size_t n) {
    lanes_i32 sum[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
    const sorad_gemm_qd8_args *args = sink->args;
    for (size_t r = 0; r < count; r++)
        for (size_t b = 0; b < blocks; b++) {
            __builtin_prefetch(args->out + r * args->out_stride + n + b * SORAD_LANES, 1);
            if (args->epilogue.residual) __builtin_prefetch(args->epilogue.residual + r * args->epilogue.residual_stride + n + b * SORAD_LANES);
        }
    int8_pixel_tile(count, blocks, window, w, w_stride, sum);
    int8_finish(sink, count, 0, n, blocks, sum, count);
}

// The same against all outputs of the group.
SORAD_INLINE void conv_int8_tile_row(const int8_sink *sink, const size_t count, const int8_window *window, size_t begin, size_t end,
                                     size_t k) {
    for (size_t n = begin, blocks; n < end; n += blocks * SORAD_LANES) {
        blocks = end - n > (SORAD_INT8_BLOCKS - 1) * SORAD_LANES ? SORAD_INT8_BLOCKS : 1;
        const char *w = (const char *)sink->args->w + n * k;
        if (blocks == 1) conv_int8_tile(sink, count, 1, window, w, k * SORAD_LANES, n);
        else conv_int8_tile(sink, count, SORAD_INT8_BLOCKS, window, w, k * SORAD_LANES, n);
    }
}

// One row of outputs, cut into tiles as equal as can be.
static void conv_int8_row(const sorad_conv2d_qt8_args *args, const conv_int8_plan *plan, sorad_gemm_qd8_args *product, size_t y,
                          const char *const *lines, size_t begin, size_t end) {
    const int8_sink sink = {product, NULL, 0};
    const size_t tiles = (plan->out_width + SORAD_INT8_ROWS - 1) / SORAD_INT8_ROWS;
    int8_window window = {.lines = args->kernel, .steps = args->kernel * args->channels / 4, .pixel = args->stride * args->channels};
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t x = tile * plan->out_width / tiles, count = (tile + 1) * plan->out_width / tiles - x, m = y * plan->out_width + x;
        for (size_t ky = 0; ky < args->kernel; ky++)
            window.line[ky] = lines[ky] + (x * args->stride + 1 - args->padding) * args->channels;
        product->out = args->out + m * args->out_stride;
        if (args->epilogue.residual) product->epilogue.residual = args->epilogue.residual + m * args->epilogue.residual_stride;
        if (args->epilogue.gate) product->epilogue.gate = args->epilogue.gate + m * args->epilogue.gate_stride;
#define SORAD_TILE(r) conv_int8_tile_row(&sink, r, &window, begin, end, plan->k)
        switch (count) {
            SORAD_INT8_PARTIAL_ROWS(SORAD_TILE)
        default: SORAD_TILE(SORAD_INT8_ROWS);
        }
#undef SORAD_TILE
    }
}

void KERNEL(conv2d_qt8_f32_qc8w)(const sorad_conv2d_qt8_args *args) {
    const conv_int8_plan plan = conv_int8_plan_of(args);
    float scale[SORAD_INT8_ROWS];
    int32_t zero[SORAD_INT8_ROWS];
    for (size_t r = 0; r < SORAD_INT8_ROWS; r++) scale[r] = args->x_scale, zero[r] = args->x_zero;
    sorad_gemm_qd8_args product = {.w = args->w, .w_scale = args->w_scale, .w_sum = args->w_sum, .bias = args->bias};
    product.a_scale = scale, product.a_zero = zero;
    product.out_stride = args->out_stride, product.col_end = args->c_out;
    product.epilogue = args->epilogue;
    for (size_t y = args->row_begin, end; y < args->row_end; y = end) {
        end = args->row_end - y < plan.rows ? args->row_end : y + plan.rows;
        const size_t first = conv_int8_line(&plan, conv_int8_top(args, y));
        const size_t last = conv_int8_line(&plan, conv_int8_top(args, end - 1) + args->kernel - 1);
        const char *band = conv_int8_band(args, &plan, first, last + 1);
        for (size_t n = 0; n < args->c_out; n += plan.columns) {
            const size_t columns = args->c_out - n < plan.columns ? args->c_out : n + plan.columns;
            for (size_t row = y; row < end; row++) {
                const char *lines[3];
                for (size_t ky = 0; ky < args->kernel; ky++)
                    lines[ky] = band + (conv_int8_line(&plan, conv_int8_top(args, row) + ky) - first) * plan.wide;
                conv_int8_row(args, &plan, &product, row, lines, n, columns);
            }
        }
    }
}
