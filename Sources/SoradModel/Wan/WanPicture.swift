// Owns given pictures as the transformer's cross-attention reads them: keys and values of every block, computed once per clip and shared by
// all prompts (diffusers WanImageEmbedding; add_k_proj and add_v_proj of WanAttention).
//
// Letters: P embeddings of all pictures, E their width, D model width.
import SoradSystem
package import SoradTensor

package struct WanPicture {
    /// One per block.
    let layers: [any PackedKeysValues]
}

/// From embeddings [P, E] to rows [P, D].
struct WanImageEmbedding {
    private let before, after: (weight: Parameter, bias: Parameter)
    private let up, down: LinearWeights
    /// [P, E], added to the embeddings of the first and the last picture; nil where there is one picture.
    private let positions: Tensor?
    /// torch's LayerNorm without a number of its own.
    private static let epsilon: Float = 1e-5

    init(_ c: WanConfiguration, _ weights: WeightReader) throws(SoradError) {
        before = (try weights.vector("norm1.weight", c.imageWidth), try weights.vector("norm1.bias", c.imageWidth))
        after = (try weights.vector("norm2.weight", c.width), try weights.vector("norm2.bias", c.width))
        up = try weights.linear("ff.net.0.proj", outputs: c.imageWidth, inputs: c.imageWidth)
        down = try weights.linear("ff.net.2", outputs: c.width, inputs: c.imageWidth)
        positions =
            c.imagePositions > 0
            ? try weights.table("pos_embed", Shape(1, c.imagePositions, c.imageWidth)).reshaped(Shape(c.imagePositions, c.imageWidth)) : nil
    }

    struct Workspace {
        let embeddings, intermediate: Tensor
        let input, activated, context: any ActivationMatrix
        /// [P, D]: what goes into the last norm; then keys, then values.
        let projected, keys: Tensor

        init(_ c: WanConfiguration, count: Int, in arena: Arena) {
            (embeddings, intermediate) = (arena.tensor(Shape(count, c.imageWidth)), arena.tensor(Shape(count, c.imageWidth)))
            input = arena.activations(capacity: count, width: c.imageWidth)
            activated = arena.activations(capacity: count, width: c.imageWidth)
            context = arena.activations(capacity: count, width: c.width)
            (projected, keys) = (arena.tensor(Shape(count, c.width)), arena.tensor(Shape(count, c.width)))
        }
    }

    /// The workspace's `context` becomes the rows that keys and values are made of.
    func compute(_ w: Workspace, _ backend: any ComputeBackend) {
        if let positions { backend.add(w.embeddings, positions, into: w.embeddings) }
        let count = w.embeddings.shape[0]
        backend.layerNorm(
            w.embeddings, epsilon: Self.epsilon, weight: before.weight, bias: before.bias, scale: nil, shift: nil, into: w.input)
        backend.linear(w.input, up, into: w.intermediate)
        w.intermediate.applyGELU()
        backend.copy(w.intermediate, into: w.activated.overwrite(rows: count))
        backend.linear(w.activated, down, into: w.projected)
        backend.layerNorm(
            w.projected, epsilon: Self.epsilon, weight: after.weight, bias: after.bias, scale: nil, shift: nil, into: w.context)
    }
}

extension WanTransformer {
    /// Embeddings [P, E] of given pictures to keys and values.
    /// - Parameter stop: asked between the blocks.
    package func prepare<Failure: Error>(picture: Tensor, stop: () throws(Failure) -> Void) throws(Failure) -> WanPicture {
        let c = configuration
        let count = picture.shape[0]
        guard let imageEmbedding else { preconditionFailure("a picture for a transformer without an image encoder") }
        precondition(
            picture.shape == Shape(count, c.imageWidth) && (c.imagePositions == 0 || count == c.imagePositions), "pictures \(picture.shape)"
        )
        let w = backend.make { WanImageEmbedding.Workspace(c, count: count, in: $0) }
        backend.copy(backend.resident(picture), into: w.embeddings)
        imageEmbedding.compute(w, backend)
        var layers: [any PackedKeysValues] = []
        for block in blocks {
            try stop()
            guard let image = block.image else { preconditionFailure("a block without an image encoder") }
            backend.linear(w.context, image.key, into: w.keys)
            backend.rmsNorm(w.keys, epsilon: c.epsilon, weight: image.keyNorm, into: w.keys)
            let packed = backend.make { $0.keysValues(capacity: count, heads: c.heads, headWidth: c.headWidth) }
            backend.pack(keys: w.keys, into: packed)
            backend.linear(w.context, image.value, into: w.keys)
            backend.pack(values: w.keys, into: packed)
            layers.append(packed)
        }
        return WanPicture(layers: layers)
    }

    /// Bytes of `count` embeddings, prepared.
    func pictureBytes(_ count: Int) -> Int {
        let c = configuration
        guard count > 0 else { return 0 }
        let layer = backend.measure { $0.keysValues(capacity: count, heads: c.heads, headWidth: c.headWidth) }
        return layer * c.layers + backend.measure { WanImageEmbedding.Workspace(c, count: count, in: $0) }
    }
}
