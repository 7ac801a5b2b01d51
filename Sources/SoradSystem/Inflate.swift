// Unpacks zlib streams (RFC 1950 and 1951): the color profiles and the pixels of PNG files.
// Invariant: the result has at most the given number of bytes, and every read and every copy is checked; nil for whatever is no such stream.

/// The content of a zlib stream; nil if it is damaged or has more than `limit` bytes.
package func inflated(_ stream: ArraySlice<UInt8>, limit: Int) -> [UInt8]? {
    guard let first = stream.first, let second = stream.dropFirst().first, first & 0x0F == 8, (Int(first) << 8 | Int(second)) % 31 == 0,
        second & 0x20 == 0
    else { return nil }
    var inflater = Inflater(bytes: Array(stream.dropFirst(2)), limit: limit)
    guard inflater.run(), inflater.hasRightSum else { return nil }
    return inflater.output
}

private struct Inflater {
    let bytes: [UInt8]
    let limit: Int
    /// In bits.
    var position = 0
    var output: [UInt8] = []

    init(bytes: [UInt8], limit: Int) {
        self.bytes = bytes
        self.limit = limit
    }

    /// All blocks; false for damage.
    mutating func run() -> Bool {
        while true {
            guard let isLast = bits(1), let kind = bits(2) else { return false }
            let isDone: Bool
            switch kind {
            case 0: isDone = stored()
            case 1: isDone = coded(HuffmanCode.fixedLiterals, HuffmanCode.fixedDistances)
            case 2:
                guard let (literals, distances) = codes() else { return false }
                isDone = coded(literals, distances)
            default: return false
            }
            guard isDone else { return false }
            if isLast == 1 { return true }
        }
    }

    /// Adler-32 of the output (RFC 1950, 2.2).
    var hasRightSum: Bool {
        let start = (position + 7) / 8
        guard bytes.count - start >= 4 else { return false }
        return bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } == adler32(output)
    }

    private mutating func bits(_ count: Int) -> Int? {
        guard position + count <= bytes.count * 8 else { return nil }
        var value = 0
        for index in 0..<count {
            value |= Int(bytes[position >> 3] >> UInt8(position & 7) & 1) << index
            position += 1
        }
        return value
    }

    private mutating func symbol(_ code: HuffmanCode) -> Int? {
        var (value, first, index) = (0, 0, 0)
        for length in 1...15 {
            guard let bit = bits(1) else { return nil }
            value |= bit
            let count = code.counts[length]
            if value - first < count { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        return nil
    }

    private mutating func stored() -> Bool {
        position = (position + 7) & ~7
        guard let length = bits(16), let complement = bits(16), length == ~complement & 0xFFFF else { return false }
        let start = position / 8
        guard bytes.count - start >= length, limit - output.count >= length else { return false }
        output += bytes[start..<start + length]
        position += length * 8
        return true
    }

    private mutating func coded(_ literals: HuffmanCode, _ distances: HuffmanCode) -> Bool {
        while let symbol = symbol(literals) {
            if symbol < 256 {
                guard output.count < limit else { return false }
                output.append(UInt8(symbol))
            } else if symbol == 256 {
                return true
            } else {
                guard symbol < 286, let more = bits(Inflater.lengthBits[symbol - 257]), let code = self.symbol(distances), code < 30,
                    let far = bits(Inflater.distanceBits[code])
                else { return false }
                let (length, distance) = (Inflater.lengths[symbol - 257] + more, Inflater.distances[code] + far)
                guard distance <= output.count, limit - output.count >= length else { return false }
                for _ in 0..<length { output.append(output[output.count - distance]) }
            }
        }
        return false
    }

    /// The codes of a block that brings its own (RFC 1951, 3.2.7).
    private mutating func codes() -> (HuffmanCode, HuffmanCode)? {
        guard let literalCount = bits(5), let distanceCount = bits(5), let count = bits(4) else { return nil }
        var lengths = [Int](repeating: 0, count: 19)
        for index in 0..<count + 4 {
            guard let length = bits(3) else { return nil }
            lengths[Inflater.order[index]] = length
        }
        guard let code = HuffmanCode(lengths) else { return nil }
        let total = literalCount + 257 + distanceCount + 1
        var all: [Int] = []
        while all.count < total {
            guard let symbol = symbol(code) else { return nil }
            switch symbol {
            case 16:
                guard let last = all.last, let more = bits(2) else { return nil }
                all += Array(repeating: last, count: 3 + more)
            case 17:
                guard let more = bits(3) else { return nil }
                all += Array(repeating: 0, count: 3 + more)
            case 18:
                guard let more = bits(7) else { return nil }
                all += Array(repeating: 0, count: 11 + more)
            default: all.append(symbol)
            }
        }
        guard all.count == total, let literals = HuffmanCode(Array(all[..<(literalCount + 257)])),
            let distances = HuffmanCode(Array(all[(literalCount + 257)...]))
        else { return nil }
        return (literals, distances)
    }

    private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    private static let lengths = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
    ]
    private static let lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    private static let distances = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12_289,
        16_385, 24_577,
    ]
    private static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
}

/// A canonical Huffman code: how many symbols have each length, and the symbols in the order of their codes.
private struct HuffmanCode {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int] = []

    /// nil for lengths of more codes than there can be.
    init?(_ lengths: [Int]) {
        for length in lengths { counts[length] += 1 }
        counts[0] = 0
        var left = 1
        for length in 1...15 {
            left = left * 2 - counts[length]
            guard left >= 0 else { return nil }
        }
        for length in 1...15 { symbols += lengths.indices.filter { lengths[$0] == length } }
    }

    private init(fixed lengths: [Int]) {
        for length in lengths { counts[length] += 1 }
        for length in 1...15 { symbols += lengths.indices.filter { lengths[$0] == length } }
    }

    static let fixedLiterals = HuffmanCode(
        fixed: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
    static let fixedDistances = HuffmanCode(fixed: [Int](repeating: 5, count: 30))
}
