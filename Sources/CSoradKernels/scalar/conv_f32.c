// Float convolution, channels last, two concatenated inputs, scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

// Adds `count` input channels of one tap to the 16 sums; `x` null is a tap outside the image: zeros.
static const float *add_channels(const float *x, size_t count, const float *w, float sum[SORAD_LANES]) {
    for (size_t c = 0; c < count; c++, w += SORAD_LANES)
        for (size_t i = 0; i < SORAD_LANES; i++) sum[i] = fmaf(x ? x[c] : 0.0f, w[i], sum[i]);
    return w;
}

// The 16 sums of output pixel (y, x) with the weight panel `w` [K][16].
static void pixel_sums(const sorad_conv2d_args *args, size_t y, size_t x, const float *w, float sum[SORAD_LANES]) {
    size_t upscale = args->upsample ? 2 : 1;
    size_t height = args->height * upscale, width = args->width * upscale;
    for (size_t i = 0; i < SORAD_LANES; i++) sum[i] = 0.0f;
    for (size_t ky = 0; ky < args->kernel; ky++)
        for (size_t kx = 0; kx < args->kernel; kx++) {
            size_t iy = y * args->stride + ky, ix = x * args->stride + kx;   // plus the padding, so that they are not negative
            bool inside = iy >= args->padding && ix >= args->padding && iy < height + args->padding &&
                          ix < width + args->padding;
            size_t pixel = inside ? (iy - args->padding) / upscale * args->width + (ix - args->padding) / upscale : 0;
            w = add_channels(inside ? args->x0 + pixel * args->c0 : NULL, args->c0, w, sum);
            if (args->x1)
                w = add_channels(inside ? args->x1 + pixel * args->c1 : NULL, args->c1, w, sum);
            else
                w += args->c1 * SORAD_LANES;
        }
}

void sorad_scalar_conv2d_f32(const sorad_conv2d_args *args) {
    size_t width = args->upsample ? 2 * args->width : args->width;
    size_t out_width = (width + 2 * args->padding + args->end_padding - args->kernel) / args->stride + 1;
    size_t k = args->kernel * args->kernel * (args->c0 + args->c1);
    float sum[SORAD_LANES];
    for (size_t y = args->row_begin; y < args->row_end; y++)
        for (size_t x = 0; x < out_width; x++)
            for (size_t n0 = 0; n0 < args->c_out; n0 += SORAD_LANES) {
                pixel_sums(args, y, x, args->w + n0 * k, sum);
                size_t m = y * out_width + x;
                for (size_t i = 0; i < SORAD_LANES && n0 + i < args->c_out; i++) {
                    size_t n = n0 + i;
                    float v = sum[i] + (args->bias ? args->bias[n] : 0.0f);
                    args->out[m * args->out_stride + n] = sorad_epilogue_f32(&args->epilogue, m, n, v);
                }
            }
}
