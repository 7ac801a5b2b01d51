// Convolution of int8 numbers: the matrix product of gemm_int8.h, whose rows are the neighbourhoods of output pixels.
//
// At most CONV_INT8_CHUNK pixels' rows are gathered at a time, straight into the tiles' form, and stay in the second-level cache
// while every output reads them; the image itself is never spread out. A row is `kernel` runs of the stored image, which has
// a border, so no tap asks whether it is inside.

enum { CONV_INT8_CHUNK = 96 };

// Bytes of one gathered row before it is put into tiles; whole lines, and what lies beyond K is 0.
static size_t conv_int8_row_bytes(const int8_plan *plan) { return (plan->padded + INT8_LINE - 1) / INT8_LINE * INT8_LINE; }

static sorad_gemm_qd8_args conv_int8_product(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = {.w = args->w, .w_scale = args->w_scale, .w_sum = args->w_sum, .bias = args->bias};
    product.k = args->kernel * args->kernel * args->channels;
    product.out_stride = args->out_stride, product.col_end = args->c_out;
    product.epilogue = args->epilogue;
    return product;
}

static size_t conv_int8_width(const sorad_conv2d_qt8_args *args) {
    size_t width = args->upsample ? 2 * args->width : args->width;
    return (width + 2 * args->padding - args->kernel) / args->stride + 1;
}

size_t KERNEL(conv2d_qt8_scratch_bytes)(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = conv_int8_product(args);
    const int8_plan plan = int8_plan_of(product.k);
    product.row_end = (args->row_end - args->row_begin) * conv_int8_width(args);
    if (product.row_end > CONV_INT8_CHUNK) product.row_end = CONV_INT8_CHUNK;
    return conv_int8_row_bytes(&plan) + product.row_end * plan.lines * INT8_LINE + KERNEL(gemm_qd8_scratch_bytes)(&product);
}

// The neighbourhood of output pixel (y, x), in the order (ky, kx, channel).
SORAD_INLINE void conv_int8_row(const sorad_conv2d_qt8_args *args, size_t y, size_t x, int8_t *row) {
    const size_t zoom = args->upsample ? 1 : 0, line = (args->width + 2) * args->channels;
    const size_t top = y * args->stride + 1 + zoom - args->padding, left = x * args->stride + 1 + zoom - args->padding;
    for (size_t ky = 0; ky < args->kernel; ky++) {
        const int8_t *from = args->x + ((top + ky) >> zoom) * line;
        if (zoom == 0) {
            memcpy(row, from + left * args->channels, args->kernel * args->channels);
            row += args->kernel * args->channels;
        } else {
            for (size_t kx = 0; kx < args->kernel; kx++, row += args->channels)
                memcpy(row, from + ((left + kx) >> 1) * args->channels, args->channels);
        }
    }
}

// Output pixels m ..< m + rows, packed as quantize_rows packs rows.
static void conv_int8_gather(const sorad_conv2d_qt8_args *args, const int8_plan *plan, size_t m, size_t rows, char *packed,
                             int8_t *row) {
    const size_t out_width = conv_int8_width(args);
    size_t y = m / out_width, x = m % out_width;
    for (size_t at = 0, tile; at < rows; at += tile, packed += tile * plan->lines * INT8_LINE) {
        tile = rows - at < SORAD_INT8_ROWS ? rows - at : SORAD_INT8_ROWS;
        for (size_t r = 0; r < tile; r++) {
            conv_int8_row(args, y, x, row);
            if (++x == out_width) x = 0, y++;
            for (size_t l = 0; l < plan->lines; l++)
                int8_convert(row + l * INT8_LINE_VALUES, packed + (l * tile + r) * INT8_LINE);
        }
#ifdef SORAD_INT8_PAIRS
        int8_pair(packed, tile, plan->lines);
#endif
    }
}

void KERNEL(conv2d_qt8_f32_qc8w)(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = conv_int8_product(args);
    const int8_plan plan = int8_plan_of(product.k);
    const size_t out_width = conv_int8_width(args), end = args->row_end * out_width;
    float scale[CONV_INT8_CHUNK];
    int32_t zero[CONV_INT8_CHUNK];
    for (size_t r = 0; r < CONV_INT8_CHUNK; r++) scale[r] = args->x_scale, zero[r] = args->x_zero;
    product.a_scale = scale, product.a_zero = zero;
    // One row as it is gathered, the packed rows, the product's own scratch.
    int8_t *row = args->scratch;
    memset(row, 0, conv_int8_row_bytes(&plan));
    char *packed = (char *)row + conv_int8_row_bytes(&plan);
    product.a = packed;
    for (size_t m = args->row_begin * out_width, rows; m < end; m += rows) {
        rows = end - m < CONV_INT8_CHUNK ? end - m : CONV_INT8_CHUNK;
        conv_int8_gather(args, &plan, m, rows, packed, row);
        product.rows = product.row_end = rows;
        product.scratch = packed + rows * plan.lines * INT8_LINE;
        product.out = args->out + m * args->out_stride;
        if (args->epilogue.residual) product.epilogue.residual = args->epilogue.residual + m * args->epilogue.residual_stride;
        if (args->epilogue.gate) product.epilogue.gate = args->epilogue.gate + m * args->epilogue.gate_stride;
        KERNEL(gemm_qd8_f32_qc8w)(&product);
    }
}
