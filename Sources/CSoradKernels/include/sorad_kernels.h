// The kernels: which instruction sets this machine can run, and one table of kernels per instruction set.
//
// Invariant: every table computes the same bits. The scalar table defines the result; the tests compare the others
// with it over odd sizes, tails and misaligned pointers.
//
// Kernels are pure functions: they do not allocate, start threads or keep state, and they use at most 128 KiB of
// stack. A caller splits work by giving sub-ranges (rows, columns, heads) of one argument structure; no split changes
// a bit. Pointers need the alignment of their element only. The caller checks sizes: a kernel reads and writes the
// shapes that its arguments state, and nothing else. NaN and infinity never fault; quantize_f32_qd8, quantize_f32_qt8
// and the min-max reductions define what they become, elsewhere the result is unspecified.
//
// Dimension letters in every shape (row-major, last dimension contiguous):
//   M rows (tokens)   N outputs (channels)   K inputs    L sequence length (Lq queries, Lk keys)
//   H heads           D head dimension       C channels  P pixels
// A `*_stride` is the distance between rows, in elements of that array. docs/KERNELS.md explains the names of kernels.
#ifndef SORAD_KERNELS_H
#define SORAD_KERNELS_H

#include "sorad_isa.h"
#include "sorad_kernel_arguments.h"
#include "sorad_kernel_list.h"
#include "sorad_portable.h"

#pragma clang assume_nonnull begin

// The kernels of one instruction set. Swift: `unsafe kernels.pointee.gemm_qd8_f32_qc8w(&arguments)`.
#define SORAD_TABLE_FIELD(isa, kernel, type) sorad_##type##_fn *kernel;
typedef struct sorad_kernels {
    sorad_isa isa;
    SORAD_INT8_KERNEL_LIST(SORAD_TABLE_FIELD, )
    SORAD_FLOAT_KERNEL_LIST(SORAD_TABLE_FIELD, )
} sorad_kernels;
#undef SORAD_TABLE_FIELD

// The table of `isa`, or NULL if this machine cannot run it. Valid for the life of the process.
const sorad_kernels *_Nullable sorad_kernels_for(sorad_isa isa);

// One row of the list of kernels: its name, the type of its function (both as sorad_kernel_list.h has them), and
// where its pointer lies in sorad_kernels, in bytes. Benchmarks and tests go through the list, so a new kernel cannot
// be forgotten there.
typedef struct sorad_kernel_row {
    const char *name, *type;
    size_t offset;
} sorad_kernel_row;
size_t sorad_kernel_count(void);
sorad_kernel_row sorad_kernel_at(size_t index);

#pragma clang assume_nonnull end

#endif
