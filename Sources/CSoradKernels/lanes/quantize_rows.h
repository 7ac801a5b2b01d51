// Quantisation of rows straight into the form that the int8 product reads, see gemm_int8.h.

// NaN counts as 0, infinity as the largest number, whose code is 127: so is that of anything larger.
SORAD_INLINE lanes_i8 quantize_lanes(const float *x, size_t count, float inverse, int32_t zero) {
    lanes v = load(x, count);
    lanes t = (lanes)((lanes_i32)v & (v == v)) * splat(inverse) + SORAD_ROUND_MAGIC;
    lanes_i32 value = (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS + splat_u32((uint32_t)zero));
    return __builtin_convertvector(clamp_int8(value), lanes_i8);
}

SORAD_INLINE int8_codes_32 quantize_two(const float *x, float inverse, int32_t zero) {
    return int8_join_16(quantize_lanes(x, SORAD_LANES, inverse, zero), quantize_lanes(x + SORAD_LANES, SORAD_LANES, inverse, zero));
}

// A whole line to codes in a tile's form.
SORAD_INLINE void quantize_whole_line(const float *x, float inverse, int32_t zero, char *out) {
    int8_codes_32 codes[INT8_LINE_VALUES / 32];
    for (size_t i = 0; i < INT8_LINE_VALUES / 32; i++) codes[i] = quantize_two(x + 32 * i, inverse, zero);
#if SORAD_INT8_WIDTH == 1
    int8_codes_64 line = int8_join_32(codes[0], codes[1]);
    int8_convert((const int8_t *)&line, out);
#else
    int8_convert((const int8_t *)codes, out);
#endif
}

// `count` values to codes, 0 behind them.
SORAD_INLINE void quantize_line(const float *x, const size_t count, float inverse, int32_t zero, char *out) {
    int8_t codes[INT8_LINE_VALUES] = {0};
    for (size_t i = 0; i < count; i += SORAD_LANES) {
        size_t values = lane_count(i, count);
        lanes_i8 bytes = quantize_lanes(x + i, values, inverse, zero);
        memcpy(codes + i, &bytes, values);
    }
    int8_convert(codes, out);
}

// Lowest and highest of x [k] and 0, no further than the largest number. NaN is neither.
SORAD_INLINE void quantize_range(const float *x, size_t k, float *low, float *high) {
    // Two of each, since one would wait for itself.
    lanes lows = splat(0.0f), highs = splat(0.0f), more_lows = splat(0.0f), more_highs = splat(0.0f);
    const size_t pairs = k / (2 * SORAD_LANES) * 2 * SORAD_LANES;
    for (size_t i = 0; i < pairs; i += 2 * SORAD_LANES) {
        lanes v = load16(x + i), next = load16(x + i + SORAD_LANES);
        lows = lesser(v, lows), more_lows = lesser(next, more_lows);
        highs = greater(v, highs), more_highs = greater(next, more_highs);
    }
    for (size_t i = pairs; i < k; i += SORAD_LANES) {
        lanes v = load(x + i, lane_count(i, k));
        lows = lesser(v, lows), highs = greater(v, highs);
    }
    lows = greater(lesser(lows, more_lows), splat(-FLT_MAX)), highs = lesser(greater(highs, more_highs), splat(FLT_MAX));
    *low = -lanes_greatest(-lows), *high = lanes_greatest(highs);
}

void KERNEL(quantize_f32_qd8)(const sorad_quantize_rows_args *args) {
    const int8_plan plan = int8_plan_of(args->k);
    const float *x = args->x;
    for (size_t m = args->row_begin; m < args->row_end; m++, x += args->x_stride) {
        const size_t first = m / SORAD_INT8_ROWS * SORAD_INT8_ROWS;
        const size_t tile = args->rows - first < SORAD_INT8_ROWS ? args->rows - first : SORAD_INT8_ROWS;
        char *out = (char *)args->q + (first * plan.lines + m - first) * INT8_LINE;
        float low, high;
        quantize_range(x, args->k, &low, &high);
        float inverse;
        sorad_quantize_parameters(low, high, args->asymmetric, args->scale + m, &inverse, args->zero + m);
        const int32_t zero = args->zero[m];
        size_t k = 0;
        for (; k + INT8_LINE_VALUES <= args->k; k += INT8_LINE_VALUES, out += tile * INT8_LINE)
            quantize_whole_line(x + k, inverse, zero, out);
        if (k < args->k) quantize_line(x + k, args->k - k, inverse, zero, out);
#ifdef SORAD_INT8_PAIRS
        if (m == first + tile - 1) int8_pair((char *)args->q + first * plan.lines * INT8_LINE, tile, plan.lines);
#endif
    }
}
