// Owns the text encoder: transformers' UMT5EncoderModel, and mT5's where only the first layer has a relative bias. Only the valid tokens
// of a prompt are encoded; that equals encoding a padded batch with its mask.
//
// Letters: L tokens, D model width, H heads.
package import SoradSystem
package import SoradTensor

package final class UMT5Encoder: TextEncoder {
    private struct Layer {
        let attentionNorm: Parameter, query, key, value, output: LinearWeights
        /// [buckets, heads], on the host: what attention reads is made of it for the length of a prompt.
        let relativeBias: [Float]
        let feedForwardNorm: Parameter, gate, up, down: LinearWeights
    }

    private let configuration: UMT5Configuration
    private let backend: any ComputeBackend
    private let embedding: Parameter
    private let layers: [Layer]
    private let finalNorm: Parameter

    init(_ configuration: UMT5Configuration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        let c = configuration
        let inner = c.heads * c.headWidth
        self.configuration = configuration
        self.backend = backend
        embedding = try weights.embedding("token_embedding.weight", rows: c.vocabulary, width: c.width)
        var layers: [Layer] = []
        for index in 0..<c.layers {
            let block = weights.at("block.\(index)")
            let name = "attn.relative_bias"
            let hasBias = index == 0 || block.has(name)
            layers.append(
                Layer(
                    attentionNorm: try block.vector("attn_norm.weight", c.width),
                    query: try block.linear("attn.q", outputs: inner, inputs: c.width, bias: false),
                    key: try block.linear("attn.k", outputs: inner, inputs: c.width, bias: false),
                    value: try block.linear("attn.v", outputs: inner, inputs: c.width, bias: false),
                    output: try block.linear("attn.o", outputs: c.width, inputs: inner, bias: false),
                    relativeBias: hasBias
                        ? try block.matrix(name, rows: c.buckets, width: c.heads) : layers[0].relativeBias,
                    feedForwardNorm: try block.vector("ffn_norm.weight", c.width),
                    gate: try block.linear("ffn.wi_0", outputs: c.feedForward, inputs: c.width, bias: false),
                    up: try block.linear("ffn.wi_1", outputs: c.feedForward, inputs: c.width, bias: false),
                    down: try block.linear("ffn.wo", outputs: c.width, inputs: c.feedForward, bias: false)))
        }
        self.layers = layers
        finalNorm = try weights.vector("final_norm.weight", c.width)
    }

    private struct Workspace {
        let hidden, query, key, value, bias, gate, up: Tensor
        let normed, attended, gated: any ActivationMatrix
        let packed: any PackedKeysValues

        init(_ c: UMT5Configuration, length: Int, in arena: Arena) {
            let inner = Shape(length, c.heads * c.headWidth)
            let wide = Shape(length, c.feedForward)
            hidden = arena.tensor(Shape(length, c.width))
            (query, key, value) = (arena.tensor(inner), arena.tensor(inner), arena.tensor(inner))
            bias = arena.tensor(Shape(c.heads, length, length))
            (gate, up) = (arena.tensor(wide), arena.tensor(wide))
            normed = arena.activations(capacity: length, width: c.width)
            attended = arena.activations(capacity: length, width: inner.last)
            gated = arena.activations(capacity: length, width: c.feedForward)
            packed = arena.keysValues(capacity: length, heads: c.heads, headWidth: c.headWidth)
        }
    }

    /// Bytes that encoding `length` tokens takes.
    package func workspaceBytes(length: Int) -> Int { backend.measure { Workspace(configuration, length: length, in: $0) } }

    /// Token ids to embeddings [L, D], in the host's memory.
    /// - Parameter stop: asked before every part of a layer.
    /// - Throws: `.badInput` for an id outside the vocabulary; what `stop` throws.
    package func encode(_ ids: [Int32], stop: StopCheck) throws(SoradError) -> Tensor {
        if let wrong = ids.first(where: { !(0..<configuration.vocabulary).contains(Int($0)) }) {
            throw SoradError(.badInput, "token \(wrong) is outside the model's vocabulary of \(configuration.vocabulary)")
        }
        let length = ids.count
        let epsilon = configuration.epsilon
        let w = backend.make { Workspace(configuration, length: length, in: $0) }
        w.hidden.setRows(ids.map { Int($0) }, of: embedding)
        for (index, layer) in layers.enumerated() {
            try stop()
            try attend(layer, w, length, stop)
            try stop()
            backend.rmsNorm(w.hidden, epsilon: epsilon, weight: layer.feedForwardNorm, into: w.normed.overwrite(rows: length))
            backend.linear(w.normed, layer.gate, into: w.gate)
            try stop()
            backend.linear(w.normed, layer.up, into: w.up)
            backend.geluTanhMultiply(w.gate, w.up, into: w.gated.overwrite(rows: length))
            try stop()
            backend.linear(w.gated, layer.down, activation: .none, gate: nil, residual: w.hidden, into: w.hidden)
            TensorDump.write("te.block.\(index)", w.hidden)
        }
        let out = backend.tensor(w.hidden.shape)
        backend.rmsNorm(w.hidden, epsilon: epsilon, weight: finalNorm, into: out)
        TensorDump.write("te.output", out)
        try backend.finish()
        return out.onHost
    }

    /// hidden += o(attention(norm(hidden))); T5 does not scale the logits.
    private func attend(_ layer: Layer, _ w: Workspace, _ length: Int, _ stop: StopCheck) throws(SoradError) {
        backend.rmsNorm(w.hidden, epsilon: configuration.epsilon, weight: layer.attentionNorm, into: w.normed.overwrite(rows: length))
        backend.linear(w.normed, layer.query, into: w.query)
        backend.linear(w.normed, layer.key, into: w.key)
        backend.linear(w.normed, layer.value, into: w.value)
        try stop()
        RelativePositions(buckets: configuration.buckets, maxDistance: configuration.maxDistance).fill(w.bias, from: layer.relativeBias)
        backend.pack(keys: w.key, into: w.packed)
        backend.pack(values: w.value, into: w.packed)
        backend.attend(queries: w.query, to: w.packed, scale: 1, keyBias: nil, bias: w.bias, into: w.attended.overwrite(rows: length))
        try stop()
        backend.linear(w.attended, layer.output, activation: .none, gate: nil, residual: w.hidden, into: w.hidden)
    }
}
