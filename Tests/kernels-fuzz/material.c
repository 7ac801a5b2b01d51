// Random material, buffers with guarded ends, and the comparison of results.
#include "fuzz.h"

#ifdef SORAD_GUARD_PAGES
#include <sys/mman.h>
#include <unistd.h>
#endif

// ---- Random numbers ----------------------------------------------------------------------------------------------------

static uint64_t state = 1;

void seed_random(uint64_t seed) { state = seed; }

// SplitMix64.
uint32_t random_word(void) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}
size_t between(size_t low, size_t high) { return low + random_word() % (high - low + 1); }
bool coin(void) { return random_word() & 1; }
float random_float(void) {
    float x = (float)(int32_t)random_word() * 0x1p-30f;
    switch (random_word() % 32) {
    case 0: return 0.0f;
    case 1: return -0.0f;
    case 2: return x * 50.0f;
    case 3: return x * 0x1p-60f;
    default: return x;
    }
}

// ---- Buffers -----------------------------------------------------------------------------------------------------------

// Memory that cannot be read or written beyond its end. Without AddressSanitizer a page without access follows; the
// page in front holds the length.
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
void release(void *block) {
#ifdef SORAD_GUARD_PAGES
    if (!block) return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *first = (char *)((uintptr_t)block / page * page) - page;   // of a block of no bytes, the guard is the last page
    munmap(first, *(size_t *)(void *)first);
#else
    free(block);
#endif
}

buffer make(size_t count, size_t size) {
    size_t skip = between(0, 5) * size;
    buffer b = {reserve(skip + count * size), NULL, count * size};
    b.data = (char *)b.block + skip;
    return b;
}
buffer floats(size_t count) {
    buffer b = make(count, sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)b.data)[i] = random_float();
    return b;
}
buffer int8s(size_t count) {
    buffer b = make(count, 1);
    bool extreme = random_word() % 4 == 0;
    for (size_t i = 0; i < count; i++)
        ((int8_t *)b.data)[i] = extreme ? (coin() ? 127 : -127) : (int8_t)((int)(random_word() % 255) - 127);
    return b;
}
buffer int32s(size_t count, int32_t most) {
    buffer b = make(count, sizeof(int32_t));
    for (size_t i = 0; i < count; i++)
        ((int32_t *)b.data)[i] = (int32_t)(random_word() % (uint32_t)(2 * most + 1)) - most;
    return b;
}
buffer copy(buffer from, size_t size) {
    buffer b = make(from.bytes / size, size);
    memcpy(b.data, from.data, from.bytes);
    return b;
}

// ---- Checks ------------------------------------------------------------------------------------------------------------

static const char *isa_name, *kernel_name;
long failures;
uint64_t digest;

void begin_kernel(const char *isa, const char *kernel) { isa_name = isa, kernel_name = kernel; }

static bool may_print(void) { return failures++ < 20; }

void expect(bool condition, const char *what) {
    if (!condition && may_print()) printf("%s %s: %s\n", isa_name, kernel_name, what);
}

void digest_bytes(const void *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        uint32_t word = 0;
        memcpy(&word, (const char *)data + i, bytes - i < 4 ? bytes - i : 4);
        if ((word & 0x7FFFFFFFu) > 0x7F800000u) word = 0x7FC00000u;
        digest = (digest ^ word) * 0x100000001B3u;
    }
}

void expect_equal(buffer expected, buffer actual) {
    digest_bytes(expected.data, expected.bytes);
    if (memcmp(expected.data, actual.data, expected.bytes) != 0) {
        const uint32_t *e = expected.data, *a = actual.data;
        size_t i = 0;
        while (i + 1 < expected.bytes / 4 && e[i] == a[i]) i++;
        if (may_print()) printf("%s %s differs, word %zu: %08x, not %08x\n", isa_name, kernel_name, i, a[i], e[i]);
    }
    release(expected.block);
    release(actual.block);
}

void range(size_t count, size_t *begin, size_t *end) {
    *begin = coin() ? 0 : between(0, count - 1);
    *end = coin() ? count : between(*begin, count);
}
void columns(size_t n, size_t *begin, size_t *end) {
    size_t blocks = (n + 15) / 16;
    *begin = coin() ? 0 : between(0, blocks - 1) * 16;
    *end = coin() ? n : between(*begin / 16, blocks) * 16;
    if (*end > n) *end = n;
}

// ---- Shared by families ------------------------------------------------------------------------------------------------

epilogue_buffers make_epilogue(sorad_epilogue *e, size_t m, size_t n) {
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
void release_epilogue(epilogue_buffers b) {
    release(b.gate.block);
    release(b.residual.block);
}

// A few rows at a time, as threads do.
packed_rows pack_rows(const sorad_kernels *kernels, sorad_quantize_rows_args args) {
    packed_rows p = {make(kernels->qd8_packed_bytes(args.rows, args.k), 1), make(args.rows, 4), make(args.rows, 4)};
    expect(p.q.bytes <= sorad_qd8_packed_max_bytes(args.rows, args.k), "packed rows take more than the maximum");
    args.q = p.q.data, args.scale = p.scale.data, args.zero = p.zero.data;
    const float *x = args.x;
    for (size_t step = kernels->gemm_qd8_mr() * between(1, 3); args.row_begin < args.rows; args.row_begin += step) {
        args.row_end = args.rows - args.row_begin < step ? args.rows : args.row_begin + step;
        args.x = x + args.row_begin * args.x_stride;
        kernels->quantize_f32_qd8(&args);
    }
    return p;
}
void release_rows(packed_rows p) { release(p.q.block), release(p.scale.block), release(p.zero.block); }
