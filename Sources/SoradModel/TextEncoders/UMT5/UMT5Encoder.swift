// Owns the text encoder: transformers' UMT5EncoderModel, and mT5's where only the first layer has a relative bias. Only the valid tokens
// of a prompt are encoded; that equals encoding a padded batch with its mask.
//
// Letters: L tokens, D model width, H heads.
package import SoradSystem
package import SoradTensor

package final class UMT5Encoder: TextEncoder {
    private let configuration: UMT5Configuration
    private let backend: any ComputeBackend
    private let embedding: Parameter
    private let layers: [UMT5Layer]
    private let finalNorm: Parameter

    init(_ configuration: UMT5Configuration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        self.configuration = configuration
        self.backend = backend
        embedding = try weights.embedding("token_embedding.weight", rows: configuration.vocabulary, width: configuration.width)
        var layers: [UMT5Layer] = []
        for index in 0..<configuration.layers {
            layers.append(try UMT5Layer(configuration, weights.at("block.\(index)"), sharedBias: layers.first?.relativeBias))
        }
        self.layers = layers
        finalNorm = try weights.vector("final_norm.weight", configuration.width)
    }

    /// Of the longest text; shorter ones use the beginning of it.
    struct Workspace {
        /// One per text, [L, D].
        let hidden: [Tensor]
        let query, key, value, bias, gate, up: Tensor
        let normed, attended, gated: any ActivationMatrix
        let packed: any PackedKeysValues

        init(_ c: UMT5Configuration, lengths: [Int], in arena: Arena) {
            let longest = lengths.max() ?? 0
            let inner = Shape(longest, c.heads * c.headWidth)
            let wide = Shape(longest, c.feedForward)
            hidden = lengths.map { arena.tensor(Shape($0, c.width)) }
            (query, key, value) = (arena.tensor(inner), arena.tensor(inner), arena.tensor(inner))
            bias = arena.tensor(Shape(c.heads, longest, longest))
            (gate, up) = (arena.tensor(wide), arena.tensor(wide))
            normed = arena.activations(capacity: longest, width: c.width)
            attended = arena.activations(capacity: longest, width: inner.last)
            gated = arena.activations(capacity: longest, width: c.feedForward)
            packed = arena.keysValues(capacity: longest, heads: c.heads, headWidth: c.headWidth)
        }
    }

    /// Bytes that encoding two texts of `length` tokens takes.
    package func workspaceBytes(length: Int) -> Int {
        backend.measure { Workspace(configuration, lengths: [length, length], in: $0) }
    }

    package func encode(_ texts: [[Int32]], stop: StopCheck) throws(SoradError) -> [Tensor] {
        let c = configuration
        if let wrong = texts.joined().first(where: { !(0..<c.vocabulary).contains(Int($0)) }) {
            throw SoradError(.badInput, "token \(wrong) is outside the model's vocabulary of \(c.vocabulary)")
        }
        let w = backend.make { Workspace(c, lengths: texts.map(\.count), in: $0) }
        for (hidden, ids) in zip(w.hidden, texts) { hidden.setRows(ids.map { Int($0) }, of: embedding) }
        for (index, layer) in layers.enumerated() {
            for hidden in w.hidden {
                try run(layer, hidden, w, stop)
                TensorDump.write("te.block.\(index)", hidden)
            }
        }
        let outs = w.hidden.map { hidden in
            let out = backend.tensor(hidden.shape)
            backend.rmsNorm(hidden, epsilon: c.epsilon, weight: finalNorm, into: out)
            TensorDump.write("te.output", out)
            return out
        }
        try backend.finish()
        return outs.map(\.onHost)
    }

    package func measuredSeconds(length: Int) -> Double {
        let w = backend.make { Workspace(configuration, lengths: [length], in: $0) }
        backend.fill(w.hidden[0], with: 0.5)
        let seconds = (0..<2).map { _ in
            let began = MonotonicTime.now()
            try? run(layers[0], w.hidden[0], w, {})
            _ = w.hidden[0].onHost
            return (MonotonicTime.now() - began).inSeconds
        }
        return (seconds.min() ?? 0) * Double(layers.count)
    }

    /// hidden [L, D] through one layer.
    func run(_ layer: UMT5Layer, _ hidden: Tensor, _ w: Workspace, _ stop: StopCheck) throws(SoradError) {
        let length = hidden.shape[0]
        let wide = Shape(length, configuration.feedForward)
        let (gate, up) = (w.gate.prefix(wide), w.up.prefix(wide))
        try stop()
        try attend(layer, hidden, w, stop)
        try stop()
        backend.rmsNorm(hidden, epsilon: configuration.epsilon, weight: layer.feedForwardNorm, into: w.normed.overwrite(rows: length))
        backend.linear(w.normed, layer.gate, into: gate)
        try stop()
        backend.linear(w.normed, layer.up, into: up)
        backend.geluTanhMultiply(gate, up, into: w.gated.overwrite(rows: length))
        try stop()
        backend.linear(w.gated, layer.down, activation: .none, gate: nil, residual: hidden, into: hidden)
    }

    /// hidden += o(attention(norm(hidden))); T5 does not scale the logits.
    private func attend(_ layer: UMT5Layer, _ hidden: Tensor, _ w: Workspace, _ stop: StopCheck) throws(SoradError) {
        let c = configuration
        let length = hidden.shape[0]
        let inner = Shape(length, c.heads * c.headWidth)
        let (query, key, value) = (w.query.prefix(inner), w.key.prefix(inner), w.value.prefix(inner))
        let bias = w.bias.prefix(Shape(c.heads, length, length))
        backend.rmsNorm(hidden, epsilon: c.epsilon, weight: layer.attentionNorm, into: w.normed.overwrite(rows: length))
        backend.linear(w.normed, layer.query, into: query)
        backend.linear(w.normed, layer.key, into: key)
        backend.linear(w.normed, layer.value, into: value)
        try stop()
        RelativePositions(buckets: c.buckets, maxDistance: c.maxDistance).fill(bias, from: layer.relativeBias)
        backend.pack(keys: key, into: w.packed)
        backend.pack(values: value, into: w.packed)
        backend.attend(queries: query, to: w.packed, scale: 1, keyBias: nil, bias: bias, into: w.attended.overwrite(rows: length))
        try stop()
        backend.linear(w.attended, layer.output, activation: .none, gate: nil, residual: hidden, into: hidden)
    }
}
