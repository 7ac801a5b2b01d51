// 512-bit vpdpbusd: 12 rows by 32 outputs, 24 of the 32 registers holding sums. Weights are asked for 64 steps ahead: the
// first tile of a chunk reads them from far away.
enum { SORAD_INT8_ROWS = 12, SORAD_INT8_BLOCKS = 2, SORAD_INT8_OFFSET = 128 };
#define SORAD_INT8_WIDTH 1
#define SORAD_INT8_DEPTH 1536
#define SORAD_INT8_COLUMNS 256
#define SORAD_INT8_PARTIAL_ROWS(tile)                                                                               \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)             \
    SORAD_CASE(6, tile) SORAD_CASE(7, tile) SORAD_CASE(8, tile) SORAD_CASE(9, tile) SORAD_CASE(10, tile)            \
    SORAD_CASE(11, tile)

// 64 values plus 128 each: the top bit flipped.
SORAD_INLINE void int8_convert(const int8_t *a, void *out) {
    __m512i bytes = _mm512_loadu_si512((const void *)a);
    _mm512_storeu_si512(out, _mm512_xor_si512(bytes, _mm512_set1_epi32((int32_t)0x80808080)));
}

// A step of K: four values of every row against every block. Weights are asked for 64 steps ahead.
SORAD_INLINE void int8_step(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride, __m512i *acc) {
    __m512i weights[SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t b = 0; b < blocks; b++) {
        weights[b] = _mm512_loadu_si512((const void *)(w + b * w_stride));
        __builtin_prefetch(w + b * w_stride + 4096);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        int32_t word;
        memcpy(&word, a + r * 64, sizeof word);
        __m512i four = _mm512_set1_epi32(word);
#pragma clang loop unroll(full)
        for (size_t b = 0; b < blocks; b++) acc[b * rows + r] = _mm512_dpbusd_epi32(acc[b * rows + r], four, weights[b]);
    }
}

// `chore(context)` is done before every `every` steps of a whole line, a divisor of 16, in the shadow of products: a little at a time, since
// what waits for its own results takes the places in which products would wait. Sums begin at `start`, or at 0 where it is null.
#define SORAD_INT8_CHORES
SORAD_INLINE void int8_tile_with(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride, size_t steps,
                                 const lanes_i32_anywhere *start, lanes_i32_anywhere *sum, const size_t every, void (*chore)(void *context),
                                 void *context) {
    __m512i acc[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) acc[i] = start ? (__m512i)start[i] : _mm512_setzero_si512();
    for (; steps >= 16; steps -= 16, a += (rows - 1) * 64) {
        for (size_t part = 0; part < 16; part += every, a += every * 4, w += every * 64) {
            chore(context);
#pragma clang loop unroll(full)
            for (size_t s = 0; s < every; s++) int8_step(rows, blocks, a + s * 4, w + s * 64, w_stride, acc);
        }
    }
    for (; steps > 0; steps--, a += 4, w += 64) int8_step(rows, blocks, a, w, w_stride, acc);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) sum[i] = (lanes_i32_anywhere)acc[i];
}

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                            size_t steps, lanes_i32 *sum) {
    __m512i acc[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) acc[i] = _mm512_setzero_si512();
    for (; steps > 0; a += (rows - 1) * 64) {
        const size_t line = steps < 16 ? steps : 16;
        steps -= line;
        for (size_t s = 0; s < line; s++, a += 4, w += 64) int8_step(rows, blocks, a, w, w_stride, acc);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) sum[i] = (lanes_i32)acc[i];
}

// The same for a window of an image: every third pixel's address is kept, the two behind it are so many bytes further on.
SORAD_INLINE void int8_pixel_tile(const size_t rows, const size_t blocks, const int8_window *window, const char *w, size_t w_stride,
                                  lanes_i32 *sum) {
    __m512i acc[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) acc[i] = _mm512_setzero_si512();
    const size_t pixel = window->pixel;
    for (size_t line = 0; line < window->lines; line++) {
        const char *a0 = window->line[line], *a3 = a0 + 3 * pixel, *a6 = a0 + 6 * pixel, *a9 = a0 + 9 * pixel;
        for (size_t s = window->steps; s > 0; s--, w += 64, a0 += 4, a3 += 4, a6 += 4, a9 += 4) {
            __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6), "+r"(a9));   // or clang makes twelve addresses of them
            const char *const from[4] = {a0, a3, a6, a9};
            __m512i weights[SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
            for (size_t b = 0; b < blocks; b++) weights[b] = _mm512_loadu_si512((const void *)(w + b * w_stride));
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) {
                int32_t word;
                memcpy(&word, from[r / 3] + r % 3 * pixel, sizeof word);
                __m512i four = _mm512_set1_epi32(word);
#pragma clang loop unroll(full)
                for (size_t b = 0; b < blocks; b++)
                    acc[b * rows + r] = _mm512_dpbusd_epi32(acc[b * rows + r], four, weights[b]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) memcpy(sum + i, acc + i, sizeof(lanes_i32));
}
