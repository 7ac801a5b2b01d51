// The int8 product for ARM with dot products (ARMv8.2, optional; Cortex-A55 and A76 and later).
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_ARM
SORAD_TARGET_BEGIN("dotprod")

#define SORAD_PREFIX neondotprod
#include "../lanes/lanes.h"
#include "dotprod_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_gathered.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
