// Convolution, and the min-max reductions and quantization of its images.
#include "fuzz.h"

// ---- Float ---------------------------------------------------------------------------------------------------------------

void fuzz_conv2d_f32(sorad_conv2d_f32_fn *definition, sorad_conv2d_f32_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    sorad_conv2d_args args = {.upsample = coin(), .kernel = coin() ? 3 : 1, .stride = between(1, 2)};
    // A small number of outputs, as in a decoder's last layer, has an algorithm of its own.
    bool few = random_word() % 4 == 0;
    if (few) args.upsample = false, args.kernel = 3, args.stride = 1;
    args.padding = args.kernel == 3 ? between(0, 1) : 0, args.end_padding = few ? 0 : between(0, 1);
    args.height = between(2, 9), args.width = between(2, few ? 150 : 20);
    args.c0 = between(1, random_word() % 8 == 0 ? 600 : 20), args.c1 = coin() ? between(1, 20) : 0;
    args.c_out = between(1, few ? 4 : 40);
    size_t upscale = args.upsample ? 2 : 1;
    size_t around = 2 * args.padding + args.end_padding;
    if (args.height * upscale + around < args.kernel || args.width * upscale + around < args.kernel) return;
    size_t height = (args.height * upscale + around - args.kernel) / args.stride + 1;
    size_t width = (args.width * upscale + around - args.kernel) / args.stride + 1;
    size_t k = args.kernel * args.kernel * (args.c0 + args.c1), pixels = args.height * args.width;
    args.out_stride = args.c_out + between(0, 3);
    buffer plain = floats(args.c_out * k), packed = make((args.c_out + 15) / 16 * 16 * k, 4), bias = floats(args.c_out);
    sorad_pack_f32(plain.data, args.c_out, k, packed.data);
    buffer x0 = floats(pixels * args.c0), x1 = floats(pixels * args.c1);
    args.x0 = x0.data, args.x1 = args.c1 && coin() ? x1.data : NULL, args.w = packed.data;
    args.bias = coin() ? bias.data : NULL;
    range(height, &args.row_begin, &args.row_end);
    epilogue_buffers extra = make_epilogue(&args.epilogue, height * width, args.c_out);
    buffer out = floats((height * width - 1) * args.out_stride + args.c_out), expected = copy(out, 4);

    args.out = expected.data;
    definition(&args);
    args.out = out.data;
    kernel(&args);
    expect_equal(expected, out);
    release(plain.block), release(packed.block), release(x0.block), release(x1.block), release(bias.block);
    release_epilogue(extra);
}

// ---- Min-max reductions --------------------------------------------------------------------------------------------------

// Random floats, sometimes with NaN and infinity.
static buffer odd_floats(size_t count) {
    buffer x = floats(count);
    if (random_word() % 8 == 0)
        for (size_t i = 0; i < count; i++)
            if (random_word() % 64 == 0) ((float *)x.data)[i] = coin() ? NAN : coin() ? INFINITY : -INFINITY;
    return x;
}

void fuzz_minmax(sorad_minmax_fn *definition, sorad_minmax_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t n = between(1, 400);
    const float start = coin() ? 0.0f : random_float();
    buffer x = odd_floats(n), actual = make(2, 4), expected = make(2, 4);
    float *seen = actual.data, *seen_expected = expected.data;
    seen[0] = seen_expected[0] = start < 0 ? start : 0.0f, seen[1] = seen_expected[1] = start > 0 ? start : 0.0f;
    definition(x.data, n, seen_expected);
    kernel(x.data, n, seen);
    expect_equal(expected, actual);
    release(x.block);
}

void fuzz_minmax_channels(sorad_minmax_channels_fn *definition, sorad_minmax_channels_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t pixels = between(1, 180), channels = between(1, random_word() % 8 == 0 ? 300 : 40);
    buffer x = odd_floats(pixels * channels), low = floats(channels), high = floats(channels);
    buffer low_expected = copy(low, 4), high_expected = copy(high, 4);
    definition(x.data, pixels, channels, low_expected.data, high_expected.data);
    kernel(x.data, pixels, channels, low.data, high.data);
    expect_equal(low_expected, low);
    expect_equal(high_expected, high);
    release(x.block);
}

// ---- Int8 ----------------------------------------------------------------------------------------------------------------

// A random image and how to quantize it; `q` is still missing.
typedef struct image_case {
    sorad_quantize_image_args args;
    size_t channels;
    float scale;
    buffer x0, x1, channel_scale;
} image_case;

static image_case make_image(void) {
    const size_t c0 = between(1, random_word() % 8 == 0 ? 300 : 40), c1 = coin() ? between(1, 20) : 0;
    const size_t height = between(2, 9), width = between(2, 20), pixels = height * width;
    image_case c = {.channels = (c0 + c1 + 3) / 4 * 4, .x0 = odd_floats(pixels * c0), .x1 = floats(pixels * c1)};
    c.channel_scale = floats(c0 + c1);
    const bool joined = c1 && coin();
    float seen[2] = {0};
    scalar.minmax_f32(c.x0.data, pixels * c0, seen);
    if (joined) scalar.minmax_f32(c.x1.data, pixels * c1, seen);
    c.args = (sorad_quantize_image_args){.x0 = c.x0.data, .c0 = c0, .x1 = joined ? c.x1.data : NULL, .c1 = c1};
    c.args.height = height, c.args.width = width;
    sorad_quantize_params(seen, coin(), &c.scale, &c.args.inverse, &c.args.zero);
    // At most 4, so that every value stays within the range that can be rounded.
    for (size_t i = 0; i < c0 + c1; i++) ((float *)c.channel_scale.data)[i] = (float)between(1, 8) * 0.5f;
    if (coin()) c.args.channel_scale = c.channel_scale.data;
    return c;
}
static void release_image(image_case c) { release(c.x0.block), release(c.x1.block), release(c.channel_scale.block); }

void fuzz_quantize_image(sorad_quantize_image_fn *definition, sorad_quantize_image_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    image_case c = make_image();
    buffer q = int8s((c.args.height + 2) * (c.args.width + 2) * c.channels), expected = copy(q, 1);
    buffer low = copy(q, 1), low_expected = copy(q, 1);
    const bool has_low = coin();
    range(c.args.height + 2, &c.args.row_begin, &c.args.row_end);
    for (int round = 0; round < 2; round++) {   // a sub-range, then all
        c.args.q = expected.data, c.args.q_low = has_low ? low_expected.data : NULL;
        definition(&c.args);
        c.args.q = q.data, c.args.q_low = has_low ? low.data : NULL;
        kernel(&c.args);
        if (round == 0) expect_equal(copy(expected, 1), copy(q, 1));
        c.args.row_begin = 0, c.args.row_end = c.args.height + 2;
    }
    expect_equal(expected, q);
    expect_equal(low_expected, low);
    release_image(c);
}

// The shape of a convolution of an image; false if the kernel is larger than the image.
static bool make_shape(const image_case *c, sorad_conv2d_qt8_args *args, size_t *height, size_t *width) {
    *args = (sorad_conv2d_qt8_args){.upsample = coin(), .kernel = coin() ? 3 : 1, .stride = between(1, 2), .channels = c->channels};
    args->padding = args->kernel == 3 ? between(0, 1) : 0;
    args->height = c->args.height, args->width = c->args.width, args->c_out = between(1, 60);
    args->x_scale = c->scale, args->x_zero = c->args.zero;
    const size_t upscale = args->upsample ? 2 : 1;
    const size_t padded_height = args->height * upscale + 2 * args->padding, padded_width = args->width * upscale + 2 * args->padding;
    if (padded_height < args->kernel || padded_width < args->kernel) return false;
    *height = (padded_height - args->kernel) / args->stride + 1, *width = (padded_width - args->kernel) / args->stride + 1;
    return true;
}

void fuzz_conv2d_qt8(sorad_conv2d_qt8_fn *definition, sorad_conv2d_qt8_fn *kernel, const sorad_kernels *kernels) {
    image_case c = make_image();
    sorad_conv2d_qt8_args args;
    size_t height, width;
    if (!make_shape(&c, &args, &height, &width)) {
        release_image(c);
        return;
    }
    const size_t k = args.kernel * args.kernel * c.channels;
    buffer x = make((args.height + 2) * (args.width + 2) * c.channels, 1);
    c.args.q = x.data, c.args.row_end = args.height + 2;
    scalar.quantize_f32_qt8(&c.args);
    buffer plain = int8s(args.c_out * k), packed = make((args.c_out + 15) / 16 * 16 * k, 1), sums = make(args.c_out, 4);
    sorad_pack_int8(plain.data, args.c_out, k, packed.data, sums.data);
    buffer w_scale = floats(args.c_out), bias = floats(args.c_out);
    args.x = x.data, args.w = packed.data, args.w_scale = w_scale.data, args.w_sum = sums.data, args.bias = coin() ? bias.data : NULL;
    args.out_stride = args.c_out + between(0, 3);
    range(height, &args.row_begin, &args.row_end);
    epilogue_buffers epilogue = make_epilogue(&args.epilogue, height * width, args.c_out);
    buffer out = floats((height * width - 1) * args.out_stride + args.c_out), expected = copy(out, 4);
    buffer scratch = make(kernels->conv2d_qt8_scratch_bytes(&args), 1);
    args.out = expected.data;
    definition(&args);
    args.out = out.data, args.scratch = scratch.data;
    kernel(&args);
    expect_equal(expected, out);
    buffer all[] = {x, plain, packed, sums, w_scale, bias, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i].block);
    release_epilogue(epilogue);
    release_image(c);
}

// Fewer rows never need more scratch.
void fuzz_conv2d_qt8_scratch(sorad_conv2d_qt8_scratch_fn *definition, sorad_conv2d_qt8_scratch_fn *kernel, const sorad_kernels *kernels) {
    (void)definition, (void)kernels;
    sorad_conv2d_qt8_args args = {.channels = between(1, 100) * 4, .height = between(2, 300), .width = between(2, 300), .upsample = coin()};
    args.kernel = coin() ? 3 : 1, args.stride = between(1, 2), args.padding = args.kernel == 3 ? 1 : 0, args.c_out = between(1, 300);
    const size_t height = (args.height * (args.upsample ? 2 : 1) + 2 * args.padding - args.kernel) / args.stride + 1;
    args.row_end = height;
    const size_t whole = kernel(&args);
    range(height, &args.row_begin, &args.row_end);
    expect(kernel(&args) <= whole, "a part of the rows needs more scratch than all of them");
}
