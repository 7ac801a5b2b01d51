// Compares every kernel of every instruction set with the scalar definition, bit for bit, on random shapes, strides,
// sub-ranges and misaligned pointers. Buffers are exactly as large as the interface says, so that AddressSanitizer sees
// every access outside; outputs are compared whole, so that a write outside the sub-range shows.
//
// Built three times (see the Makefile here): natively with sanitizers, for what this CPU can run; against SIMDe's portable
// intrinsics, which runs the AVX-VNNI and AVX-512 sources on any CPU; and for ARM, under an emulator. Every instruction set
// sees the same material, and the digest of the expected results tells whether the definition itself has the same bits on
// two machines.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SORAD_GUARD_PAGES
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "../../Sources/CSoradKernels/internal/kernel_list.h"

// ---- Random material ---------------------------------------------------------------------------------------------------

static uint64_t state = 1;

static uint32_t random_word(void) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}
static size_t between(size_t low, size_t high) { return low + random_word() % (high - low + 1); }
static bool coin(void) { return random_word() & 1; }
// Mostly ordinary values, some zeros of both signs, some large and tiny.
static float random_float(void) {
    float x = (float)(int32_t)random_word() * 0x1p-30f;
    switch (random_word() % 32) {
    case 0: return 0.0f;
    case 1: return -0.0f;
    case 2: return x * 50.0f;
    case 3: return x * 0x1p-60f;
    default: return x;
    }
}

typedef struct buffer {
    void *block, *data;
    size_t bytes;
} buffer;

// Memory that may not be read or written beyond its end. Where there is no AddressSanitizer, a page without access follows;
// the page in front holds the length.
static void *reserve(size_t bytes) {
#ifdef SORAD_GUARD_PAGES
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    char *block = mmap(NULL, whole + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect(block + page + whole, page, PROT_NONE) != 0) abort();
    *(size_t *)(void *)block = whole + 2 * page;
    return block + page + whole - bytes;
#else
    void *block = malloc(bytes + !bytes);
    if (!block) abort();
    return block;
#endif
}
static void release(void *block) {
#ifdef SORAD_GUARD_PAGES
    if (!block) return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *first = (char *)((uintptr_t)block / page * page) - page;   // of a block of no bytes, the guard is the last page
    munmap(first, *(size_t *)(void *)first);
#else
    free(block);
#endif
}

// Exactly `count` elements, at an address that is aligned to the element only.
static buffer make(size_t count, size_t size) {
    size_t skip = between(0, 5) * size;
    buffer b = {reserve(skip + count * size), NULL, count * size};
    b.data = (char *)b.block + skip;
    return b;
}
static buffer floats(size_t count) {
    buffer b = make(count, sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)b.data)[i] = random_float();
    return b;
}
static buffer int8s(size_t count) {
    buffer b = make(count, 1);
    bool extreme = random_word() % 4 == 0;
    for (size_t i = 0; i < count; i++)
        ((int8_t *)b.data)[i] = extreme ? (coin() ? 127 : -127) : (int8_t)((int)(random_word() % 255) - 127);
    return b;
}
static buffer int32s(size_t count, int32_t most) {
    buffer b = make(count, sizeof(int32_t));
    for (size_t i = 0; i < count; i++)
        ((int32_t *)b.data)[i] = (int32_t)(random_word() % (uint32_t)(2 * most + 1)) - most;
    return b;
}
static buffer copy(buffer from, size_t size) {
    buffer b = make(from.bytes / size, size);
    memcpy(b.data, from.data, from.bytes);
    return b;
}

static const sorad_kernels scalar = SORAD_TABLE(SORAD_ISA_SCALAR, scalar, scalar);
static const char *isa_name, *kernel_name;
static long failures;

// Of everything that the definition gave (FNV-1a over bytes).
static uint64_t digest;

// A NaN counts as a NaN: which one an operation makes differs between processors.
static void take_in(const void *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        uint32_t word = 0;
        memcpy(&word, (const char *)data + i, bytes - i < 4 ? bytes - i : 4);
        if ((word & 0x7FFFFFFFu) > 0x7F800000u) word = 0x7FC00000u;
        digest = (digest ^ word) * 0x100000001B3u;
    }
}

// Compares the two results of a kernel and frees them.
static void expect_equal(buffer expected, buffer actual) {
    take_in(expected.data, expected.bytes);
    if (memcmp(expected.data, actual.data, expected.bytes) != 0) {
        const uint32_t *e = expected.data, *a = actual.data;
        size_t i = 0;
        while (i + 1 < expected.bytes / 4 && e[i] == a[i]) i++;
        if (failures++ < 20) printf("%s %s differs, word %zu: %08x, not %08x\n", isa_name, kernel_name, i, a[i], e[i]);
    }
    release(expected.block);
    release(actual.block);
}

// A sub-range of 0 ..< count.
static void range(size_t count, size_t *begin, size_t *end) {
    *begin = coin() ? 0 : between(0, count - 1);
    *end = coin() ? count : between(*begin, count);
}
static void columns(size_t n, size_t *begin, size_t *end) {
    size_t blocks = (n + 15) / 16;
    *begin = coin() ? 0 : between(0, blocks - 1) * 16;
    *end = coin() ? n : between(*begin / 16, blocks) * 16;
    if (*end > n) *end = n;
}

// ---- One function per kernel ---------------------------------------------------------------------------------------------

typedef struct epilogue_buffers {
    buffer gate, residual;
} epilogue_buffers;

static epilogue_buffers make_epilogue(sorad_epilogue *e, size_t m, size_t n) {
    epilogue_buffers b = {{0}, {0}};
    e->activation = (sorad_activation)between(0, 3);
    e->relu_at_end = random_word() % 4 == 0;
    if (coin()) {
        bool per_row = coin();
        e->gate_stride = per_row ? n + between(0, 3) : 0;
        b.gate = floats(per_row ? (m - 1) * e->gate_stride + n : n);
        e->gate = b.gate.data;
    }
    if (coin()) {
        e->residual_stride = n + between(0, 3);
        b.residual = floats((m - 1) * e->residual_stride + n);
        e->residual = b.residual.data;
    }
    return b;
}
static void free_epilogue(epilogue_buffers b) {
    release(b.gate.block);
    release(b.residual.block);
}

// Rows of x, packed for one table, a few at a time as threads do.
typedef struct packed_rows {
    buffer codes, scale, zero;
} packed_rows;
static packed_rows pack_rows(const sorad_kernels *kernels, sorad_quantize_rows_args args) {
    packed_rows p = {make(kernels->qd8_packed_bytes(args.rows, args.k), 1), make(args.rows, 4), make(args.rows, 4)};
    if (p.codes.bytes > sorad_qd8_packed_max_bytes(args.rows, args.k)) failures++, printf("%s packs too much\n", isa_name);
    args.q = p.codes.data, args.scale = p.scale.data, args.zero = p.zero.data;
    const float *x = args.x;
    for (size_t step = kernels->gemm_qd8_mr() * between(1, 3); args.row_begin < args.rows; args.row_begin += step) {
        args.row_end = args.rows - args.row_begin < step ? args.rows : args.row_begin + step;
        args.x = x + args.row_begin * args.x_stride;
        kernels->quantize_f32_qd8(&args);
    }
    return p;
}
static void release_rows(packed_rows p) { release(p.codes.block), release(p.scale.block), release(p.zero.block); }

static void try_gemm_int8(const sorad_kernels *kernels) {
    size_t m = between(1, coin() ? 14 : 210), n = between(1, 100), k = between(1, coin() ? 40 : 300);
    if (random_word() % 8 == 0) m = between(1, 30), n = between(1, coin() ? 40 : 600), k = between(400, 5000);   // K in depths
    if (random_word() % 64 == 0) m = between(380, 420), n = between(1, 40), k = between(1500, 2500);             // and several chunks
    size_t k4 = (k + 3) / 4 * 4, n16 = (n + 15) / 16 * 16;
    sorad_gemm_qd8_args args = {.k = k, .rows = m, .out_stride = n + between(0, 5)};
    sorad_quantize_rows_args rows = {.k = k, .rows = m, .x_stride = k + between(0, 5), .asymmetric = coin()};
    buffer plain = int8s(n * k), packed = make(n16 * k4, 1), sums = make(n, 4);
    sorad_pack_int8(plain.data, n, k, packed.data, sums.data);
    buffer x = floats((m - 1) * rows.x_stride + k);
    if (random_word() % 4 == 0)   // the greatest codes everywhere
        for (size_t i = 0; i < x.bytes / 4; i++) ((float *)x.data)[i] = coin() ? 1.0f : -1.0f;
    rows.x = x.data;
    packed_rows here = pack_rows(kernels, rows), defined = pack_rows(&scalar, rows);
    buffer w_scale = floats(n), bias = floats(n), out = floats((m - 1) * args.out_stride + n);
    bool zeros = coin();
    args.w = packed.data, args.w_scale = w_scale.data, args.w_sum = sums.data, args.bias = coin() ? bias.data : NULL;
    range(m, &args.row_begin, &args.row_end);
    columns(n, &args.col_begin, &args.col_end);
    epilogue_buffers extra = make_epilogue(&args.epilogue, m, n);
    buffer expected = copy(out, 4), ints = int32s(out.bytes / 4, 99), expected_ints = copy(ints, 4);
    buffer scratch = make(kernels->gemm_qd8_scratch_bytes(&args), 1);

    kernel_name = "gemm_qd8_f32_qc8w";
    sorad_gemm_qd8_args definition = args;
    definition.a = defined.codes.data, definition.a_scale = defined.scale.data;
    definition.a_zero = zeros ? defined.zero.data : NULL, definition.out = expected.data;
    scalar.gemm_qd8_f32_qc8w(&definition);
    args.a = here.codes.data, args.a_scale = here.scale.data, args.a_zero = zeros ? here.zero.data : NULL;
    args.out = out.data, args.scratch = scratch.data;
    kernels->gemm_qd8_f32_qc8w(&args);
    expect_equal(expected, out);
    kernel_name = "gemm_qd8_i32_qc8w";
    scalar.gemm_qd8_i32_qc8w(&definition, expected_ints.data, args.out_stride);
    kernels->gemm_qd8_i32_qc8w(&args, ints.data, args.out_stride);
    expect_equal(expected_ints, ints);
    buffer all[] = {plain, packed, sums, x, w_scale, bias, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i].block);
    release_rows(here), release_rows(defined);
    free_epilogue(extra);
}

static void try_gemm_f32(const sorad_kernels *kernels) {
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

    kernel_name = "gemm_f32";
    args.out = expected.data;
    if (in_place) args.epilogue.residual = args.out;
    scalar.gemm_f32(&args);
    args.out = out.data;
    if (in_place) args.epilogue.residual = args.out;
    kernels->gemm_f32(&args);
    expect_equal(expected, out);
    release(plain.block), release(packed.block), release(a.block), release(bias.block);
    free_epilogue(extra);
}

static void try_conv2d(const sorad_kernels *kernels) {
    sorad_conv2d_args args = {.upsample = coin(), .kernel = coin() ? 3 : 1, .stride = between(1, 2)};
    // Few outputs, such as a decoder's last convolution has, are a case of their own.
    bool few = random_word() % 4 == 0;
    if (few) args.upsample = false, args.kernel = 3, args.stride = 1;
    args.padding = args.kernel == 3 ? between(0, 1) : 0, args.end_padding = few ? 0 : between(0, 1);
    args.height = between(2, 9), args.width = between(2, few ? 150 : 20);
    args.c0 = between(1, random_word() % 8 == 0 ? 600 : 20), args.c1 = coin() ? between(1, 20) : 0;
    args.c_out = between(1, few ? 4 : 40);
    size_t zoom = args.upsample ? 2 : 1;
    size_t around = 2 * args.padding + args.end_padding;
    if (args.height * zoom + around < args.kernel || args.width * zoom + around < args.kernel) return;
    size_t height = (args.height * zoom + around - args.kernel) / args.stride + 1;
    size_t width = (args.width * zoom + around - args.kernel) / args.stride + 1;
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

    kernel_name = "conv2d_f32";
    args.out = expected.data;
    scalar.conv2d_f32(&args);
    args.out = out.data;
    kernels->conv2d_f32(&args);
    expect_equal(expected, out);
    release(plain.block), release(packed.block), release(x0.block), release(x1.block), release(bias.block);
    free_epilogue(extra);
}

static void try_conv2d_int8(const sorad_kernels *kernels) {
    size_t c0 = between(1, random_word() % 8 == 0 ? 300 : 40), c1 = coin() ? between(1, 20) : 0, channels = (c0 + c1 + 3) / 4 * 4;
    sorad_conv2d_qt8_args args = {.upsample = coin(), .kernel = coin() ? 3 : 1, .stride = between(1, 2), .channels = channels};
    args.padding = args.kernel == 3 ? between(0, 1) : 0;
    args.height = between(2, 9), args.width = between(2, 20), args.c_out = between(1, 60);
    size_t zoom = args.upsample ? 2 : 1;
    if (args.height * zoom + 2 * args.padding < args.kernel || args.width * zoom + 2 * args.padding < args.kernel) return;
    size_t height = (args.height * zoom + 2 * args.padding - args.kernel) / args.stride + 1;
    size_t width = (args.width * zoom + 2 * args.padding - args.kernel) / args.stride + 1;
    size_t k = args.kernel * args.kernel * channels, pixels = args.height * args.width;

    buffer x0 = floats(pixels * c0), x1 = floats(pixels * c1);
    if (random_word() % 8 == 0)
        for (size_t i = 0; i < pixels * c0; i++)
            if (random_word() % 64 == 0) ((float *)x0.data)[i] = coin() ? NAN : coin() ? INFINITY : -INFINITY;
    bool joined = c1 && coin();
    buffer range_expected = make(2, 4), range_here = make(2, 4);
    float start = coin() ? 0.0f : random_float();
    float *seen = range_expected.data, *seen_here = range_here.data;
    seen[0] = seen_here[0] = start < 0 ? start : 0.0f, seen[1] = seen_here[1] = start > 0 ? start : 0.0f;
    kernel_name = "minmax_f32";
    scalar.minmax_f32(x0.data, pixels * c0, seen);
    kernels->minmax_f32(x0.data, pixels * c0, seen_here);
    if (joined) scalar.minmax_f32(x1.data, pixels * c1, seen), kernels->minmax_f32(x1.data, pixels * c1, seen_here);
    sorad_quantize_image_args image = {.x0 = x0.data, .c0 = c0, .x1 = joined ? x1.data : NULL, .c1 = c1, .height = args.height, .width = args.width};
    sorad_quantize_params(seen, coin(), &args.x_scale, &image.inverse, &args.x_zero);
    image.zero = args.x_zero;
    expect_equal(range_expected, range_here);

    buffer lows = floats(c0), highs = floats(c0), lows_expected = copy(lows, 4), highs_expected = copy(highs, 4);
    kernel_name = "minmax_channels_f32";
    scalar.minmax_channels_f32(x0.data, pixels, c0, lows_expected.data, highs_expected.data);
    kernels->minmax_channels_f32(x0.data, pixels, c0, lows.data, highs.data);
    expect_equal(lows_expected, lows);
    expect_equal(highs_expected, highs);

    // At most 4, so that no value leaves what can be rounded.
    buffer channel_scale = floats(c0 + c1);
    for (size_t c = 0; c < c0 + c1; c++) ((float *)channel_scale.data)[c] = (float)between(1, 8) * 0.5f;
    if (coin()) image.channel_scale = channel_scale.data;

    buffer codes = int8s((args.height + 2) * (args.width + 2) * channels), expected_codes = copy(codes, 1);
    buffer fine = copy(codes, 1), expected_fine = copy(codes, 1);
    bool has_fine = coin();
    kernel_name = "quantize_f32_qt8";
    range(args.height + 2, &image.row_begin, &image.row_end);
    for (int turn = 0; turn < 2; turn++) {   // a sub-range, then all
        image.q = expected_codes.data, image.q_low = has_fine ? expected_fine.data : NULL;
        scalar.quantize_f32_qt8(&image);
        image.q = codes.data, image.q_low = has_fine ? fine.data : NULL;
        kernels->quantize_f32_qt8(&image);
        if (turn == 0) expect_equal(copy(expected_codes, 1), copy(codes, 1));
        image.row_begin = 0, image.row_end = args.height + 2;
    }
    buffer x = copy(codes, 1);
    expect_equal(expected_codes, codes);
    expect_equal(expected_fine, fine);

    buffer plain = int8s(args.c_out * k), packed = make((args.c_out + 15) / 16 * 16 * k, 1), sums = make(args.c_out, 4);
    sorad_pack_int8(plain.data, args.c_out, k, packed.data, sums.data);
    buffer w_scale = floats(args.c_out), bias = floats(args.c_out);
    args.x = x.data, args.w = packed.data, args.w_scale = w_scale.data, args.w_sum = sums.data, args.bias = coin() ? bias.data : NULL;
    args.out_stride = args.c_out + between(0, 3);
    range(height, &args.row_begin, &args.row_end);
    epilogue_buffers extra = make_epilogue(&args.epilogue, height * width, args.c_out);
    buffer out = floats((height * width - 1) * args.out_stride + args.c_out), expected = copy(out, 4);
    buffer scratch = make(kernels->conv2d_qt8_scratch_bytes(&args), 1);
    kernel_name = "conv2d_qt8_f32_qc8w";
    args.out = expected.data;
    scalar.conv2d_qt8_f32_qc8w(&args);
    args.out = out.data, args.scratch = scratch.data;
    kernels->conv2d_qt8_f32_qc8w(&args);
    expect_equal(expected, out);
    buffer all[] = {x0, x1, x, channel_scale, plain, packed, sums, w_scale, bias, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i].block);
    free_epilogue(extra);
}

// The codes of packed rows, read by a product with the unit matrix.
static buffer unpacked(const sorad_kernels *kernels, packed_rows rows, size_t m, size_t k) {
    buffer unit = make(k * k, 1), packed = make((k + 15) / 16 * 16 * ((k + 3) / 4 * 4), 1), sums = make(k, 4);
    for (size_t i = 0; i < k * k; i++) ((int8_t *)unit.data)[i] = i % (k + 1) == 0;
    sorad_pack_int8(unit.data, k, k, packed.data, sums.data);
    sorad_gemm_qd8_args args = {.a = rows.codes.data, .rows = m, .k = k, .w = packed.data, .w_sum = sums.data, .row_end = m, .col_end = k};
    buffer scratch = make(kernels->gemm_qd8_scratch_bytes(&args), 1), out = make(m * k, 4);
    args.scratch = scratch.data;
    kernels->gemm_qd8_i32_qc8w(&args, out.data, k);
    release(unit.block), release(packed.block), release(sums.block), release(scratch.block);
    return out;
}

static void try_quantize(const sorad_kernels *kernels) {
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
    kernel_name = "quantize_f32_qd8";
    packed_rows here = pack_rows(kernels, args), defined = pack_rows(&scalar, args);
    expect_equal(copy(defined.scale, 4), copy(here.scale, 4));
    expect_equal(copy(defined.zero, 4), copy(here.zero, 4));
    expect_equal(unpacked(&scalar, defined, m, k), unpacked(kernels, here, m, k));
    release_rows(here), release_rows(defined);
    release(x.block);
}

static void try_norm(const sorad_kernels *kernels, bool rms) {
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
    kernel_name = rms ? "rms_norm_f32" : "layer_norm_f32";
    args.out = expected.data;
    (rms ? scalar.rms_norm_f32 : scalar.layer_norm_f32)(&args);
    args.out = out.data;
    (rms ? kernels->rms_norm_f32 : kernels->layer_norm_f32)(&args);
    expect_equal(expected, out);
    release(x.block), release(weight.block), release(bias.block), release(scale.block), release(shift.block);
}

static void try_rope(const sorad_kernels *kernels) {
    size_t m = between(1, 5), heads = between(1, 4), d = between(1, 40) * 2;
    sorad_rope_args args = {.x_stride = heads * d + between(0, 3), .heads = heads, .head_dim = d};
    buffer x = floats((m - 1) * args.x_stride + heads * d), expected = copy(x, 4);
    buffer cosines = floats(m * d / 2), sines = floats(m * d / 2);
    args.cos = cosines.data, args.sin = sines.data;
    range(m, &args.row_begin, &args.row_end);
    kernel_name = "rope_f32";
    args.x = expected.data;
    scalar.rope_f32(&args);
    args.x = x.data;
    kernels->rope_f32(&args);
    expect_equal(expected, x);
    release(cosines.block), release(sines.block);
}

static void try_hadamard(const sorad_kernels *kernels) {
    size_t m = between(1, 4), group = (size_t)1 << 2 * between(1, 4), k = group * between(1, 3);
    sorad_hadamard_args args = {.k = k, .group = group, .x_stride = k + between(0, 3), .out_stride = k + between(0, 3)};
    buffer x = floats((m - 1) * args.x_stride + k), out = floats((m - 1) * args.out_stride + k), expected = copy(out, 4);
    args.x = x.data;
    range(m, &args.row_begin, &args.row_end);
    kernel_name = "hadamard_f32";
    args.out = expected.data;
    scalar.hadamard_f32(&args);
    args.out = out.data;
    kernels->hadamard_f32(&args);
    expect_equal(expected, out);
    release(x.block);
}

// Keys and values at once, or keys first and then values.
static void pack(void (*kernel)(const sorad_attention_pack_args *), sorad_attention_pack_args args, bool at_once) {
    const float *v = args.v;
    if (!at_once) args.v = NULL, kernel(&args), args.k = NULL, args.v = v;
    kernel(&args);
}

static void pack_keys(const sorad_kernels *kernels, sorad_attention_pack_args args, size_t heads, float *packed) {
    args.packed = packed;
    size_t split = between(0, args.lk / SORAD_ATTENTION_KEY_BLOCK) * SORAD_ATTENTION_KEY_BLOCK;
    size_t head_split = between(0, heads);
    for (int piece = 0; piece < 4; piece++) {
        args.key_begin = piece & 1 ? split : 0, args.key_end = piece & 1 ? args.lk : split;
        args.head_begin = piece & 2 ? head_split : 0, args.head_end = piece & 2 ? heads : head_split;
        if (args.key_begin < args.key_end) pack(kernels->attention_pack_f32, args, coin());
    }
}

static void try_attention(const sorad_kernels *kernels) {
    size_t heads = between(1, 3), d = between(1, coin() ? 20 : 140), lq = between(1, 70), lk = between(1, 200);
    if (random_word() % 16 == 0) heads = 1, d = between(SORAD_MAX_HEAD_DIM, SORAD_MAX_FLOAT_HEAD_DIM);
    size_t columns = heads * d;
    sorad_attention_pack_args packing = {.lk = lk, .head_dim = d, .k_stride = columns + 1, .v_stride = columns + 2};
    buffer k = floats((lk - 1) * packing.k_stride + columns), v = floats((lk - 1) * packing.v_stride + columns);
    packing.k = k.data, packing.v = v.data;
    size_t packed_floats = sorad_attention_packed_floats_f32(heads, lk, d);
    buffer packed_scalar = make(packed_floats, 4), packed = make(packed_floats, 4);
    pack_keys(&scalar, packing, heads, packed_scalar.data);
    pack_keys(kernels, packing, heads, packed.data);

    sorad_attention_args args = {.lk = lk, .head_dim = d, .q_stride = columns + 3, .out_stride = columns + between(0, 2)};
    args.scale = coin() ? 1.0f : 1.0f / sqrtf((float)d);
    args.bias_query_stride = lk + between(0, 2), args.bias_head_stride = lq * args.bias_query_stride;
    buffer q = floats((lq - 1) * args.q_stride + columns), key_bias = floats(lk);
    buffer bias = floats((heads - 1) * args.bias_head_stride + (lq - 1) * args.bias_query_stride + lk);
    if (coin())   // masked keys, but never all
        for (size_t j = 0; j + 1 < lk; j++)
            if (coin() || j < lk / 2) ((float *)key_bias.data)[j] = -INFINITY;
    args.q = q.data, args.key_bias = coin() ? key_bias.data : NULL, args.bias = coin() ? bias.data : NULL;
    range(heads, &args.head_begin, &args.head_end);
    range(lq, &args.query_begin, &args.query_end);
    buffer out = floats((lq - 1) * args.out_stride + columns), expected = copy(out, 4);
    kernel_name = "attention_f32";
    args.out = expected.data, args.packed = packed_scalar.data;
    scalar.attention_f32(&args);
    args.out = out.data, args.packed = packed.data;
    kernels->attention_f32(&args);
    expect_equal(expected, out);
    release(k.block), release(v.block), release(packed.block), release(packed_scalar.block);
    release(q.block), release(key_bias.block), release(bias.block);
}

static void try_attention_int8(const sorad_kernels *kernels) {
    size_t heads = between(1, 3), d = between(1, coin() ? 20 : 140), lq = between(1, 30), lk = between(1, coin() ? 70 : 600);
    size_t columns = heads * d;
    sorad_attention_pack_args packing = {.lk = lk, .head_dim = d, .k_stride = columns + 1, .v_stride = columns + 2, .key_end = lk};
    buffer k = floats((lk - 1) * packing.k_stride + columns), v = floats((lk - 1) * packing.v_stride + columns);
    packing.k = k.data, packing.v = v.data;
    size_t packed_floats = sorad_attention_packed_floats_qd8kv(heads, lk, d), head_split = between(0, heads);
    buffer packed_scalar = make(packed_floats, 4), packed = make(packed_floats, 4);
    for (int piece = 0; piece < 2; piece++) {
        packing.head_begin = piece ? head_split : 0, packing.head_end = piece ? heads : head_split;
        packing.packed = packed_scalar.data;
        pack(scalar.attention_pack_qd8kv, packing, true);
        packing.packed = packed.data;
        pack(kernels->attention_pack_qd8kv, packing, coin());
    }
    sorad_attention_args args = {.lk = lk, .head_dim = d, .q_stride = columns + 3, .out_stride = columns + between(0, 2)};
    args.scale = coin() ? 1.0f : 1.0f / sqrtf((float)d);
    buffer q = floats((lq - 1) * args.q_stride + columns), key_bias = floats(lk);
    if (coin())   // masked keys, but never all
        for (size_t j = 0; j + 1 < lk; j++)
            if (coin() || j < lk / 2) ((float *)key_bias.data)[j] = -INFINITY;
    args.q = q.data, args.key_bias = coin() ? key_bias.data : NULL, args.probs_16bit = coin();
    range(heads, &args.head_begin, &args.head_end);
    range(lq, &args.query_begin, &args.query_end);
    buffer out = floats((lq - 1) * args.out_stride + columns), expected = copy(out, 4);
    kernel_name = "attention_f32_qd8kv";
    args.out = expected.data, args.packed = packed_scalar.data;
    scalar.attention_f32_qd8kv(&args);
    args.out = out.data, args.packed = packed.data;
    kernels->attention_f32_qd8kv(&args);
    expect_equal(expected, out);
    release(k.block), release(v.block), release(packed.block), release(packed_scalar.block);
    release(q.block), release(key_bias.block);
}

typedef void unary(const float *, float *, size_t);
typedef void binary(const float *, const float *, float *, size_t);

static void try_elementwise(const sorad_kernels *kernels) {
    size_t n = between(1, 100);
    const struct { const char *name; unary *expected, *actual; } ones[] = {
#define ROW(field) {#field, scalar.field, kernels->field}
        ROW(silu_f32), ROW(clamp_tanh_f32),
    };
    const struct { const char *name; binary *expected, *actual; } twos[] = {ROW(add_f32), ROW(gelu_tanh_mul_f32)};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        buffer a = floats(n), out = floats(n), expected = copy(out, 4);
        kernel_name = ones[i].name;
        ones[i].expected(a.data, expected.data, n);
        ones[i].actual(a.data, out.data, n);
        expect_equal(expected, out);
        release(a.block);
    }
    for (size_t i = 0; i < sizeof twos / sizeof *twos; i++) {
        buffer a = floats(n), b = floats(n), out = floats(n), expected = copy(out, 4);
        kernel_name = twos[i].name;
        twos[i].expected(a.data, b.data, expected.data, n);
        twos[i].actual(a.data, b.data, out.data, n);
        expect_equal(expected, out);
        release(a.block), release(b.block);
    }
    for (int i = 0; i < 2; i++) {
        float factor = random_float();
        buffer a = floats(n), b = floats(n), out = floats(n), expected = copy(out, 4);
        for (int turn = 0; turn < 2; turn++) {
            const sorad_kernels *table = turn ? kernels : &scalar;
            float *result = turn ? out.data : expected.data;
            switch (i) {
            case 0: kernel_name = "cfg_combine_f32", table->cfg_combine_f32(a.data, b.data, factor, result, n); break;
            default: kernel_name = "euler_step_f32", table->euler_step_f32(a.data, b.data, factor, result, n); break;
            }
        }
        expect_equal(expected, out);
        release(a.block), release(b.block);
    }
}

// ---- What has one implementation: no comparison, only the digest ----------------------------------------------------------

static void digest_plain(void) {
    float values[64], more[64];
    double numbers[3];
    sorad_philox_normal(random_word(), random_word() % 4, random_word(), 64, values);
    take_in(values, sizeof values);
    sorad_rope_table(4, 16, 10000.0, values, more, 8);
    take_in(values, 32 * sizeof *values), take_in(more, 32 * sizeof *more);
    float time = (float)(random_word() % 1000);
    sorad_timestep_embedding(&time, 1, 64, values);
    take_in(values, sizeof values);
    double x = (double)(int32_t)random_word() * 0x1p-22;
    numbers[0] = sorad_exp(x), numbers[1] = sorad_log(fabs(x) + 1e-3);
    take_in(numbers, 2 * sizeof *numbers);
    sorad_sincos(x, numbers, numbers + 1);
    take_in(numbers, 2 * sizeof *numbers);
    uint8_t bytes[64];
    uint16_t words[64];
    for (int i = 0; i < 64; i++) values[i] = random_float(), words[i] = (uint16_t)(random_word() & 0xBBFF);   // no NaN, no infinity
    sorad_rgb_to_u8(values, bytes, 64);
    take_in(bytes, sizeof bytes);
    sorad_u8_to_rgb(bytes, values, 64);
    take_in(values, sizeof values);
    sorad_f16_to_f32(words, values, 64);
    take_in(values, sizeof values);
}

// ---- All of it -----------------------------------------------------------------------------------------------------------

static void try_all(const sorad_kernels *kernels, int rounds) {
    isa_name = sorad_isa_name(kernels->isa);
    digest = 0xCBF29CE484222325u;
    for (int i = 0; i < rounds; i++) {
        digest_plain();
        try_gemm_int8(kernels);
        try_gemm_f32(kernels);
        try_conv2d(kernels);
        try_conv2d_int8(kernels);
        try_quantize(kernels);
        try_norm(kernels, false);
        try_norm(kernels, true);
        try_rope(kernels);
        try_hadamard(kernels);
        try_attention(kernels);
        try_attention_int8(kernels);
        try_elementwise(kernels);
    }
    printf("%-14s %d rounds, %ld differences so far, digest of the definition %016llx\n", isa_name, rounds, failures,
           (unsigned long long)digest);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 200;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const char *expected = argc > 3 ? argv[3] : NULL;   // what the best must be; nothing else is looked at then
    static const sorad_kernels tables[] = {
#define TABLE(id, value, name, int8_isa, float_isa) SORAD_TABLE(id, int8_isa, float_isa),
#if defined(__aarch64__)
        SORAD_ARM_ISA_LIST(TABLE)
#else
        SORAD_X86_ISA_LIST(TABLE)
#endif
    };
    if (expected) {
        const char *best = sorad_isa_name(sorad_isa_best(sorad_isa_at(sorad_isa_count() - 1)));
        printf("the best here is %s\n", best);
        return strcmp(best, expected) != 0;
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
#ifndef SORAD_SIMDE
        if (!sorad_isa_available(tables[i].isa)) {
            printf("%-14s not on this CPU\n", sorad_isa_name(tables[i].isa));
            continue;
        }
#endif
        state = seed;
        try_all(&tables[i], rounds);
    }
    return failures != 0;
}
