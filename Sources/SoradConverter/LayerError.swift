// The error of an int8 layer's output: relative L2 distance from the float layer's over all tokens and outputs, without the bias, which would
// only make it smaller. The int8 side multiplies the dequantized operands in float, which differs from the engine's integer sums by rounding
// alone.

/// A linear layer's float outputs on its activations, computed once and compared with each attempt.
package struct LayerError {
    /// By block of tokens, then by output.
    private let outputs: [[TokenLanes]]

    package init(_ weights: WeightMatrix, on activations: LayerActivations) {
        outputs = (0..<(activations.tokens / LayerActivations.block)).map { block in
            let columns = activations.columns(block: block)
            return (0..<weights.outputs).map { TokenLanes(weights.row($0), columns) }
        }
    }

    /// The same of weights that are not in steps, on float activations.
    package func relative(_ weights: WeightMatrix, on activations: LayerActivations) -> Double {
        var (lost, total) = (0.0, 0.0)
        for (block, exact) in outputs.enumerated() {
            let columns = activations.columns(block: block)
            for n in 0..<weights.outputs {
                lost += TokenLanes(weights.row(n), columns).squaredDistance(to: exact[n])
                total += exact[n].squaredDistance(to: TokenLanes())
            }
        }
        return total > 0 ? (lost / total).squareRoot() : 0
    }

    /// - Parameters:
    ///   - weights: rotated, if the layer is.
    ///   - scales: [N]
    ///   - activations: rotated, if the layer is, and quantized.
    package func relative(_ weights: WeightMatrix, scales: [Float], on activations: LayerActivations) -> Double {
        var (lost, total) = (0.0, 0.0)
        let columns = outputs.indices.map { activations.columns(block: $0) }
        for n in 0..<weights.outputs {
            let steps = Int8Quantization.steps(weights, row: n, scale: scales[n])[...]
            for (block, columns) in columns.enumerated() {
                let exact = outputs[block][n]
                lost += TokenLanes(steps, columns).scaled(by: scales[n]).squaredDistance(to: exact)
                total += exact.squaredDistance(to: TokenLanes())
            }
        }
        return total > 0 ? (lost / total).squareRoot() : 0
    }
}

/// One output for 32 tokens: four accumulators that stay in registers.
private struct TokenLanes {
    private var a = SIMD8<Float>()
    private var b = SIMD8<Float>()
    private var c = SIMD8<Float>()
    private var d = SIMD8<Float>()

    init() {}

    /// The product of a row of weights with the columns of a block of activations.
    init(_ row: ArraySlice<SIMD8<Float>>, _ columns: [SIMD8<Float>]) {
        var (a, b, c, d) = (SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>())
        var column = 0
        for lane in row {
            for i in 0..<8 {
                let weight = lane[i]
                a += columns[column] * weight
                b += columns[column + 1] * weight
                c += columns[column + 2] * weight
                d += columns[column + 3] * weight
                column += 4
            }
        }
        (self.a, self.b, self.c, self.d) = (a, b, c, d)
    }

    func scaled(by scale: Float) -> TokenLanes {
        var scaled = self
        scaled.a *= scale
        scaled.b *= scale
        scaled.c *= scale
        scaled.d *= scale
        return scaled
    }

    func squaredDistance(to other: TokenLanes) -> Double {
        let (p, q, r, s) = (a - other.a, b - other.b, c - other.c, d - other.d)
        return Double((p * p + q * q + r * r + s * s).sum())
    }
}
