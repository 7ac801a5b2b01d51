// Owns the Wan video diffusion transformer (diffusers WanTransformer3DModel; Wan team 2025, "Wan: Open and Advanced Large-Scale Video
// Generative Models"): latents, timesteps and prompts in, velocities out.
//
// Several sequences (with and without the prompt, for guidance) share latents and timesteps and go through together: every weight is
// read once for all of them. Until the first cross-attention they are equal, so that part is computed once.
import SoradSystem
package import SoradTensor

package final class WanTransformer {
    package let configuration: WanConfiguration
    let backend: any ComputeBackend
    package let blocks: [WanBlock]
    let textEmbedder: (first: LinearWeights, second: LinearWeights)
    private let patchEmbedding, projection: LinearWeights
    private let timeEmbedding: WanTimeEmbedding
    let imageEmbedding: WanImageEmbedding?
    private let blockWeights: WeightReader

    init(_ configuration: WanConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        var c = configuration
        let embedder = weights.at("condition_embedder.text_embedder")
        self.backend = backend
        patchEmbedding = try weights.linear("patch_embedding", outputs: c.width, inputs: c.inChannels * c.patchVolume)
        textEmbedder = (
            try embedder.linear("linear_1", outputs: c.width, inputs: c.textWidth),
            try embedder.linear("linear_2", outputs: c.width, inputs: c.width)
        )
        timeEmbedding = try WanTimeEmbedding(c, weights)
        imageEmbedding = c.imageWidth > 0 ? try WanImageEmbedding(c, weights.at("condition_embedder.image_embedder")) : nil
        blockWeights = weights.at("blocks")
        var blocks: [WanBlock] = []
        for index in 0..<c.layers { blocks.append(try WanBlock(c, weights.at("blocks.\(index)"))) }
        self.blocks = blocks
        if blocks.allSatisfy(\.selfAttention.isInt8) { c.attentionPrecision = c.attentionProbBytes == 2 ? .int8Probs16 : .int8 }
        self.configuration = c
        projection = try weights.linear("proj_out", outputs: c.outChannels * c.patchVolume, inputs: c.width)
    }

    /// The tokens of a clip.
    package func grid(_ size: LatentSize) -> TokenGrid {
        let patch = configuration.patch
        return TokenGrid(frames: size.frames / patch.frames, height: size.height / patch.height, width: size.width / patch.width)
    }

    /// Lets the pages of the blocks' weights go, where they are mapped from a file.
    func giveBack() { blockWeights.giveBack() }

    /// One forward pass.
    /// - Parameters:
    ///   - latent: [C in, T, h, w]
    ///   - timesteps: the distinct ones, as many as the workspace was made for.
    ///   - groups: for each token of the grid, which of them it carries.
    ///   - picture: what is given, as the blocks read it; only with an image encoder.
    ///   - velocities: one [C out, T, h, w] per prompt; at most as many as the workspace was made for.
    ///   - stop: called before every part of a block; what it throws ends the pass.
    package func forward<Failure: Error>(
        _ latent: Tensor, timesteps: [Float], groups: ModulationGroups, prompts: [WanPrompt], picture: WanPicture? = nil,
        workspace w: WanWorkspace, into velocities: [Tensor], stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let c = configuration
        let length = w.tokens
        let count = prompts.count
        let rows = length * count
        precondition(
            groups.rowCount == length && (1...w.sequences).contains(count) && velocities.count == count,
            "\(groups.rowCount) of \(length) tokens, \(count) prompts")
        TensorDump.write("dit.latent", latent)
        TensorDump.write("dit.timesteps", Tensor(Shape(timesteps.count), timesteps))
        backend.patchify(latent, w.layout, into: w.patches.overwrite(rows: length))
        backend.linear(w.patches, patchEmbedding, into: w.hidden.rows(0..<length))
        TensorDump.write("dit.patch_embedding", w.hidden.rows(0..<length))
        timeEmbedding.compute(timesteps, w.time, backend)
        let all = groups.repeated(count)
        for (index, block) in blocks.enumerated() {
            for group in timesteps.indices {
                let table = block.scaleShiftTable.reshaped(Shape(6, c.width))
                backend.add(table, w.time.projected.rows(group..<group + 1), into: w.modulation.item(group))
            }
            try stop()
            if index == 0 {
                block.attendToSelf(backend, c, w, sequences: 1, groups)
                for copy in 1..<max(count, 1) {
                    backend.copy(w.hidden.rows(0..<length), into: w.hidden.rows(copy * length..<(copy + 1) * length))
                }
            } else {
                block.attendToSelf(backend, c, w, sequences: count, all)
            }
            TensorDump.write("dit.blocks.\(index).attn1", w.hidden)
            try stop()
            block.attendToPrompts(backend, c, w, prompts, picture, layer: index)
            TensorDump.write("dit.blocks.\(index).attn2", w.hidden)
            try stop()
            block.feedForward(backend, c, w, rows: rows, all)
            TensorDump.write("dit.blocks.\(index)", w.hidden)
        }
        backend.layerNorm(
            w.hidden.rows(0..<rows), epsilon: c.epsilon, weight: nil, bias: nil, scale: RowModulation(w.time.final, 1, all),
            shift: RowModulation(w.time.final, 0, all), into: w.input)
        backend.linear(w.input, projection, into: w.velocities.rows(0..<rows))
        for (index, velocity) in velocities.enumerated() {
            backend.unpatchify(w.velocities.rows(index * length..<(index + 1) * length), w.outLayout, into: velocity)
            TensorDump.write("dit.velocity.\(index)", velocity)
        }
    }
}
