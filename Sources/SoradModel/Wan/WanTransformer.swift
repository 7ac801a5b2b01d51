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
    /// Nil for a network that follows no given clip.
    let control: WanControl?
    private let blockWeights: [WeightReader]

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
        control = c.controlLayers.isEmpty ? nil : try WanControl(c, weights)
        blockWeights = [weights.at("blocks"), weights.at("vace_blocks")]
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
    func giveBack() { for weights in blockWeights { weights.giveBack() } }

    /// One forward pass.
    /// - Parameters:
    ///   - latent: [C in, T, h, w]
    ///   - timesteps: the distinct ones, as many as the workspace was made for.
    ///   - groups: for each token of the grid, which of them it carries.
    ///   - picture: what is given, as the blocks read it; only with an image encoder.
    ///   - guide: what the control branch follows; only, and always, with one.
    ///   - velocities: one [C out, T, h, w] per prompt; at most as many as the workspace was made for.
    ///   - stop: called before every part of a block; what it throws ends the pass.
    package func forward<Failure: Error>(
        _ latent: Tensor, timesteps: [Float], groups: ModulationGroups, prompts: [WanPrompt], picture: WanPicture? = nil,
        guide: WanGuide? = nil, workspace w: WanWorkspace, into velocities: [Tensor], stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let c = configuration
        let length = w.tokens
        let count = prompts.count
        let rows = length * count
        precondition(
            groups.rowCount == length && (1...w.sequences).contains(count) && velocities.count == count
                && (guide == nil) == (control == nil),
            "\(groups.rowCount) of \(length) tokens, \(count) prompts")
        TensorDump.write("dit.latent", latent)
        TensorDump.write("dit.timesteps", Tensor(Shape(timesteps.count), timesteps))
        backend.patchify(latent, w.layout, into: w.patches.overwrite(rows: length))
        backend.linear(w.patches, patchEmbedding, into: w.hidden.rows(0..<length))
        TensorDump.write("dit.patch_embedding", w.hidden.rows(0..<length))
        timeEmbedding.compute(timesteps, w.time, backend)
        let pass = Pass(prompts: prompts, picture: picture, timesteps: timesteps.count, groups: groups)
        if let guide { begin(guide, w) }
        for (index, block) in blocks.enumerated() {
            try run(block, "blocks.\(index)", layer: index, isFirst: index == 0, pass, w, stop)
            if let guide { try addHint(of: guide, behind: index, pass, w, stop) }
        }
        backend.layerNorm(
            w.hidden.rows(0..<rows), epsilon: c.epsilon, weight: nil, bias: nil, scale: RowModulation(w.time.final, 1, pass.all),
            shift: RowModulation(w.time.final, 0, pass.all), into: w.input)
        backend.linear(w.input, projection, into: w.velocities.rows(0..<rows))
        for (index, velocity) in velocities.enumerated() {
            backend.unpatchify(w.velocities.rows(index * length..<(index + 1) * length), w.outLayout, into: velocity)
            TensorDump.write("dit.velocity.\(index)", velocity)
        }
    }

    /// What all blocks of a pass share.
    struct Pass {
        let prompts: [WanPrompt]
        let picture: WanPicture?
        /// How many distinct ones there are.
        let timesteps: Int
        /// Of the tokens of one sequence.
        let groups: ModulationGroups
        /// Of those of all.
        let all: ModulationGroups

        init(prompts: [WanPrompt], picture: WanPicture?, timesteps: Int, groups: ModulationGroups) {
            (self.prompts, self.picture, self.timesteps, self.groups) = (prompts, picture, timesteps, groups)
            all = groups.repeated(prompts.count)
        }
    }

    /// One block on the workspace's `hidden`.
    /// - Parameters:
    ///   - name: for dumps.
    ///   - layer: of the prepared prompts and pictures.
    ///   - isFirst: the sequences are equal until the first cross-attention, and only the first of them is there.
    func run<Failure: Error>(
        _ block: WanBlock, _ name: String, layer: Int, isFirst: Bool, _ pass: Pass, _ w: WanWorkspace, _ stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let c = configuration
        let (length, count) = (w.tokens, pass.prompts.count)
        for group in 0..<pass.timesteps {
            let table = block.scaleShiftTable.reshaped(Shape(6, c.width))
            backend.add(table, w.time.projected.rows(group..<group + 1), into: w.modulation.item(group))
        }
        try stop()
        if isFirst {
            backend.alongRows { block.attendToSelf(backend, c, w, sequences: 1, pass.groups) }
            for copy in 1..<max(count, 1) {
                backend.copy(w.hidden.rows(0..<length), into: w.hidden.rows(copy * length..<(copy + 1) * length))
            }
        } else {
            backend.alongRows { block.attendToSelf(backend, c, w, sequences: count, pass.all) }
        }
        TensorDump.write("dit.\(name).attn1", w.hidden)
        try stop()
        backend.alongRows { block.attendToPrompts(backend, c, w, pass.prompts, pass.picture, layer: layer) }
        TensorDump.write("dit.\(name).attn2", w.hidden)
        try stop()
        backend.alongRows { block.feedForward(backend, c, w, rows: length * count, pass.all) }
        TensorDump.write("dit.\(name)", w.hidden)
    }
}
