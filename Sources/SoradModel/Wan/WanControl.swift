// Owns the control branch of VACE (diffusers WanVACETransformer3DModel; Jiang et al. 2025, "VACE: All-in-One Video Creation and Editing"):
// blocks of the transformer's kind that read a given clip next to the latents, and add hints to the results of some of its blocks.
//
// A hint depends on the branch's blocks before it and on the embedded latents alone. So each is computed where it is added, and the branch
// has one state [R, D], not one for each hint.
import SoradSystem
import SoradTensor

struct WanControl {
    fileprivate let patchEmbedding, input: LinearWeights
    /// One per hint.
    let blocks: [(block: WanBlock, output: LinearWeights)]

    /// - Parameter weights: of the whole transformer.
    init(_ c: WanConfiguration, _ weights: WeightReader) throws(SoradError) {
        patchEmbedding = try weights.linear("vace_patch_embedding", outputs: c.width, inputs: c.controlChannels * c.patchVolume)
        input = try weights.linear("vace_blocks.0.proj_in", outputs: c.width, inputs: c.width)
        var blocks: [(block: WanBlock, output: LinearWeights)] = []
        for index in c.controlLayers.indices {
            let own = weights.at("vace_blocks.\(index)")
            blocks.append((try WanBlock(c, own), try own.linear("proj_out", outputs: c.width, inputs: c.width)))
        }
        self.blocks = blocks
    }
}

/// A given clip as the control branch reads it.
package struct WanGuide {
    /// [tokens, D]: its embedding, behind the branch's first projection. The same in every step.
    fileprivate let embedding: Tensor
    /// What hints are multiplied by.
    fileprivate let scale: Float
}

private struct GuideWorkspace {
    /// [tokens, patch] and [tokens, D]
    let patches, embedded: any ActivationMatrix

    init(_ c: WanConfiguration, _ grid: TokenGrid, in arena: Arena) {
        patches = arena.activations(capacity: grid.count, width: c.controlChannels * c.patchVolume)
        embedded = arena.activations(capacity: grid.count, width: c.width)
    }
}

extension WanTransformer {
    /// - Parameter clip: of the size of the latents.
    package func prepare(_ clip: ControlClip) -> WanGuide {
        let c = configuration
        let shape = clip.channels.shape
        guard let control else { preconditionFailure("a clip to follow, and no control branch") }
        precondition(shape.rank == 4 && shape[0] == c.controlChannels, "a clip to follow of \(shape)")
        let grid = grid(LatentSize(channels: c.outChannels, frames: shape[1], height: shape[2], width: shape[3]))
        let w = backend.make { GuideWorkspace(c, grid, in: $0) }
        let layout = PatchLayout(channels: c.controlChannels, patch: c.patch, grid: grid)
        let embedding = backend.tensor(Shape(grid.count, c.width))
        backend.patchify(backend.resident(clip.channels), layout, into: w.patches.overwrite(rows: grid.count))
        backend.linear(w.patches, control.patchEmbedding, into: embedding)
        backend.copy(embedding, into: w.embedded.overwrite(rows: grid.count))
        backend.linear(w.embedded, control.input, into: embedding)
        return WanGuide(embedding: embedding, scale: clip.scale)
    }

    /// Bytes of a clip to follow, prepared; with the channels that it is made of.
    func guideBytes(_ size: LatentSize) -> Int {
        let c = configuration
        guard !c.controlLayers.isEmpty else { return 0 }
        let grid = grid(size)
        let channels = 2 * c.controlChannels * size.frames * size.height * size.width * 4
        return channels + grid.count * c.width * 4 + backend.measure { GuideWorkspace(c, grid, in: $0) }
    }

    /// Sets the branch's state before the first block, while `hidden` is the embedding of the latents, of one sequence.
    func begin(_ guide: WanGuide, _ w: WanWorkspace) {
        guard let state = w.control else { preconditionFailure("a workspace without a control branch") }
        let first = 0..<w.tokens
        backend.add(guide.embedding, w.hidden.rows(first), into: state.rows(first))
    }

    /// hidden += scale · o(the branch's next block), where one is due behind block `index`.
    func addHint<Failure: Error>(
        of guide: WanGuide, behind index: Int, _ pass: Pass, _ w: WanWorkspace, _ stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let c = configuration
        guard let place = c.controlLayers.firstIndex(of: index), let own = control?.blocks[place], let state = w.control else { return }
        try run(own.block, "vace_blocks.\(place)", layer: c.layers + place, isFirst: place == 0, pass, w.of(branch: state), stop)
        let rows = 0..<w.tokens * pass.prompts.count
        let hidden = w.hidden.rows(rows)
        backend.copy(state.rows(rows), into: w.input.overwrite(rows: rows.count))
        // The block's modulation is not needed any more.
        if guide.scale != 1 { backend.fill(w.modulation, with: guide.scale) }
        let gate = guide.scale == 1 ? nil : RowModulation(w.modulation, 0, pass.all)
        backend.linear(w.input, own.output, activation: .none, gate: gate, residual: hidden, into: hidden)
    }
}
