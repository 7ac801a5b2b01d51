// The inputs on which a layer's int8 error is measured: captured ones where a calibration file has them, synthetic ones otherwise.
//
// Synthetic inputs are normal numbers times the sizes that the checkpoint itself gives them: the weights of the norm before the layer, or
// the fixed part of its modulation, where most outlier channels come from. Only captured inputs show the rest. The numbers come from a fixed
// generator seeded with the tensor's name: the same checkpoint gives the same decisions.
import Glibc
import SoradModelFile
import SoradSystem

package struct LayerActivations {
    /// Tokens; a multiple of `block`.
    package let tokens: Int
    let inputs: Int
    /// [tokens × inputs], token by token.
    package let values: [Float]
    /// Whether they were captured from a running model.
    let captured: Bool

    /// Tokens that are computed at once.
    static let block = 32

    /// Synthetic inputs of the kind `input`: one block of tokens.
    /// - Parameter gain: what the layer's own norm or modulation multiplies each input by, if there is one; for a convolution an entry for
    ///   each channel, of which a row holds several rounds.
    package init(synthetic input: LayerInput, inputs: Int, gain: [Float]?, name: String) {
        var generator = SplitMix64(seed: name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
        precondition(gain.map { inputs % $0.count == 0 } ?? true, "\(name): a gain of another width than \(inputs)")
        values = (0..<(Self.block * inputs)).map { i in
            let factor = gain.map { $0[i % inputs % $0.count] } ?? 1
            return switch input {
            case .normal, .image: generator.normal() * factor
            case .afterGELU: gelu(generator.normal()) * factor
            case .gatedGELU: gelu(generator.normal()) * generator.normal() * factor
            case .imageAfterReLU: max(generator.normal(), 0) * factor
            case .imageAfterSiLU: silu(generator.normal() * factor)
            }
        }
        tokens = Self.block
        self.inputs = inputs
        captured = false
    }

    /// Captured activations [tokens, K] from a calibration file; at most 256 tokens are used, evenly spread, the last repeated to fill a block.
    init(captured tensor: CheckpointTensor, inputs: Int) throws(SoradError) {
        guard tensor.shape.count == 2, tensor.shape[1] == inputs, tensor.shape[0] >= 1 else {
            throw SoradError(.badInput, "\(tensor.location): \(tensor.name) has the shape \(tensor.shape), not [tokens, \(inputs)]")
        }
        let available = tensor.shape[0]
        let used = min(available, 256)
        tokens = (used + Self.block - 1) / Self.block * Self.block
        var values: [Float] = []
        for token in 0..<tokens {
            let row = min(token, used - 1) * available / used
            values += try tensor.floats((row * inputs)..<((row + 1) * inputs))
        }
        guard values.allSatisfy(\.isFinite) else {
            throw SoradError(.badInput, "\(tensor.location): \(tensor.name) holds numbers that are not finite")
        }
        self.values = values
        self.inputs = inputs
        captured = true
    }

    private init(values: [Float], like other: LayerActivations) {
        self.values = values
        tokens = other.tokens
        inputs = other.inputs
        captured = other.captured
    }

    /// The same inputs rotated in groups.
    package func rotated(group: Int) -> LayerActivations {
        var values = values
        rotateHadamard(&values, group: group)
        return LayerActivations(values: values, like: self)
    }

    /// The same inputs as the engine sees them through int8: with a scale per token, or one for all, as for the pixels of an image.
    package func quantized(asymmetric: Bool, together: Bool = false) -> LayerActivations {
        var values = values
        for token in 0..<(together ? 1 : tokens) {
            let range = together ? 0..<values.count : (token * inputs)..<((token + 1) * inputs)
            let low = min(values[range].min() ?? 0, 0)
            let high = max(values[range].max() ?? 0, 0)
            let scale = asymmetric ? (high - low) / 254 : max(high, -low) / 127
            guard scale > 0 else { continue }
            let zero = asymmetric ? -127 - (low / scale).rounded(.toNearestOrEven) : 0
            for i in range {
                let step = (values[i] / scale).rounded(.toNearestOrEven) + zero
                values[i] = (min(max(step, -127), 127) - zero) * scale
            }
        }
        return LayerActivations(values: values, like: self)
    }

    /// What the weights of each channel of a convolution may be multiplied by and its activations divided by, so that both spread as little
    /// as can be over the channels: √(rms of the activations / rms of the weights) (as SmoothQuant does, Xiao et al. 2023).
    func balance(with weights: WeightMatrix, channels: Int) -> [Float] {
        var read = [Double](repeating: 0, count: channels)
        for (i, value) in values.enumerated() { read[i % inputs % channels] += Double(value) * Double(value) }
        var weighed = [Double](repeating: 0, count: channels)
        for n in 0..<weights.outputs {
            var k = 0
            for lane in weights.row(n) {
                for i in 0..<min(8, inputs - k) { weighed[(k + i) % channels] += Double(lane[i]) * Double(lane[i]) }
                k += 8
            }
        }
        // Means over as many numbers in every channel.
        let ratio = Double(weights.outputs) / Double(tokens)
        return zip(read, weighed).map { read, weighed in
            // A channel that is never read or never used stays as it is.
            let gain = read > 0 && weighed > 0 ? Float((read / weighed * ratio).squareRoot().squareRoot()) : 1
            return gain.isNormal && (1 / gain).isNormal ? gain : 1
        }
    }

    func divided(by gains: [Float]) -> LayerActivations {
        LayerActivations(values: values.indices.map { values[$0] / gains[$0 % inputs % gains.count] }, like: self)
    }

    /// Mean square of each input over the tokens, as lanes; the importance of the weights that it meets.
    package func meanSquares() -> [SIMD8<Float>] {
        var sums = [SIMD8<Float>](repeating: SIMD8(), count: (inputs + 7) / 8)
        for token in 0..<tokens {
            for k in 0..<inputs {
                let value = values[token * inputs + k]
                sums[k / 8][k % 8] += value * value
            }
        }
        return sums.map { $0 / Float(tokens) }
    }

    /// Block `index` with the token running fastest: [inputs, filled up to whole lanes of weights] × 4 lanes of 8 tokens.
    func columns(block index: Int) -> [SIMD8<Float>] {
        var columns = [SIMD8<Float>](repeating: SIMD8(), count: (inputs + 7) / 8 * 8 * 4)
        for t in 0..<Self.block {
            let start = (index * Self.block + t) * inputs
            for k in 0..<inputs { columns[k * 4 + t / 8][t % 8] = values[start + k] }
        }
        return columns
    }
}

/// The tanh form of GELU.
private func gelu(_ x: Float) -> Float { 0.5 * x * (1 + tanhf(0.797_884_56 * (x + 0.044715 * x * x * x))) }

private func silu(_ x: Float) -> Float { x / (1 + expf(-x)) }

extension SplitMix64 {
    /// About standard normal: the sum of twelve uniform numbers less 6, which needs no logarithm and so is the same everywhere.
    fileprivate mutating func normal() -> Float {
        var sum: Float = -6
        for _ in 0..<6 {
            let bits = next()
            sum += (Float(UInt32(truncatingIfNeeded: bits) >> 8) + Float(UInt32(truncatingIfNeeded: bits >> 32) >> 8)) * 0x1p-24
        }
        return sum
    }
}
