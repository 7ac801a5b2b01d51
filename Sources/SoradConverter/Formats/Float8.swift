// The two 8-bit float formats of checkpoints (Micikevicius et al. 2022, "FP8 Formats for Deep Learning").

package enum Float8 {
    /// E4M3 in its "fn" form: bias 7, no infinities, NaN at the largest magnitude, up to 448. By bit pattern.
    package static let e4m3 = (0..<256).map { decode(UInt8($0), exponentBits: 4, bias: 7) }
    /// E5M2: bias 15, infinities and NaN as in IEEE formats. By bit pattern.
    package static let e5m2 = (0..<256).map { decode(UInt8($0), exponentBits: 5, bias: 15) }

    private static func decode(_ bits: UInt8, exponentBits: Int, bias: Int) -> Float {
        let fractionBits = 7 - exponentBits
        let exponent = Int(bits & 0x7F) >> fractionBits
        let fraction = Int(bits) & (1 << fractionBits - 1)
        let sign: Float = bits & 0x80 == 0 ? 1 : -1
        if exponentBits == 4, bits & 0x7F == 0x7F { return .nan }
        if exponentBits == 5, exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
        let steps = exponent == 0 ? fraction : fraction + 1 << fractionBits
        return sign * Float(sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: Float(steps))
    }
}
