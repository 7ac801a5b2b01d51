// Written by scripts/compile-shaders: the modules' bytes; included once.
#pragma clang diagnostic ignored "-Wc23-extensions"
_Alignas(4) static const unsigned char attend_float_bytes[] = {
#embed "shaders/attend_float.spv"
};
_Alignas(4) static const unsigned char attend_float_float64_bytes[] = {
#embed "shaders/attend_float-float64.spv"
};
_Alignas(4) static const unsigned char attend_int8_bytes[] = {
#embed "shaders/attend_int8.spv"
};
_Alignas(4) static const unsigned char attend_int8_float64_bytes[] = {
#embed "shaders/attend_int8-float64.spv"
};
_Alignas(4) static const unsigned char convolve_float_bytes[] = {
#embed "shaders/convolve_float.spv"
};
_Alignas(4) static const unsigned char convolve_float_float64_bytes[] = {
#embed "shaders/convolve_float-float64.spv"
};
_Alignas(4) static const unsigned char convolve_int8_bytes[] = {
#embed "shaders/convolve_int8.spv"
};
_Alignas(4) static const unsigned char convolve_int8_float64_bytes[] = {
#embed "shaders/convolve_int8-float64.spv"
};
_Alignas(4) static const unsigned char copy_bytes[] = {
#embed "shaders/copy.spv"
};
_Alignas(4) static const unsigned char elementwise_bytes[] = {
#embed "shaders/elementwise.spv"
};
_Alignas(4) static const unsigned char elementwise_float64_bytes[] = {
#embed "shaders/elementwise-float64.spv"
};
_Alignas(4) static const unsigned char image_parameters_bytes[] = {
#embed "shaders/image_parameters.spv"
};
_Alignas(4) static const unsigned char image_parameters_float64_bytes[] = {
#embed "shaders/image_parameters-float64.spv"
};
_Alignas(4) static const unsigned char image_range_bytes[] = {
#embed "shaders/image_range.spv"
};
_Alignas(4) static const unsigned char image_range_float64_bytes[] = {
#embed "shaders/image_range-float64.spv"
};
_Alignas(4) static const unsigned char latents_bytes[] = {
#embed "shaders/latents.spv"
};
_Alignas(4) static const unsigned char latents_float64_bytes[] = {
#embed "shaders/latents-float64.spv"
};
_Alignas(4) static const unsigned char linear_float_bytes[] = {
#embed "shaders/linear_float.spv"
};
_Alignas(4) static const unsigned char linear_float_float64_bytes[] = {
#embed "shaders/linear_float-float64.spv"
};
_Alignas(4) static const unsigned char linear_int8_bytes[] = {
#embed "shaders/linear_int8.spv"
};
_Alignas(4) static const unsigned char linear_int8_float64_bytes[] = {
#embed "shaders/linear_int8-float64.spv"
};
_Alignas(4) static const unsigned char norm_bytes[] = {
#embed "shaders/norm.spv"
};
_Alignas(4) static const unsigned char norm_float64_bytes[] = {
#embed "shaders/norm-float64.spv"
};
_Alignas(4) static const unsigned char pack_int8_bytes[] = {
#embed "shaders/pack_int8.spv"
};
_Alignas(4) static const unsigned char pack_int8_float64_bytes[] = {
#embed "shaders/pack_int8-float64.spv"
};
_Alignas(4) static const unsigned char quantize_image_bytes[] = {
#embed "shaders/quantize_image.spv"
};
_Alignas(4) static const unsigned char quantize_image_float64_bytes[] = {
#embed "shaders/quantize_image-float64.spv"
};
_Alignas(4) static const unsigned char quantize_rows_bytes[] = {
#embed "shaders/quantize_rows.spv"
};
_Alignas(4) static const unsigned char quantize_rows_float64_bytes[] = {
#embed "shaders/quantize_rows-float64.spv"
};
_Alignas(4) static const unsigned char rope_bytes[] = {
#embed "shaders/rope.spv"
};
_Alignas(4) static const unsigned char rope_float64_bytes[] = {
#embed "shaders/rope-float64.spv"
};
_Alignas(4) static const unsigned char single_operations_bytes[] = {
#embed "shaders/single_operations.spv"
};
_Alignas(4) static const unsigned char single_operations_float64_bytes[] = {
#embed "shaders/single_operations-float64.spv"
};
