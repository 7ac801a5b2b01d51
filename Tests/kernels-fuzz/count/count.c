// Runs every kernel of every instruction set of ARM once, on a shape of ordinary size, between two marks: Tests/arm/instructions.py counts
// what the emulator executes between them. Prints one line for each call: instruction set, kernel, shape, multiply-adds or values.
//
// Every type in the list of kernels has a function count_<type> here; a new type without one does not compile.
#include "../fuzz.h"

// The emulator's log names the function in which a block of instructions lies. Nothing may be moved over the marks.
__attribute__((noinline)) void count_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void count_end(void) { __asm__ volatile("" ::: "memory"); }
#define COUNTED(call) (count_begin(), call, count_end())

static const char *isa_of_call, *kernel_of_call;
static void report(size_t work, const char *shape) { printf("%s %s %zu %s\n", isa_of_call, kernel_of_call, work, shape); }

// ---- Products ------------------------------------------------------------------------------------------------------------

enum { M = 96, N = 192, K = 512 };

typedef struct gemm_case {
    sorad_gemm_qd8_args args;
    packed_rows rows;
    buffer x, plain, w, sums, w_scale, bias, scratch;
} gemm_case;

static gemm_case make_gemm(const sorad_kernels *kernels) {
    gemm_case c = {.x = floats(M * K), .plain = int8s(N * K), .w = make(N * K, 1), .sums = make(N, 4), .w_scale = floats(N), .bias = floats(N)};
    sorad_pack_int8(c.plain.data, N, K, c.w.data, c.sums.data);
    c.rows = pack_rows(kernels, (sorad_quantize_rows_args){.x = c.x.data, .x_stride = K, .k = K, .rows = M, .asymmetric = true});
    c.args = (sorad_gemm_qd8_args){.a = c.rows.q.data, .rows = M, .a_scale = c.rows.scale.data, .a_zero = c.rows.zero.data, .w = c.w.data,
        .w_scale = c.w_scale.data, .w_sum = c.sums.data, .bias = c.bias.data, .k = K, .out_stride = N, .row_end = M, .col_end = N};
    c.scratch = make(kernels->gemm_qd8_scratch_bytes(&c.args), 1);
    c.args.scratch = c.scratch.data;
    return c;
}
static void release_gemm(gemm_case c) {
    buffer all[] = {c.x, c.plain, c.w, c.sums, c.w_scale, c.bias, c.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i].block);
    release_rows(c.rows);
}

static void count_gemm_qd8(const sorad_kernels *kernels, sorad_gemm_qd8_fn *kernel) {
    gemm_case c = make_gemm(kernels);
    buffer out = floats(M * N);
    c.args.out = out.data;
    COUNTED(kernel(&c.args));
    report((size_t)M * N * K, "96×512 by 512×192");
    release(out.block), release_gemm(c);
}

static void count_gemm_qd8_i32(const sorad_kernels *kernels, sorad_gemm_qd8_i32_fn *kernel) {
    gemm_case c = make_gemm(kernels);
    buffer out = floats(M * N);
    COUNTED(kernel(&c.args, out.data, N));
    report((size_t)M * N * K, "96×512 by 512×192");
    release(out.block), release_gemm(c);
}

static void count_dequantize(const sorad_kernels *kernels, sorad_dequantize_fn *kernel) {
    (void)kernels;
    const size_t panels = 4;
    buffer high = int8s(panels * 16 * K), low = int8s(panels * 4 * K), scale = make(panels * K / 2, 2), out = floats(panels * 16 * K);
    for (size_t i = 0; i < panels * K / 2; i++) ((uint16_t *)scale.data)[i] = 0x2000;   // 2^-7
    sorad_dequantize_args args = {.high = high.data, .low = low.data, .scale = scale.data, .k = K, .out = out.data, .panel_end = panels};
    COUNTED(kernel(&args));
    report(panels * 16 * K, "512×64");
    release(high.block), release(low.block), release(scale.block), release(out.block);
}

static void count_gemm_f32(const sorad_kernels *kernels, sorad_gemm_f32_fn *kernel) {
    (void)kernels;
    const size_t m = 48, n = 96, k = 256;
    buffer a = floats(m * k), plain = floats(n * k), w = make(n * k, 4), bias = floats(n), out = floats(m * n);
    sorad_pack_f32(plain.data, n, k, w.data);
    sorad_gemm_f32_args args = {.a = a.data, .a_stride = k, .w = w.data, .bias = bias.data, .k = k, .out = out.data, .out_stride = n,
        .row_end = m, .col_end = n};
    COUNTED(kernel(&args));
    report(m * n * k, "48×256 by 256×96");
    release(a.block), release(plain.block), release(w.block), release(bias.block), release(out.block);
}

static void count_conv2d_f32(const sorad_kernels *kernels, sorad_conv2d_f32_fn *kernel) {
    (void)kernels;
    const size_t side = 16, c = 32, k = 9 * c;
    buffer x = floats(side * side * c), plain = floats(c * k), w = make(c * k, 4), bias = floats(c), out = floats(side * side * c);
    sorad_pack_f32(plain.data, c, k, w.data);
    sorad_conv2d_args args = {.x0 = x.data, .c0 = c, .height = side, .width = side, .kernel = 3, .stride = 1, .padding = 1, .w = w.data,
        .bias = bias.data, .c_out = c, .out = out.data, .out_stride = c, .row_end = side};
    COUNTED(kernel(&args));
    report(side * side * c * k, "3×3, 16×16 pixels, 32 to 32 channels");
    release(x.block), release(plain.block), release(w.block), release(bias.block), release(out.block);
}

enum { SIDE = 16, CHANNELS = 64 };

static void count_conv2d_qt8(const sorad_kernels *kernels, sorad_conv2d_qt8_fn *kernel) {
    const size_t k = 9 * CHANNELS;
    buffer x = int8s((SIDE + 2) * (SIDE + 2) * CHANNELS), plain = int8s(CHANNELS * k), w = make(CHANNELS * k, 1), sums = make(CHANNELS, 4);
    buffer w_scale = floats(CHANNELS), bias = floats(CHANNELS), out = floats(SIDE * SIDE * CHANNELS);
    sorad_pack_int8(plain.data, CHANNELS, k, w.data, sums.data);
    sorad_conv2d_qt8_args args = {.x = x.data, .channels = CHANNELS, .x_scale = 0.1f, .x_zero = 3, .height = SIDE, .width = SIDE, .kernel = 3,
        .stride = 1, .padding = 1, .w = w.data, .w_scale = w_scale.data, .w_sum = sums.data, .bias = bias.data, .c_out = CHANNELS,
        .out = out.data, .out_stride = CHANNELS, .row_end = SIDE};
    buffer scratch = make(kernels->conv2d_qt8_scratch_bytes(&args), 1);
    args.scratch = scratch.data;
    COUNTED(kernel(&args));
    report((size_t)SIDE * SIDE * CHANNELS * k, "3×3, 16×16 pixels, 64 to 64 channels");
    buffer all[] = {x, plain, w, sums, w_scale, bias, out, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i].block);
}

// ---- Attention -----------------------------------------------------------------------------------------------------------

typedef struct attention_case {
    sorad_attention_pack_args args;
    buffer k, v, packed;
    size_t queries;
    bool int8;
} attention_case;

enum { HEADS = 2, HEAD = 64, WIDTH = HEADS * HEAD };

static attention_case make_attention(bool int8) {
    const size_t lk = int8 ? 512 : 256;
    attention_case c = {.k = floats(lk * WIDTH), .v = floats(lk * WIDTH), .queries = int8 ? 64 : 32, .int8 = int8};
    c.packed = make(int8 ? sorad_attention_packed_floats_qd8kv(HEADS, lk, HEAD) : sorad_attention_packed_floats_f32(HEADS, lk, HEAD), 4);
    c.args = (sorad_attention_pack_args){.k = c.k.data, .k_stride = WIDTH, .v = c.v.data, .v_stride = WIDTH, .lk = lk, .head_dim = HEAD,
        .packed = c.packed.data, .head_end = HEADS, .key_end = lk};
    return c;
}
static void release_attention(attention_case c) { release(c.k.block), release(c.v.block), release(c.packed.block); }

static void count_attention_pack(const sorad_kernels *kernels, sorad_attention_pack_fn *kernel) {
    attention_case c = make_attention(kernel == kernels->attention_pack_qd8kv);
    COUNTED(kernel(&c.args));
    report(2 * c.args.lk * WIDTH, c.int8 ? "512 keys and values, 2 heads of 64" : "256 keys and values, 2 heads of 64");
    release_attention(c);
}

static void count_attention(const sorad_kernels *kernels, sorad_attention_fn *kernel) {
    attention_case c = make_attention(kernel == kernels->attention_f32_qd8kv);
    (c.int8 ? kernels->attention_pack_qd8kv : kernels->attention_pack_f32)(&c.args);
    buffer q = floats(c.queries * WIDTH), out = floats(c.queries * WIDTH);
    sorad_attention_args args = {.q = q.data, .q_stride = WIDTH, .packed = c.packed.data, .lk = c.args.lk, .head_dim = HEAD, .scale = 0.125f,
        .out = out.data, .out_stride = WIDTH, .head_end = HEADS, .query_end = c.queries};
    COUNTED(kernel(&args));
    report(2 * c.queries * c.args.lk * WIDTH, c.int8 ? "64 queries, 512 keys, 2 heads of 64" : "32 queries, 256 keys, 2 heads of 64");
    release(q.block), release(out.block), release_attention(c);
}

// ---- Rows and images -----------------------------------------------------------------------------------------------------

static void count_quantize_rows(const sorad_kernels *kernels, sorad_quantize_rows_fn *kernel) {
    buffer x = floats(M * K), q = make(kernels->qd8_packed_bytes(M, K), 1), scale = make(M, 4), zero = make(M, 4);
    sorad_quantize_rows_args args = {.x = x.data, .x_stride = K, .k = K, .q = q.data, .rows = M, .scale = scale.data, .zero = zero.data,
        .row_end = M, .asymmetric = true};
    COUNTED(kernel(&args));
    report((size_t)M * K, "96×512");
    release(x.block), release(q.block), release(scale.block), release(zero.block);
}

static void count_quantize_image(const sorad_kernels *kernels, sorad_quantize_image_fn *kernel) {
    (void)kernels;
    buffer x = floats(SIDE * SIDE * CHANNELS), q = make((SIDE + 2) * (SIDE + 2) * CHANNELS, 1);
    sorad_quantize_image_args args = {.x0 = x.data, .c0 = CHANNELS, .height = SIDE, .width = SIDE, .inverse = 0.5f, .zero = 3, .q = q.data,
        .row_end = SIDE + 2};
    COUNTED(kernel(&args));
    report((size_t)SIDE * SIDE * CHANNELS, "16×16 pixels, 64 channels");
    release(x.block), release(q.block);
}

static void count_minmax(const sorad_kernels *kernels, sorad_minmax_fn *kernel) {
    (void)kernels;
    const size_t n = 16384;
    buffer x = floats(n);
    float seen[2] = {0};
    COUNTED(kernel(x.data, n, seen));
    report(n, "16384 values");
    release(x.block);
}

static void count_minmax_channels(const sorad_kernels *kernels, sorad_minmax_channels_fn *kernel) {
    (void)kernels;
    const size_t pixels = 256;
    buffer x = floats(pixels * CHANNELS), low = floats(CHANNELS), high = floats(CHANNELS);
    COUNTED(kernel(x.data, pixels, CHANNELS, low.data, high.data));
    report(pixels * CHANNELS, "256 pixels, 64 channels");
    release(x.block), release(low.block), release(high.block);
}

static void count_norm(const sorad_kernels *kernels, sorad_norm_fn *kernel) {
    (void)kernels;
    const size_t rows = 32;
    buffer x = floats(rows * K), out = floats(rows * K), weight = floats(K), bias = floats(K);
    sorad_norm_args args = {.x = x.data, .x_stride = K, .out = out.data, .out_stride = K, .k = K, .eps = 1e-6f, .weight = weight.data,
        .bias = bias.data, .row_end = rows};
    COUNTED(kernel(&args));
    report(rows * K, "32×512, weight and bias");
    release(x.block), release(out.block), release(weight.block), release(bias.block);
}

static void count_rope(const sorad_kernels *kernels, sorad_rope_fn *kernel) {
    (void)kernels;
    const size_t rows = 32, heads = 4;
    buffer x = floats(rows * heads * HEAD), cosines = floats(rows * HEAD / 2), sines = floats(rows * HEAD / 2);
    sorad_rope_args args = {.x = x.data, .x_stride = heads * HEAD, .cos = cosines.data, .sin = sines.data, .heads = heads, .head_dim = HEAD,
        .row_end = rows};
    COUNTED(kernel(&args));
    report(rows * heads * HEAD, "32 rows, 4 heads of 64");
    release(x.block), release(cosines.block), release(sines.block);
}

static void count_hadamard(const sorad_kernels *kernels, sorad_hadamard_fn *kernel) {
    (void)kernels;
    const size_t rows = 16;
    buffer x = floats(rows * K), out = floats(rows * K);
    sorad_hadamard_args args = {.x = x.data, .x_stride = K, .out = out.data, .out_stride = K, .k = K, .group = 64, .row_end = rows};
    COUNTED(kernel(&args));
    report(rows * K, "16×512, groups of 64");
    release(x.block), release(out.block);
}

// ---- Elementwise ---------------------------------------------------------------------------------------------------------

enum { VALUES = 4096 };

static void count_unary(const sorad_kernels *kernels, sorad_unary_fn *kernel) {
    (void)kernels;
    buffer a = floats(VALUES), out = floats(VALUES);
    COUNTED(kernel(a.data, out.data, VALUES));
    report(VALUES, "4096 values");
    release(a.block), release(out.block);
}

static void count_binary(const sorad_kernels *kernels, sorad_binary_fn *kernel) {
    (void)kernels;
    buffer a = floats(VALUES), b = floats(VALUES), out = floats(VALUES);
    COUNTED(kernel(a.data, b.data, out.data, VALUES));
    report(VALUES, "4096 values");
    release(a.block), release(b.block), release(out.block);
}

static void count_binary_scaled(const sorad_kernels *kernels, sorad_binary_scaled_fn *kernel) {
    (void)kernels;
    buffer a = floats(VALUES), b = floats(VALUES), out = floats(VALUES);
    COUNTED(kernel(a.data, b.data, 0.3f, out.data, VALUES));
    report(VALUES, "4096 values");
    release(a.block), release(b.block), release(out.block);
}

// ---- Questions about sizes: nothing to count -----------------------------------------------------------------------------

static void count_count(const sorad_kernels *kernels, sorad_count_fn *kernel) { (void)kernels, (void)kernel; }
static void count_packed_bytes(const sorad_kernels *kernels, sorad_packed_bytes_fn *kernel) { (void)kernels, (void)kernel; }
static void count_gemm_qd8_scratch(const sorad_kernels *kernels, sorad_gemm_qd8_scratch_fn *kernel) { (void)kernels, (void)kernel; }
static void count_conv2d_qt8_scratch(const sorad_kernels *kernels, sorad_conv2d_qt8_scratch_fn *kernel) { (void)kernels, (void)kernel; }

int main(void) {
    const sorad_isa isas[] = {SORAD_ISA_NEON, SORAD_ISA_NEON_DOTPROD, SORAD_ISA_NEON_I8MM};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const sorad_kernels *kernels = sorad_kernels_for(isas[i]);
        if (!kernels) {
            fprintf(stderr, "count: this CPU has no %s; emulate one that has\n", sorad_isa_name(isas[i]));
            return 1;
        }
        isa_of_call = sorad_isa_name(isas[i]);
#define COUNT(isa, name, type)              \
    seed_random(1), kernel_of_call = #name; \
    count_##type(kernels, kernels->name);
        SORAD_INT8_KERNEL_LIST(COUNT, )
        if (i == 0) { SORAD_FLOAT_KERNEL_LIST(COUNT, ) }   // the other sets share them
    }
    return 0;
}
