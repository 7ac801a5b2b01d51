// Owns one clip in the Wan transformer: prompts, workspace, and the conditioning frames. Their tokens carry timestep 0 and they
// stay as they are (Wan 2.2's expand_timesteps), so pictures, first and last frames, extensions and loops are all the same thing.
package import SoradSystem
package import SoradTensor

package final class WanRun: DenoisingRun {
    private let transformer: WanTransformer
    private let prompts: [WanPrompt]
    private let workspace: WanWorkspace
    /// The conditioning frames' indices, and [C, conditioning frames, h, w] where the backend reads them.
    private let known: (indices: [Int], latents: Tensor)?
    /// Index of each token's timestep: 1 for those of conditioning frames.
    private let groups: ModulationGroups

    fileprivate init(
        _ transformer: WanTransformer, _ size: LatentSize, _ texts: [Tensor], textLength: Int, known: ConditioningFrames?, stop: StopCheck
    ) throws(SoradError) {
        let grid = transformer.grid(size)
        self.transformer = transformer
        self.known = known.map { ($0.indices, transformer.backend.resident($0.latents)) }
        prompts = try texts.map { text throws(SoradError) in try transformer.prepare(text, textLength: textLength, stop: stop) }
        workspace = transformer.workspace(grid, sequences: texts.count, timesteps: known == nil ? 1 : 2)
        var groups = ModulationGroups()
        let patch = transformer.configuration.patch.frames
        for frame in 0..<grid.frames {
            let isKnown = known.map { known in (0..<patch).allSatisfy { known.indices.contains(frame * patch + $0) } } ?? false
            groups.append(grid.height * grid.width, group: isKnown ? 1 : 0)
        }
        self.groups = groups
    }

    package func condition(_ latent: Tensor) {
        guard let known else { return }
        precondition((known.indices.last ?? 0) < latent.shape[1], "frames \(known.indices) of \(latent.shape)")
        for (place, frame) in known.indices.enumerated() {
            transformer.backend.copy(known.latents.frame(place), into: latent.frame(frame))
        }
    }

    package func predict<Failure: Error>(
        _ latent: Tensor, timestep: Float, into velocities: [Tensor], stop: () throws(Failure) -> Void
    ) throws(Failure) {
        try transformer.forward(
            latent, timesteps: known == nil ? [timestep] : [timestep, 0], groups: groups, prompts: prompts, workspace: workspace,
            into: velocities, stop: stop)
    }
}

extension WanTransformer: DiffusionNetwork {
    package func run(
        _ size: LatentSize, prompts: [Tensor], textLength: Int, known: ConditioningFrames?, stop: StopCheck
    ) throws(SoradError) -> any DenoisingRun {
        try WanRun(self, size, prompts, textLength: textLength, known: known, stop: stop)
    }

    package func runBytes(_ size: LatentSize, prompts: Int, textLength: Int) -> Int {
        prompts * promptBytes(textLength: textLength) + workspaceBytes(grid(size), sequences: prompts, timesteps: 2)
    }
}
