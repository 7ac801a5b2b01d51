// Rearrangement and conversion of pixels, latents and element types.
#include <math.h>
#include <string.h>

#include "sorad_portable.h"

#pragma STDC FP_CONTRACT OFF

void sorad_pixel_shuffle(const float *x, size_t height, size_t width, size_t channels, size_t r, float *out) {
    for (size_t y = 0; y < height * r; y++)
        for (size_t column = 0; column < width * r; column++) {
            const float *pixel = x + (y / r * width + column / r) * channels * r * r + y % r * r + column % r;
            for (size_t c = 0; c < channels; c++) *out++ = pixel[c * r * r];
        }
}

void sorad_pixel_unshuffle(const float *x, size_t height, size_t width, size_t channels, size_t r, float *out) {
    for (size_t y = 0; y < height * r; y++)
        for (size_t column = 0; column < width * r; column++) {
            float *pixel = out + (y / r * width + column / r) * channels * r * r + y % r * r + column % r;
            for (size_t c = 0; c < channels; c++) pixel[c * r * r] = *x++;
        }
}

void sorad_latent_normalize(const sorad_latent_args *a) {
    for (size_t p = 0; p < a->pixels; p++)
        for (size_t c = 0; c < a->channels; c++)
            a->out[p * a->out_pixel_stride + c * a->out_channel_stride] =
                (a->x[p * a->x_pixel_stride + c * a->x_channel_stride] - a->mean[c]) / a->std[c];
}

void sorad_latent_denormalize(const sorad_latent_args *a) {
    for (size_t p = 0; p < a->pixels; p++)
        for (size_t c = 0; c < a->channels; c++)
            a->out[p * a->out_pixel_stride + c * a->out_channel_stride] =
                fmaf(a->x[p * a->x_pixel_stride + c * a->x_channel_stride], a->std[c], a->mean[c]);
}

void sorad_rgb_to_u8(const float *x, uint8_t *out, size_t n) {
    const float magic = 12582912.0f;   // 1.5 * 2^23: rounds to the nearest integer, ties to even
    for (size_t i = 0; i < n; i++) {
        float v = x[i] > 0.0f ? x[i] : 0.0f;
        v = v < 1.0f ? v : 1.0f;
        out[i] = (uint8_t)((v * 255.0f + magic) - magic);
    }
}

void sorad_u8_to_rgb(const uint8_t *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i] / 255.0f;
}

// Subnormal halves are a count of 2^-24; the rest is a shift and a change of exponent bias.
void sorad_f16_to_f32(const uint16_t *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t sign = (uint32_t)(x[i] & 0x8000u) << 16, exponent = x[i] >> 10 & 31u, fraction = x[i] & 0x3FFu, bits;
        float small = (float)fraction * 0x1p-24f;
        memcpy(&bits, &small, sizeof bits);
        if (exponent == 31u) bits = 0x7F800000u | fraction << 13;
        else if (exponent != 0u) bits = (exponent + 112u) << 23 | fraction << 13;
        bits |= sign;
        memcpy(out + i, &bits, sizeof bits);
    }
}

void sorad_bf16_to_f32(const uint16_t *x, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}
