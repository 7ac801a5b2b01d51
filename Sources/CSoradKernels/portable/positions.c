// RoPE tables and the sinusoidal timestep embedding.
#include "sorad_portable.h"

#pragma STDC FP_CONTRACT OFF

void sorad_rope_table(size_t positions, size_t dim, double theta, float *cos_out, float *sin_out, size_t stride) {
    double log_theta = sorad_log(theta);
    for (size_t i = 0; i < dim / 2; i++) {
        double frequency = sorad_exp(-log_theta * (double)(2 * i) / (double)dim);
        for (size_t p = 0; p < positions; p++) {
            double sine, cosine;
            sorad_sincos((double)p * frequency, &sine, &cosine);
            cos_out[p * stride + i] = (float)cosine;
            sin_out[p * stride + i] = (float)sine;
        }
    }
}

// Rounds exponent, frequency and angle to float where torch does.
void sorad_timestep_embedding(const float *timesteps, size_t m, size_t dim, float *out) {
    size_t half = dim / 2;
    float log_period = (float)-9.21034037197618273607;   // -ln 10000
    for (size_t row = 0; row < m; row++, out += dim) {
        for (size_t i = 0; i < half; i++) {
            float exponent = log_period * (float)i / (float)half;
            float angle = timesteps[row] * (float)sorad_exp((double)exponent);
            double sine, cosine;
            sorad_sincos((double)angle, &sine, &cosine);
            out[i] = (float)cosine;
            out[half + i] = (float)sine;
        }
        if (dim % 2) out[dim - 1] = 0.0f;
    }
}
