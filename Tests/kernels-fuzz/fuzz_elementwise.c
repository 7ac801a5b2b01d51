// Elementwise kernels.
#include "fuzz.h"

void fuzz_unary(sorad_unary_fn *definition, sorad_unary_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t n = between(1, 100);
    buffer a = floats(n), out = floats(n), expected = copy(out, 4);
    definition(a.data, expected.data, n);
    kernel(a.data, out.data, n);
    expect_equal(expected, out);
    release(a.block);
}

void fuzz_binary(sorad_binary_fn *definition, sorad_binary_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t n = between(1, 100);
    buffer a = floats(n), b = floats(n), out = floats(n), expected = copy(out, 4);
    definition(a.data, b.data, expected.data, n);
    kernel(a.data, b.data, out.data, n);
    expect_equal(expected, out);
    release(a.block), release(b.block);
}

void fuzz_binary_scaled(sorad_binary_scaled_fn *definition, sorad_binary_scaled_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t n = between(1, 100);
    const float s = random_float();
    buffer a = floats(n), b = floats(n), out = floats(n), expected = copy(out, 4);
    definition(a.data, b.data, s, expected.data, n);
    kernel(a.data, b.data, s, out.data, n);
    expect_equal(expected, out);
    release(a.block), release(b.block);
}
