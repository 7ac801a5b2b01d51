// Symmetric 10 bits in blocks of 32 inputs, each with a half-precision scale: weights for float activations. Blocks of Q8_0 are taken
// without loss.
//
// A network of many layers without a limit to what it adds to its stream turns the errors of all of them into one; with 8 bits per output
// channel that is up to three times what bfloat16 loses there, with these a third to two thirds (docs/MODELS.md).
import SoradTensor

package enum Int10Quantization {
    /// Inputs of a block.
    static let block = LinearWeights.int10Block
    private static let lanesPerBlock = block / 8
    /// The largest step.
    private static let most: Float = 508
    private static let roundingBias = SIMD8<Float>(repeating: 12_582_912)

    /// [N × ⌈K/32⌉] scales: the least that reach each block's largest weight.
    /// - Returns: nil where a scale is beyond half precision.
    package static func scales(_ weights: WeightMatrix) -> [Float16]? {
        var scales: [Float16] = []
        scales.reserveCapacity(weights.outputs * blocks(weights))
        for n in 0..<weights.outputs {
            let row = weights.row(n)
            for start in stride(from: row.startIndex, to: row.endIndex, by: lanesPerBlock) {
                var largest = SIMD8<Float>()
                for lane in row[start..<min(start + lanesPerBlock, row.endIndex)] {
                    largest.replace(with: lane, where: lane .> largest)
                    largest.replace(with: -lane, where: -lane .> largest)
                }
                let wanted = largest.max() / most
                var scale = Float16(wanted)
                if Float(scale) < wanted { scale = scale.nextUp }
                guard scale.isFinite else { return nil }
                scales.append(scale)
            }
        }
        return scales
    }

    /// Row `n` in steps of its blocks' scales: lanes of whole numbers in -508…508.
    package static func steps(_ weights: WeightMatrix, row n: Int, _ scales: [Float16]) -> [SIMD8<Float>] {
        var lanes = Array(weights.row(n))
        let first = n * blocks(weights)
        for block in 0..<blocks(weights) {
            let scale = Float(scales[first + block])
            for i in block * lanesPerBlock..<min((block + 1) * lanesPerBlock, lanes.count) {
                let steps = scale > 0 ? lanes[i] / scale : SIMD8()
                lanes[i] = (steps + roundingBias) - roundingBias
            }
        }
        return lanes
    }

    /// The weights as they will be read.
    package static func rounded(_ weights: WeightMatrix, _ scales: [Float16]) -> WeightMatrix {
        let perRow = blocks(weights)
        return weights.mapRows { n in
            var lanes = steps(weights, row: n, scales)
            for block in 0..<perRow {
                let scale = Float(scales[n * perRow + block])
                for i in block * lanesPerBlock..<min((block + 1) * lanesPerBlock, lanes.count) { lanes[i] *= scale }
            }
            return lanes
        }
    }

    /// What rounding loses: of all weights the relative L2 error, and the root mean square of that error of each input's column. The latter
    /// is the larger where some columns are far longer than their neighbors, which then lose their bits.
    package static func errors(_ weights: WeightMatrix, _ rounded: WeightMatrix) -> (all: Double, columns: Double) {
        var lost = [SIMD8<Float>](repeating: SIMD8(), count: weights.lanesPerRow)
        var total = lost
        for n in 0..<weights.outputs {
            for (index, (exact, found)) in zip(weights.row(n), rounded.row(n)).enumerated() {
                let difference = exact - found
                lost[index] += difference * difference
                total[index] += exact * exact
            }
        }
        var (allLost, allTotal, ratios) = (0.0, 0.0, 0.0)
        for (lost, total) in zip(lost, total) {
            allLost += Double(lost.sum())
            allTotal += Double(total.sum())
            for i in 0..<8 where total[i] > 0 { ratios += Double(lost[i] / total[i]) }
        }
        return (allTotal > 0 ? (allLost / allTotal).squareRoot() : 0, (ratios / Double(weights.inputs)).squareRoot())
    }

    package static func highDims(outputs n: Int, inputs k: Int) -> [Int] { WeightPacking.int8Dims(outputs: n, inputs: k) }
    package static func lowDims(outputs n: Int, inputs k: Int) -> [Int] { [16, (k + 15) / 16, (n + 15) / 16] }
    package static func scaleDims(outputs n: Int, inputs k: Int) -> [Int] { [16, (k + block - 1) / block, (n + 15) / 16] }

    /// The tensors of a layer: `high` [N/16][K/4][16] with four inputs in a word, `low` [N/16][K/16][16] with two bits for each input,
    /// `scales` [N/16][K/32][16].
    package static func packed(_ weights: WeightMatrix, _ scales: [Float16]) -> (high: [UInt32], low: [UInt32], scales: [UInt16]) {
        let (n, k, perRow) = (weights.outputs, weights.inputs, blocks(weights))
        let (groups, words) = ((k + 3) / 4, (k + 15) / 16)
        var high = [UInt32](repeating: 0, count: (n + 15) / 16 * groups * 16)
        var low = [UInt32](repeating: 0, count: (n + 15) / 16 * words * 16)
        var halves = [UInt16](repeating: 0, count: (n + 15) / 16 * perRow * 16)
        for row in 0..<n {
            let highStart = row / 16 * groups * 16 + row % 16
            let lowStart = row / 16 * words * 16 + row % 16
            for b in 0..<perRow { halves[(row / 16 * perRow + b) * 16 + row % 16] = scales[row * perRow + b].bitPattern }
            for (index, lane) in steps(weights, row: row, scales).enumerated() {
                // What fills up the last lane is 0.
                let steps = lane.wholeNumbers
                let bytes = WeightPacking.words(SIMD8<UInt32>(truncatingIfNeeded: SIMD8<Int32>(truncatingIfNeeded: steps) &>> 2))
                high[highStart + 2 * index * 16] = bytes.low
                if 2 * index + 1 < groups { high[highStart + (2 * index + 1) * 16] = bytes.high }
                let bits = ((steps & 3) &<< SIMD8<UInt32>(0, 2, 4, 6, 8, 10, 12, 14)).wrappedSum()
                low[lowStart + index / 2 * 16] |= bits << UInt32(index % 2 * 16)
            }
        }
        return (high, low, halves)
    }

    private static func blocks(_ weights: WeightMatrix) -> Int { (weights.inputs + block - 1) / block }
}
