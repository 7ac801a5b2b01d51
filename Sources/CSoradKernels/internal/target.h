// Compiles the code between SORAD_TARGET_BEGIN("avx2,fma") and SORAD_TARGET_END for an instruction set. The headers
// of libc and the intrinsics come before, here, since their functions must not be compiled for it. With SORAD_SIMDE
// the same sources are compiled for any machine with SIMDe's portable intrinsics: so the tests run kernels that their
// CPU lacks.
#ifndef SORAD_INTERNAL_TARGET_H
#define SORAD_INTERNAL_TARGET_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel_list.h"

#if defined(SORAD_SIMDE)
#define SIMDE_NO_NATIVE   // otherwise it includes the compiler's own headers, whose types clash with its aliases
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define SORAD_TARGET_BEGIN(features)
#define SORAD_TARGET_END
#define SORAD_X86 1
#elif defined(__x86_64__) || defined(__aarch64__)
#define SORAD_PRAGMA(text) _Pragma(#text)
#define SORAD_TARGET_BEGIN(features) \
    SORAD_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SORAD_TARGET_END _Pragma("clang attribute pop")
#ifdef __x86_64__
#include <immintrin.h>
#define SORAD_X86 1
#else
#include <arm_neon.h>
#define SORAD_ARM 1
#endif
#endif

#endif
