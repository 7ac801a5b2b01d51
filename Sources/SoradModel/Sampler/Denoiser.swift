// Owns one run from noise to latents. The caller drives it step by step, and may report progress, stop or store the latents in between:
// the latents and the step's index are the whole state.
import SoradSystem
public import SoradTensor

/// Denoises the latents of one clip for one prompt.
public final class Denoiser {
    public let schedule: FlowMatchSchedule
    public let size: LatentSize
    private let transformer: DiffusionTransformer
    private let prompts: [PreparedPrompt]
    private let guidanceScale: Float
    private let known: KnownFrames?
    /// [C, known frames, h, w], where the backend reads them.
    private let knownLatents: Tensor?
    private let workspace: TransformerWorkspace
    /// Index of the token's timestep, known frames first if there are any.
    private let groups: RowGroups
    private let velocities: [Tensor]
    private let backend: any ComputeBackend

    /// - Parameters:
    ///   - prompt: [L, text width] from `encodeText`.
    ///   - negativePrompt: likewise; not used when `guidanceScale` is 1.
    ///   - guidanceScale: 1 means one forward a step, anything else two.
    ///   - stop: asked between the blocks that the prompts are prepared for; what it throws ends it.
    init(
        _ transformer: DiffusionTransformer, size: LatentSize, prompt: Tensor, negativePrompt: Tensor, guidanceScale: Float,
        schedule: FlowMatchSchedule, known: KnownFrames?, textLength: Int, stop: StopCheck
    ) throws(SoradError) {
        let grid = transformer.grid(size)
        self.transformer = transformer
        self.size = size
        self.schedule = schedule
        self.guidanceScale = guidanceScale
        self.known = known
        backend = transformer.backend
        knownLatents = known.map { transformer.backend.resident($0.latents) }
        let texts = guidanceScale == 1 ? [prompt] : [prompt, negativePrompt]
        prompts = try texts.map { text throws(SoradError) in try transformer.prepare(text, textLength: textLength, stop: stop) }
        workspace = transformer.workspace(grid, sequences: texts.count, timesteps: known == nil ? 1 : 2)
        let shape = Shape(size.channels, size.frames, size.height, size.width)
        velocities = texts.map { _ in transformer.backend.tensor(shape) }
        var groups = RowGroups()
        let patch = transformer.configuration.patch.frames
        for frame in 0..<grid.frames {
            let isKnown = known.map { known in (0..<patch).allSatisfy { known.indices.contains(frame * patch + $0) } } ?? false
            groups.append(grid.height * grid.width, group: isKnown ? 1 : 0)
        }
        self.groups = groups
    }

    /// As below, to the end.
    public func step(_ index: Int, _ latent: Tensor) { step(index, latent, stop: {}) }

    /// Takes `latent` [C, T, h, w] from noise level `sigmas[index]` to `sigmas[index + 1]`, in place.
    /// - Parameter stop: called between the layers; what it throws ends the step, and `latent` is then still that of `sigmas[index]`.
    public func step<Failure: Error>(_ index: Int, _ latent: Tensor, stop: () throws(Failure) -> Void) throws(Failure) {
        precondition(latent.shape == Shape(size.channels, size.frames, size.height, size.width), "latents \(latent.shape)")
        putKnownFrames(into: latent)
        let timesteps = known == nil ? [schedule.timesteps[index]] : [schedule.timesteps[index], 0]
        try transformer.forward(
            latent, timesteps: timesteps, groups: groups, prompts: prompts, workspace: workspace, into: velocities, stop: stop)
        let velocity = velocities[0]
        if velocities.count == 2 {
            backend.guide(unconditional: velocities[1], conditional: velocity, scale: guidanceScale, into: velocity)
        }
        backend.eulerStep(sample: latent, velocity: velocity, dt: schedule.sigmas[index + 1] - schedule.sigmas[index], into: latent)
        putKnownFrames(into: latent)
    }

    private func putKnownFrames(into latent: Tensor) {
        guard let known, let knownLatents else { return }
        precondition((known.indices.last ?? 0) < size.frames, "frames \(known.indices) of \(latent.shape)")
        for (place, frame) in known.indices.enumerated() { backend.copy(knownLatents.frame(place), into: latent.frame(frame)) }
    }

    /// One frame of the clip as it would be if the direction of the last step were kept to the end, [C, h, w]; for previews.
    /// - Parameters:
    ///   - latent: [C, T, h, w] right after `step(index, latent)`.
    public func predictedFrame(_ frame: Int, of latent: Tensor, afterStep index: Int) -> Tensor {
        precondition((0..<size.frames).contains(frame), "frame \(frame) of \(size.frames)")
        let left = known?.indices.contains(frame) == true ? 0 : schedule.sigmas[index + 1]
        let shape = Shape(size.channels, size.height, size.width)
        let plane = size.height * size.width
        let (result, velocity) = (backend.tensor(shape), backend.tensor(shape))
        backend.copy(latent.frame(frame), into: result.blocks(of: plane))
        backend.copy(velocities[0].frame(frame), into: velocity.blocks(of: plane))
        backend.eulerStep(sample: result, velocity: velocity, dt: -left, into: result)
        return result
    }
}
