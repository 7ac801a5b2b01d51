// Owns one run from noise to latents. The caller drives it step by step, and may report progress, stop or store the latents in between:
// the latents, the step's index, `state` and `words` are the whole state.
import SoradSystem
public import SoradTensor

/// How a run is guided, and which of its steps are left out.
public struct PassSettings: Sendable, Equatable {
    /// Classifier-free guidance scale. 1 means one forward a step, anything else two.
    public var guidanceScale: Float
    /// That of the second of two experts; nil means what the model file says.
    public var secondGuidanceScale: Float?
    /// The noise levels σ at which a step is guided (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves Sample and
    /// Distribution Quality in Diffusion Models"); at the others one forward is enough.
    public var guidanceInterval: ClosedRange<Float>
    /// Estimated relative change of the velocity below which a step takes that of the last computed one; nil means that all are
    /// computed.
    public var cacheTolerance: Float?

    public init(
        guidanceScale: Float, secondGuidanceScale: Float? = nil, guidanceInterval: ClosedRange<Float> = 0...1, cacheTolerance: Float? = nil
    ) {
        self.guidanceScale = guidanceScale
        self.secondGuidanceScale = secondGuidanceScale
        self.guidanceInterval = guidanceInterval
        self.cacheTolerance = cacheTolerance
    }
}

/// Denoises the latents of one clip for one prompt.
public final class Denoiser {
    public let schedule: any Sampler
    public let size: LatentSize
    private let run: any DenoisingRun
    private let settings: PassSettings
    private let cache: StepCache?
    private let known: ConditioningFrames?
    private let region: KnownRegion?
    /// [C, T, h, w], one per prompt.
    private let velocities: [Tensor]
    /// [C, T, h, w], those of the sampler.
    private let tensors: [Tensor]
    private let backend: any ComputeBackend
    /// Passes through the network that this run, and those before it by `words`, have made: one for each prompt of a computed step.
    public var passes = 0

    /// The latent frame in the middle of the clip, behind those of reference pictures.
    public let middle: Int

    /// - Parameters:
    ///   - prompt: [L, text width] from `encodeText`.
    ///   - negativePrompt: likewise; not used when the guidance scale is 1.
    ///   - stop: asked while the network prepares the prompts; what it throws ends it.
    init(
        _ network: any DiffusionNetwork, _ backend: any ComputeBackend, size: LatentSize, prompt: Tensor, negativePrompt: Tensor,
        settings: PassSettings, schedule: any Sampler, given: Conditioning, region: KnownRegion?, textLength: Int, stop: StopCheck
    ) throws(SoradError) {
        self.backend = backend
        self.size = size
        self.schedule = schedule
        self.settings = settings
        known = given.frames
        let references = given.control?.references ?? 0
        middle = references + (size.frames - references) / 2
        self.region = region
        let prompts = settings.guidanceScale == 1 ? [prompt] : [prompt, negativePrompt]
        run = try network.run(size, prompts: prompts, textLength: textLength, given: given, stop: stop)
        let shape = Shape(size.channels, size.frames, size.height, size.width)
        velocities = prompts.map { _ in backend.tensor(shape) }
        tensors = (0..<schedule.tensorCount).map { _ in backend.tensor(shape) }
        cache = settings.cacheTolerance.map { StepCache(tolerance: $0, shape, backend) }
    }

    /// What a run must have besides its latents to continue, [C, T, h, w] each; as it stands after a step.
    public var state: [Tensor] { tensors.prefix(schedule.stateCount) + (cache.map { [$0.latents, velocities[0]] } ?? []) }

    /// How many tensors that are.
    public static func stateCount(_ schedule: any Sampler, caches: Bool) -> Int { schedule.stateCount + (caches ? 2 : 0) }

    /// Numbers that belong to the state.
    public var words: [UInt32] { [UInt32(clamping: passes), (cache?.rate ?? 0).bitPattern] }

    /// Continues behind a step after which `state` and `words` were these.
    public func restore(_ state: some Collection<Tensor>, words: [UInt32]) {
        precondition(state.count == self.state.count && words.count == 2, "\(state.count) tensors, \(words.count) words")
        for (tensor, kept) in zip(self.state, state) { tensor.copy(from: kept) }
        passes = Int(words[0])
        cache?.restore(rate: Float(bitPattern: words[1]))
    }

    /// The share of the steps at the start, where the clip takes shape, that are always computed; the last one is too.
    private static let computedShare = 0.15

    /// The guidance of a step; 1 means none.
    private func guidance(_ index: Int) -> Float {
        guard velocities.count == 2, settings.guidanceInterval.contains(schedule.sigmas[index]) else { return 1 }
        return run.guidance(settings.guidanceScale, second: settings.secondGuidanceScale, timestep: schedule.timesteps[index])
    }

    /// Whether a step may take the velocity of the one before: not where the velocity bends, by another guidance or another expert.
    private func mayReuse(_ index: Int) -> Bool {
        let steps = schedule.timesteps.count
        guard index >= max(1, Int((Double(steps) * Self.computedShare).rounded(.up))), index < steps - 1 else { return false }
        let (before, now) = (schedule.timesteps[index - 1], schedule.timesteps[index])
        return guidance(index - 1) == guidance(index) && run.expert(timestep: before) == run.expert(timestep: now)
    }

    /// As below, to the end.
    public func step(_ index: Int, _ latent: Tensor) { step(index, latent, stop: {}) }

    /// Takes `latent` [C, T, h, w] from noise level `sigmas[index]` to `sigmas[index + 1]`, in place.
    /// - Parameter stop: called between the layers; what it throws ends the step, and `latent` is then still that of `sigmas[index]`.
    public func step<Failure: Error>(_ index: Int, _ latent: Tensor, stop: () throws(Failure) -> Void) throws(Failure) {
        precondition(latent.shape == Shape(size.channels, size.frames, size.height, size.width), "latents \(latent.shape)")
        region?.apply(to: latent, sigma: schedule.sigmas[index])
        run.condition(latent)
        let velocity = velocities[0]
        let isReused = mayReuse(index) && cache?.suffices(velocity, for: latent) == true
        if !isReused { try compute(index, latent, stop: stop) }
        schedule.step(index, latent, velocity: velocity, tensors: tensors, backend)
        region?.apply(to: latent, sigma: schedule.sigmas[index + 1])
        run.condition(latent)
    }

    /// Makes the first of the velocities that of the step.
    private func compute<Failure: Error>(_ index: Int, _ latent: Tensor, stop: () throws(Failure) -> Void) throws(Failure) {
        let velocity = velocities[0]
        let scale = guidance(index)
        let computed = scale == 1 ? [velocity] : velocities
        cache?.willCompute(velocity)
        try run.predict(latent, timestep: schedule.timesteps[index], into: computed, stop: stop)
        passes += computed.count
        if scale != 1 { backend.guide(unconditional: velocities[1], conditional: velocity, scale: scale, into: velocity) }
        cache?.computed(velocity, for: latent)
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
