// Symmetric int8 per output channel: which scale, and the rounding to it.
//
// The scale of a channel need not be its largest weight / 127: giving up the tip of a single long weight can make all others finer. So a
// few clip ratios are tried and the one with the least squared error is kept, weighted by how much each input is used where that is known.

package enum Int8Quantization {
    /// Tried in this order; the first of equals wins, so a channel that gains nothing keeps its full range.
    /// Close to 1 they are dense: at 127 / 127.5 the longest weight still rounds no worse than any other.
    private static let clipRatios: [Float] = [
        1, 0.998, 0.996, 0.993, 0.99, 0.985, 0.98, 0.97, 0.96, 0.94, 0.92, 0.9, 0.87, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6,
    ]
    /// A channel whose largest weight is below this counts as zero; its scale would not be a normal float.
    private static let least: Float = 1e-30
    /// Added and taken away again, it rounds a float below 2^22 to the nearest whole number, ties to even, with two additions.
    private static let roundingBias = SIMD8<Float>(repeating: 12_582_912)

    /// [N] the scales that lose least.
    /// - Parameter importance: lanes of the mean square of each input, or nil when all count alike.
    package static func scales(_ weights: WeightMatrix, importance: [SIMD8<Float>]?) -> [Float] {
        precondition(importance == nil || importance?.count == weights.lanesPerRow, "importance of another width")
        return (0..<weights.outputs).map { bestScale(weights.row($0), importance) }
    }

    private static func bestScale(_ row: ArraySlice<SIMD8<Float>>, _ importance: [SIMD8<Float>]?) -> Float {
        var largestLane = SIMD8<Float>()
        for lane in row {
            largestLane.replace(with: lane, where: lane .> largestLane)
            largestLane.replace(with: -lane, where: -lane .> largestLane)
        }
        let largest = largestLane.max()
        guard largest >= least else { return 0 }
        var best = (scale: Float(0), loss: Float.infinity)
        for ratio in clipRatios {
            let scale = largest * ratio / 127
            let loss = loss(row, scale, importance)
            if loss < best.loss { best = (scale, loss) }
        }
        return best.scale
    }

    private static func loss(_ row: ArraySlice<SIMD8<Float>>, _ scale: Float, _ importance: [SIMD8<Float>]?) -> Float {
        var sum = SIMD8<Float>()
        let inverse = 1 / scale
        if let importance {
            for (lane, weight) in zip(row, importance) {
                let difference = lane - steps(lane, inverse) * scale
                sum += difference * difference * weight
            }
        } else {
            for lane in row {
                let difference = lane - steps(lane, inverse) * scale
                sum += difference * difference
            }
        }
        return sum.sum()
    }

    /// The whole numbers in -127…127 that stand for `lane`.
    @inline(__always)
    private static func steps(_ lane: SIMD8<Float>, _ inverse: Float) -> SIMD8<Float> {
        var steps = lane * inverse
        steps.replace(with: -127, where: steps .< -127)
        steps.replace(with: 127, where: steps .> 127)
        return (steps + roundingBias) - roundingBias
    }

    /// Row `n` of `weights` in steps of `scale`: lanes of whole numbers in -127…127.
    package static func steps(_ weights: WeightMatrix, row n: Int, scale: Float) -> [SIMD8<Float>] {
        let inverse = scale > 0 ? 1 / scale : 0
        return weights.row(n).map { steps($0, inverse) }
    }

    /// Relative L2 error of the rounded weights.
    package static func error(_ weights: WeightMatrix, scales: [Float]) -> Double {
        var (lost, total) = (0.0, 0.0)
        for n in 0..<weights.outputs {
            var (lostInRow, totalInRow) = (SIMD8<Float>(), SIMD8<Float>())
            for (lane, step) in zip(weights.row(n), steps(weights, row: n, scale: scales[n])) {
                let difference = lane - step * scales[n]
                lostInRow += difference * difference
                totalInRow += lane * lane
            }
            lost += Double(lostInRow.sum())
            total += Double(totalInRow.sum())
        }
        return total > 0 ? (lost / total).squareRoot() : 0
    }
}
