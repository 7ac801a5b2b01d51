// The peak-throughput microbenchmark: loops of nothing but an instruction set's best multiply-adds, on registers.
// sorad-bench runs them in its own process next to the kernels and reports these as a percentage of the peak.
#include "../internal/kernel_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { CHAINS = 12 };   // independent sums: enough to hide the latency of two multiply-adds a cycle

#define UNROLLED _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++)

// vpmaddubsw, vpmaddwd, vpaddd: what an int8 product costs without VNNI. In assembly, because a compiler would take the
// unchanging products out of the loop.
__attribute__((target("avx2"))) static void peak_avx2(uint64_t iterations) {
    __m256i sum[8];
    const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
    for (int i = 0; i < 8; i++) sum[i] = _mm256_setzero_si256();
#define STEP(n, temporary)                                                                 \
    "vpmaddubsw %[b], %[a], %%ymm" #temporary "\n vpmaddwd %[ones], %%ymm" #temporary      \
    ", %%ymm" #temporary "\n vpaddd %%ymm" #temporary ", %[s" #n "], %[s" #n "]\n"
    for (uint64_t i = 0; i < iterations; i++)
        __asm__ volatile(STEP(0, 0) STEP(1, 1) STEP(2, 2) STEP(3, 3) STEP(4, 0) STEP(5, 1) STEP(6, 2) STEP(7, 3)
                         : [s0] "+x"(sum[0]), [s1] "+x"(sum[1]), [s2] "+x"(sum[2]), [s3] "+x"(sum[3]),
                           [s4] "+x"(sum[4]), [s5] "+x"(sum[5]), [s6] "+x"(sum[6]), [s7] "+x"(sum[7])
                         : [a] "x"(a), [b] "x"(b), [ones] "x"(ones)
                         : "ymm0", "ymm1", "ymm2", "ymm3");
}

#define PEAK_FUNCTION(name, features, vector, zero, step)                                  \
    __attribute__((target(features))) static void name(uint64_t iterations) {              \
        vector sum[CHAINS], a = zero, b = zero;                                            \
        __asm__ volatile("" : "+v"(a), "+v"(b));                                           \
        UNROLLED sum[i] = zero;                                                            \
        for (uint64_t n = 0; n < iterations; n++) {                                        \
            UNROLLED sum[i] = step;                                                        \
            UNROLLED __asm__ volatile("" : "+v"(sum[i]));                                  \
        }                                                                                  \
    }

PEAK_FUNCTION(peak_avxvnni, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), _mm256_dpbusd_avx_epi32(sum[i], a, b))
PEAK_FUNCTION(peak_avx512vl, "avx512f,avx512vl,avx512vnni", __m256i, _mm256_setzero_si256(),
          _mm256_dpbusd_epi32(sum[i], a, b))
PEAK_FUNCTION(peak_avx512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(sum[i], a, b))
PEAK_FUNCTION(peak_fma, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(a, b, sum[i]))
PEAK_FUNCTION(peak_fma512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(a, b, sum[i]))
#elif defined(__aarch64__)
#include <arm_neon.h>

enum { CHAINS = 20 };   // independent sums: enough to hide the latency of four multiply-adds a cycle

#define UNROLLED _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++)
#define PEAK_FUNCTION(name, features, vector, factor, zero, step)                          \
    __attribute__((target(features))) static void name(uint64_t iterations) {              \
        vector sum[CHAINS];                                                                \
        factor a = (factor)zero, b = (factor)zero;                                         \
        __asm__ volatile("" : "+w"(a), "+w"(b));                                           \
        UNROLLED sum[i] = (vector)zero;                                                    \
        for (uint64_t n = 0; n < iterations; n++) {                                        \
            UNROLLED sum[i] = step;                                                        \
            UNROLLED __asm__ volatile("" : "+w"(sum[i]));                                  \
        }                                                                                  \
    }

PEAK_FUNCTION(peak_mlal, "neon", int32x4_t, int16x8_t, vdupq_n_s32(0), vmlal_high_s16(sum[i], a, b))
PEAK_FUNCTION(peak_dotprod, "dotprod", int32x4_t, int8x16_t, vdupq_n_s32(0), vdotq_s32(sum[i], a, b))
PEAK_FUNCTION(peak_i8mm, "i8mm", int32x4_t, int8x16_t, vdupq_n_s32(0), vusmmlaq_s32(sum[i], (uint8x16_t)a, b))
PEAK_FUNCTION(peak_neon, "neon", float32x4_t, float32x4_t, vdupq_n_f32(0), vfmaq_f32(sum[i], a, b))
#endif

uint64_t sorad_peak_int8(int isa, uint64_t iterations) {
#if defined(__x86_64__)
    switch ((sorad_isa)isa) {
    case SORAD_ISA_AVX2: peak_avx2(iterations); return iterations * 8 * 64;
    case SORAD_ISA_AVX_VNNI: peak_avxvnni(iterations); return iterations * CHAINS * 64;
    case SORAD_ISA_AVX512VL_VNNI: peak_avx512vl(iterations); return iterations * CHAINS * 64;
    case SORAD_ISA_AVX512_VNNI: peak_avx512(iterations); return iterations * CHAINS * 128;
    default: break;
    }
#elif defined(__aarch64__)
    switch ((sorad_isa)isa) {
    case SORAD_ISA_NEON: peak_mlal(iterations); return iterations * CHAINS * 8;
    case SORAD_ISA_NEON_DOTPROD: peak_dotprod(iterations); return iterations * CHAINS * 32;
    case SORAD_ISA_NEON_I8MM: peak_i8mm(iterations); return iterations * CHAINS * 64;
    default: break;
    }
#endif
    (void)isa, (void)iterations;
    return 0;
}

uint64_t sorad_peak_f32(int isa, uint64_t iterations) {
#if defined(__x86_64__)
    switch ((sorad_isa)isa) {
    case SORAD_ISA_AVX2:
    case SORAD_ISA_AVX_VNNI:
    case SORAD_ISA_AVX512VL_VNNI: peak_fma(iterations); return iterations * CHAINS * 16;
    case SORAD_ISA_AVX512_VNNI: peak_fma512(iterations); return iterations * CHAINS * 32;
    default: break;
    }
#elif defined(__aarch64__)
    switch ((sorad_isa)isa) {
    case SORAD_ISA_NEON:
    case SORAD_ISA_NEON_DOTPROD:
    case SORAD_ISA_NEON_I8MM: peak_neon(iterations); return iterations * CHAINS * 8;
    default: break;
    }
#endif
    (void)isa, (void)iterations;
    return 0;
}
