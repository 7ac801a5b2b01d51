// GEMM, and the quantization and packing of its rows.
#include "fuzz.h"

// ---- Int8 ----------------------------------------------------------------------------------------------------------------

// The arguments of one int8 GEMM for the definition and for the kernels' table, and the buffers behind them.
typedef struct gemm_case {
    sorad_gemm_qd8_args definition, kernel;
    size_t m, n;
    packed_rows defined, packed;
    epilogue_buffers epilogue;
    buffer buffers[7];
} gemm_case;

static gemm_case make_gemm(const sorad_kernels *kernels) {
    size_t m = between(1, coin() ? 14 : 210), n = between(1, 100), k = between(1, coin() ? 40 : 300);
    if (random_word() % 8 == 0) m = between(1, 30), n = between(1, coin() ? 40 : 600), k = between(400, 5000);   // several KC
    if (random_word() % 64 == 0) m = between(380, 420), n = between(1, 40), k = between(1500, 2500);             // and several MC
    const size_t k4 = (k + 3) / 4 * 4, n16 = (n + 15) / 16 * 16;
    sorad_gemm_qd8_args args = {.k = k, .rows = m, .out_stride = n + between(0, 5)};
    sorad_quantize_rows_args rows = {.k = k, .rows = m, .x_stride = k + between(0, 5), .asymmetric = coin()};
    buffer plain = int8s(n * k), packed = make(n16 * k4, 1), sums = make(n, 4), x = floats((m - 1) * rows.x_stride + k);
    sorad_pack_int8(plain.data, n, k, packed.data, sums.data);
    if (random_word() % 4 == 0)   // the greatest values everywhere
        for (size_t i = 0; i < x.bytes / 4; i++) ((float *)x.data)[i] = coin() ? 1.0f : -1.0f;
    rows.x = x.data;
    gemm_case c = {.m = m, .n = n, .packed = pack_rows(kernels, rows), .defined = pack_rows(&scalar, rows)};
    buffer w_scale = floats(n), bias = floats(n);
    args.w = packed.data, args.w_scale = w_scale.data, args.w_sum = sums.data, args.bias = coin() ? bias.data : NULL;
    range(m, &args.row_begin, &args.row_end);
    columns(n, &args.col_begin, &args.col_end);
    c.epilogue = make_epilogue(&args.epilogue, m, n);
    buffer scratch = make(kernels->gemm_qd8_scratch_bytes(&args), 1);
    const bool zeros = coin();
    c.definition = c.kernel = args;
    c.definition.a = c.defined.q.data, c.definition.a_scale = c.defined.scale.data;
    c.definition.a_zero = zeros ? c.defined.zero.data : NULL;
    c.kernel.a = c.packed.q.data, c.kernel.a_scale = c.packed.scale.data, c.kernel.a_zero = zeros ? c.packed.zero.data : NULL;
    c.kernel.scratch = scratch.data;
    buffer all[] = {plain, packed, sums, x, w_scale, bias, scratch};
    memcpy(c.buffers, all, sizeof all);
    return c;
}

static void release_gemm(gemm_case c) {
    for (size_t i = 0; i < sizeof c.buffers / sizeof *c.buffers; i++) release(c.buffers[i].block);
    release_rows(c.packed), release_rows(c.defined);
    release_epilogue(c.epilogue);
}

void fuzz_gemm_qd8(sorad_gemm_qd8_fn *definition, sorad_gemm_qd8_fn *kernel, const sorad_kernels *kernels) {
    gemm_case c = make_gemm(kernels);
    buffer out = floats((c.m - 1) * c.kernel.out_stride + c.n), expected = copy(out, 4);
    c.definition.out = expected.data, c.kernel.out = out.data;
    definition(&c.definition);
    kernel(&c.kernel);
    expect_equal(expected, out);
    release_gemm(c);
}

void fuzz_gemm_qd8_i32(sorad_gemm_qd8_i32_fn *definition, sorad_gemm_qd8_i32_fn *kernel, const sorad_kernels *kernels) {
    gemm_case c = make_gemm(kernels);
    buffer out = int32s((c.m - 1) * c.kernel.out_stride + c.n, 99), expected = copy(out, 4);
    definition(&c.definition, expected.data, c.kernel.out_stride);
    kernel(&c.kernel, out.data, c.kernel.out_stride);
    expect_equal(expected, out);
    release_gemm(c);
}

// Fewer rows never need more scratch.
void fuzz_gemm_qd8_scratch(sorad_gemm_qd8_scratch_fn *definition, sorad_gemm_qd8_scratch_fn *kernel, const sorad_kernels *kernels) {
    (void)definition, (void)kernels;
    const size_t m = between(1, 1500), n = between(1, 1500);
    sorad_gemm_qd8_args args = {.k = between(1, 9000), .rows = m, .row_end = m, .col_end = n};
    const size_t whole = kernel(&args);
    range(m, &args.row_begin, &args.row_end);
    expect(kernel(&args) <= whole, "a part of the rows needs more scratch than all of them");
}

// ---- Weights of the float GEMM -------------------------------------------------------------------------------------------

void fuzz_dequantize(sorad_dequantize_fn *definition, sorad_dequantize_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const size_t panels = between(1, 5), k = between(1, coin() ? 40 : 300);
    const size_t groups = (k + 3) / 4, words = (k + 15) / 16, blocks = (k + SORAD_QB10_BLOCK - 1) / SORAD_QB10_BLOCK;
    sorad_dequantize_args args = {.k = k};
    buffer high = int8s(panels * groups * 64), low = make(panels * words * 16, 4), scale = make(panels * blocks * 16, 2);
    for (size_t i = 0; i < low.bytes / 4; i++) ((uint32_t *)low.data)[i] = random_word();
    for (size_t i = 0; i < scale.bytes / 2; i++) ((uint16_t *)scale.data)[i] = (uint16_t)(random_word() >> 16);
    args.high = high.data, args.low = low.data, args.scale = scale.data;
    range(panels, &args.panel_begin, &args.panel_end);
    buffer out = floats((args.panel_end - args.panel_begin) * k * 16), expected = copy(out, 4);
    args.out = expected.data;
    definition(&args);
    args.out = out.data;
    kernel(&args);
    expect_equal(expected, out);
    release(high.block), release(low.block), release(scale.block);
}

// ---- Rows of the int8 GEMM -----------------------------------------------------------------------------------------------

// The quantized values of packed rows, read by a product with the unit matrix.
static buffer unpacked(const sorad_kernels *kernels, packed_rows rows, size_t m, size_t k) {
    buffer unit = make(k * k, 1), packed = make((k + 15) / 16 * 16 * ((k + 3) / 4 * 4), 1), sums = make(k, 4);
    for (size_t i = 0; i < k * k; i++) ((int8_t *)unit.data)[i] = i % (k + 1) == 0;
    sorad_pack_int8(unit.data, k, k, packed.data, sums.data);
    sorad_gemm_qd8_args args = {.a = rows.q.data, .rows = m, .k = k, .w = packed.data, .w_sum = sums.data, .row_end = m, .col_end = k};
    buffer scratch = make(kernels->gemm_qd8_scratch_bytes(&args), 1), out = make(m * k, 4);
    args.scratch = scratch.data;
    kernels->gemm_qd8_i32_qc8w(&args, out.data, k);
    release(unit.block), release(packed.block), release(sums.block), release(scratch.block);
    return out;
}

void fuzz_quantize_rows(sorad_quantize_rows_fn *definition, sorad_quantize_rows_fn *kernel, const sorad_kernels *kernels) {
    (void)definition, (void)kernel;   // pack_rows calls them
    size_t m = between(1, 30), k = between(1, 90);
    sorad_quantize_rows_args args = {.k = k, .rows = m, .x_stride = k + between(0, 3), .asymmetric = coin()};
    buffer x = floats((m - 1) * args.x_stride + k);
    float *values = x.data;
    uint32_t odd = random_word() % 8;
    for (size_t i = 0; i < x.bytes / 4; i++) {
        if (odd == 0) values[i] = coin() ? 0.0f : -0.0f;
        if (odd == 1) values[i] *= 0x1p-100f;
        if (odd == 2 && random_word() % 8 == 0) values[i] = coin() ? NAN : coin() ? INFINITY : -INFINITY;
        if (odd == 3) values[i] = fabsf(values[i]);
    }
    args.x = x.data;
    packed_rows here = pack_rows(kernels, args), defined = pack_rows(&scalar, args);
    expect_equal(copy(defined.scale, 4), copy(here.scale, 4));
    expect_equal(copy(defined.zero, 4), copy(here.zero, 4));
    expect_equal(unpacked(&scalar, defined, m, k), unpacked(kernels, here, m, k));
    release_rows(here), release_rows(defined);
    release(x.block);
}

void fuzz_packed_bytes(sorad_packed_bytes_fn *definition, sorad_packed_bytes_fn *kernel, const sorad_kernels *kernels) {
    (void)definition, (void)kernels;
    const size_t rows = between(1, 2000), k = between(1, 9000), bytes = kernel(rows, k);
    expect(bytes >= rows * k, "packed rows are smaller than their values");
    expect(bytes <= sorad_qd8_packed_max_bytes(rows, k), "packed rows are larger than the maximum");
    expect(bytes == rows * kernel(1, k), "packed rows have different sizes");
}

void fuzz_count(sorad_count_fn *definition, sorad_count_fn *kernel, const sorad_kernels *kernels) {
    (void)definition, (void)kernels;
    expect(kernel() >= 1 && kernel() <= 12, "the row tile is not one that SORAD_DISPATCH_ROWS dispatches");
}

// ---- Float ---------------------------------------------------------------------------------------------------------------

void fuzz_gemm_f32(sorad_gemm_f32_fn *definition, sorad_gemm_f32_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    size_t m = between(1, 40), n = between(1, 70), k = between(1, 90), n16 = (n + 15) / 16 * 16;
    sorad_gemm_f32_args args = {.k = k, .a_stride = k + between(0, 5), .out_stride = n + between(0, 5)};
    buffer plain = floats(n * k), packed = make(n16 * k, 4), a = floats((m - 1) * args.a_stride + k), bias = floats(n);
    sorad_pack_f32(plain.data, n, k, packed.data);
    buffer out = floats((m - 1) * args.out_stride + n), expected = copy(out, 4);
    args.a = a.data, args.w = packed.data, args.bias = coin() ? bias.data : NULL;
    range(m, &args.row_begin, &args.row_end);
    columns(n, &args.col_begin, &args.col_end);
    epilogue_buffers extra = make_epilogue(&args.epilogue, m, n);
    bool in_place = args.epilogue.residual && coin();   // the residual may be the output
    if (in_place) args.epilogue.residual_stride = args.out_stride;

    args.out = expected.data;
    if (in_place) args.epilogue.residual = args.out;
    definition(&args);
    args.out = out.data;
    if (in_place) args.epilogue.residual = args.out;
    kernel(&args);
    expect_equal(expected, out);
    release(plain.block), release(packed.block), release(a.block), release(bias.block);
    release_epilogue(extra);
}
