// Layer norm and RMS norm, with weight, bias and per-token modulation (adaLN).
#ifndef SORAD_LANES_NORM_H
#define SORAD_LANES_NORM_H

#include "lanes.h"

// The arguments come by value: through a pointer they would be read again after every store.
SORAD_INLINE lanes modulate_lanes(const sorad_norm_args args, size_t m, size_t i, size_t count, lanes y) {
    if (args.weight) {
        lanes weight = load(args.weight + i, count);
        y = args.bias ? vfma(y, weight, load(args.bias + i, count)) : y * weight;
    }
    if (args.scale) {
        size_t at = m * args.modulation_stride + i;
        lanes gain = 1.0f + load(args.scale + at, count);
        y = args.shift ? vfma(y, gain, load(args.shift + at, count)) : y * gain;
    }
    return y;
}

// Four rows at a time: within one row every addition waits for the one before it.
enum { NORM_ROWS = 4 };

SORAD_INLINE void layer_norm_rows(const sorad_norm_args args, size_t m, const size_t rows) {
    const float width = (float)args.k;
    const float *x = args.x + m * args.x_stride;
    lanes sums[NORM_ROWS], squares[NORM_ROWS], mean[NORM_ROWS], inverse[NORM_ROWS];
    for (size_t r = 0; r < rows; r++) sums[r] = squares[r] = splat(0.0f);
    SORAD_FOR_LANES_SPLIT(args.k, for (size_t r = 0; r < rows; r++) sums[r] += load(x + r * args.x_stride + i, count););
    for (size_t r = 0; r < rows; r++) mean[r] = splat(lanes_sum(sums[r]) / width);
    SORAD_FOR_LANES_SPLIT(args.k, for (size_t r = 0; r < rows; r++) {
        __builtin_prefetch(x + (r + NORM_ROWS) * args.x_stride + i, 0, 2);   // the rows after these
        lanes d = mask_tail(load(x + r * args.x_stride + i, count) - mean[r], count);
        squares[r] = vfma(d, d, squares[r]);
    });
    for (size_t r = 0; r < rows; r++) inverse[r] = splat(1.0f / sqrtf(lanes_sum(squares[r]) / width + args.eps));
    SORAD_FOR_LANES_SPLIT(args.k, for (size_t r = 0; r < rows; r++) {
        lanes y = (load(x + r * args.x_stride + i, count) - mean[r]) * inverse[r];
        store(args.out + (m + r) * args.out_stride + i, modulate_lanes(args, m + r, i, count, y), count);
    });
}

void KERNEL(layer_norm_f32)(const sorad_norm_args *args) {
    size_t m = args->row_begin;
    for (; m + NORM_ROWS <= args->row_end; m += NORM_ROWS) layer_norm_rows(*args, m, NORM_ROWS);
    for (; m < args->row_end; m++) layer_norm_rows(*args, m, 1);
}

SORAD_INLINE void rms_norm_rows(const sorad_norm_args args, size_t m, const size_t rows) {
    const float *x = args.x + m * args.x_stride;
    lanes squares[NORM_ROWS], inverse[NORM_ROWS];
    for (size_t r = 0; r < rows; r++) squares[r] = splat(0.0f);
    SORAD_FOR_LANES_SPLIT(args.k, for (size_t r = 0; r < rows; r++) {
        lanes v = load(x + r * args.x_stride + i, count);
        squares[r] = vfma(v, v, squares[r]);
    });
    for (size_t r = 0; r < rows; r++) inverse[r] = splat(1.0f / sqrtf(lanes_sum(squares[r]) / (float)args.k + args.eps));
    SORAD_FOR_LANES_SPLIT(args.k, for (size_t r = 0; r < rows; r++) {
        lanes y = load(x + r * args.x_stride + i, count) * inverse[r];
        store(args.out + (m + r) * args.out_stride + i, modulate_lanes(args, m + r, i, count, y), count);
    });
}

void KERNEL(rms_norm_f32)(const sorad_norm_args *args) {
    size_t m = args->row_begin;
    for (; m + NORM_ROWS <= args->row_end; m += NORM_ROWS) rms_norm_rows(*args, m, NORM_ROWS);
    for (; m < args->row_end; m++) rms_norm_rows(*args, m, 1);
}

#endif
