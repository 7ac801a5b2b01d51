// The portable functions, and the accuracy of the definitions of exp and tanh.
#include "fuzz.h"

#include "../../Sources/CSoradKernels/scalar/scalar_math.h"

void digest_portable(void) {
    float values[64], more[64];
    double numbers[3];
    sorad_philox_normal(random_word(), random_word() % 4, random_word(), 64, values);
    digest_bytes(values, sizeof values);
    sorad_rope_table(4, 16, 10000.0, values, more, 8);
    digest_bytes(values, 32 * sizeof *values), digest_bytes(more, 32 * sizeof *more);
    float time = (float)(random_word() % 1000);
    sorad_timestep_embedding(&time, 1, 64, values);
    digest_bytes(values, sizeof values);
    double x = (double)(int32_t)random_word() * 0x1p-22;
    numbers[0] = sorad_exp(x), numbers[1] = sorad_log(fabs(x) + 1e-3);
    digest_bytes(numbers, 2 * sizeof *numbers);
    sorad_sincos(x, numbers, numbers + 1);
    digest_bytes(numbers, 2 * sizeof *numbers);
    uint8_t bytes[64];
    uint16_t words[64];
    for (int i = 0; i < 64; i++) values[i] = random_float(), words[i] = (uint16_t)(random_word() & 0xBBFF);   // no NaN, no infinity
    sorad_rgb_to_u8(values, bytes, 64);
    digest_bytes(bytes, sizeof bytes);
    sorad_u8_to_rgb(bytes, values, 64);
    digest_bytes(values, sizeof values);
    sorad_f16_to_f32(words, values, 64);
    digest_bytes(values, sizeof values);
}

// The largest error of `function` over [low, high], in units of the last place of the exact result.
static double largest_error(float (*function)(float), double (*exact)(double), float low, float high) {
    double worst = 0.0;
    for (int i = 0; i <= 400000; i++) {
        const float x = low + (high - low) * ((float)i / 400000.0f);
        const double y = exact((double)x), ulp = (double)(nextafterf(fabsf((float)y), INFINITY) - fabsf((float)y));
        const double error = fabs((double)function(x) - y) / ulp;
        if (error > worst) worst = error;
    }
    return worst;
}

// Each bound is the largest error measured over its range, rounded up.
void check_accuracy(void) {
    begin_kernel("scalar", "exp");
    expect(largest_error(sorad_exp_f32, exp, -87.0f, 88.7f) < 1.5, "error of 1.5 units in the last place or more");
    expect(largest_error(sorad_exp_f32, exp, -103.0f, -87.0f) < 2.0, "error of 2 units in the last place or more for denormal results");
    expect(sorad_exp_f32(0.0f) == 1.0f && sorad_exp_f32(-200.0f) == 0.0f && sorad_exp_f32(-INFINITY) == 0.0f, "wrong at or below 0");
    expect(sorad_exp_f32(200.0f) == INFINITY && isnan(sorad_exp_f32(NAN)), "wrong for large values or NaN");
    begin_kernel("scalar", "tanh");
    expect(largest_error(sorad_tanh_f32, tanh, -12.0f, 12.0f) < 3.0, "error of 3 units in the last place or more");
    expect(largest_error(sorad_tanh_f32, tanh, -0.01f, -1e-9f) < 3.0, "error of 3 units in the last place or more near 0");
    expect(largest_error(sorad_tanh_f32, tanh, 1e-9f, 0.01f) < 3.0, "error of 3 units in the last place or more near 0");
    expect(sorad_tanh_f32(INFINITY) == 1.0f && sorad_tanh_f32(-INFINITY) == -1.0f, "wrong for infinity");
    expect(isnan(sorad_tanh_f32(NAN)), "wrong for NaN");
    begin_kernel("scalar", "relu");
    expect(sorad_relu_f32(-1.0f) == 0.0f && !signbit(sorad_relu_f32(-0.0f)) && sorad_relu_f32(NAN) == 0.0f, "not +0 for -1, -0 or NaN");
}
