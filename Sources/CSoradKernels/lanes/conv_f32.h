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

enum { CONV_MAX_KERNEL = 3, CONV_MAX_TAPS = CONV_MAX_KERNEL * CONV_MAX_KERNEL };

// The top left tap of an output pixel, in the padded and upsampled input.
typedef struct conv_place {
    size_t y, x;
} conv_place;

// Where the taps of a tile of output pixels lie in both inputs: found once for all outputs.
typedef struct conv_taps {
    const float *x0[CONV_MAX_TAPS][F32_MR];
    const float *x1[CONV_MAX_TAPS][F32_MR];   // where there is a second input
    size_t inside[CONV_MAX_TAPS][F32_MR];   // 1, or 0 where a tap reads zero_channels
    size_t count;
} conv_taps;

SORAD_INLINE void conv_f32_find_taps(const sorad_conv2d_args *args, const size_t rows, const conv_place *place, conv_taps *taps) {
    const size_t upscale = args->upsample ? 1 : 0, height = args->height << upscale, width = args->width << upscale;
    taps->count = args->kernel * args->kernel;
    for (size_t r = 0; r < rows; r++) {
        size_t tap = 0;
        for (size_t ky = 0; ky < args->kernel; ky++) {
            // Unsigned wrap-around makes a place above or left of the image larger than the image.
            const size_t y = place[r].y + ky - args->padding, row = (y >> upscale) * args->width;
            for (size_t kx = 0; kx < args->kernel; kx++, tap++) {
                const size_t x = place[r].x + kx - args->padding, pixel = row + (x >> upscale);
                const bool inside = y < height && x < width;
                taps->inside[tap][r] = inside;
                taps->x0[tap][r] = inside ? args->x0 + pixel * args->c0 : zero_channels;
                if (args->x1) taps->x1[tap][r] = inside ? args->x1 + pixel * args->c1 : zero_channels;
            }
        }
    }
}

// sum[r] += `channels` channels of one tap, whose pixels begin at x[r].
SORAD_INLINE void conv_f32_input(const size_t rows, const float *const *x, const size_t *inside, const float *w, size_t channels,
                                 lanes *sum) {
    for (size_t c = 0; c < channels; c += CONV_ZERO_CHANNELS) {
        const float *at[F32_MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) at[r] = x[r] + (inside[r] ? c : 0);
        const size_t count = channels - c < CONV_ZERO_CHANNELS ? channels - c : CONV_ZERO_CHANNELS;
        f32_tile(rows, at, w + c * SORAD_LANES, count, sum);
    }
}

SORAD_INLINE void conv_f32_tile(const sorad_conv2d_args *args, const size_t rows, size_t m, const conv_place *place) {
    const size_t channels = args->c0 + args->c1, k = args->kernel * args->kernel * channels;
    conv_taps taps;
    conv_f32_find_taps(args, rows, place, &taps);
    for (size_t n = 0; n < args->c_out; n += SORAD_LANES) {
        lanes sum[F32_MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) sum[r] = splat(0.0f);
        const float *w = args->w + n * k;
        for (size_t tap = 0; tap < taps.count; tap++, w += channels * SORAD_LANES) {
            conv_f32_input(rows, taps.x0[tap], taps.inside[tap], w, args->c0, sum);
            if (args->x1) conv_f32_input(rows, taps.x1[tap], taps.inside[tap], w + args->c0 * SORAD_LANES, args->c1, sum);
        }
        const size_t count = lane_count(n, args->c_out);
        const lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
#pragma clang loop unroll(full)
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
