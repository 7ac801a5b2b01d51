// Written by scripts/compile-shaders: X(member, name) for every module.
#ifndef SORAD_VULKAN_MODULES_H
#define SORAD_VULKAN_MODULES_H

#define SORAD_VULKAN_MODULES(X) \
    X(attend_float, "attend_float") \
    X(attend_float_float64, "attend_float-float64") \
    X(attend_int8, "attend_int8") \
    X(attend_int8_float64, "attend_int8-float64") \
    X(convolve_float, "convolve_float") \
    X(convolve_float_float64, "convolve_float-float64") \
    X(convolve_int8, "convolve_int8") \
    X(convolve_int8_float64, "convolve_int8-float64") \
    X(copy, "copy") \
    X(elementwise, "elementwise") \
    X(elementwise_float64, "elementwise-float64") \
    X(image_parameters, "image_parameters") \
    X(image_parameters_float64, "image_parameters-float64") \
    X(image_range, "image_range") \
    X(image_range_float64, "image_range-float64") \
    X(latents, "latents") \
    X(latents_float64, "latents-float64") \
    X(linear_float, "linear_float") \
    X(linear_float_float64, "linear_float-float64") \
    X(linear_int8, "linear_int8") \
    X(linear_int8_float64, "linear_int8-float64") \
    X(norm, "norm") \
    X(norm_float64, "norm-float64") \
    X(pack_int8, "pack_int8") \
    X(pack_int8_float64, "pack_int8-float64") \
    X(quantize_image, "quantize_image") \
    X(quantize_image_float64, "quantize_image-float64") \
    X(quantize_rows, "quantize_rows") \
    X(quantize_rows_float64, "quantize_rows-float64") \
    X(rope, "rope") \
    X(rope_float64, "rope-float64") \
    X(single_operations, "single_operations") \
    X(single_operations_float64, "single_operations-float64")

#endif
