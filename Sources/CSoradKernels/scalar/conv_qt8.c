// Int8 convolution, min-max reductions and the quantization of images, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

void sorad_scalar_minmax_f32(const float *x, size_t n, float *range) {
    float low = range[0], high = range[1];
    for (size_t i = 0; i < n; i++) sorad_minmax(sorad_finite(x[i]), &low, &high);
    range[0] = low + 0.0f, range[1] = high + 0.0f;   // no negative zero, whichever came first
}

void sorad_scalar_minmax_channels_f32(const float *x, size_t pixels, size_t channels, float *low, float *high) {
    for (size_t c = 0; c < channels; c++) {
        float range[2] = {low[c], high[c]};
        for (size_t p = 0; p < pixels; p++) sorad_minmax(sorad_finite(x[p * channels + c]), range, range + 1);
        low[c] = range[0] + 0.0f, high[c] = range[1] + 0.0f;
    }
}

void sorad_scalar_quantize_f32_qt8(const sorad_quantize_image_args *args) {
    size_t given = args->c0 + args->c1, channels = (given + 3) / 4 * 4;
    int8_t zero = (int8_t)args->zero;
    size_t first = args->row_begin * (args->width + 2) * channels;
    int8_t *q = args->q + first, *q_low = args->q_low ? args->q_low + first : NULL;
    for (size_t y = args->row_begin; y < args->row_end; y++)
        for (size_t x = 0; x < args->width + 2; x++)
            for (size_t c = 0; c < channels; c++) {
                bool inside = y > 0 && y <= args->height && x > 0 && x <= args->width && c < given;
                size_t pixel = inside ? (y - 1) * args->width + x - 1 : 0;
                float value = 0.0f;
                if (inside && c < args->c0) value = args->x0[pixel * args->c0 + c];
                else if (inside && args->x1) value = args->x1[pixel * args->c1 + c - args->c0];
                if (inside && args->channel_scale) value *= args->channel_scale[c];
                value = sorad_finite(value);
                float steps = value * args->inverse, whole = sorad_round(steps);
                *q++ = inside ? (int8_t)sorad_clamp_int8((int32_t)whole + args->zero) : zero;
                if (q_low) *q_low++ = (int8_t)sorad_clamp_int8((int32_t)sorad_round((steps - whole) * 254.0f));
            }
}

size_t sorad_scalar_conv2d_qt8_scratch_bytes(const sorad_conv2d_qt8_args *args) {
    (void)args;
    return 0;
}

// The 16 sums of output pixel (y, x) with the weight panel `w` [K/4][16][4].
static void pixel_sums(const sorad_conv2d_qt8_args *args, size_t y, size_t x, const int8_t *w, int32_t sum[SORAD_LANES]) {
    size_t upscale = args->upsample ? 1 : 0;
    for (size_t i = 0; i < SORAD_LANES; i++) sum[i] = 0;
    for (size_t ky = 0; ky < args->kernel; ky++)
        for (size_t kx = 0; kx < args->kernel; kx++) {
            // The stored row of upsampled row v is v / 2 or v, rounded down, plus 1 for the border; v begins at -padding.
            size_t iy = (y * args->stride + ky + 1 + upscale - args->padding) >> upscale;
            size_t ix = (x * args->stride + kx + 1 + upscale - args->padding) >> upscale;
            const int8_t *a = args->x + (iy * (args->width + 2) + ix) * args->channels;
            for (size_t c = 0; c < args->channels; c += 4, a += 4, w += 64)
                for (size_t i = 0; i < SORAD_LANES; i++)
                    sum[i] += a[0] * w[4 * i] + a[1] * w[4 * i + 1] + a[2] * w[4 * i + 2] + a[3] * w[4 * i + 3];
        }
}

void sorad_scalar_conv2d_qt8_f32_qc8w(const sorad_conv2d_qt8_args *args) {
    size_t width = args->upsample ? 2 * args->width : args->width;
    size_t out_width = (width + 2 * args->padding - args->kernel) / args->stride + 1;
    size_t k = args->kernel * args->kernel * args->channels;
    int32_t sum[SORAD_LANES];
    for (size_t y = args->row_begin; y < args->row_end; y++)
        for (size_t x = 0; x < out_width; x++)
            for (size_t n0 = 0; n0 < args->c_out; n0 += SORAD_LANES) {
                pixel_sums(args, y, x, args->w + n0 * k, sum);
                size_t m = y * out_width + x;
                for (size_t i = 0; i < SORAD_LANES && n0 + i < args->c_out; i++) {
                    size_t n = n0 + i;
                    float exact = (float)(sum[i] - args->x_zero * args->w_sum[n]);
                    float v = fmaf(exact, args->x_scale * args->w_scale[n], args->bias ? args->bias[n] : 0.0f);
                    args->out[m * args->out_stride + n] = sorad_epilogue_f32(&args->epilogue, m, n, v);
                }
            }
}
