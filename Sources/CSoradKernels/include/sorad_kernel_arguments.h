// The argument structures of the kernels. Zero-initialize one, then set its fields: a null pointer or a zero in an
// optional field means "absent". New optional fields go at the end. Row ranges are [begin, end) and index the whole
// arrays, so a caller copies one structure and changes only the range for each task. sorad_kernels.h has the
// dimension letters.
#ifndef SORAD_KERNEL_ARGUMENTS_H
#define SORAD_KERNEL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- Quantization of activations ----------------------------------------------------------------------------------

// Per row: q = clamp(round_half_even(x / s) + z, -127, 127), symmetric (z = 0, s = max|x| / 127) or asymmetric
// (s = (max(x, 0) - min(x, 0)) / 254). The quotient is computed as x * (1 / s).
// NaN counts as 0, ±infinity as ±FLT_MAX. A row whose s would be below 2^-100 counts as zero: s = 0, z = 0, q = 0.
typedef struct sorad_quantize_rows_args {
    const float *x;       // [row_end - row_begin, K]: only the rows of this call
    size_t x_stride;
    size_t k;
    void *q;              // qd8_packed_bytes(M, K); only kernels of the same table can read it
    size_t rows;          // M
    float *scale;         // [M]
    int32_t *zero;        // [M], in [-127, 127]
    size_t row_begin, row_end;   // multiples of gemm_qd8_mr; row_end may be M
    bool asymmetric;
} sorad_quantize_rows_args;

// ---- Epilogue of GEMM and convolution ------------------------------------------------------

typedef enum sorad_activation {
    SORAD_ACTIVATION_NONE = 0,
    SORAD_ACTIVATION_RELU = 1,
    SORAD_ACTIVATION_GELU_TANH = 2,
    SORAD_ACTIVATION_SILU = 3,
} sorad_activation;

// y = activation(sum + bias);  then with
//   gate and residual: out = residual + gate * y (fused)    residual alone: out = residual + y
//   gate alone:        out = gate * y                       neither:        out = y
// and, if relu_at_end, out = max(out, 0).
typedef struct sorad_epilogue {
    sorad_activation activation;
    bool relu_at_end;
    const float *gate;       // optional: [N] with gate_stride 0 (one gate per output), else [M, N]
    size_t gate_stride;
    const float *residual;   // optional: [M, N]; may be the very array `out` (same pointer, same stride)
    size_t residual_stride;
} sorad_epilogue;

// ---- GEMM -----------------------------------------------------------------------------------------------

// out[m, n] = epilogue(a_scale[m] * w_scale[n] * (sum_k a[m, k] * w[n, k] - a_zero[m] * w_sum[n]) + bias[n]) in this
// order: the integer sum and its correction, exact in int32 (K <= 65536); conversion to float; one fused multiply-add
// of (a_scale * w_scale) and bias.
typedef struct sorad_gemm_qd8_args {
    const void *a;           // [M, K], as quantize_f32_qd8 of the same table writes it
    size_t rows;             // M
    const float *a_scale;    // [M]
    const int32_t *a_zero;   // optional: [M]; absent = 0
    const int8_t *w;         // packed [N/16][K/4][16][4], zero-filled to multiples of 16 and 4
    const float *w_scale;    // [N]
    const int32_t *w_sum;    // [N] sum over K of the int8 weights
    const float *bias;       // optional: [N]
    size_t k;
    float *out;              // [M, N]
    size_t out_stride;
    size_t row_begin, row_end;
    size_t col_begin, col_end;   // col_begin is a multiple of 16; col_end is too, or is N
    sorad_epilogue epilogue;
    void *scratch;           // gemm_qd8_scratch_bytes of these arguments, used by this call only, preferably on a
                             // 64-byte boundary; may be null if 0
} sorad_gemm_qd8_args;

// out[m, n] = epilogue(sum_k a[m, k] * w[n, k] + bias[n]); sums start at 0 and run over k in order, fused.
typedef struct sorad_gemm_f32_args {
    const float *a;          // [M, K]
    size_t a_stride;
    const float *w;          // packed [N/16][K][16], zero-filled to a multiple of 16
    const float *bias;       // optional: [N]
    size_t k;
    float *out;              // [M, N]
    size_t out_stride;
    size_t row_begin, row_end;
    size_t col_begin, col_end;   // as above
    sorad_epilogue epilogue;
} sorad_gemm_f32_args;

// Weights of 10 bits in blocks of 32 inputs (qb10w) to the form that gemm_f32 reads: out[n, k] = (4 * high + low) * scale,
// which is exact in float. `scale` is F16; its sign does not count, and exponent bits that are all 1 are one more power
// of two.
enum { SORAD_QB10_BLOCK = 32 };

typedef struct sorad_dequantize_args {
    const int8_t *high;      // packed [N/16][K/4][16][4], zero-filled to multiples of 16 and 4
    const uint32_t *low;     // [N/16][K/16][16]: of 16 inputs, input i in bits 2i and 2i + 1, 0 to 3
    const uint16_t *scale;   // [N/16][K/32][16]
    size_t k;                // K/32, K/16 and K/4 are rounded up
    float *out;              // [panel_end - panel_begin][K][16]: only the panels of this call
    size_t panel_begin, panel_end;   // panels of 16 outputs
} sorad_dequantize_args;

// ---- Convolution ----------------------------------------------------------------------------------------------------

// 2-D convolution of one image, channels last. The input is the concatenation of x0 and x1 along the channels, which
// is never made. Sums start at 0 and run over (ky, kx, channel of x0 then x1) in order, fused; a tap outside the
// image multiplies 0; an absent x1 adds nothing. Then + bias and the epilogue, whose rows M are the output pixels (y
// * out_width + x). Output size: height' = upsample ? 2 * height : height, and out_height = (height' + 2 * padding +
// end_padding - kernel) / stride + 1 (rounded down); the same for the width.
typedef struct sorad_conv2d_args {
    const float *x0;         // [height, width, c0]
    size_t c0;
    const float *x1;         // optional: [height, width, c1]; null with c1 > 0 = zeros
    size_t c1;               // 0 = no second input
    size_t height, width;    // of x0 and x1 as stored
    bool upsample;           // see each input pixel as 2 x 2 pixels (nearest)
    size_t kernel;           // 1 or 3
    size_t stride;           // 1 or 2
    size_t padding;          // 0 or 1
    const float *w;          // packed [c_out/16][K][16], K = kernel * kernel * (c0 + c1) in order (ky, kx, c)
    const float *bias;       // optional: [c_out]
    size_t c_out;
    float *out;              // [out_height, out_width, c_out], or pixels further apart:
    size_t out_stride;       // distance between output pixels, >= c_out
    size_t row_begin, row_end;   // output rows (y)
    sorad_epilogue epilogue;
    size_t end_padding;      // 0 or 1: further zeros below and to the right
} sorad_conv2d_args;

// Quantizes an image (qt8): one scale and zero point for all its pixels (sorad_quantize_params of minmax_f32's
// range), inside a border of one pixel of zero points, which stands for the zeros outside the image.
typedef struct sorad_quantize_image_args {
    const float *x0;         // [height, width, c0]
    size_t c0;
    const float *x1;         // optional: [height, width, c1], concatenated after x0; null with c1 > 0 = zeros
    size_t c1;
    size_t height, width;
    float inverse;           // 1 / s; every x / s is within 2^21
    int32_t zero;            // z
    int8_t *q;               // [height + 2, width + 2, C], C = c0 + c1 up to a multiple of 4; the border and the
                             // channels beyond c0 + c1 become z
    size_t row_begin, row_end;   // of q's height + 2
    const float *channel_scale;  // optional: [c0 + c1], multiplies the channels first
    int8_t *q_low;               // optional: as q, the rounding error of q in steps of s / 254, with 0 around and beyond
} sorad_quantize_image_args;

// out = epilogue(x_scale * w_scale[n] * (sum_k x[k] * w[n, k] - x_zero * w_sum[n]) + bias[n]), rounded as in
// gemm_qd8_f32_qc8w.
typedef struct sorad_conv2d_qt8_args {
    const int8_t *x;         // [height + 2, width + 2, channels], as quantize_f32_qt8 writes it
    size_t channels;         // a multiple of 4
    float x_scale;
    int32_t x_zero;
    size_t height, width;    // without the border
    bool upsample;           // this and the next three as in conv2d
    size_t kernel, stride, padding;
    const int8_t *w;         // packed [c_out/16][K/4][16][4], K = kernel * kernel * channels in order (ky, kx, c)
    const float *w_scale;    // [c_out]
    const int32_t *w_sum;    // [c_out]
    const float *bias;       // optional: [c_out]
    size_t c_out;
    float *out;              // [out_height, out_width, c_out]
    size_t out_stride;       // distance between output pixels, >= c_out
    size_t row_begin, row_end;   // output rows (y)
    sorad_epilogue epilogue;
    void *scratch;           // conv2d_qt8_scratch_bytes of these arguments, used by this call only, preferably on a
                             // 64-byte boundary; may be null if 0
} sorad_conv2d_qt8_args;

// ---- Norms -----------------------------------------------------------------------------------------------------------

// layer_norm: y = (x - mean) / sqrt(var + eps) (biased variance); rms_norm: y = x / sqrt(mean(x^2) + eps), which is
// also T5's norm and, over whole rows [H*D], Wan's QK-norm. Then y = y * weight + bias, then y = y * (1 + scale) +
// shift.
typedef struct sorad_norm_args {
    const float *x;          // [M, K]
    size_t x_stride;
    float *out;              // [M, K], may be x
    size_t out_stride;
    size_t k;
    float eps;
    const float *weight;     // optional: [K]
    const float *bias;       // optional: [K], only with weight
    const float *scale;      // optional: [K] with modulation_stride 0, else [M, K] with that stride
    const float *shift;      // optional: as scale, only with scale
    size_t modulation_stride;
    size_t row_begin, row_end;
} sorad_norm_args;

// ---- RoPE and Hadamard transform -------------------------------------------------------------------------------------------------------

// Rotary position embedding, in place, on interleaved pairs (diffusers' WanAttnProcessor): for every head and pair i,
// (x[2i], x[2i+1]) becomes (x[2i] cos - x[2i+1] sin, x[2i+1] cos + x[2i] sin) with the row's cos[i], sin[i].
typedef struct sorad_rope_args {
    float *x;                // [L, H*D], D even
    size_t x_stride;
    const float *cos;        // [L, D/2]
    const float *sin;        // [L, D/2]
    size_t heads, head_dim;
    size_t row_begin, row_end;
} sorad_rope_args;

// Every group of `group` neighboring values of a row is multiplied by the normalized regular Hadamard matrix of that
// order: the Kronecker power of [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2. It is symmetric and its own inverse, and
// all its rows have the same sum, so a common offset does not accumulate in one channel.
typedef struct sorad_hadamard_args {
    const float *x;          // [M, K], K a multiple of group
    size_t x_stride;
    float *out;              // [M, K], may be x
    size_t out_stride;
    size_t k;
    size_t group;            // 4, 16, 64 or 256
    size_t row_begin, row_end;
} sorad_hadamard_args;

// ---- Attention --------------------------------------------------------------------------------------------------------

// Float heads may be wider: an autoencoder has one head with all its channels.
enum { SORAD_ATTENTION_KEY_BLOCK = 64, SORAD_MAX_HEAD_DIM = 256, SORAD_MAX_FLOAT_HEAD_DIM = 1024 };

// Packs keys and values for any number of attention calls (cross-attention: once per prompt). `packed` holds
// sorad_attention_packed_floats_f32(heads, lk, head_dim) floats; only kernels of the same table can read it. Heads
// and key blocks can be packed in any order and number of calls: key_begin is a multiple of
// SORAD_ATTENTION_KEY_BLOCK, key_end is too, or is lk. Where k or v is null, the other is packed alone, so both need
// not be in memory at once.
typedef struct sorad_attention_pack_args {
    const float *k;          // [Lk, H*D], head h in columns h*D ..< (h+1)*D; or null
    size_t k_stride;
    const float *v;          // [Lk, H*D]; or null
    size_t v_stride;
    size_t lk, head_dim;     // lk >= 1, head_dim <= SORAD_MAX_FLOAT_HEAD_DIM, for int8 <= SORAD_MAX_HEAD_DIM
    float *packed;
    size_t head_begin, head_end;
    size_t key_begin, key_end;
} sorad_attention_pack_args;

// out = softmax(scale * q·kᵀ + key_bias + bias) · v, a streaming softmax over fixed blocks of
// SORAD_ATTENTION_KEY_BLOCK keys. Biases are finite or -infinity, and at least one key of every query is not
// -infinity.
typedef struct sorad_attention_args {
    const float *q;          // [Lq, H*D]
    size_t q_stride;
    const float *packed;     // from attention_pack_f32 of the same table, same lk and head_dim
    size_t lk, head_dim;
    float scale;             // usually 1 / sqrt(D); 1 for T5
    const float *key_bias;   // optional: [Lk] (ln(count) for a key that stands for several; -infinity masks)
    const float *bias;       // optional: [H, Lq, Lk] (T5 relative position)
    size_t bias_head_stride;   // distance between heads of `bias`, usually Lq * Lk
    size_t bias_query_stride;  // distance between queries of `bias`, usually Lk
    float *out;              // [Lq, H*D]; may be q
    size_t out_stride;
    size_t head_begin, head_end;
    size_t query_begin, query_end;
    bool probs_16bit;        // qd8kv only: attention probabilities of 16 bits (high and low byte) instead of 8
} sorad_attention_args;

// attention_pack_qd8kv and attention_f32_qd8kv take the same structures, with these differences: `packed` holds
// sorad_attention_packed_floats_qd8kv floats, a head is packed with all its keys at once (key_begin 0, key_end lk),
// blocks have SORAD_ATTENTION_QD8KV_KEY_BLOCK keys, `bias` is null, and products are of int8 values, see
// scalar/attention_qd8kv.c.
enum { SORAD_ATTENTION_QD8KV_KEY_BLOCK = 256 };

// ---- Latents ----------------------------------------------------------------------------------------------------------

// Element (p, c) is at p * pixel_stride + c * channel_stride: arrays are planar or channels last, and one call can
// convert between them.
typedef struct sorad_latent_args {
    const float *x;          // P pixels, C channels
    size_t x_pixel_stride, x_channel_stride;
    float *out;
    size_t out_pixel_stride, out_channel_stride;
    size_t pixels, channels;
    const float *mean;       // [C]
    const float *std;        // [C]
} sorad_latent_args;

#endif
