// Elementwise kernels, 16 lanes at a time.
void KERNEL(add_f32)(const float *a, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, load(a + i, count) + load(b + i, count), count);
}

void KERNEL(cfg_combine_f32)(const float *uncond, const float *cond, float guidance_scale, float *out, size_t n) {
    SORAD_EACH(n) {
        lanes u = load(uncond + i, count), c = load(cond + i, count);
        store(out + i, fused(splat(guidance_scale), c - u, u), count);
    }
}

void KERNEL(silu_f32)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, silu_lanes(load(a + i, count)), count);
}

void KERNEL(gelu_tanh_mul_f32)(const float *a, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, gelu_tanh_lanes(load(a + i, count)) * load(b + i, count), count);
}

void KERNEL(clamp_tanh_f32)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, clamp_tanh_lanes(load(a + i, count)), count);
}

void KERNEL(euler_step_f32)(const float *sample, const float *velocity, float dt, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, fused(splat(dt), load(velocity + i, count), load(sample + i, count)), count);
}
