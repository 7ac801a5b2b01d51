// Elementwise kernels, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

void sorad_scalar_add_f32(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

void sorad_scalar_cfg_combine_f32(const float *a, const float *b, float s, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = fmaf(s, b[i] - a[i], a[i]);
}

void sorad_scalar_silu_f32(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_silu_f32(a[i]);
}

void sorad_scalar_gelu_tanh_mul_f32(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_gelu_tanh_f32(a[i]) * b[i];
}

void sorad_scalar_clamp_tanh_f32(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_clamp_tanh_f32(a[i]);
}

void sorad_scalar_euler_step_f32(const float *a, const float *b, float s, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = fmaf(s, b[i], a[i]);
}
