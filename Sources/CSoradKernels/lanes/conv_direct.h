// Direct float convolution for a small number of outputs, such as a decoder's last layer (small Cout). Sixteen
// outputs in the lanes would leave most lanes empty, so the lanes are sixteen pixels. A strip of the image is
// transposed to [channel][pixel], row by row; the three rows that a 3 x 3 kernel sees are kept.
//
// Invariant: as in gemm_f32.h each sum starts at 0 and takes its products in order of k, fused; a tap outside the
// image multiplies 0.
#ifndef SORAD_LANES_CONV_DIRECT_H
#define SORAD_LANES_CONV_DIRECT_H

#include "lanes.h"

enum {
    CONV_DIRECT_OUTPUTS = 4,
    CONV_DIRECT_CHANNELS = 128,   // of both inputs
    CONV_DIRECT_PIXELS = 64,      // outputs of a strip
    CONV_DIRECT_STRIDE = 80,      // of which the taps see two more
    CONV_DIRECT_VECTORS = F32_MR / 3,   // of pixels whose sums fit the registers
};

typedef struct conv_direct_strip {
    float row[3][CONV_DIRECT_CHANNELS][CONV_DIRECT_STRIDE];   // image row y at y mod 3
} conv_direct_strip;

static bool conv_is_direct(const sorad_conv2d_args *args) {
    return args->c_out <= CONV_DIRECT_OUTPUTS && args->kernel == 3 && args->stride == 1 && !args->upsample && args->end_padding == 0 &&
           args->c0 + args->c1 <= CONV_DIRECT_CHANNELS;
}

// One stage of a transpose: exchanges the lanes of a whose index has bit `step` set with those of b whose index has
// it clear.
#define CONV_DIRECT_SWAP(a, b, first, second) \
    do {                                       \
        lanes both = __builtin_shufflevector(a, b, first); \
        b = __builtin_shufflevector(a, b, second);         \
        a = both;                              \
    } while (0)
#define CONV_DIRECT_FIRST_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define CONV_DIRECT_SECOND_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define CONV_DIRECT_FIRST_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define CONV_DIRECT_SECOND_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define CONV_DIRECT_FIRST_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define CONV_DIRECT_SECOND_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define CONV_DIRECT_FIRST_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define CONV_DIRECT_SECOND_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31

SORAD_INLINE void transpose_16x16(lanes v[SORAD_LANES]) {
#define CONV_DIRECT_STAGE(step)                                                    \
    _Pragma("clang loop unroll(full)")                                          \
    for (size_t i = 0; i < SORAD_LANES; i++)                                    \
        if ((i & step) == 0)                                                    \
            CONV_DIRECT_SWAP(v[i], v[i + step], CONV_DIRECT_FIRST_##step, CONV_DIRECT_SECOND_##step);
    CONV_DIRECT_STAGE(8)
    CONV_DIRECT_STAGE(4)
    CONV_DIRECT_STAGE(2)
    CONV_DIRECT_STAGE(1)
#undef CONV_DIRECT_STAGE
}

// Transposes one input's image row y, from `padding` pixels left of output x0 on, to row
// [channels][CONV_DIRECT_STRIDE]. Unsigned wrap-around makes a place above or left of the image larger than the
// image.
static void conv_direct_transpose_row(const sorad_conv2d_args *args, const float *x, size_t channels, size_t y, size_t x0,
                          float (*row)[CONV_DIRECT_STRIDE]) {
    for (size_t c = 0; c < channels; c += SORAD_LANES) {
        const size_t count = lane_count(c, channels);
        for (size_t p = 0; p < CONV_DIRECT_STRIDE; p += SORAD_LANES) {
            lanes v[SORAD_LANES];
            const size_t first = x0 + p - args->padding;
            if (count == SORAD_LANES && y < args->height && first < args->width && args->width - first >= SORAD_LANES) {
#pragma clang loop unroll(full)
                for (size_t i = 0; i < SORAD_LANES; i++) v[i] = load16(x + (y * args->width + first + i) * channels + c);
            } else {
                for (size_t i = 0; i < SORAD_LANES; i++) {
                    bool inside = y < args->height && first + i < args->width;
                    v[i] = inside ? load(x + (y * args->width + first + i) * channels + c, count) : splat(0.0f);
                }
            }
            transpose_16x16(v);
            for (size_t i = 0; i < count; i++) store16(&row[c + i][p], v[i]);
        }
    }
}

static void conv_direct_load_row(const sorad_conv2d_args *args, conv_direct_strip *strip, size_t y, size_t x0, size_t place) {
    conv_direct_transpose_row(args, args->x0, args->c0, y, x0, strip->row[place]);
    if (args->x1) conv_direct_transpose_row(args, args->x1, args->c1, y, x0, strip->row[place] + args->c0);
}

// Sums of CONV_DIRECT_VECTORS vectors of pixels from pixel p of the strip on; the uppermost tap reads the strip's row
// `top` mod 3.
SORAD_INLINE void conv_direct_sums(const sorad_conv2d_args *args, const size_t outputs, const conv_direct_strip *strip, size_t top,
                                   size_t p, lanes *sum) {
    const size_t channels = args->c0 + args->c1, read = args->x1 ? channels : args->c0;
    lanes acc[CONV_DIRECT_OUTPUTS * CONV_DIRECT_VECTORS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < outputs * CONV_DIRECT_VECTORS; i++) acc[i] = splat(0.0f);
    const float *w = args->w;
    for (size_t ky = 0; ky < 3; ky++)
        for (size_t kx = 0; kx < 3; kx++, w += (channels - read) * SORAD_LANES) {
            const float *x = &strip->row[(top + ky) % 3][0][p + kx];
            for (size_t c = 0; c < read; c++, x += CONV_DIRECT_STRIDE, w += SORAD_LANES) {
#pragma clang loop unroll(full)
                for (size_t v = 0; v < CONV_DIRECT_VECTORS; v++) {
                    const lanes pixels = load16(x + v * SORAD_LANES);
#pragma clang loop unroll(full)
                    for (size_t n = 0; n < outputs; n++)
                        acc[n * CONV_DIRECT_VECTORS + v] = vfma(pixels, splat(w[n]), acc[n * CONV_DIRECT_VECTORS + v]);
                }
            }
        }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < outputs * CONV_DIRECT_VECTORS; i++) sum[i] = acc[i];
}

// The results of output pixels m ..< m + count, at most 16, from the sums of each output.
SORAD_INLINE void conv_direct_finish(const sorad_conv2d_args *args, const size_t outputs, const lanes *sum, size_t m, size_t count) {
    lanes bias = args->bias ? load(args->bias, outputs) : splat(0.0f);
    lanes v[SORAD_LANES];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < SORAD_LANES; i++) v[i] = i < outputs ? sum[i * CONV_DIRECT_VECTORS] : splat(0.0f);
    transpose_16x16(v);
    for (size_t i = 0; i < count; i++)
        store(args->out + (m + i) * args->out_stride, epilogue_lanes(&args->epilogue, m + i, 0, outputs, v[i] + bias), outputs);
}

// One output row of a strip.
SORAD_INLINE void conv_direct_row(const sorad_conv2d_args *args, const size_t outputs, const conv_direct_strip *strip, size_t y, size_t x0,
                               size_t end, size_t out_width) {
    for (size_t x = x0; x < end; x += CONV_DIRECT_VECTORS * SORAD_LANES) {
        lanes sum[CONV_DIRECT_OUTPUTS * CONV_DIRECT_VECTORS];
        conv_direct_sums(args, outputs, strip, y, x - x0, sum);
        for (size_t v = 0; v < CONV_DIRECT_VECTORS && x + v * SORAD_LANES < end; v++)
            conv_direct_finish(args, outputs, sum + v, y * out_width + x + v * SORAD_LANES, lane_count(x + v * SORAD_LANES, end));
    }
}

static void conv_direct(const sorad_conv2d_args *args) {
    const size_t out_width = args->width + 2 * args->padding - 2;
    conv_direct_strip strip;
    for (size_t x0 = 0; x0 < out_width; x0 += CONV_DIRECT_PIXELS) {
        const size_t end = out_width - x0 < CONV_DIRECT_PIXELS ? out_width : x0 + CONV_DIRECT_PIXELS;
        for (size_t y = args->row_begin; y < args->row_end; y++) {
            // A row keeps two of the three image rows that the output row before it has transposed.
            for (size_t ky = y == args->row_begin ? 0 : 2; ky < 3; ky++)
                conv_direct_load_row(args, &strip, y + ky - args->padding, x0, (y + ky) % 3);
            switch (args->c_out) {
            case 1: conv_direct_row(args, 1, &strip, y, x0, end, out_width); break;
            case 2: conv_direct_row(args, 2, &strip, y, x0, end, out_width); break;
            case 3: conv_direct_row(args, 3, &strip, y, x0, end, out_width); break;
            default: conv_direct_row(args, 4, &strip, y, x0, end, out_width);
            }
        }
    }
}

#endif
