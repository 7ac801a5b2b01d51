// The layouts in which weights lie in a model file, see docs/MODEL_FILE.md: blocks of sixteen outputs, filled up with zeros.

package enum WeightPacking {
    /// Outputs of a block.
    static let outputs = 16
    /// Inputs that lie next to each other in an int8 block.
    static let inputs = 4

    package static func int8Dims(outputs n: Int, inputs k: Int) -> [Int] { [inputs, outputs, blocks(k, inputs), blocks(n, outputs)] }
    package static func floatDims(outputs n: Int, inputs k: Int) -> [Int] { [outputs, k, blocks(n, outputs)] }

    /// [N/16][K/4][16][4], and the sum of each row.
    package static func int8(_ weights: WeightMatrix, scales: [Float]) -> (packed: [Int8], sums: [Int32]) {
        let groups = blocks(weights.inputs, inputs)
        var packed = [Int8](repeating: 0, count: blocks(weights.outputs, outputs) * groups * outputs * inputs)
        var sums = [Int32](repeating: 0, count: weights.outputs)
        for n in 0..<weights.outputs {
            let start = (n / outputs) * groups * outputs * inputs + (n % outputs) * inputs
            var k = 0
            for lane in Int8Quantisation.steps(weights, row: n, scale: scales[n]) {
                for i in 0..<min(8, weights.inputs - k) {
                    let step = Int8(lane[i])
                    sums[n] += Int32(step)
                    packed[start + ((k + i) / inputs) * outputs * inputs + (k + i) % inputs] = step
                }
                k += 8
            }
        }
        return (packed, sums)
    }

    /// [N/16][K][16] of [N × K] row by row.
    package static func float(_ values: [Float], outputs n: Int, inputs k: Int) -> [Float] {
        precondition(values.count == n * k, "\(values.count) values for \(n) × \(k)")
        var packed = [Float](repeating: 0, count: blocks(n, outputs) * k * outputs)
        for row in 0..<n {
            let start = (row / outputs) * k * outputs + row % outputs
            for column in 0..<k { packed[start + column * outputs] = values[row * k + column] }
        }
        return packed
    }

    /// Reorders the inputs of a convolution [N, Cin, kh, kw] from (c, y, x) to (y, x, c).
    package static func channelsLast(_ values: [Float], shape: [Int]) -> [Float] {
        let (n, channels, area) = (shape[0], shape[1], shape[2] * shape[3])
        var reordered = [Float](repeating: 0, count: values.count)
        for row in 0..<n {
            for c in 0..<channels {
                for p in 0..<area { reordered[(row * area + p) * channels + c] = values[(row * channels + c) * area + p] }
            }
        }
        return reordered
    }

    /// Channels of an int8 image.
    static func int8Channels(_ count: Int) -> Int { blocks(count, inputs) * inputs }

    /// As `channelsLast`, with zeros for the channels up to a multiple of 4.
    package static func int8ChannelsLast(_ values: [Float], shape: [Int]) -> [Float] {
        let channels = int8Channels(shape[1])
        let plain = channelsLast(values, shape: shape)
        var filled = [Float](repeating: 0, count: plain.count / shape[1] * channels)
        for pixel in 0..<plain.count / shape[1] {
            for c in 0..<shape[1] { filled[pixel * channels + c] = plain[pixel * shape[1] + c] }
        }
        return filled
    }

    private static func blocks(_ count: Int, _ size: Int) -> Int { (count + size - 1) / size }
}
