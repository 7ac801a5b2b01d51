// The int8 product for ARM with matrix products (ARMv8.6; Cortex-A510, A710, X2, Neoverse V1, N2 and later).
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_ARM
SORAD_TARGET_BEGIN("i8mm")

#define SORAD_PREFIX neoni8mm
#include "../lanes/lanes.h"
#include "i8mm_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_gathered.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
