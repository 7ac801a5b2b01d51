// Quantization of images (qt8): min-max reductions, and one scale and zero point for a whole image inside a border of
// zero points.
#ifndef SORAD_LANES_QUANTIZE_QT8_H
#define SORAD_LANES_QUANTIZE_QT8_H

#include "lanes.h"

void KERNEL(minmax_f32)(const float *x, size_t n, float *range) {
    lanes lows = splat(range[0]), highs = splat(range[1]);
    SORAD_FOR_LANES(n) {
        lanes v = load_finite(x + i, count);
        // Lanes beyond the end load as 0, which may be outside of the range so far.
        lows = vmin(count == SORAD_LANES ? v : merge_tail(v, lows, count), lows);
        highs = vmax(count == SORAD_LANES ? v : merge_tail(v, highs, count), highs);
    }
    range[0] = -lanes_max(-lows) + 0.0f;
    range[1] = lanes_max(highs) + 0.0f;
}

void KERNEL(minmax_channels_f32)(const float *x, size_t pixels, size_t channels, float *low, float *high) {
    SORAD_FOR_LANES(channels) {
        lanes lows = load(low + i, count), highs = load(high + i, count);
        for (size_t p = 0; p < pixels; p++) {
            lanes v = load_finite(x + p * channels + i, count);
            lows = vmin(v, lows);
            highs = vmax(v, highs);
        }
        store(low + i, lows + 0.0f, count);
        store(high + i, highs + 0.0f, count);
    }
}

SORAD_INLINE void store_int8(int8_t *q, lanes_i32 value, size_t count) {
    lanes_i8 bytes = __builtin_convertvector(clamp_int8(value), lanes_i8);
    if (count == SORAD_LANES) *(lanes_i8_at *)q = bytes;
    else memcpy(q, &bytes, count);
}

// `scale` null means 1; `q_low` null means that it is not needed.
SORAD_INLINE void quantize_pixels(const float *x, const float *scale, size_t n, lanes inverse, lanes_u32 zero, int8_t *q, int8_t *q_low) {
    SORAD_FOR_LANES(n) {
        lanes v = load(x + i, count);
        if (scale) v *= load(scale + i, count);
        lanes steps = finite_lanes(v) * inverse, t = steps + SORAD_ROUND_MAGIC;
        store_int8(q + i, (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS + zero), count);
        if (!q_low) continue;
        lanes rest = (steps - (t - SORAD_ROUND_MAGIC)) * 254.0f + SORAD_ROUND_MAGIC;
        store_int8(q_low + i, (lanes_i32)((lanes_u32)rest - SORAD_ROUND_MAGIC_BITS), count);
    }
}

void KERNEL(quantize_f32_qt8)(const sorad_quantize_image_args *args) {
    size_t given = args->c0 + args->c1, channels = (given + 3) / 4 * 4, row = (args->width + 2) * channels;
    const lanes inverse = splat(args->inverse);
    const lanes_u32 zeros = splat_u32((uint32_t)args->zero);
    for (size_t y = args->row_begin; y < args->row_end; y++) {
        int8_t *q = args->q + y * row, *q_low = args->q_low ? args->q_low + y * row : NULL;
        if (q_low) memset(q_low, 0, row);
        if (y == 0 || y > args->height) {
            memset(q, args->zero, row);
            continue;
        }
        const float *x0 = args->x0 + (y - 1) * args->width * args->c0;
        const float *x1 = args->x1 ? args->x1 + (y - 1) * args->width * args->c1 : NULL;
        memset(q, args->zero, channels);
        memset(q + row - channels, args->zero, channels);
        q += channels;
        if (q_low) q_low += channels;
        const float *scale = args->channel_scale;
        if (args->c0 == channels && !scale) {   // pixels are contiguous
            quantize_pixels(x0, NULL, args->width * channels, inverse, zeros, q, q_low);
            continue;
        }
        for (size_t x = 0; x < args->width; x++, q += channels, q_low += q_low ? channels : 0) {
            quantize_pixels(x0 + x * args->c0, scale, args->c0, inverse, zeros, q, q_low);
            if (x1)
                quantize_pixels(x1 + x * args->c1, scale ? scale + args->c0 : NULL, args->c1, inverse, zeros, q + args->c0,
                            q_low ? q_low + args->c0 : NULL);
            else memset(q + args->c0, args->zero, args->c1);
            memset(q + given, args->zero, channels - given);
        }
    }
}

#endif
