// Measures the text encoder of a model file against the checkpoint's own floats at full depth, next to bfloat16. One layer of the floats
// is in memory at a time.
//
// Letters: L tokens, D model width, H heads.
import Glibc
package import SoradSystem
package import SoradTensor

extension UMT5Configuration {
    package func deviations(
        of stored: WeightReader, from exact: WeightReader, _ texts: [[Int32]],
        _ backend: any ComputeBackend
    ) throws(SoradError) -> EncoderDeviations {
        let encoder = try UMT5Encoder(self, stored, backend)
        let found = try encoder.encode(texts, stop: {}).flatMap(\.elements)
        let w = encoder.workspace(texts)
        let half = UMT5Bfloat16(configuration: self, backend: backend)
        var halves = w.texts.map { w.hidden.rows($0).elements.map(UMT5Bfloat16.rounded) }
        var sharedBias: [Float]?
        for index in 0..<layers {
            let layer = try UMT5Layer(self, exact.at("block.\(index)"), sharedBias: sharedBias)
            sharedBias = sharedBias ?? layer.relativeBias
            try encoder.run(layer, w, {})
            halves = halves.map { half.run(layer, $0) }
        }
        let finalNorm = try exact.vector("final_norm.weight", width)
        backend.rmsNorm(w.hidden, epsilon: epsilon, weight: finalNorm, into: w.hidden)
        let floats = w.hidden.elements
        let rounded = halves.flatMap { half.norm($0, finalNorm) }
        try backend.finish()
        return EncoderDeviations(
            layers: layers, tokens: texts.reduce(0) { $0 + $1.count },
            stored: EncoderDeviation(found, from: floats, width: width),
            bfloat16: EncoderDeviation(rounded, from: floats, width: width))
    }
}

/// A layer as PyTorch computes it after `UMT5EncoderModel.to(torch.bfloat16)`: what leaves an operation is bfloat16, inside it is float. The
/// weights are taken as they are (published ones are bfloat16), and attention and GELU count as one operation each, as in PyTorch's fused
/// forms; so it is the least that bfloat16 loses.
struct UMT5Bfloat16 {
    let configuration: UMT5Configuration
    let backend: any ComputeBackend

    /// To the nearest bfloat16, ties to even.
    static func rounded(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
    }

    /// hidden [L, D] behind the layer.
    func run(_ layer: UMT5Layer, _ hidden: [Float]) -> [Float] {
        let normed = norm(hidden, layer.attentionNorm)
        let attended = attention(
            product(normed, layer.query), product(normed, layer.key), product(normed, layer.value),
            layer.relativeBias)
        let between = sum(hidden, product(attended, layer.output))
        let wide = norm(between, layer.feedForwardNorm)
        let gated = zip(product(wide, layer.gate).map(Self.gelu), product(wide, layer.up)).map {
            Self.rounded($0 * $1)
        }
        return sum(between, product(gated, layer.down))
    }

    /// x [L, D] to mean square 1, then times `weight` [D]; rounded after each.
    func norm(_ x: [Float], _ weight: Parameter) -> [Float] {
        let (width, weights) = (configuration.width, weight.floats)
        var out = x
        for start in stride(from: 0, to: x.count, by: width) {
            let squares = x[start..<start + width].reduce(Float(0)) { $0 + $1 * $1 }
            let inverse = 1 / (squares / Float(width) + configuration.epsilon).squareRoot()
            for i in 0..<width {
                out[start + i] = Self.rounded(Self.rounded(x[start + i] * inverse) * weights[i])
            }
        }
        return out
    }

    private func sum(_ a: [Float], _ b: [Float]) -> [Float] {
        zip(a, b).map { Self.rounded($0 + $1) }
    }

    private static func gelu(_ x: Float) -> Float {
        rounded(0.5 * x * (1 + tanhf(0.797_884_56 * (x + 0.044715 * x * x * x))))
    }

    /// x [L, K] through a linear layer.
    private func product(_ x: [Float], _ weights: LinearWeights) -> [Float] {
        let length = x.count / weights.inputs
        let input = backend.make { $0.activations(capacity: length, width: weights.inputs) }
        let out = backend.tensor(Shape(length, weights.outputs))
        input.overwrite(rows: length).copy(from: Tensor(Shape(length, weights.inputs), x))
        backend.linear(input, weights, into: out)
        return out.elements.map(Self.rounded)
    }

    /// softmax(q·kᵀ + bias)·v of queries, keys and values [L, H·D'].
    private func attention(
        _ query: [Float], _ key: [Float], _ value: [Float], _ relativeBias: [Float]
    ) -> [Float] {
        let c = configuration
        let length = query.count / (c.heads * c.headWidth)
        let shape = Shape(length, c.heads * c.headWidth)
        let bias = backend.tensor(Shape(c.heads, length, length))
        RelativePositions(buckets: c.buckets, maxDistance: c.maxDistance).fill(
            bias, from: relativeBias.map(Self.rounded))
        let packed = backend.make {
            $0.keysValues(capacity: length, heads: c.heads, headWidth: c.headWidth)
        }
        let (queries, other, out) = (
            backend.tensor(shape), backend.tensor(shape), backend.tensor(shape)
        )
        other.set(key)
        backend.pack(keys: other, into: packed)
        other.set(value)
        backend.pack(values: other, into: packed)
        queries.set(query)
        backend.attend(queries: queries, to: packed, scale: 1, keyBias: nil, bias: bias, into: out)
        return out.elements.map(Self.rounded)
    }
}
