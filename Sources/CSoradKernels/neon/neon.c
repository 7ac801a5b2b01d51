// The float kernels for NEON, which every 64-bit ARM has; the int8 kernels are in neonmlal.c,
// neondotprod.c and neoni8mm.c.
#include "../internal/target.h"

#ifdef SORAD_ARM
#define SORAD_PREFIX neon
#define F32_MR 6   // twenty-four registers of sums, four of weights, one factor: 29 of 32
#include "../lanes/float_kernels.h"
#endif
