// Owns the text encoder: transformers' UMT5EncoderModel, and mT5's where only the first layer has a relative bias. Only the valid tokens
// of a prompt are encoded; that equals encoding a padded batch with its mask.
//
// The tokens of all prompts are rows of one matrix, so every weight is read and unpacked once. Rows meet in attention alone, which each
// prompt has for itself: its bits do not depend on its neighbors.
//
// Letters: L tokens of a prompt, M tokens of all prompts, D model width, H heads.
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

    struct Workspace {
        /// Rows of each text.
        let texts: [Range<Int>]
        /// [M, D]
        let hidden: Tensor
        let normed: any ActivationMatrix
        /// One after the other in the same memory.
        let attention: Attention
        let feedForward: FeedForward

        /// Of the attention: [M, H·D'], but bias and packed keys and values of the longest text alone.
        struct Attention {
            let query, key, value, bias: Tensor
            let attended: any ActivationMatrix
            let packed: any PackedKeysValues

            init(_ c: UMT5Configuration, rows: Int, longest: Int, in arena: Arena) {
                let inner = Shape(rows, c.heads * c.headWidth)
                (query, key, value) = (arena.tensor(inner), arena.tensor(inner), arena.tensor(inner))
                bias = arena.tensor(Shape(c.heads, longest, longest))
                attended = arena.activations(capacity: rows, width: inner.last)
                packed = arena.keysValues(capacity: longest, heads: c.heads, headWidth: c.headWidth)
            }
        }

        /// Of the feed-forward: [M, F].
        struct FeedForward {
            let gate, up: Tensor
            let gated: any ActivationMatrix

            init(_ c: UMT5Configuration, rows: Int, in arena: Arena) {
                let wide = Shape(rows, c.feedForward)
                (gate, up) = (arena.tensor(wide), arena.tensor(wide))
                gated = arena.activations(capacity: rows, width: c.feedForward)
            }
        }

        init(_ c: UMT5Configuration, lengths: [Int], in arena: Arena) {
            texts = lengths.reduce(into: []) { texts, length in
                let start = texts.last?.upperBound ?? 0
                texts.append(start..<start + length)
            }
            let (rows, longest, backend) = (texts.last?.upperBound ?? 0, lengths.max() ?? 0, arena.backend)
            hidden = arena.tensor(Shape(rows, c.width))
            normed = arena.activations(capacity: rows, width: c.width)
            let shared = arena.bytes(
                max(
                    backend.measure { Attention(c, rows: rows, longest: longest, in: $0) },
                    backend.measure { FeedForward(c, rows: rows, in: $0) }))
            attention = Attention(c, rows: rows, longest: longest, in: Arena(backend, in: shared))
            feedForward = FeedForward(c, rows: rows, in: Arena(backend, in: shared))
        }
    }

    /// Bytes that encoding two texts of `length` tokens takes, and any that are no longer and have as many tokens together.
    package func workspaceBytes(length: Int) -> Int { workspaceBytes(lengths: [length, length]) }

    package func workspaceBytes(lengths: [Int]) -> Int { backend.measure { Workspace(configuration, lengths: lengths, in: $0) } }

    package func encode(_ texts: [[Int32]], stop: StopCheck) throws(SoradError) -> [Tensor] {
        let c = configuration
        if let wrong = texts.joined().first(where: { !(0..<c.vocabulary).contains(Int($0)) }) {
            throw SoradError(.badInput, "token \(wrong) is outside the model's vocabulary of \(c.vocabulary)")
        }
        let w = workspace(texts)
        for (index, layer) in layers.enumerated() {
            try run(layer, w, stop)
            for text in w.texts { TensorDump.write("te.block.\(index)", w.hidden.rows(text)) }
        }
        backend.rmsNorm(w.hidden, epsilon: c.epsilon, weight: finalNorm, into: w.hidden)
        try backend.finish()
        return w.texts.map { text in
            let out = w.hidden.rows(text).clone()
            TensorDump.write("te.output", out)
            return out
        }
    }

    /// Workspace with the embeddings of the texts' tokens.
    func workspace(_ texts: [[Int32]]) -> Workspace {
        let w = backend.make { Workspace(configuration, lengths: texts.map(\.count), in: $0) }
        w.hidden.setRows(texts.joined().map { Int($0) }, of: embedding)
        return w
    }

    /// Tokens of the two texts that are measured. What attention takes grows with their square, and is little in texts of this length.
    private static let lengths = (few: 16, many: 64)

    package func measuredCost() -> TextCost {
        let (few, many) = (layerSeconds(length: Self.lengths.few), layerSeconds(length: Self.lengths.many))
        let perToken = max(0, (many - few) / Double(Self.lengths.many - Self.lengths.few))
        let fixed = max(0, few - perToken * Double(Self.lengths.few))
        return TextCost(fixed: fixed * Double(layers.count), perToken: perToken * Double(layers.count))
    }

    /// Seconds of the first layer with a text of that length; the quicker of two runs.
    private func layerSeconds(length: Int) -> Double {
        let w = backend.make { Workspace(configuration, lengths: [length], in: $0) }
        backend.fill(w.hidden, with: 0.5)
        let seconds = (0..<2).map { _ in
            let began = MonotonicTime.now()
            try? run(layers[0], w, {})
            _ = w.hidden.onHost
            return (MonotonicTime.now() - began).inSeconds
        }
        return seconds.min() ?? 0
    }

    /// hidden [M, D] through one layer.
    func run(_ layer: UMT5Layer, _ w: Workspace, _ stop: StopCheck) throws(SoradError) {
        let (hidden, f) = (w.hidden, w.feedForward)
        let rows = hidden.shape[0]
        try stop()
        try attend(layer, w, stop)
        try stop()
        backend.rmsNorm(hidden, epsilon: configuration.epsilon, weight: layer.feedForwardNorm, into: w.normed.overwrite(rows: rows))
        backend.linear(w.normed, layer.gate, into: f.gate)
        try stop()
        backend.linear(w.normed, layer.up, into: f.up)
        backend.geluTanhMultiply(f.gate, f.up, into: f.gated.overwrite(rows: rows))
        try stop()
        backend.linear(f.gated, layer.down, activation: .none, gate: nil, residual: hidden, into: hidden)
    }

    /// hidden += o(attention(norm(hidden))); T5 does not scale the logits.
    private func attend(_ layer: UMT5Layer, _ w: Workspace, _ stop: StopCheck) throws(SoradError) {
        let (c, hidden, a) = (configuration, w.hidden, w.attention)
        let rows = hidden.shape[0]
        backend.rmsNorm(hidden, epsilon: c.epsilon, weight: layer.attentionNorm, into: w.normed.overwrite(rows: rows))
        backend.linear(w.normed, layer.query, into: a.query)
        backend.linear(w.normed, layer.key, into: a.key)
        backend.linear(w.normed, layer.value, into: a.value)
        let attended = a.attended.overwrite(rows: rows)
        for text in w.texts {
            try stop()
            let bias = a.bias.prefix(Shape(c.heads, text.count, text.count))
            RelativePositions(buckets: c.buckets, maxDistance: c.maxDistance).fill(bias, from: layer.relativeBias)
            backend.pack(keys: a.key.rows(text), into: a.packed)
            backend.pack(values: a.value.rows(text), into: a.packed)
            backend.attend(
                queries: a.query.rows(text), to: a.packed, scale: 1, keyBias: nil, bias: bias, into: attended.rows(text))
        }
        try stop()
        backend.linear(a.attended, layer.output, activation: .none, gate: nil, residual: hidden, into: hidden)
    }
}
