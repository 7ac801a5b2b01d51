// Scale and zero point of a range of values, with the arithmetic of quantize_f32_qd8.
#include "../scalar/scalar_math.h"

void sorad_quantize_params(const float range[2], bool asymmetric, float *scale, float *inverse, int32_t *zero) {
    sorad_quantize_parameters(range[0], range[1], asymmetric, scale, inverse, zero);
}
