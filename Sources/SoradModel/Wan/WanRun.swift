// Owns one clip in the Wan transformer: prompts, workspace, and the frames that are given. They come in one of two ways: as latent frames
// whose tokens carry timestep 0 and that stay as they are (Wan 2.2's expand_timesteps), or as a clip next to the latents, with a mask
// (Wan's I2V models), and then as embeddings of pictures too where the model has an image encoder.
package import SoradSystem
package import SoradTensor

package final class WanRun: DenoisingRun {
    /// One transformer, or those for high and for low noise.
    private let transformers: [WanTransformer]
    /// Timestep from which on the first of two is asked.
    private let boundary: Float
    private let texts: [Tensor]
    private let textLength: Int
    private let workspace: WanWorkspace
    /// The conditioning frames' indices, and [C, conditioning frames, h, w] where the backend reads them.
    private let known: (indices: [Int], latents: Tensor)?
    /// [C in, T, h, w]: the latents of the step, behind them mask and clip; nil where the transformer reads the latents alone.
    private let input: Tensor?
    /// Embeddings of given pictures.
    private let picture: Tensor?
    /// What the control branch follows.
    private let control: ControlClip?
    /// Index of each token's timestep: 1 for those of conditioning frames.
    private let groups: ModulationGroups
    /// What the transformer that was asked last reads of the prompts and pictures.
    private var prepared: Prepared?

    fileprivate struct Prepared {
        let index: Int
        let prompts: [WanPrompt]
        let picture: WanPicture?
        let guide: WanGuide?
    }

    fileprivate init(
        _ transformers: [WanTransformer], boundary: Float, _ size: LatentSize, _ texts: [Tensor], textLength: Int, given: Conditioning
    ) {
        let transformer = transformers[0]
        let (backend, c) = (transformer.backend, transformer.configuration)
        let grid = transformer.grid(size)
        (self.transformers, self.boundary, self.texts, self.textLength) = (transformers, boundary, texts, textLength)
        known = given.frames.map { ($0.indices, backend.resident($0.latents)) }
        input = given.clip.map { clip in
            let input = backend.tensor(Shape(c.inChannels, size.frames, size.height, size.width))
            let pixels = size.frames * size.height * size.width
            let mask = clip.mask(channels: c.inChannels - 2 * c.outChannels, size)
            let rows = input.reshaped(Shape(c.inChannels, pixels))
            let first = c.inChannels - c.outChannels
            backend.copy(backend.resident(mask), into: rows.rows(c.outChannels..<first))
            backend.copy(backend.resident(clip.latents), into: rows.rows(first..<c.inChannels))
            return input
        }
        precondition((input == nil) == (c.inChannels == c.outChannels), "\(c.inChannels) channels in, given \(given)")
        picture = given.clip?.pictures
        control = given.control
        precondition(
            control.map { $0.channels.shape == Shape(c.controlChannels, size.frames, size.height, size.width) } ?? (c.controlChannels == 0),
            "\(c.controlChannels) control channels, given \(given)")
        let isKnown = known != nil
        workspace = transformer.workspace(grid, sequences: texts.count, timesteps: isKnown ? 2 : 1)
        var groups = ModulationGroups()
        let patch = c.patch.frames
        for frame in 0..<grid.frames {
            let isKnown = known.map { known in (0..<patch).allSatisfy { known.indices.contains(frame * patch + $0) } } ?? false
            groups.append(grid.height * grid.width, group: isKnown ? 1 : 0)
        }
        self.groups = groups
    }

    /// The transformer for a timestep, with prompts and pictures prepared; the weights of the other one are given back.
    /// - Parameter stop: asked between the blocks.
    fileprivate func prepare<Failure: Error>(_ index: Int, stop: () throws(Failure) -> Void) throws(Failure) -> Prepared {
        if let prepared, prepared.index == index { return prepared }
        prepared = nil
        for (other, transformer) in transformers.enumerated() where other != index { transformer.giveBack() }
        let transformer = transformers[index]
        var prompts: [WanPrompt] = []
        for text in texts { prompts.append(try transformer.prepare(text, textLength: textLength, stop: stop)) }
        let seen: WanPicture? = if let picture { try transformer.prepare(picture: picture, stop: stop) } else { nil }
        let new = Prepared(index: index, prompts: prompts, picture: seen, guide: control.map { transformer.prepare($0) })
        prepared = new
        return new
    }

    private func index(_ timestep: Float) -> Int { transformers.count == 1 || timestep >= boundary ? 0 : 1 }

    package func condition(_ latent: Tensor) {
        guard let known else { return }
        precondition((known.indices.last ?? 0) < latent.shape[1], "frames \(known.indices) of \(latent.shape)")
        for (place, frame) in known.indices.enumerated() {
            transformers[0].backend.copy(known.latents.frame(place), into: latent.frame(frame))
        }
    }

    package func guidance(_ scale: Float, second: Float?, timestep: Float) -> Float {
        index(timestep) == 0 ? scale : transformers[0].secondGuidance(scale, second)
    }

    package func expert(timestep: Float) -> Int { index(timestep) }

    package func predict<Failure: Error>(
        _ latent: Tensor, timestep: Float, into velocities: [Tensor], stop: () throws(Failure) -> Void
    ) throws(Failure) {
        let own = try prepare(index(timestep), stop: stop)
        let transformer = transformers[own.index]
        var seen = latent
        if let input {
            let pixels = Shape(latent.shape[0], latent.count / latent.shape[0])
            transformer.backend.copy(
                latent.reshaped(pixels), into: input.reshaped(Shape(input.shape[0], pixels[1])).rows(0..<pixels[0]))
            seen = input
        }
        try transformer.forward(
            seen, timesteps: known == nil ? [timestep] : [timestep, 0], groups: groups,
            prompts: Array(own.prompts.prefix(velocities.count)), picture: own.picture, guide: own.guide,
            workspace: workspace, into: velocities, stop: stop)
    }
}

extension WanTransformer: DiffusionNetwork {
    package func run(
        _ size: LatentSize, prompts: [Tensor], textLength: Int, given: Conditioning, stop: StopCheck
    ) throws(SoradError) -> any DenoisingRun {
        let run = WanRun([self], boundary: 0, size, prompts, textLength: textLength, given: given)
        _ = try run.prepare(0, stop: stop)
        return run
    }

    package func runBytes(_ size: LatentSize, prompts: Int, textLength: Int, pictureTokens: Int) -> Int {
        let c = configuration
        let input = c.inChannels == c.outChannels ? 0 : 2 * c.inChannels * size.frames * size.height * size.width * 4
        return prompts * promptBytes(textLength: textLength) + workspaceBytes(grid(size), sequences: prompts, timesteps: 2) + input
            + pictureBytes(pictureTokens) + guideBytes(size)
    }
}

/// Two transformers of equal sizes that share the steps of a clip: one was trained for high noise, one for low (Wan 2.2 A14B). One at a time
/// is asked, and then only its weights need be in memory.
package final class WanExperts: DiffusionNetwork {
    package let high, low: WanTransformer
    /// Timestep from which on `high` is asked.
    private let boundary: Float

    init(high: WanTransformer, low: WanTransformer, boundary: Float) {
        (self.high, self.low, self.boundary) = (high, low, boundary)
    }

    package func run(
        _ size: LatentSize, prompts: [Tensor], textLength: Int, given: Conditioning, stop: StopCheck
    ) throws(SoradError) -> any DenoisingRun {
        WanRun([high, low], boundary: boundary, size, prompts, textLength: textLength, given: given)
    }

    package func runBytes(_ size: LatentSize, prompts: Int, textLength: Int, pictureTokens: Int) -> Int {
        high.runBytes(size, prompts: prompts, textLength: textLength, pictureTokens: pictureTokens)
    }

    package func measuredCost() -> PassCost? { high.measuredCost() }

    /// Of the steps that `low` makes.
    package func guidance(_ scale: Float, second: Float?) -> Float { high.secondGuidance(scale, second) }
}

extension WanTransformer {
    fileprivate func secondGuidance(_ scale: Float, _ second: Float?) -> Float {
        second ?? 1 + configuration.lowNoiseGuidance * (scale - 1)
    }
}
