// a·b + c rounded once with 32-bit integers alone: for devices that have neither a fused multiply-add nor float64.
// A number of 64 bits is (low, high).

// v / 2^count, a bit that is lost leaves a 1 in the lowest place.
uvec2 shifted_right(uvec2 v, int count) {
    if (count <= 0) return v;
    if (count > 63) return uvec2(v.x != 0u || v.y != 0u ? 1u : 0u, 0u);
    uint lost;
    uvec2 r;
    if (count >= 32) {
        lost = count == 32 ? v.x : v.x | (v.y << (64 - count));
        r = uvec2(count == 32 ? v.y : v.y >> (count - 32), 0u);
    } else {
        lost = v.x << (32 - count);
        r = uvec2((v.x >> count) | (v.y << (32 - count)), v.y >> count);
    }
    if (lost != 0u) r.x |= 1u;
    return r;
}

uvec2 shifted_left(uvec2 v, int count) {
    if (count == 0) return v;
    if (count >= 32) return uvec2(0u, v.x << (count - 32));
    return uvec2(v.x << count, (v.y << count) | (v.x >> (32 - count)));
}

float fused_integer(float a, float b, float c) {
    uint bitsA = floatBitsToUint(a), bitsB = floatBitsToUint(b), bitsC = floatBitsToUint(c);
    uint sizeA = bitsA & MAGNITUDE, sizeB = bitsB & MAGNITUDE, sizeC = bitsC & MAGNITUDE;
    if (sizeA >= INFINITY_BITS || sizeB >= INFINITY_BITS || sizeA == 0u || sizeB == 0u) { // then the product is exact
        exact product = a * b;
        exact sum = product + c;
        return sum;
    }
    if (sizeC >= INFINITY_BITS) return c;
    uint signP = (bitsA ^ bitsB) & SIGN, signC = bitsC & SIGN;
    if (sizeC == 0u) { // rounded once, and a zero of the product that is none keeps its sign
        exact product = a * b;
        return product;
    }
    // Both as 64-bit numbers with their leading bit at place 60 or 61.
    Parts factorA = parts_of(sizeA), factorB = parts_of(sizeB), addend = parts_of(sizeC);
    uint high, low;
    umulExtended(factorA.mantissa, factorB.mantissa, high, low);
    uvec2 p = shifted_left(uvec2(low, high), 14), q = uvec2(0u, addend.mantissa << 5);
    int exponent = factorA.exponent + factorB.exponent - 314, exponentC = addend.exponent - 187;
    if (exponent >= exponentC) q = shifted_right(q, exponent - exponentC);
    else {
        p = shifted_right(p, exponentC - exponent);
        exponent = exponentC;
    }
    uint sign = signP;
    uvec2 sum;
    if (signP == signC) {
        uint carry;
        sum.x = uaddCarry(p.x, q.x, carry);
        sum.y = p.y + q.y + carry;
    } else {
        if (p.y < q.y || p.y == q.y && p.x < q.x) {
            uvec2 larger = q;
            q = p;
            p = larger;
            sign = signC;
        }
        uint borrow;
        sum.x = usubBorrow(p.x, q.x, borrow);
        sum.y = p.y - q.y - borrow;
        if (sum.x == 0u && sum.y == 0u) return 0.0;
    }
    int leading = sum.y != 0u ? 32 + findMSB(sum.y) : findMSB(sum.x), up = 62 - leading;
    if (up >= 0) sum = shifted_left(sum, up);
    else sum = shifted_right(sum, -up);
    int biased = exponent - up + 189;
    if (biased <= 0) {
        sum = shifted_right(sum, 1 - biased);
        biased = 0;
    }
    uint mantissa = sum.y >> 7;
    bool half_unit = (sum.y & 64u) != 0u, more = (sum.y & 63u) != 0u || sum.x != 0u;
    uint bits = biased > 0 ? (uint(biased) << 23) + mantissa - 0x800000u : mantissa;
    if (half_unit && (more || (mantissa & 1u) == 1u)) bits += 1u;
    return uintBitsToFloat(sign | (biased >= 255 ? INFINITY_BITS : bits));
}
