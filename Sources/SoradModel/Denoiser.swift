// Owns one run from noise to latents. The caller drives it step by step, and may report progress, stop or store the latents in between:
// the latents and the step's index are the whole state.
import SoradSystem
public import SoradTensor

/// Denoises the latents of one clip for one prompt.
public final class Denoiser {
    public let schedule: any Sampler
    public let size: LatentSize
    private let run: any DenoisingRun
    private let guidanceScale: Float
    private let known: ConditioningFrames?
    private let region: KnownRegion?
    /// [C, T, h, w], one per prompt.
    private let velocities: [Tensor]
    /// [C, T, h, w], those of the sampler.
    private let tensors: [Tensor]
    private let backend: any ComputeBackend

    /// - Parameters:
    ///   - prompt: [L, text width] from `encodeText`.
    ///   - negativePrompt: likewise; not used when `guidanceScale` is 1.
    ///   - guidanceScale: 1 means one forward a step, anything else two.
    ///   - stop: asked while the network prepares the prompts; what it throws ends it.
    init(
        _ network: any DiffusionNetwork, _ backend: any ComputeBackend, size: LatentSize, prompt: Tensor, negativePrompt: Tensor,
        guidanceScale: Float, schedule: any Sampler, given: Conditioning, region: KnownRegion?, textLength: Int, stop: StopCheck
    ) throws(SoradError) {
        self.backend = backend
        self.size = size
        self.schedule = schedule
        self.guidanceScale = guidanceScale
        known = given.frames
        self.region = region
        let prompts = guidanceScale == 1 ? [prompt] : [prompt, negativePrompt]
        run = try network.run(size, prompts: prompts, textLength: textLength, given: given, stop: stop)
        let shape = Shape(size.channels, size.frames, size.height, size.width)
        velocities = prompts.map { _ in backend.tensor(shape) }
        tensors = (0..<schedule.tensorCount).map { _ in backend.tensor(shape) }
    }

    /// What a run must have besides its latents to continue, [C, T, h, w] each; as it stands after a step, or as it was then.
    public var state: [Tensor] { Array(tensors.prefix(schedule.stateCount)) }

    /// As below, to the end.
    public func step(_ index: Int, _ latent: Tensor) { step(index, latent, stop: {}) }

    /// Takes `latent` [C, T, h, w] from noise level `sigmas[index]` to `sigmas[index + 1]`, in place.
    /// - Parameter stop: called between the layers; what it throws ends the step, and `latent` is then still that of `sigmas[index]`.
    public func step<Failure: Error>(_ index: Int, _ latent: Tensor, stop: () throws(Failure) -> Void) throws(Failure) {
        precondition(latent.shape == Shape(size.channels, size.frames, size.height, size.width), "latents \(latent.shape)")
        region?.apply(to: latent, sigma: schedule.sigmas[index])
        run.condition(latent)
        try run.predict(latent, timestep: schedule.timesteps[index], into: velocities, stop: stop)
        let velocity = velocities[0]
        if velocities.count == 2 {
            let scale = run.guidance(guidanceScale, timestep: schedule.timesteps[index])
            backend.guide(unconditional: velocities[1], conditional: velocity, scale: scale, into: velocity)
        }
        schedule.step(index, latent, velocity: velocity, tensors: tensors, backend)
        region?.apply(to: latent, sigma: schedule.sigmas[index + 1])
        run.condition(latent)
    }

    /// One frame of the clip as it would be if the direction of the last step were kept to the end, [C, h, w]; for previews.
    /// - Parameters:
    ///   - latent: [C, T, h, w] right after `step(index, latent)`.
    public func predictedFrame(_ frame: Int, of latent: Tensor, afterStep index: Int) -> Tensor {
        precondition((0..<size.frames).contains(frame), "frame \(frame) of \(size.frames)")
        if let clip = schedule.clipTensor {
            let result = backend.tensor(Shape(size.channels, size.height, size.width))
            let source = known?.indices.contains(frame) == true ? latent : tensors[clip]
            backend.copy(source.frame(frame), into: result.blocks(of: size.height * size.width))
            return result
        }
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
