// Owns the image encoder: transformers' CLIPVisionModel up to its last layer but one, whose output is what Wan's transformers were trained
// with (diffusers WanImageToVideoPipeline, encode_image: hidden_states[-2]).
//
// Letters: P patches, L = P + 1 tokens, D width, H heads.
package import SoradSystem
package import SoradTensor

package final class CLIPEncoder: ImageEncoder {
    private struct Norm {
        let weight, bias: Parameter

        init(_ weights: WeightReader, _ name: String, _ width: Int) throws(SoradError) {
            (weight, bias) = (try weights.vector(name + ".weight", width), try weights.vector(name + ".bias", width))
        }
    }

    private struct Layer {
        let attentionNorm, feedForwardNorm: Norm
        let query, key, value, output, up, down: LinearWeights
    }

    private let configuration: CLIPConfiguration
    private let backend: any ComputeBackend
    private let patchEmbedding: LinearWeights
    /// [1, D] and [L, D]
    private let classEmbedding, positions: Tensor
    /// Of the norm in front of the layers, [D] each; the host takes it, since no linear layer reads it.
    private let firstNorm: (weight: [Float], bias: [Float])
    private let layers: [Layer]
    private let giveBack: () -> Void

    init(_ configuration: CLIPConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        let c = configuration
        self.configuration = configuration
        self.backend = backend
        patchEmbedding = try weights.linear("patch_embedding", outputs: c.width, inputs: 3 * c.patch * c.patch, bias: false)
        classEmbedding = backend.tensor(Shape(1, c.width), try weights.unloadedVector("class_embedding", c.width).floats)
        positions = try weights.table("position_embedding", Shape(c.tokens, c.width))
        firstNorm = (
            try weights.unloadedVector("pre_norm.weight", c.width).floats, try weights.unloadedVector("pre_norm.bias", c.width).floats
        )
        var layers: [Layer] = []
        // The last layer of the checkpoint is not needed.
        for index in 0..<c.layers - 1 {
            let block = weights.at("block.\(index)")
            func square(_ name: String) throws(SoradError) -> LinearWeights {
                try block.linear(name, outputs: c.width, inputs: c.width)
            }
            layers.append(
                Layer(
                    attentionNorm: try Norm(block, "attn_norm", c.width), feedForwardNorm: try Norm(block, "ffn_norm", c.width),
                    query: try square("attn.q"), key: try square("attn.k"), value: try square("attn.v"), output: try square("attn.o"),
                    up: try block.linear("ffn.up", outputs: c.feedForward, inputs: c.width),
                    down: try block.linear("ffn.down", outputs: c.width, inputs: c.feedForward, asymmetricInput: true)))
        }
        self.layers = layers
        let blocks = weights.at("block")
        giveBack = { blocks.giveBack() }
    }

    private struct Workspace {
        let layout: PatchLayout
        /// [3, 1, S, S]
        let picture: Tensor
        let hidden, query, projected, wide: Tensor
        let patches, normed, attended, activated: any ActivationMatrix
        let packed: any PackedKeysValues

        init(_ c: CLIPConfiguration, in arena: Arena) {
            let side = c.imageSize / c.patch
            let matrix = Shape(c.tokens, c.width)
            layout = PatchLayout(channels: 3, patch: (1, c.patch, c.patch), grid: TokenGrid(frames: 1, height: side, width: side))
            picture = arena.tensor(layout.latent)
            (hidden, query, projected) = (arena.tensor(matrix), arena.tensor(matrix), arena.tensor(matrix))
            wide = arena.tensor(Shape(c.tokens, c.feedForward))
            patches = arena.activations(capacity: side * side, width: layout.rows[1])
            normed = arena.activations(capacity: c.tokens, width: c.width)
            attended = arena.activations(capacity: c.tokens, width: c.width)
            activated = arena.activations(capacity: c.tokens, width: c.feedForward)
            packed = arena.keysValues(capacity: c.tokens, heads: c.heads, headWidth: c.headWidth)
        }
    }

    package func workspaceBytes() -> Int { backend.measure { Workspace(configuration, in: $0) } }

    package func encode(_ picture: [UInt8], width: Int, height: Int, stop: StopCheck) throws(SoradError) -> Tensor {
        let c = configuration
        let w = backend.make { Workspace(c, in: $0) }
        w.picture.set(normalized(squarePicture(picture, width: width, height: height, side: c.imageSize)))
        let patches = c.tokens - 1
        backend.patchify(w.picture, w.layout, into: w.patches.overwrite(rows: patches))
        backend.copy(classEmbedding, into: w.hidden.rows(0..<1))
        backend.linear(w.patches, patchEmbedding, into: w.hidden.rows(1..<c.tokens))
        backend.add(w.hidden, positions, into: w.hidden)
        takeFirstNorm(w.hidden)
        for layer in layers {
            try stop()
            attend(layer, w)
            try stop()
            feedForward(layer, w)
        }
        let out = w.hidden.clone()
        TensorDump.write("ie.output", out)
        try backend.finish()
        giveBack()
        return out
    }

    package func measuredSeconds() -> Double {
        let w = backend.make { Workspace(configuration, in: $0) }
        backend.fill(w.hidden, with: 0.5)
        let seconds = (0..<2).map { _ in
            let began = MonotonicTime.now()
            attend(layers[0], w)
            feedForward(layers[0], w)
            _ = w.hidden.onHost
            return (MonotonicTime.now() - began).inSeconds
        }
        return (seconds.min() ?? 0) * Double(layers.count)
    }

    /// Rows of hidden [L, D] to mean 0 and variance 1, then · weight + bias.
    private func takeFirstNorm(_ hidden: Tensor) {
        let width = configuration.width
        hidden.withMutableElements { values in
            for start in stride(from: 0, to: values.count, by: width) {
                var (sum, squares) = (0.0, 0.0)
                for i in start..<start + width { sum += Double(values[i]) }
                let mean = sum / Double(width)
                for i in start..<start + width { squares += (Double(values[i]) - mean) * (Double(values[i]) - mean) }
                let factor = 1 / (squares / Double(width) + Double(configuration.epsilon)).squareRoot()
                for column in 0..<width {
                    let normed = Float((Double(values[start + column]) - mean) * factor)
                    values[start + column] = normed * firstNorm.weight[column] + firstNorm.bias[column]
                }
            }
        }
    }

    private func norm(_ x: Tensor, _ norm: Norm, into input: any ActivationMatrix) {
        backend.layerNorm(
            x, epsilon: configuration.epsilon, weight: norm.weight, bias: norm.bias, scale: nil, shift: nil, into: input)
    }

    /// hidden += down(gelu(up(norm(hidden))))
    private func feedForward(_ layer: Layer, _ w: Workspace) {
        norm(w.hidden, layer.feedForwardNorm, into: w.normed)
        backend.linear(w.normed, layer.up, into: w.wide)
        if configuration.isQuickGELU { w.wide.applyQuickGELU() } else { w.wide.applyGELU() }
        backend.copy(w.wide, into: w.activated.overwrite(rows: configuration.tokens))
        backend.linear(w.activated, layer.down, activation: .none, gate: nil, residual: w.hidden, into: w.hidden)
    }

    /// hidden += o(attention(norm(hidden)))
    private func attend(_ layer: Layer, _ w: Workspace) {
        let c = configuration
        norm(w.hidden, layer.attentionNorm, into: w.normed)
        backend.linear(w.normed, layer.key, into: w.projected)
        backend.pack(keys: w.projected, into: w.packed)
        backend.linear(w.normed, layer.value, into: w.projected)
        backend.pack(values: w.projected, into: w.packed)
        backend.linear(w.normed, layer.query, into: w.query)
        backend.attend(
            queries: w.query, to: w.packed, scale: 1 / Float(c.headWidth).squareRoot(), keyBias: nil, bias: nil,
            into: w.attended.overwrite(rows: c.tokens))
        backend.linear(w.attended, layer.output, activation: .none, gate: nil, residual: w.hidden, into: w.hidden)
    }

    /// [S, S, 3] bytes to [3, S, S], mean and deviation taken out.
    private func normalized(_ picture: [UInt8]) -> [Float] {
        let plane = picture.count / 3
        return (0..<3).flatMap { channel in
            (0..<plane).map { (Float(picture[3 * $0 + channel]) / 255 - configuration.mean[channel]) / configuration.deviation[channel] }
        }
    }
}
