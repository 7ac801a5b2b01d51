// How far an int8 layer's output is from the float layer's: relative L2 over all tokens and outputs, without the bias, which would only
// flatter it. The int8 side multiplies the dequantised operands in float, which differs from the engine's integer sums by rounding alone.

/// A linear layer's float outputs on its activations, computed once and compared with each attempt.
struct LayerError {
    /// By block of tokens, then by output.
    private let outputs: [[SIMD32<Float>]]

    init(_ weights: WeightMatrix, on activations: LayerActivations) {
        outputs = (0..<(activations.tokens / LayerActivations.block)).map { block in
            let columns = activations.columns(block: block)
            return (0..<weights.outputs).map { product(weights.row($0), columns) }
        }
    }

    /// - Parameters:
    ///   - weights: rotated, if the layer is.
    ///   - scales: [N]
    ///   - activations: rotated, if the layer is, and quantised.
    func relative(_ weights: WeightMatrix, scales: [Float], on activations: LayerActivations) -> Double {
        var (lost, total) = (0.0, 0.0)
        let columns = outputs.indices.map { activations.columns(block: $0) }
        for n in 0..<weights.outputs {
            let steps = Int8Quantisation.steps(weights, row: n, scale: scales[n])[...]
            for (block, columns) in columns.enumerated() {
                let exact = outputs[block][n]
                let difference = product(steps, columns) * scales[n] - exact
                lost += Double((difference * difference).sum())
                total += Double((exact * exact).sum())
            }
        }
        return total > 0 ? (lost / total).squareRoot() : 0
    }
}

/// One output for 32 tokens.
private func product(_ row: ArraySlice<SIMD16<Float>>, _ columns: [SIMD32<Float>]) -> SIMD32<Float> {
    var sum = SIMD32<Float>()
    var k = 0
    for lane in row {
        for i in 0..<16 { sum += columns[k + i] * lane[i] }
        k += 16
    }
    return sum
}
