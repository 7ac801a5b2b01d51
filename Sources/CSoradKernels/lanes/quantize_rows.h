// Quantisation of rows straight into the form that the int8 product reads, see gemm_int8.h.

// `count` values to codes, 0 behind them, in a tile's form.
SORAD_INLINE void quantize_line(const float *x, const size_t count, float inverse, int32_t zero, char *out) {
    int8_t codes[INT8_LINE_VALUES] = {0};
    for (size_t i = 0; i < count; i += SORAD_LANES) {
        size_t values = lane_count(i, count);
        lanes t = quantize_load(x + i, values) * splat(inverse) + SORAD_ROUND_MAGIC;
        lanes_i32 value = (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS + splat_u32((uint32_t)zero));
        lanes_i8 bytes = __builtin_convertvector(clamp_int8(value), lanes_i8);
        memcpy(codes + i, &bytes, values);
    }
    int8_convert(codes, out);
}

void KERNEL(quantize_rows)(const sorad_quantize_rows_args *args) {
    const int8_plan plan = int8_plan_of(args->k);
    const float *x = args->x;
    for (size_t m = args->row_begin; m < args->row_end; m++, x += args->x_stride) {
        const size_t first = m / SORAD_INT8_ROWS * SORAD_INT8_ROWS;
        const size_t tile = args->rows - first < SORAD_INT8_ROWS ? args->rows - first : SORAD_INT8_ROWS;
        char *out = (char *)args->q + (first * plan.lines + m - first) * INT8_LINE;
        lanes lows = splat(0.0f), highs = splat(0.0f);
        SORAD_EACH(args->k) {
            lanes v = quantize_load(x + i, count);
            lows = lesser(v, lows);
            highs = greater(v, highs);
        }
        float inverse;
        sorad_quantize_parameters(-lanes_greatest(-lows), lanes_greatest(highs), args->asymmetric, args->scale + m, &inverse,
                                  args->zero + m);
        size_t k = 0;
        for (; k + INT8_LINE_VALUES <= args->k; k += INT8_LINE_VALUES, out += tile * INT8_LINE)
            quantize_line(x + k, INT8_LINE_VALUES, inverse, args->zero[m], out);
        if (k < args->k) quantize_line(x + k, args->k - k, inverse, args->zero[m], out);
#ifdef SORAD_INT8_PAIRS
        if (m == first + tile - 1) int8_pair((char *)args->q + first * plan.lines * INT8_LINE, tile, plan.lines);
#endif
    }
}
