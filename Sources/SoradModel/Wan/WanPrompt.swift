// Owns a prompt as the transformer's cross-attention reads it: keys and values of every block, computed once per clip.
//
// Wan pads the text with rows of zeros and attends to them without a mask. All those rows give the same key and value, so one stands for
// all of them, with ln(count) added to its logit: the softmax is the same.
package import SoradTensor

package struct WanPrompt {
    /// One per block, and then one per block of the control branch.
    let layers: [any PackedKeysValues]
    /// [keys]: 0 for a token, ln(count) for the padding; nil without padding.
    let keyBias: Tensor?
}

extension WanTransformer {
    /// Text embeddings [L, text width] to keys and values; the missing rows up to `textLength` are zeros.
    /// - Parameter stop: asked between the blocks.
    /// - Throws: what `stop` throws.
    package func prepare<Failure: Error>(
        _ text: Tensor, textLength: Int, stop: () throws(Failure) -> Void
    ) throws(Failure) -> WanPrompt {
        let c = configuration
        let padding = textLength - text.shape[0]
        let keys = text.shape[0] + (padding > 0 ? 1 : 0)
        precondition(
            text.shape.rank == 2 && text.shape[1] == c.textWidth && padding >= 0 && keys > 0, "text \(text.shape), \(textLength) rows")
        let w = backend.make { PromptWorkspace(c, keys: keys, in: $0) }
        let padded = w.text.overwrite(rows: keys)
        backend.fill(padded, with: 0)
        backend.copy(backend.resident(text), into: padded.rows(0..<text.shape[0]))
        backend.linear(w.text, textEmbedder.first, activation: .geluTanh, into: w.intermediate.overwrite(rows: keys))
        backend.linear(w.intermediate, textEmbedder.second, into: w.context.overwrite(rows: keys))
        TensorDump.write("dit.context", w.context.values)
        var layers: [any PackedKeysValues] = []
        for block in blocks + (control?.blocks.map(\.block) ?? []) {
            try stop()
            backend.linear(w.context, block.crossAttention.key, into: w.projected)
            backend.rmsNorm(w.projected, epsilon: c.epsilon, weight: block.crossAttention.keyNorm, into: w.projected)
            let packed = backend.make { $0.keysValues(capacity: keys, heads: c.heads, headWidth: c.headWidth) }
            backend.pack(keys: w.projected, into: packed)
            backend.linear(w.context, block.crossAttention.value, into: w.projected)
            backend.pack(values: w.projected, into: packed)
            layers.append(packed)
        }
        guard padding > 0 else { return WanPrompt(layers: layers, keyBias: nil) }
        var bias = [Float](repeating: 0, count: keys)
        bias[keys - 1] = Float(naturalLogarithm(Double(padding)))
        return WanPrompt(layers: layers, keyBias: backend.tensor(Shape(keys), bias))
    }

    /// As above, to the end.
    package func prepare(_ text: Tensor, textLength: Int) -> WanPrompt { prepare(text, textLength: textLength, stop: {}) }

    /// Bytes of the longest prompt, prepared.
    func promptBytes(textLength: Int) -> Int {
        let c = configuration
        let layer = backend.measure { $0.keysValues(capacity: textLength, heads: c.heads, headWidth: c.headWidth) }
        return layer * (c.layers + c.controlLayers.count) + backend.measure { PromptWorkspace(c, keys: textLength, in: $0) }
    }
}

private struct PromptWorkspace {
    let text, intermediate, context: any ActivationMatrix
    /// Keys, then values.
    let projected: Tensor

    init(_ c: WanConfiguration, keys: Int, in arena: Arena) {
        text = arena.activations(capacity: keys, width: c.textWidth)
        intermediate = arena.activations(capacity: keys, width: c.width)
        context = arena.activations(capacity: keys, width: c.width)
        projected = arena.tensor(Shape(keys, c.width))
    }
}
