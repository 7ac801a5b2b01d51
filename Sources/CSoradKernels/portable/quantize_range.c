// Scale and zero point of numbers that share one range; the arithmetic is that of quantize_rows.
#include "../scalar/scalar_math.h"

void sorad_quantize_params(const float range[2], bool asymmetric, float *scale, float *inverse, int32_t *zero) {
    sorad_quantize_parameters(range[0], range[1], asymmetric, scale, inverse, zero);
}
