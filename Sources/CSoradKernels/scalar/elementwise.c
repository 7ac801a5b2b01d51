// Elementwise kernels, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

void sorad_scalar_add(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

void sorad_scalar_mul(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}

void sorad_scalar_scale_add(const float *a, float scale, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = fmaf(a[i], scale, b[i]);
}

void sorad_scalar_cfg_combine(const float *uncond, const float *cond, float guidance_scale, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = fmaf(guidance_scale, cond[i] - uncond[i], uncond[i]);
}

void sorad_scalar_relu(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_relu_f32(a[i]);
}

void sorad_scalar_silu(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_silu_f32(a[i]);
}

void sorad_scalar_gelu_tanh(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_gelu_tanh_f32(a[i]);
}

void sorad_scalar_gelu_tanh_mul(const float *a, const float *b, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_gelu_tanh_f32(a[i]) * b[i];
}

void sorad_scalar_clamp_tanh(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_clamp_tanh_f32(a[i]);
}

void sorad_scalar_exp(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_exp_f32(a[i]);
}

void sorad_scalar_tanh(const float *a, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = sorad_tanh_f32(a[i]);
}

void sorad_scalar_euler_step(const float *sample, const float *velocity, float dt, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = fmaf(dt, velocity[i], sample[i]);
}
