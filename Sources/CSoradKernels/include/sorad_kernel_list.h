// The list of kernels, one row each. The table, the declarations for every instruction set, the fuzzer and the
// benchmark are made from it: a kernel without an implementation somewhere, or without a fuzz function for its type,
// does not link.
#ifndef SORAD_KERNEL_LIST_H
#define SORAD_KERNEL_LIST_H

#include "sorad_kernel_arguments.h"

// ---- Types of functions ----------------------------------------------------------------------------------------------

#pragma clang assume_nonnull begin

typedef size_t sorad_count_fn(void);
typedef size_t sorad_packed_bytes_fn(size_t rows, size_t k);
typedef void sorad_quantize_rows_fn(const sorad_quantize_rows_args *args);
typedef void sorad_gemm_qd8_fn(const sorad_gemm_qd8_args *args);
typedef void sorad_gemm_qd8_i32_fn(const sorad_gemm_qd8_args *args, int32_t *out, size_t out_stride);
typedef size_t sorad_gemm_qd8_scratch_fn(const sorad_gemm_qd8_args *args);
typedef void sorad_dequantize_fn(const sorad_dequantize_args *args);
typedef void sorad_gemm_f32_fn(const sorad_gemm_f32_args *args);
typedef void sorad_conv2d_f32_fn(const sorad_conv2d_args *args);
typedef void sorad_conv2d_qt8_fn(const sorad_conv2d_qt8_args *args);
typedef size_t sorad_conv2d_qt8_scratch_fn(const sorad_conv2d_qt8_args *args);
typedef void sorad_minmax_fn(const float *x, size_t n, float range[_Nonnull 2]);
typedef void sorad_minmax_channels_fn(const float *x, size_t pixels, size_t channels, float *low, float *high);
typedef void sorad_quantize_image_fn(const sorad_quantize_image_args *args);
typedef void sorad_norm_fn(const sorad_norm_args *args);
typedef void sorad_rope_fn(const sorad_rope_args *args);
typedef void sorad_hadamard_fn(const sorad_hadamard_args *args);
typedef void sorad_attention_pack_fn(const sorad_attention_pack_args *args);
typedef void sorad_attention_fn(const sorad_attention_args *args);
typedef void sorad_unary_fn(const float *a, float *out, size_t n);
typedef void sorad_binary_fn(const float *a, const float *b, float *out, size_t n);
typedef void sorad_binary_scaled_fn(const float *a, const float *b, float s, float *out, size_t n);

#pragma clang assume_nonnull end

// ---- The list --------------------------------------------------------------------------------------------------------

// ROW(isa prefix, kernel, type of function): `sorad_<type>_fn` above.

// Kernels that multiply int8 values: one implementation per instruction set.
#define SORAD_INT8_KERNEL_LIST(ROW, isa)                                                                                       \
    /* Rows of the register tile: neighboring rows of activations are packed this many at a time. */                          \
    ROW(isa, gemm_qd8_mr, count)                                                                                               \
    /* Bytes of `rows` packed rows of `k` values. */                                                                           \
    ROW(isa, qd8_packed_bytes, packed_bytes)                                                                                   \
    ROW(isa, quantize_f32_qd8, quantize_rows)                                                                                  \
    /* Bytes of scratch that one call of either GEMM with these arguments needs (may be 0). The size depends on k and the */   \
    /* number of rows only and never grows when the rows get fewer: ask once for the largest. */                               \
    ROW(isa, gemm_qd8_scratch_bytes, gemm_qd8_scratch)                                                                         \
    ROW(isa, gemm_qd8_f32_qc8w, gemm_qd8)                                                                                      \
    /* The integer sums alone, for tests: out[m, n] = sum over k of a * w, without zero points. */                             \
    ROW(isa, gemm_qd8_i32_qc8w, gemm_qd8_i32)                                                                                  \
    /* As gemm_qd8_scratch_bytes; the size depends on all arguments but the addresses. */                                      \
    ROW(isa, conv2d_qt8_scratch_bytes, conv2d_qt8_scratch)                                                                     \
    ROW(isa, conv2d_qt8_f32_qc8w, conv2d_qt8)                                                                                  \
    ROW(isa, attention_pack_qd8kv, attention_pack)                                                                             \
    ROW(isa, attention_f32_qd8kv, attention)

// Kernels on floats: instruction sets that differ in int8 products only share them.
#define SORAD_FLOAT_KERNEL_LIST(ROW, isa)                                                                                      \
    ROW(isa, gemm_f32, gemm_f32)                                                                                               \
    /* Weights for gemm_f32. */                                                                                                \
    ROW(isa, dequantize_qb10w_f32, dequantize)                                                                                  \
    ROW(isa, conv2d_f32, conv2d_f32)                                                                                           \
    /* range[0] = min(range[0], x...), range[1] = max(range[1], x...); NaN counts as 0, +-infinity as +-FLT_MAX. */            \
    ROW(isa, minmax_f32, minmax)                                                                                               \
    /* The same for each channel of `pixels` pixels: low[c] = min(low[c], x[p, c]...), high[c] = max(high[c], ...). */         \
    ROW(isa, minmax_channels_f32, minmax_channels)                                                                             \
    ROW(isa, quantize_f32_qt8, quantize_image)                                                                                 \
    ROW(isa, layer_norm_f32, norm)                                                                                             \
    ROW(isa, rms_norm_f32, norm)                                                                                               \
    ROW(isa, rope_f32, rope)                                                                                                   \
    ROW(isa, hadamard_f32, hadamard)                                                                                           \
    ROW(isa, attention_pack_f32, attention_pack)                                                                               \
    ROW(isa, attention_f32, attention)                                                                                         \
    /* Elementwise over n values; `out` may be any of the inputs. */                                                           \
    ROW(isa, add_f32, binary)              /* a + b */                                                                         \
    ROW(isa, cfg_combine_f32, binary_scaled) /* a + s * (b - a), fused: classifier-free guidance, a without the prompt */     \
    ROW(isa, silu_f32, unary)              /* a / (1 + exp(-a)) */                                                             \
    ROW(isa, gelu_tanh_mul_f32, binary)    /* gelu_tanh(a) * b: T5's gated GELU */                                             \
    ROW(isa, clamp_tanh_f32, unary)        /* 3 * tanh(a / 3): TAEHV's Clamp */                                                \
    ROW(isa, euler_step_f32, binary_scaled) /* a + s * b, fused: rectified-flow Euler step, sample + dt * velocity */

#endif
