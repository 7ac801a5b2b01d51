// Norms, RoPE and the Hadamard transform.
#include "fuzz.h"

void fuzz_norm(sorad_norm_fn *definition, sorad_norm_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    size_t m = between(1, 5), k = between(1, 90);
    sorad_norm_args args = {.k = k, .x_stride = k + between(0, 3), .out_stride = k + between(0, 3), .eps = 1e-6f};
    bool per_row = coin();
    args.modulation_stride = per_row ? k + between(0, 3) : 0;
    size_t modulation = per_row ? (m - 1) * args.modulation_stride + k : k;
    buffer x = floats((m - 1) * args.x_stride + k), weight = floats(k), bias = floats(k);
    buffer scale = floats(modulation), shift = floats(modulation);
    buffer out = floats((m - 1) * args.out_stride + k), expected = copy(out, 4);
    args.x = x.data;
    if (coin()) args.weight = weight.data, args.bias = coin() ? bias.data : NULL;
    if (coin()) args.scale = scale.data, args.shift = coin() ? shift.data : NULL;
    range(m, &args.row_begin, &args.row_end);
    args.out = expected.data;
    definition(&args);
    args.out = out.data;
    kernel(&args);
    expect_equal(expected, out);
    release(x.block), release(weight.block), release(bias.block), release(scale.block), release(shift.block);
}

void fuzz_rope(sorad_rope_fn *definition, sorad_rope_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    size_t m = between(1, 5), heads = between(1, 4), d = between(1, 40) * 2;
    sorad_rope_args args = {.x_stride = heads * d + between(0, 3), .heads = heads, .head_dim = d};
    buffer x = floats((m - 1) * args.x_stride + heads * d), expected = copy(x, 4);
    buffer cosines = floats(m * d / 2), sines = floats(m * d / 2);
    args.cos = cosines.data, args.sin = sines.data;
    range(m, &args.row_begin, &args.row_end);
    args.x = expected.data;
    definition(&args);
    args.x = x.data;
    kernel(&args);
    expect_equal(expected, x);
    release(cosines.block), release(sines.block);
}

void fuzz_hadamard(sorad_hadamard_fn *definition, sorad_hadamard_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    size_t m = between(1, 4), group = (size_t)1 << 2 * between(1, 4), k = group * between(1, 3);
    sorad_hadamard_args args = {.k = k, .group = group, .x_stride = k + between(0, 3), .out_stride = k + between(0, 3)};
    buffer x = floats((m - 1) * args.x_stride + k), out = floats((m - 1) * args.out_stride + k), expected = copy(out, 4);
    args.x = x.data;
    range(m, &args.row_begin, &args.row_end);
    args.out = expected.data;
    definition(&args);
    args.out = out.data;
    kernel(&args);
    expect_equal(expected, out);
    release(x.block);
}
