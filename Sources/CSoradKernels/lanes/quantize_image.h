// How an image becomes int8 numbers in one scale: its range, then its codes inside a border.

void KERNEL(minmax_f32)(const float *x, size_t n, float *range) {
    lanes lows = splat(range[0]), highs = splat(range[1]);
    SORAD_EACH(n) {
        lanes v = quantize_load(x + i, count);
        // Lanes beyond the end are 0, which may lie outside of what was seen so far.
        lows = lesser(count == SORAD_LANES ? v : first_lanes(v, lows, count), lows);
        highs = greater(count == SORAD_LANES ? v : first_lanes(v, highs, count), highs);
    }
    range[0] = -lanes_greatest(-lows) + 0.0f;
    range[1] = lanes_greatest(highs) + 0.0f;
}

void KERNEL(minmax_channels_f32)(const float *x, size_t pixels, size_t channels, float *low, float *high) {
    SORAD_EACH(channels) {
        lanes lows = load(low + i, count), highs = load(high + i, count);
        for (size_t p = 0; p < pixels; p++) {
            lanes v = quantize_load(x + p * channels + i, count);
            lows = lesser(v, lows);
            highs = greater(v, highs);
        }
        store(low + i, lows + 0.0f, count);
        store(high + i, highs + 0.0f, count);
    }
}

SORAD_INLINE void store_codes(int8_t *q, lanes_i32 value, size_t count) {
    lanes_i8 bytes = __builtin_convertvector(clamp_int8(value), lanes_i8);
    if (count == SORAD_LANES) *(lanes_i8_at *)q = bytes;
    else memcpy(q, &bytes, count);
}

// `scale` null: all 1; `fine` null: not wanted.
SORAD_INLINE void image_codes(const float *x, const float *scale, size_t n, lanes inverse, lanes_u32 zero, int8_t *q, int8_t *fine) {
    SORAD_EACH(n) {
        lanes v = load(x + i, count);
        if (scale) v *= load(scale + i, count);
        lanes steps = finite_lanes(v) * inverse, t = steps + SORAD_ROUND_MAGIC;
        store_codes(q + i, (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS + zero), count);
        if (!fine) continue;
        lanes rest = (steps - (t - SORAD_ROUND_MAGIC)) * 254.0f + SORAD_ROUND_MAGIC;
        store_codes(fine + i, (lanes_i32)((lanes_u32)rest - SORAD_ROUND_MAGIC_BITS), count);
    }
}

void KERNEL(quantize_f32_qt8)(const sorad_quantize_image_args *args) {
    size_t given = args->c0 + args->c1, channels = (given + 3) / 4 * 4, line = (args->width + 2) * channels;
    const lanes inverse = splat(args->inverse);
    const lanes_u32 zeros = splat_u32((uint32_t)args->zero);
    for (size_t y = args->row_begin; y < args->row_end; y++) {
        int8_t *q = args->q + y * line, *fine = args->q_low ? args->q_low + y * line : NULL;
        if (fine) memset(fine, 0, line);
        if (y == 0 || y > args->height) {
            memset(q, args->zero, line);
            continue;
        }
        const float *x0 = args->x0 + (y - 1) * args->width * args->c0;
        const float *x1 = args->x1 ? args->x1 + (y - 1) * args->width * args->c1 : NULL;
        memset(q, args->zero, channels);
        memset(q + line - channels, args->zero, channels);
        q += channels;
        if (fine) fine += channels;
        const float *scale = args->channel_scale;
        if (args->c0 == channels && !scale) {   // pixels without gaps
            image_codes(x0, NULL, args->width * channels, inverse, zeros, q, fine);
            continue;
        }
        for (size_t x = 0; x < args->width; x++, q += channels, fine += fine ? channels : 0) {
            image_codes(x0 + x * args->c0, scale, args->c0, inverse, zeros, q, fine);
            if (x1)
                image_codes(x1 + x * args->c1, scale ? scale + args->c0 : NULL, args->c1, inverse, zeros, q + args->c0,
                            fine ? fine + args->c0 : NULL);
            else memset(q + args->c0, args->zero, args->c1);
            memset(q + given, args->zero, channels - given);
        }
    }
}
