// Float matrix product and convolution: one register tile of SORAD_F32_ROWS rows by 16 outputs, fed by row pointers, so
// that a row may be a row of a matrix or a pixel of an image.
//
// Invariant: each sum starts at 0 and takes its products in order of k, fused; only rows and outputs run side by side.


// Adds `count` products to the sums of `rows` rows: sum[r] += x[r][0...] * w[0...][16].
SORAD_INLINE void f32_accumulate(const size_t rows, const float *const *x, const float *w, size_t count, lanes *sum) {
    lanes acc[SORAD_F32_ROWS];
    const float *row[SORAD_F32_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) acc[r] = sum[r], row[r] = x[r];
    for (size_t k = 0; k < count; k++) {
        lanes weights = load16(w + k * SORAD_LANES);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = fused(splat(row[r][k]), weights, acc[r]);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) sum[r] = acc[r];
}

// ---- Matrix product ------------------------------------------------------------------------------------------------

SORAD_INLINE void gemm_f32_tile(const sorad_gemm_f32_args *args, const size_t rows, size_t m, size_t n) {
    const float *x[SORAD_F32_ROWS];
    lanes sum[SORAD_F32_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) x[r] = args->a + (m + r) * args->a_stride, sum[r] = splat(0.0f);
    f32_accumulate(rows, x, args->w + n * args->k, args->k, sum);
    size_t count = lane_count(n, args->col_end);
    lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
    for (size_t r = 0; r < rows; r++)
        store(args->out + (m + r) * args->out_stride + n,
              epilogue_lanes(&args->epilogue, m + r, n, count, sum[r] + bias), count);
}

void KERNEL(gemm_f32)(const sorad_gemm_f32_args *args) {
    for (size_t n = args->col_begin; n < args->col_end; n += SORAD_LANES)
        for (size_t m = args->row_begin; m < args->row_end; m += SORAD_F32_ROWS) {
            size_t rows = args->row_end - m;
#define SORAD_TILE(r) gemm_f32_tile(args, r, m, n)
            switch (rows) {
                SORAD_F32_PARTIAL_ROWS(SORAD_TILE)
            default: SORAD_TILE(SORAD_F32_ROWS);
            }
#undef SORAD_TILE
        }
}

// ---- Convolution ---------------------------------------------------------------------------------------------------

#include "conv_few.h"

// What a tap outside the image reads. Channels are taken in pieces no longer than this.
enum { SORAD_ZERO_CHANNELS = 256 };
static const float zero_channels[SORAD_ZERO_CHANNELS];

// Places of a block of output pixels in the (padded, zoomed) input: its top left tap.
typedef struct conv_place {
    size_t y, x;
} conv_place;

SORAD_INLINE void conv_input(const size_t rows, const float *const *x, const size_t *step, const float *w, size_t count,
                             lanes *sum) {
    for (size_t c = 0; c < count; c += SORAD_ZERO_CHANNELS) {
        const float *at[SORAD_F32_ROWS];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) at[r] = x[r] + (step[r] ? c : 0);
        size_t piece = count - c < SORAD_ZERO_CHANNELS ? count - c : SORAD_ZERO_CHANNELS;
        f32_accumulate(rows, at, w + c * SORAD_LANES, piece, sum);
    }
}

// The sums of `rows` output pixels against 16 outputs, weights w [K][16].
SORAD_INLINE void conv_sums(const sorad_conv2d_args *args, const size_t rows, const conv_place *place, const float *w,
                            lanes *sum) {
    const size_t zoom = args->upsample ? 1 : 0, height = args->height << zoom, width = args->width << zoom;
    for (size_t ky = 0; ky < args->kernel; ky++)
        for (size_t kx = 0; kx < args->kernel; kx++) {
            const float *x0[SORAD_F32_ROWS], *x1[SORAD_F32_ROWS];
            size_t inside[SORAD_F32_ROWS];
            for (size_t r = 0; r < rows; r++) {
                // Unsigned wrap-around makes a place above or left of the image larger than the image.
                size_t y = place[r].y + ky - args->padding, x = place[r].x + kx - args->padding;
                inside[r] = y < height && x < width;
                size_t pixel = (y >> zoom) * args->width + (x >> zoom);
                x0[r] = inside[r] ? args->x0 + pixel * args->c0 : zero_channels;
                x1[r] = inside[r] && args->x1 ? args->x1 + pixel * args->c1 : zero_channels;
            }
            conv_input(rows, x0, inside, w, args->c0, sum);
            w += args->c0 * SORAD_LANES;
            if (args->x1) conv_input(rows, x1, inside, w, args->c1, sum);
            w += args->c1 * SORAD_LANES;
        }
}

SORAD_INLINE void conv_tile(const sorad_conv2d_args *args, const size_t rows, size_t m, const conv_place *place) {
    size_t k = args->kernel * args->kernel * (args->c0 + args->c1);
    for (size_t n = 0; n < args->c_out; n += SORAD_LANES) {
        lanes sum[SORAD_F32_ROWS];
        for (size_t r = 0; r < rows; r++) sum[r] = splat(0.0f);
        conv_sums(args, rows, place, args->w + n * k, sum);
        size_t count = lane_count(n, args->c_out);
        lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
        for (size_t r = 0; r < rows; r++)
            store(args->out + (m + r) * args->out_stride + n,
                  epilogue_lanes(&args->epilogue, m + r, n, count, sum[r] + bias), count);
    }
}

void KERNEL(conv2d_f32)(const sorad_conv2d_args *args) {
    if (conv_is_few(args)) {
        conv_few(args);
        return;
    }
    size_t width = args->upsample ? 2 * args->width : args->width;
    size_t out_width = (width + 2 * args->padding + args->end_padding - args->kernel) / args->stride + 1;
    size_t end = args->row_end * out_width, y = args->row_begin, x = 0;
    for (size_t m = args->row_begin * out_width; m < end; m += SORAD_F32_ROWS) {
        size_t rows = end - m;
        conv_place place[SORAD_F32_ROWS];
        for (size_t r = 0; r < SORAD_F32_ROWS; r++) {
            place[r] = (conv_place){y * args->stride, x * args->stride};
            if (++x == out_width) x = 0, y++;
        }
#define SORAD_TILE(r) conv_tile(args, r, m, place)
        switch (rows) {
            SORAD_F32_PARTIAL_ROWS(SORAD_TILE)
        default: SORAD_TILE(SORAD_F32_ROWS);
        }
#undef SORAD_TILE
    }
}
