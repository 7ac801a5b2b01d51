// Elementwise kernels, 16 lanes at a time.
void KERNEL(add)(const float *a, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, load(a + i, count) + load(b + i, count), count);
}

void KERNEL(mul)(const float *a, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, load(a + i, count) * load(b + i, count), count);
}

void KERNEL(scale_add)(const float *a, float scale, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, fused(load(a + i, count), splat(scale), load(b + i, count)), count);
}

void KERNEL(cfg_combine)(const float *uncond, const float *cond, float guidance_scale, float *out, size_t n) {
    SORAD_EACH(n) {
        lanes u = load(uncond + i, count), c = load(cond + i, count);
        store(out + i, fused(splat(guidance_scale), c - u, u), count);
    }
}

void KERNEL(relu)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, relu_lanes(load(a + i, count)), count);
}

void KERNEL(silu)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, silu_lanes(load(a + i, count)), count);
}

void KERNEL(gelu_tanh)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, gelu_tanh_lanes(load(a + i, count)), count);
}

void KERNEL(gelu_tanh_mul)(const float *a, const float *b, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, gelu_tanh_lanes(load(a + i, count)) * load(b + i, count), count);
}

void KERNEL(clamp_tanh)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, clamp_tanh_lanes(load(a + i, count)), count);
}

void KERNEL(exp)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, exp_lanes(load(a + i, count)), count);
}

void KERNEL(tanh)(const float *a, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, tanh_lanes(load(a + i, count)), count);
}

void KERNEL(euler_step)(const float *sample, const float *velocity, float dt, float *out, size_t n) {
    SORAD_EACH(n) store(out + i, fused(splat(dt), load(velocity + i, count), load(sample + i, count)), count);
}
