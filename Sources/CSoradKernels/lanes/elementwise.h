// Elementwise kernels.
#ifndef SORAD_LANES_ELEMENTWISE_H
#define SORAD_LANES_ELEMENTWISE_H

#include "lanes.h"

void KERNEL(add_f32)(const float *a, const float *b, float *out, size_t n) {
    SORAD_FOR_LANES(n) store(out + i, load(a + i, count) + load(b + i, count), count);
}

void KERNEL(cfg_combine_f32)(const float *a, const float *b, float s, float *out, size_t n) {
    SORAD_FOR_LANES(n) {
        lanes x = load(a + i, count), y = load(b + i, count);
        store(out + i, vfma(splat(s), y - x, x), count);
    }
}

void KERNEL(silu_f32)(const float *a, float *out, size_t n) {
    SORAD_FOR_LANES(n) store(out + i, silu_lanes(load(a + i, count)), count);
}

void KERNEL(gelu_tanh_mul_f32)(const float *a, const float *b, float *out, size_t n) {
    SORAD_FOR_LANES(n) store(out + i, gelu_tanh_lanes(load(a + i, count)) * load(b + i, count), count);
}

void KERNEL(clamp_tanh_f32)(const float *a, float *out, size_t n) {
    SORAD_FOR_LANES(n) store(out + i, clamp_tanh_lanes(load(a + i, count)), count);
}

void KERNEL(euler_step_f32)(const float *a, const float *b, float s, float *out, size_t n) {
    SORAD_FOR_LANES(n) store(out + i, vfma(splat(s), load(b + i, count), load(a + i, count)), count);
}

#endif
