// The fuzzer's material and checks, shared by one file per family of kernels.
//
// Every kernel in the list has a type, and every type has a function fuzz_<type> in one of those files: it runs the
// kernel once on random shapes, strides, sub-ranges and misaligned pointers, and the scalar definition on the same,
// and compares the outputs whole.
#ifndef FUZZ_H
#define FUZZ_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/CSoradKernels/internal/kernel_list.h"

// ---- The functions that the list of kernels requires -----------------------------------------------------------------

// `kernels` is the table of `kernel`; `scalar` that of `definition`.
#define FUZZ_DECLARE(isa, kernel, type) \
    void fuzz_##type(sorad_##type##_fn *definition, sorad_##type##_fn *kernel, const sorad_kernels *kernels);
SORAD_INT8_KERNEL_LIST(FUZZ_DECLARE, )
SORAD_FLOAT_KERNEL_LIST(FUZZ_DECLARE, )
#undef FUZZ_DECLARE

extern const sorad_kernels scalar;

// ---- Random numbers ----------------------------------------------------------------------------------------------------

void seed_random(uint64_t seed);
uint32_t random_word(void);
size_t between(size_t low, size_t high);   // both included
bool coin(void);
float random_float(void);   // mostly ordinary values, some zeros of both signs, some large and tiny

// ---- Buffers -----------------------------------------------------------------------------------------------------------

// Memory of exactly `bytes` bytes at `data`, which is aligned to its element only: AddressSanitizer, or a page
// without access, catches every access beyond its end.
typedef struct buffer {
    void *block, *data;
    size_t bytes;
} buffer;

buffer make(size_t count, size_t size);
buffer floats(size_t count);
buffer int8s(size_t count);   // -127 to 127, sometimes the extremes only
buffer int32s(size_t count, int32_t most);
buffer copy(buffer from, size_t size);
void release(void *block);

// Random sub-ranges of 0 ..< count, and of n outputs in panels of 16.
void range(size_t count, size_t *begin, size_t *end);
void columns(size_t n, size_t *begin, size_t *end);

// ---- Checks ------------------------------------------------------------------------------------------------------------

void begin_kernel(const char *isa, const char *kernel);
extern long failures;
extern uint64_t digest;   // of everything that the definition returned: FNV-1a

// Adds to the digest. Every NaN counts as the same: which one an operation returns differs between processors.
void digest_bytes(const void *data, size_t bytes);
// Compares two results, adds the expected one to the digest, and frees both.
void expect_equal(buffer expected, buffer actual);
void expect(bool condition, const char *what);

// ---- Shared by families ------------------------------------------------------------------------------------------------

typedef struct epilogue_buffers {
    buffer gate, residual;
} epilogue_buffers;
epilogue_buffers make_epilogue(sorad_epilogue *e, size_t m, size_t n);
void release_epilogue(epilogue_buffers b);

// Rows of x, quantized and packed for one table.
typedef struct packed_rows {
    buffer q, scale, zero;
} packed_rows;
packed_rows pack_rows(const sorad_kernels *kernels, sorad_quantize_rows_args args);
void release_rows(packed_rows p);

// The portable functions have one implementation, so there is nothing to compare: only the digest.
void digest_portable(void);
// Accuracy of the definitions of exp and tanh against the C library in double.
void check_accuracy(void);

#endif
