// Float convolution, channels last: the register tile of gemm_f32.h, whose rows are pixels of the input; few outputs
// go to conv_direct.h.
//
// Invariant: each sum starts at 0 and takes its products in order of (ky, kx, channel), fused; a tap outside the
// image multiplies 0.
#ifndef SORAD_LANES_CONV_F32_H
#define SORAD_LANES_CONV_F32_H

#include "conv_direct.h"
#include "gemm_f32.h"

// Read by a tap outside the image. Channels are taken at most this many at a time.
enum { CONV_ZERO_CHANNELS = 256 };
static const float zero_channels[CONV_ZERO_CHANNELS];

// The top left tap of an output pixel, in the padded and upsampled input.
typedef struct conv_place {
    size_t y, x;
} conv_place;

SORAD_INLINE void conv_f32_input(const size_t rows, const float *const *x, const size_t *step, const float *w, size_t count,
                             lanes *sum) {
    for (size_t c = 0; c < count; c += CONV_ZERO_CHANNELS) {
        const float *at[F32_MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) at[r] = x[r] + (step[r] ? c : 0);
        size_t channels = count - c < CONV_ZERO_CHANNELS ? count - c : CONV_ZERO_CHANNELS;
        f32_tile(rows, at, w + c * SORAD_LANES, channels, sum);
    }
}

// The sums of `rows` output pixels against 16 outputs, weights w [K][16].
SORAD_INLINE void conv_f32_sums(const sorad_conv2d_args *args, const size_t rows, const conv_place *place, const float *w,
                            lanes *sum) {
    const size_t upscale = args->upsample ? 1 : 0, height = args->height << upscale, width = args->width << upscale;
    for (size_t ky = 0; ky < args->kernel; ky++)
        for (size_t kx = 0; kx < args->kernel; kx++) {
            const float *x0[F32_MR], *x1[F32_MR];
            size_t inside[F32_MR];
            for (size_t r = 0; r < rows; r++) {
                // Unsigned wrap-around makes a place above or left of the image larger than the image.
                size_t y = place[r].y + ky - args->padding, x = place[r].x + kx - args->padding;
                inside[r] = y < height && x < width;
                size_t pixel = (y >> upscale) * args->width + (x >> upscale);
                x0[r] = inside[r] ? args->x0 + pixel * args->c0 : zero_channels;
                x1[r] = inside[r] && args->x1 ? args->x1 + pixel * args->c1 : zero_channels;
            }
            conv_f32_input(rows, x0, inside, w, args->c0, sum);
            w += args->c0 * SORAD_LANES;
            if (args->x1) conv_f32_input(rows, x1, inside, w, args->c1, sum);
            w += args->c1 * SORAD_LANES;
        }
}

SORAD_INLINE void conv_f32_tile(const sorad_conv2d_args *args, const size_t rows, size_t m, const conv_place *place) {
    size_t k = args->kernel * args->kernel * (args->c0 + args->c1);
    for (size_t n = 0; n < args->c_out; n += SORAD_LANES) {
        lanes sum[F32_MR];
        for (size_t r = 0; r < rows; r++) sum[r] = splat(0.0f);
        conv_f32_sums(args, rows, place, args->w + n * k, sum);
        size_t count = lane_count(n, args->c_out);
        lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
        for (size_t r = 0; r < rows; r++)
            store(args->out + (m + r) * args->out_stride + n,
                  epilogue_lanes(&args->epilogue, m + r, n, count, sum[r] + bias), count);
    }
}

void KERNEL(conv2d_f32)(const sorad_conv2d_args *args) {
    if (conv_is_direct(args)) {
        conv_direct(args);
        return;
    }
    size_t width = args->upsample ? 2 * args->width : args->width;
    size_t out_width = (width + 2 * args->padding + args->end_padding - args->kernel) / args->stride + 1;
    size_t end = args->row_end * out_width, y = args->row_begin, x = 0;
    for (size_t m = args->row_begin * out_width; m < end; m += F32_MR) {
        conv_place place[F32_MR];
        for (size_t r = 0; r < F32_MR; r++) {
            place[r] = (conv_place){y * args->stride, x * args->stride};
            if (++x == out_width) x = 0, y++;
        }
#define SORAD_TILE(mr) conv_f32_tile(args, mr, m, place)
        SORAD_DISPATCH_ROWS(end - m, F32_MR, SORAD_TILE);
#undef SORAD_TILE
    }
}

#endif
