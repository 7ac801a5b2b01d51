// Int8 convolution as implicit GEMM: a tile reads its rows in the image itself. The taps of an output pixel are
// `kernel` runs of bytes, one in each of as many image rows, and those of the next output pixel are `stride` pixels
// further on, so a tile of neighboring pixels needs addresses only, no im2col. The instruction set's conv_tile
// (gemm_tile.h) does the products.
//
// A band of image rows, about CONV_BAND_BYTES, is first copied in packed form (and upsampled where asked). It stays
// in the second-level cache, as do the weights of a group of outputs, while all groups of outputs pass over it.
#ifndef SORAD_LANES_CONV_IMPLICIT_GEMM_H
#define SORAD_LANES_CONV_IMPLICIT_GEMM_H

#include "epilogue.h"
#include "prefetch.h"

enum {
    CONV_BAND_BYTES = 192 * 1024,
    CONV_WEIGHT_BYTES = 384 * 1024,
};

typedef struct conv_plan {
    size_t upscale;         // 1 if each pixel is seen as 2 x 2, else 0: a shift
    size_t stored, wide;    // bytes of an image row as stored; as the taps see it
    size_t out_width;
    size_t rows;            // most output rows of a band
    size_t outputs;         // of a group
    size_t k;
} conv_plan;

static conv_plan conv_plan_of(const sorad_conv2d_qt8_args *args) {
    conv_plan plan = {.upscale = args->upsample ? 1 : 0, .stored = (args->width + 2) * args->channels};
    const size_t width = args->width << plan.upscale;
    plan.wide = (width + 2) * args->channels;
    plan.out_width = (width + 2 * args->padding - args->kernel) / args->stride + 1;
    const size_t image_rows = CONV_BAND_BYTES / plan.wide;
    plan.rows = image_rows > args->kernel ? (image_rows - args->kernel) / args->stride + 1 : 1;
    plan.k = args->kernel * args->kernel * args->channels;
    const size_t groups = CONV_WEIGHT_BYTES / (plan.k * NR);
    plan.outputs = groups * NR < NC ? (groups > 0 ? groups * NR : NR) : NC;
    return plan;
}

// The stored row of row `i` of the upsampled image and its border.
static size_t conv_stored_row(const conv_plan *plan, size_t i) { return (i + plan->upscale) >> plan->upscale; }
// The first row of the upsampled image that output row y reads.
static size_t conv_first_row(const sorad_conv2d_qt8_args *args, size_t y) { return y * args->stride + 1 - args->padding; }

static size_t conv_whole_kblocks(size_t bytes) { return (bytes + KBLOCK_BYTES - 1) / KBLOCK_BYTES * KBLOCK_BYTES; }

size_t KERNEL(conv2d_qt8_scratch_bytes)(const sorad_conv2d_qt8_args *args) {
    const conv_plan plan = conv_plan_of(args);
    size_t rows = args->row_end - args->row_begin;
    if (rows > plan.rows) rows = plan.rows;
    // Wherever a band begins.
    size_t stored_rows = rows == 0 ? 0 : (((rows - 1) * args->stride + args->kernel - 1) >> plan.upscale) + 1 + plan.upscale;
    return conv_whole_kblocks(stored_rows * plan.stored) + (plan.upscale ? conv_whole_kblocks(stored_rows * plan.wide) : 0);
}

// Copies stored rows first ..< end to the scratch in packed form. Returns the first of them; they are plan->wide
// bytes apart.
static const char *conv_pack_band(const sorad_conv2d_qt8_args *args, const conv_plan *plan, size_t first, size_t end) {
    const int8_t *from = args->x + first * plan->stored;
    const size_t bytes = (end - first) * plan->stored, whole = bytes / KBLOCK_BYTES * KBLOCK_BYTES;
    char *band = args->scratch;
    for (size_t i = 0; i < whole; i += KBLOCK_BYTES) a_pack_kblock(from + i, band + i);
    if (whole < bytes) {
        int8_t last[KBLOCK_BYTES] = {0};
        memcpy(last, from + whole, bytes - whole);
        a_pack_kblock(last, band + whole);
    }
    if (!plan->upscale) return band;
    char *const upsampled = band + conv_whole_kblocks(bytes);
    char *to = upsampled;
    for (size_t y = first; y < end; y++, band += plan->stored)
        for (size_t x = 0; x < 2 * args->width + 2; x++, to += args->channels)
            memcpy(to, band + ((x + 1) >> 1) * args->channels, args->channels);
    return upsampled;
}

// One tile of `mr` pixels against `panels` panels from output n on.
SORAD_INLINE void conv_qt8_tile(const gemm_output *output, const size_t mr, const size_t panels, const conv_window *window, const char *w,
                                size_t w_stride, size_t n) {
    lanes_i32 sum[TILE_VECTORS];
    prefetch_output(output->args, 0, mr, n, panels);
    conv_tile(mr, panels, window, w, w_stride, sum);
    epilogue_tile(output, mr, 0, n, panels, sum, mr);
}

// The same against all outputs of a group.
SORAD_INLINE void conv_qt8_group(const gemm_output *output, const size_t mr, const conv_window *window, size_t n_begin, size_t n_end,
                                 size_t k) {
    for (size_t n = n_begin, panels; n < n_end; n += panels * PANEL) {
        panels = n_end - n > NR - PANEL ? NR_PANELS : 1;
        const char *w = (const char *)output->args->w + n * k;
        if (panels == 1) conv_qt8_tile(output, mr, 1, window, w, k * PANEL, n);
        else conv_qt8_tile(output, mr, NR_PANELS, window, w, k * PANEL, n);
    }
}

// Output row y, split into tiles of balanced sizes. `rows` are the image rows that it reads.
static void conv_qt8_row(const sorad_conv2d_qt8_args *args, const conv_plan *plan, sorad_gemm_qd8_args *gemm, size_t y,
                         const char *const *rows, size_t n_begin, size_t n_end) {
    const gemm_output output = {gemm, NULL, 0};
    const size_t tiles = (plan->out_width + MR - 1) / MR;
    conv_window window = {.rows = args->kernel, .steps = args->kernel * args->channels / 4, .pixel = args->stride * args->channels};
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t x = tile * plan->out_width / tiles, count = (tile + 1) * plan->out_width / tiles - x, m = y * plan->out_width + x;
        for (size_t ky = 0; ky < args->kernel; ky++)
            window.row[ky] = rows[ky] + (x * args->stride + 1 - args->padding) * args->channels;
        gemm->out = args->out + m * args->out_stride;
        if (args->epilogue.residual) gemm->epilogue.residual = args->epilogue.residual + m * args->epilogue.residual_stride;
        if (args->epilogue.gate) gemm->epilogue.gate = args->epilogue.gate + m * args->epilogue.gate_stride;
#define SORAD_TILE(mr) conv_qt8_group(&output, mr, &window, n_begin, n_end, plan->k)
        SORAD_DISPATCH_ROWS(count, MR, SORAD_TILE);
#undef SORAD_TILE
    }
}

void KERNEL(conv2d_qt8_f32_qc8w)(const sorad_conv2d_qt8_args *args) {
    const conv_plan plan = conv_plan_of(args);
    float scale[MR];
    int32_t zero[MR];
    for (size_t r = 0; r < MR; r++) scale[r] = args->x_scale, zero[r] = args->x_zero;
    sorad_gemm_qd8_args gemm = {.w = args->w, .w_scale = args->w_scale, .w_sum = args->w_sum, .bias = args->bias};
    gemm.a_scale = scale, gemm.a_zero = zero;
    gemm.out_stride = args->out_stride, gemm.col_end = args->c_out;
    gemm.epilogue = args->epilogue;
    for (size_t y = args->row_begin, end; y < args->row_end; y = end) {
        end = args->row_end - y < plan.rows ? args->row_end : y + plan.rows;
        const size_t first = conv_stored_row(&plan, conv_first_row(args, y));
        const size_t last = conv_stored_row(&plan, conv_first_row(args, end - 1) + args->kernel - 1);
        const char *band = conv_pack_band(args, &plan, first, last + 1);
        for (size_t n = 0; n < args->c_out; n += plan.outputs) {
            const size_t n_end = args->c_out - n < plan.outputs ? args->c_out : n + plan.outputs;
            for (size_t row = y; row < end; row++) {
                const char *rows[3];
                for (size_t ky = 0; ky < args->kernel; ky++)
                    rows[ky] = band + (conv_stored_row(&plan, conv_first_row(args, row) + ky) - first) * plan.wide;
                conv_qt8_row(args, &plan, &gemm, row, rows, n, n_end);
            }
        }
    }
}

#endif
