// Owns the way from noise to latents of one clip by a model's own defaults, as users get it: at one size, or at half the sides and then at
// the whole (`LatentCascade`).
import SoradModel
import SoradSystem
import SoradTensor

struct ClipDenoising {
    let model: VideoModel
    let steps: Int
    let settings: PassSettings

    /// What was done at one size.
    struct Part {
        let size: LatentSize
        let steps, passes: Int
        /// Of preparing the prompts, and of the steps.
        let preparing, denoising: Double
    }

    /// - Parameter steps: nil for the model's own number.
    init(_ model: VideoModel, steps: Int? = nil, settings: PassSettings? = nil) {
        self.model = model
        self.steps = steps ?? model.configuration.defaults.numInferenceSteps
        self.settings = settings ?? PassSettings(guidanceScale: model.configuration.defaults.guidanceScale)
    }

    /// Latents [C, T, h, w] of the model's own size.
    /// - Parameters:
    ///   - ready: called before the steps of a size.
    ///   - done: called behind them.
    func run(
        prompt: Tensor, negative: Tensor, seed: UInt64, ready: () -> Void = {}, done: (Part) -> Void = { _ in }
    ) throws(SoradError) -> Tensor {
        let c = model.configuration
        let d = c.defaults
        let whole = try c.latentSize(width: d.width, height: d.height, numFrames: d.numFrames)
        func run(_ size: LatentSize, shift: Float, from first: Int, _ start: Tensor?, window: Int) throws(SoradError) -> Tensor {
            let began = MonotonicTime.now()
            let denoiser = try model.denoiser(
                size, prompt: prompt, negativePrompt: negative, settings: settings, steps: steps, shift: shift, firstStep: first,
                seed: seed, window: window)
            let latent = model.initialNoise(seed: seed, size, window: window)
            if let start { denoiser.schedule.mix(start, into: latent, atStep: first) }
            try model.backend.finish()
            let prepared = MonotonicTime.now()
            ready()
            for step in first..<steps { denoiser.step(step, latent) }
            try model.backend.finish()
            done(
                Part(
                    size: size, steps: steps - first, passes: denoiser.passes, preparing: (prepared - began).inSeconds,
                    denoising: (MonotonicTime.now() - prepared).inSeconds))
            return latent
        }
        guard c.isCascaded(width: d.width, height: d.height), let own = c.cascade, let cascade = model.cascade else {
            return try run(whole, shift: d.flowShift, from: 0, nil, window: 0)
        }
        let half = LatentSize(channels: whole.channels, frames: whole.frames, height: whole.height / 2, width: whole.width / 2)
        let base = try run(half, shift: own.baseFlowShift, from: 0, nil, window: 1)
        let levels = model.sampler(steps: steps, shift: d.flowShift).sigmas.dropLast()
        let first = levels.firstIndex { Double($0) <= own.refineFrom + 1e-6 } ?? steps - 1
        return try run(whole, shift: d.flowShift, from: first, cascade.enlarge(base), window: 0)
    }
}
