// How a file of kernels is compiled for its instruction set: SORAD_TARGET_BEGIN("avx2,fma") ... SORAD_TARGET_END
// around the code; headers of others (libc, intrinsics) come first. With SORAD_SIMDE the same sources are compiled for
// any machine against SIMDe's portable intrinsics, which is how the kernels are tested on CPUs that lack them.
#ifndef SORAD_TARGET_H
#define SORAD_TARGET_H

#if defined(SORAD_SIMDE)
#define SIMDE_NO_NATIVE   // else it includes the compiler's own headers, whose types clash with its aliases
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define SORAD_TARGET_BEGIN(features)
#define SORAD_TARGET_END
#define SORAD_X86 1
#elif defined(__x86_64__)
#include <immintrin.h>
#define SORAD_PRAGMA(text) _Pragma(#text)
#define SORAD_TARGET_BEGIN(features) \
    SORAD_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SORAD_TARGET_END _Pragma("clang attribute pop")
#define SORAD_X86 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SORAD_PRAGMA(text) _Pragma(#text)
#define SORAD_TARGET_BEGIN(features) \
    SORAD_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SORAD_TARGET_END _Pragma("clang attribute pop")
#define SORAD_ARM 1
#endif

#endif
