// exp, log, sine and cosine in double by range reduction and Taylor series, so that every machine gets the same bits.
// For tables and noise, not for loops over activations.
#include <math.h>
#include <string.h>

#include "sorad_portable.h"

#pragma STDC FP_CONTRACT OFF

// 1.5 * 2^52: adding and subtracting it rounds |x| < 2^51 to the nearest integer, ties to even.
static double nearest(double x) {
    const double magic = 6755399441055744.0;
    return (x + magic) - magic;
}

static const double ln2_high = 0x1.62e42fefa3800p-1;   // ln 2 with its last 11 bits cleared: k * ln2_high is exact
static const double ln2_low = 0x1.ef35793c76730p-45;   // ln 2 minus that

double sorad_exp(double x) {
    double k = nearest(x * 1.44269504088896340736);
    double r = fma(k, -ln2_low, fma(k, -ln2_high, x));
    double p = 1.0;
    for (int i = 14; i >= 1; i--) p = fma(p, r / (double)i, 1.0);
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

// x = m 2^e with m in [sqrt(1/2), sqrt 2); ln m = 2 atanh((m - 1) / (m + 1)).
double sorad_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t exponent = (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.41421356237309504880) {
        m *= 0.5;
        exponent += 1;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s, series = 0.0;
    for (int i = 23; i >= 3; i -= 2) series = fma(series, square, 1.0 / (double)i);
    double e = (double)exponent;
    double tail = fma(e, ln2_low, 2.0 * s * square * series);
    return fma(e, ln2_high, fma(2.0, s, tail));
}

// x = k pi/2 + r, |r| <= pi/4, with pi/2 in two parts and fused products; then Taylor.
void sorad_sincos(double x, double *sin_out, double *cos_out) {
    double k = nearest(x * 0.63661977236758134308);
    double r = fma(k, -0x1.921fb54442d18p+0, x);
    r = fma(k, -0x1.1a62633145c07p-54, r);
    double square = r * r, sine = 1.0, cosine = 1.0;
    for (int i = 19; i >= 3; i -= 2) sine = fma(sine, -square / (double)(i * (i - 1)), 1.0);
    for (int i = 20; i >= 2; i -= 2) cosine = fma(cosine, -square / (double)(i * (i - 1)), 1.0);
    sine *= r;
    switch ((int64_t)k & 3) {
    case 0: *sin_out = sine, *cos_out = cosine; break;
    case 1: *sin_out = cosine, *cos_out = -sine; break;
    case 2: *sin_out = -sine, *cos_out = -cosine; break;
    default: *sin_out = -cosine, *cos_out = sine; break;
    }
}
