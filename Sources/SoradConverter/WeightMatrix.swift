// The weights of one linear layer while they are being judged: rows of eight-float lanes, so that the loops over them are SIMD code
// without unsafe access. Also the two things done to a whole matrix before quantization: rotation, and the test for finite numbers.

/// [N, K] floats, row by row; each row is filled up with zeros to whole lanes.
package struct WeightMatrix {
    package let outputs: Int
    package let inputs: Int
    /// Lanes of a row.
    let lanesPerRow: Int
    /// [N × lanesPerRow]
    private(set) var lanes: [SIMD8<Float>]

    /// - Parameter values: [N × K], row by row.
    package init(outputs: Int, inputs: Int, _ values: [Float]) {
        precondition(values.count == outputs * inputs, "\(values.count) values for \(outputs) × \(inputs)")
        self.outputs = outputs
        self.inputs = inputs
        lanesPerRow = (inputs + 7) / 8
        if inputs % 8 == 0 {
            // The same bytes.
            let count = outputs * lanesPerRow
            lanes = unsafe [SIMD8<Float>](unsafeUninitializedCapacity: count) { lanes, initialized in
                unsafe values.withUnsafeBytes { unsafe UnsafeMutableRawBufferPointer(lanes).copyMemory(from: $0) }
                initialized = count
            }
            return
        }
        lanes = []
        lanes.reserveCapacity(outputs * lanesPerRow)
        for n in 0..<outputs {
            for start in stride(from: 0, to: inputs, by: 8) {
                var lane = SIMD8<Float>()
                for i in 0..<min(8, inputs - start) { lane[i] = values[n * inputs + start + i] }
                lanes.append(lane)
            }
        }
    }

    private init(like other: WeightMatrix, _ lanes: [SIMD8<Float>]) {
        (outputs, inputs, lanesPerRow, self.lanes) = (other.outputs, other.inputs, other.lanesPerRow, lanes)
    }

    /// A matrix of the same shape with other rows.
    func mapRows(_ row: (Int) -> [SIMD8<Float>]) -> WeightMatrix {
        var lanes: [SIMD8<Float>] = []
        lanes.reserveCapacity(self.lanes.count)
        for n in 0..<outputs { lanes += row(n) }
        return WeightMatrix(like: self, lanes)
    }

    /// Row `n` as lanes.
    func row(_ n: Int) -> ArraySlice<SIMD8<Float>> { lanes[(n * lanesPerRow)..<((n + 1) * lanesPerRow)] }
}

extension SIMD8<Float> {
    /// Of whole numbers below 2²²: the same as integers, two's complement.
    @inline(__always)
    var wholeNumbers: SIMD8<UInt32> { unsafe unsafeBitCast(self + 12_582_912, to: SIMD8<UInt32>.self) &- 0x4B40_0000 }
}

/// Multiplies every group of `group` neighboring values by the normalized regular Hadamard matrix of that order, in place: the
/// Kronecker power of [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2, which is symmetric and its own inverse. The engine does the same to
/// the layer's input, so the product does not change, and what stuck out in one channel is spread over its group.
/// - Parameters:
///   - values: rows whose length is a multiple of `group`; a group never crosses rows.
///   - group: a power of 4.
package func rotateHadamard(_ values: inout [Float], group: Int) {
    precondition(group >= 4 && group & (group - 1) == 0 && group.trailingZeroBitCount % 2 == 0, "Hadamard group of \(group)")
    precondition(values.count % group == 0, "\(values.count) values in groups of \(group)")
    var distance = 1
    while distance < group {
        for start in stride(from: 0, to: values.count, by: 4 * distance) {
            for i in start..<(start + distance) {
                let (a, b, c, d) = (values[i], values[i + distance], values[i + 2 * distance], values[i + 3 * distance])
                let half = ((a + b) + (c + d)) * 0.5
                values[i] = half - d
                values[i + distance] = half - c
                values[i + 2 * distance] = half - b
                values[i + 3 * distance] = half - a
            }
        }
        distance *= 4
    }
}
