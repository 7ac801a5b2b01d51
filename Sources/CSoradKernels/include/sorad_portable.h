// Portable functions, with one implementation for every machine: moves, tables and conversions that do not need SIMD.
// They use integer and IEEE operations only, so their results have the same bits everywhere.
#ifndef SORAD_PORTABLE_H
#define SORAD_PORTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sorad_kernel_arguments.h"

#pragma clang assume_nonnull begin

// The most that qd8_packed_bytes of any table returns: 2 bytes a value, in K-blocks of 64 bytes.
size_t sorad_qd8_packed_max_bytes(size_t rows, size_t k);
// Floats in the packed form of H heads with Lk keys and values of D each, of attention_pack_f32.
size_t sorad_attention_packed_floats_f32(size_t heads, size_t lk, size_t head_dim);
// The same, of attention_pack_qd8kv.
size_t sorad_attention_packed_floats_qd8kv(size_t heads, size_t lk, size_t head_dim);

// Row-major weights to the layouts that the matrix kernels read.
// w [N, K] float -> packed [ceil(N/16)][K][16], zero-filled.
void sorad_pack_f32(const float *w, size_t n, size_t k, float *packed);
// w [N, K] int8 -> packed [ceil(N/16)][ceil(K/4)][16][4], zero-filled, and sum [N] over K of the weights.
void sorad_pack_int8(const int8_t *w, size_t n, size_t k, int8_t *packed, int32_t *sum);

// Scale s, 1 / s and zero point of values within range[0] <= 0 <= range[1], as quantize_f32_qd8 computes them for a
// row.
void sorad_quantize_params(const float range[_Nonnull 2], bool asymmetric, float *scale, float *inverse, int32_t *zero);

// ---- Positions and time ----------------------------------------------------------------------------------------------

// Rotary tables of one axis: cos and sin [positions, D/2] of angle(p, i) = p * theta^(-2i / D), computed in double
// (diffusers' get_1d_rotary_pos_embed). Rows are `stride` floats apart, so that the axes t, h, w of one table can be
// written side by side.
void sorad_rope_table(size_t positions, size_t dim, double theta, float *cos_out, float *sin_out, size_t stride);

// Sinusoidal timestep embedding (diffusers' Timesteps with flip_sin_to_cos=True, downscale_freq_shift=0):
// out [M, dim], first dim/2 columns cos, then sin, of t * exp(-ln(10000) * i / (dim/2)); an odd dim ends with a 0.
void sorad_timestep_embedding(const float *timesteps, size_t m, size_t dim, float *out);

// ---- Noise ------------------------------------------------------------------------------------------------------------

// Standard normal values: element i depends on (seed, stream, i) only. Philox-4x32-10 (Salmon et al. 2011) with
// counter (i / 4, stream) and key seed; words 0,1 and 2,3 each give two values by Box-Muller, cosine first.
void sorad_philox_normal(uint64_t seed, uint64_t stream, uint64_t first, size_t count, float *out);
// The four words of one counter block, for tests against published vectors.
void sorad_philox_block(const uint32_t counter[_Nonnull 4], const uint32_t key[_Nonnull 2], uint32_t out[_Nonnull 4]);

// ---- Pixels and latents -----------------------------------------------------------------------------------------------

// [h, w, c*r*r] -> [h*r, w*r, c]; input channel = (channel * r + dy) * r + dx (torch's pixel_shuffle, channels last).
void sorad_pixel_shuffle(const float *x, size_t height, size_t width, size_t channels, size_t r, float *out);
// [h*r, w*r, c] -> [h, w, c*r*r]: its inverse; height and width are the output's.
void sorad_pixel_unshuffle(const float *x, size_t height, size_t width, size_t channels, size_t r, float *out);

// Latents between the transformer's scale and the autoencoder's.
void sorad_latent_normalize(const sorad_latent_args *args);     // (x - mean) / std
void sorad_latent_denormalize(const sorad_latent_args *args);   // x * std + mean (fused)

// RGB in [0, 1] to bytes: round_half_even(255 * clamp(x, 0, 1)); NaN gives 0.
void sorad_rgb_to_u8(const float *x, uint8_t *out, size_t n);
// Bytes to [0, 1]: x / 255.
void sorad_u8_to_rgb(const uint8_t *x, float *out, size_t n);

// ---- Element types -----------------------------------------------------------------------------------------------------

// IEEE binary16 and bfloat16 bit patterns to float, exactly (embedding rows).
void sorad_f16_to_f32(const uint16_t *x, float *out, size_t n);
void sorad_bf16_to_f32(const uint16_t *x, float *out, size_t n);

// ---- Scalar functions (double, own polynomials; relative error below 1e-15 in the stated ranges) --------------------------

double sorad_exp(double x);                                  // |x| <= 700
double sorad_log(double x);                                  // normal x > 0
void sorad_sincos(double x, double *sin_out, double *cos_out);   // |x| <= 1e6, absolute error below 1e-15

// ---- Peak throughput ----------------------------------------------------------------------------------------------------

// Runs `iterations` rounds of the peak-throughput microbenchmark: nothing but the instruction set's best int8 product
// (vpdpbusd, or vpmaddubsw + vpmaddwd + vpaddd; SDOT or USMMLA) or float multiply-add, on registers. Returns the
// operations done (multiplies and adds); the caller times it. `isa` is a sorad_isa and must be available. 0 where
// there is none (scalar).
uint64_t sorad_peak_int8(int isa, uint64_t iterations);
uint64_t sorad_peak_f32(int isa, uint64_t iterations);

#pragma clang assume_nonnull end

#endif
