// The layouts in which weights lie in a model file, see docs/MODEL_FILE.md: blocks of sixteen outputs, filled up with zeros.

package enum WeightPacking {
    /// Outputs of a block.
    static let outputs = 16
    /// Inputs that lie next to each other in an int8 block.
    static let inputs = 4

    package static func int8Dims(outputs n: Int, inputs k: Int) -> [Int] { [inputs, outputs, blocks(k, inputs), blocks(n, outputs)] }
    package static func floatDims(outputs n: Int, inputs k: Int) -> [Int] { [outputs, k, blocks(n, outputs)] }

    /// [N/16][K/4][16] words of four inputs, and the sum of each row.
    package static func int8(_ weights: WeightMatrix, scales: [Float]) -> (packed: [UInt32], sums: [Int32]) {
        let groups = blocks(weights.inputs, inputs)
        var packed = [UInt32](repeating: 0, count: blocks(weights.outputs, outputs) * groups * outputs)
        var sums = [Int32](repeating: 0, count: weights.outputs)
        for n in 0..<weights.outputs {
            let start = (n / outputs) * groups * outputs + n % outputs
            var sum = SIMD8<UInt32>()
            for (index, lane) in Int8Quantization.steps(weights, row: n, scale: scales[n]).enumerated() {
                // What fills up the last lane is 0.
                let steps = lane.wholeNumbers
                sum &+= steps
                let bytes = words(steps)
                packed[start + 2 * index * outputs] = bytes.low
                if 2 * index + 1 < groups { packed[start + (2 * index + 1) * outputs] = bytes.high }
            }
            sums[n] = Int32(bitPattern: sum.wrappedSum())
        }
        return (packed, sums)
    }

    /// The low bytes of four numbers each, as little-endian words.
    @inline(__always)
    static func words(_ numbers: SIMD8<UInt32>) -> (low: UInt32, high: UInt32) {
        let bytes = (numbers & 0xFF) &<< SIMD8<UInt32>(0, 8, 16, 24, 0, 8, 16, 24)
        return (bytes.lowHalf.wrappedSum(), bytes.highHalf.wrappedSum())
    }

    /// [N/16][K][16] of [N × K] row by row.
    package static func float(_ values: [Float], outputs n: Int, inputs k: Int) -> [Float] {
        precondition(values.count == n * k, "\(values.count) values for \(n) × \(k)")
        var packed = [Float](repeating: 0, count: blocks(n, outputs) * k * outputs)
        for first in stride(from: 0, to: n, by: outputs) {
            let rows = min(outputs, n - first)
            var at = first * k
            // Written in order; sixteen rows are read side by side.
            for column in 0..<k {
                for row in 0..<rows { packed[at + row] = values[(first + row) * k + column] }
                at += outputs
            }
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
        filled(channelsLast(values, shape: shape), channels: shape[1])
    }

    /// Pixels of `channels` values, with zeros up to a multiple of 4.
    private static func filled(_ values: [Float], channels: Int) -> [Float] {
        let wide = int8Channels(channels)
        var filled = [Float](repeating: 0, count: values.count / channels * wide)
        for pixel in 0..<values.count / channels {
            for c in 0..<channels { filled[pixel * wide + c] = values[pixel * channels + c] }
        }
        return filled
    }

    package static func framesDims(shape: [Int], parts: Int) -> [Int] {
        floatDims(outputs: shape[0] / parts, inputs: shape[1] * kernelArea(shape)) + [parts * frameCount(shape)]
    }

    /// A file's tensors have four dimensions at most, so the two of a block are one.
    package static func int8FramesDims(shape: [Int], parts: Int) -> [Int] {
        let dims = int8Dims(outputs: shape[0] / parts, inputs: int8Channels(shape[1]) * kernelArea(shape))
        return [dims[0] * dims[1], dims[2], dims[3], parts * frameCount(shape)]
    }

    /// [part][kt][N/16][K][16] of a convolution [parts·N, Cin, kt, kh, kw] or, without kt, of one frame; K = (y, x, c).
    package static func frames(_ values: [Float], shape: [Int], parts: Int) -> [Float] {
        frameMatrices(values, shape: shape, parts: parts).flatMap {
            float($0, outputs: shape[0] / parts, inputs: kernelArea(shape) * shape[1])
        }
    }

    /// The same as int8, with the sums of each part and frame; the scales are those of all outputs.
    package static func int8Frames(_ values: [Float], shape: [Int], parts: Int, scales: [Float]) -> (packed: [UInt32], sums: [Int32]) {
        let n = shape[0] / parts
        var all: (packed: [UInt32], sums: [Int32]) = ([], [])
        for (index, matrix) in frameMatrices(values, shape: shape, parts: parts).enumerated() {
            let weights = WeightMatrix(
                outputs: n, inputs: kernelArea(shape) * int8Channels(shape[1]), filled(matrix, channels: shape[1]))
            let part = index / frameCount(shape)
            let one = int8(weights, scales: Array(scales[part * n..<(part + 1) * n]))
            all.packed += one.packed
            all.sums += one.sums
        }
        return all
    }

    /// Weights [N, Cin, …] times a number for each input channel.
    static func multiplied(_ values: [Float], shape: [Int], byInput gains: [Float]) -> [Float] {
        let taps = shape.dropFirst(2).reduce(1, *)
        return values.indices.map { values[$0] * gains[$0 / taps % shape[1]] }
    }

    /// All that an output of such a convolution multiplies in one row, [parts·N, (kt, y, x, c)].
    static func wholeRows(_ values: [Float], shape: [Int]) -> WeightMatrix {
        let matrices = frameMatrices(values, shape: shape, parts: 1)
        let k = kernelArea(shape) * shape[1]
        var rows: [Float] = []
        rows.reserveCapacity(values.count)
        for row in 0..<shape[0] { for matrix in matrices { rows += matrix[row * k..<(row + 1) * k] } }
        return WeightMatrix(outputs: shape[0], inputs: k * matrices.count, rows)
    }

    /// [part][kt] matrices [N, K], row by row.
    private static func frameMatrices(_ values: [Float], shape: [Int], parts: Int) -> [[Float]] {
        let (n, channels, frames, area) = (shape[0] / parts, shape[1], frameCount(shape), kernelArea(shape))
        return (0..<parts * frames).map { index in
            let (part, frame) = (index / frames, index % frames)
            var matrix = [Float](repeating: 0, count: n * area * channels)
            for row in 0..<n {
                for c in 0..<channels {
                    let from = (((part * n + row) * channels + c) * frames + frame) * area
                    for p in 0..<area { matrix[(row * area + p) * channels + c] = values[from + p] }
                }
            }
            return matrix
        }
    }

    /// Of a kernel with or without kt.
    private static func frameCount(_ shape: [Int]) -> Int { shape.count == 5 ? shape[2] : 1 }
    private static func kernelArea(_ shape: [Int]) -> Int { shape[shape.count - 2] * shape[shape.count - 1] }

    private static func blocks(_ count: Int, _ size: Int) -> Int { (count + size - 1) / size }
}
