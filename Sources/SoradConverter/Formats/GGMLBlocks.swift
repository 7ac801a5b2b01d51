// Blocks of quantized numbers as ggml lays them out, to floats. Each case is the definition of its type; products are taken in the order
// of ggml's `dequantize_row_…`, so that the floats are the same bits. Source: ggml-quants.c and gguf-py's quants.py.

extension GGMLType {
    /// - Parameter data: whole blocks.
    /// - Returns: their numbers in order.
    package func floats(_ data: [UInt8]) -> [Float] {
        precondition(data.count % bytes == 0, "\(data.count) bytes are no blocks of \(name)")
        let count = data.count / bytes
        var values = [Float](repeating: 0, count: count * elements)
        for block in 0..<count { decode(Block(data: data, start: block * bytes), to: block * elements, &values) }
        return values
    }

    private func decode(_ block: Block, to start: Int, _ values: inout [Float]) {
        switch self {
        case .f32: values[start] = Float(bitPattern: UInt32(block.uint16(0)) | UInt32(block.uint16(2)) << 16)
        case .f16: values[start] = block.half(0)
        case .bf16: values[start] = Float(bitPattern: UInt32(block.uint16(0)) << 16)
        case .q40: block.nibbles(at: 2) { values[start + $0] = Float($1 - 8) * block.half(0) }
        case .q41: block.nibbles(at: 4) { values[start + $0] = Float($1) * block.half(0) + block.half(2) }
        case .q50: block.fiveBits(high: 2, at: 6) { values[start + $0] = Float($1 - 16) * block.half(0) }
        case .q51: block.fiveBits(high: 4, at: 8) { values[start + $0] = Float($1) * block.half(0) + block.half(2) }
        case .q80: for i in 0..<32 { values[start + i] = Float(block.int8(2 + i)) * block.half(0) }
        case .iq4NL: block.nibbles(at: 2) { values[start + $0] = Float(Self.unevenSteps[$1]) * block.half(0) }
        case .iq4XS: Self.iq4XS(block, start, &values)
        case .q2K: Self.q2K(block, start, &values)
        case .q3K: Self.q3K(block, start, &values)
        case .q4K: Self.q4K(block, start, &values, quants: 16, highBits: nil)
        case .q5K: Self.q4K(block, start, &values, quants: 48, highBits: 16)
        case .q6K: Self.q6K(block, start, &values)
        }
    }

    /// The sixteen values of IQ4's codes.
    private static let unevenSteps = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

    /// A half, eight 6-bit scales in two pieces, 128 bytes of codes.
    private static func iq4XS(_ block: Block, _ start: Int, _ values: inout [Float]) {
        let d = block.half(0)
        let high = Int(block.uint16(2))
        for group in 0..<8 {
            let low = block.byte(4 + group / 2) >> (4 * (group % 2)) & 15
            let scale = d * Float((low | (high >> (2 * group) & 3) << 4) - 32)
            block.nibbles(at: 8 + 16 * group) { values[start + 32 * group + $0] = scale * Float(unevenSteps[$1]) }
        }
    }

    /// Sixteen bytes of 4-bit scale and minimum, 64 bytes of codes, two halves.
    private static func q2K(_ block: Block, _ start: Int, _ values: inout [Float]) {
        let (d, least) = (block.half(80), block.half(82))
        for i in 0..<256 {
            let scale = block.byte(i / 16)
            let code = block.byte(16 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3
            values[start + i] = d * Float(scale & 15) * Float(code) - least * Float(scale >> 4)
        }
    }

    /// 32 bytes of high bits, 64 of low ones, twelve of 6-bit scales, a half.
    private static func q3K(_ block: Block, _ start: Int, _ values: inout [Float]) {
        let d = block.half(108)
        for i in 0..<256 {
            let group = i / 16
            let low = block.byte(96 + group % 8) >> (4 * (group / 8)) & 15
            let high = block.byte(104 + group % 4) >> (2 * (group / 4)) & 3
            let code = block.byte(32 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3
            let isHigh = block.byte(i % 32) >> (i / 32) & 1
            values[start + i] = d * Float((low | high << 4) - 32) * Float(code - (isHigh == 1 ? 0 : 4))
        }
    }

    /// Two halves, twelve bytes of 6-bit scales and minimums, perhaps 32 bytes of fifth bits, 128 of codes.
    private static func q4K(_ block: Block, _ start: Int, _ values: inout [Float], quants: Int, highBits: Int?) {
        let (d, least) = (block.half(0), block.half(2))
        for group in 0..<8 {
            let scale: Int
            let minimum: Int
            if group < 4 {
                scale = block.byte(4 + group) & 63
                minimum = block.byte(8 + group) & 63
            } else {
                scale = block.byte(8 + group) & 15 | (block.byte(group) >> 6) << 4
                minimum = block.byte(8 + group) >> 4 | (block.byte(4 + group) >> 6) << 4
            }
            let (step, offset) = (d * Float(scale), least * Float(minimum))
            for i in 0..<32 {
                var code = block.byte(quants + group / 2 * 32 + i) >> (4 * (group % 2)) & 15
                if let highBits { code |= (block.byte(highBits + i) >> group & 1) << 4 }
                values[start + 32 * group + i] = step * Float(code) - offset
            }
        }
    }

    /// 128 bytes of low and 64 of high bits, sixteen int8 scales, a half.
    private static func q6K(_ block: Block, _ start: Int, _ values: inout [Float]) {
        let d = block.half(208)
        for i in 0..<256 {
            let (half, quarter, place) = (i / 128, i % 128 / 32, i % 32)
            let low = block.byte(half * 64 + quarter % 2 * 32 + place) >> (4 * (quarter / 2)) & 15
            let high = block.byte(128 + half * 32 + place) >> (2 * quarter) & 3
            values[start + i] = d * Float(block.int8(192 + i / 16)) * Float((low | high << 4) - 32)
        }
    }
}

/// The bytes of one block.
private struct Block {
    let data: [UInt8]
    let start: Int

    func byte(_ offset: Int) -> Int { Int(data[start + offset]) }
    func int8(_ offset: Int) -> Int8 { Int8(bitPattern: data[start + offset]) }
    func uint16(_ offset: Int) -> UInt16 { UInt16(data[start + offset]) | UInt16(data[start + offset + 1]) << 8 }
    func half(_ offset: Int) -> Float { Float(Float16(bitPattern: uint16(offset))) }

    /// 32 codes: the low nibbles of sixteen bytes, then the high ones.
    @inline(__always)
    func nibbles(at offset: Int, _ take: (Int, Int) -> Void) {
        for i in 0..<16 {
            take(i, byte(offset + i) & 15)
            take(i + 16, byte(offset + i) >> 4)
        }
    }

    /// The same, each with a fifth bit out of four bytes at `high`.
    @inline(__always)
    func fiveBits(high: Int, at offset: Int, _ take: (Int, Int) -> Void) {
        nibbles(at: offset) { i, code in take(i, code | (byte(high + i / 8) >> (i % 8) & 1) << 4) }
    }
}
