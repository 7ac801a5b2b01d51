// The kernels' front door: which instruction sets this machine can run, and one table of kernels per instruction set.
//
// Invariant: every table computes the same bits. The scalar table is the definition; the others are faster ways to the
// same result, and the tests hold them to it over odd sizes, tails and misaligned pointers.
//
// Kernels are pure functions: no allocation, no threads, no state. A caller splits work by giving sub-ranges (rows,
// columns, heads) of one argument structure; no split changes a bit. Pointers need only the alignment of their element.
// Sizes are the caller's to check: a kernel reads and writes what its arguments say, and nothing outside the shapes
// stated. It takes at most 128 KiB of stack. Inputs that are NaN or infinite never fault; their results are stated where
// they matter (quantize_rows) and otherwise unspecified.
//
// Dimension letters, used in every shape below (row-major, last dimension contiguous):
//   M rows (tokens)   N outputs (channels)   K inputs    L sequence length (Lq queries, Lk keys)
//   H heads           D head dimension       C channels  P pixels
// A `*_stride` is the distance between rows, in elements of that array.
#ifndef SORAD_KERNELS_H
#define SORAD_KERNELS_H

#include "sorad_kernel_arguments.h"
#include "sorad_plain.h"

// Ordered by preference on one architecture: a later one is faster where the CPU has it.
typedef enum sorad_isa {
    SORAD_ISA_SCALAR = 0,          // plain C, runs everywhere, defines the result
    SORAD_ISA_AVX2 = 1,            // AVX2 + FMA: vpmaddwd on numbers widened to 16 bits
    SORAD_ISA_AVX512VL_VNNI = 2,   // 256-bit vpdpbusd, EVEX encoded: the twin of AVX-VNNI on AVX-512 machines
    SORAD_ISA_AVX_VNNI = 3,        // 256-bit vpdpbusd, VEX encoded
    SORAD_ISA_AVX512_VNNI = 4,     // 512-bit vpdpbusd
    SORAD_ISA_NEON_DOTPROD = 16,   // NEON with SDOT and UDOT
    SORAD_ISA_NEON_I8MM = 17,      // NEON with USMMLA
} sorad_isa;

#pragma clang assume_nonnull begin

// One row per kernel, one table per instruction set. Swift: `unsafe kernels.pointee.gemm_int8(&arguments)`.
typedef struct sorad_kernels {
    sorad_isa isa;

    // Matrices
    // Rows of activations as int8 numbers lie as this table's products read them: bytes for `rows` rows of `k` values, and
    // how many neighbouring rows are written as one piece.
    size_t (*packed_rows_bytes)(size_t rows, size_t k);
    size_t (*int8_tile_rows)(void);
    void (*quantize_rows)(const sorad_quantize_rows_args *args);
    // Bytes of scratch that one gemm_int8 or gemm_int8_i32 call with these arguments needs (0 is possible).
    // It depends on k and the length of the row range only, and never grows when that shrinks: ask once for the largest.
    size_t (*gemm_int8_scratch_bytes)(const sorad_gemm_int8_args *args);
    void (*gemm_int8)(const sorad_gemm_int8_args *args);
    // The integer sums alone, for tests: out[m, n] = sum over k of a·w, without zero points.
    void (*gemm_int8_i32)(const sorad_gemm_int8_args *args, int32_t *out, size_t out_stride);
    void (*gemm_f32)(const sorad_gemm_f32_args *args);
    void (*conv2d)(const sorad_conv2d_args *args);
    // range[0] = min(range[0], x...), range[1] = max(range[1], x...); NaN counts as 0, ±infinity as ±FLT_MAX.
    void (*widen_range)(const float *x, size_t n, float range[_Nonnull 2]);
    // The same for each channel of `pixels` pixels: low[c] = min(low[c], x[p, c]...), high[c] = max(high[c], ...).
    void (*widen_channel_range)(const float *x, size_t pixels, size_t channels, float *low, float *high);
    void (*quantize_image)(const sorad_quantize_image_args *args);
    // As gemm_int8_scratch_bytes; it depends on all but the addresses, and never grows when the row range shrinks.
    size_t (*conv2d_int8_scratch_bytes)(const sorad_conv2d_int8_args *args);
    void (*conv2d_int8)(const sorad_conv2d_int8_args *args);

    // Rows
    void (*layer_norm)(const sorad_norm_args *args);
    void (*rms_norm)(const sorad_norm_args *args);
    void (*rope)(const sorad_rope_args *args);
    void (*hadamard)(const sorad_hadamard_args *args);

    // Attention
    void (*attention_pack)(const sorad_attention_pack_args *args);
    void (*attention)(const sorad_attention_args *args);
    void (*attention_int8_pack)(const sorad_attention_pack_args *args);
    void (*attention_int8)(const sorad_attention_args *args);

    // Elementwise over n values; `out` may be any of the inputs.
    void (*add)(const float *a, const float *b, float *out, size_t n);                    // a + b
    void (*mul)(const float *a, const float *b, float *out, size_t n);                    // a * b
    void (*scale_add)(const float *a, float scale, const float *b, float *out, size_t n); // a * scale + b (fused)
    void (*cfg_combine)(const float *uncond, const float *cond, float guidance_scale, float *out, size_t n);
                                                                          // uncond + guidance_scale * (cond - uncond)
    void (*relu)(const float *a, float *out, size_t n);                                   // max(a, 0); NaN gives 0
    void (*silu)(const float *a, float *out, size_t n);                                   // a / (1 + exp(-a))
    void (*gelu_tanh)(const float *a, float *out, size_t n);                              // tanh form of GELU
    void (*gelu_tanh_mul)(const float *a, const float *b, float *out, size_t n);          // gelu_tanh(a) * b (gated-gelu)
    void (*clamp_tanh)(const float *a, float *out, size_t n);                             // 3 * tanh(a / 3) (TAEHV Clamp)
    void (*exp)(const float *a, float *out, size_t n);
    void (*tanh)(const float *a, float *out, size_t n);
    // sample + dt * velocity (rectified-flow Euler step), fused multiply-add
    void (*euler_step)(const float *sample, const float *velocity, float dt, float *out, size_t n);
} sorad_kernels;

// True if this CPU and this operating system can run `isa`. Scalar is always available.
bool sorad_isa_available(sorad_isa isa);
// The best available instruction set that is not above `limit`; pass the largest value for "the best there is".
// `sorad_isa_best(SORAD_ISA_AVX_VNNI)` on a machine with AVX-512 only is its 256-bit twin.
sorad_isa sorad_isa_best(sorad_isa limit);
// "scalar", "avx2", "avx512vlvnni", "avxvnni", "avx512vnni", "neon-dotprod", "neon-i8mm"; what SORAD_ISA may say.
const char *sorad_isa_name(sorad_isa isa);
// The instruction set of that name in `*isa`; false (and `*isa` untouched) if there is none.
bool sorad_isa_from_name(const char *name, sorad_isa *isa);

// The table of `isa`, or NULL if this machine cannot run it. Valid for the life of the process.
const sorad_kernels *_Nullable sorad_kernels_for(sorad_isa isa);

// What detection looks at, so that it can be tried with any CPU's values: CPUID registers and XCR0 of x86, the kernel's
// HWCAP and HWCAP2 of 64-bit ARM; the other architecture's are 0.
typedef struct sorad_cpu_registers {
    uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_1_eax;
    uint64_t xcr0;
    uint64_t hwcap, hwcap2;
} sorad_cpu_registers;
// The instruction sets such a machine can run: bit i is `(sorad_isa)i`.
uint32_t sorad_isa_set(const sorad_cpu_registers *cpu);

#pragma clang assume_nonnull end

#endif
