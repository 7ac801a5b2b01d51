// Owns the noise levels of samplers other than diffusers' Euler one: a list of them, or equal steps from 1 to 0 that are shifted once, so that
// the last step begins where N steps put it and not just above 0 (flow matching, Esser et al. 2024, section 5.3.2; Wan2.2 wan/utils).
import SoradTensor

/// Noise levels in equal steps from 1 towards 0, shifted, or as a list says.
struct ShiftedSchedule: Equatable {
    /// [steps], falling, without the 0 at the end.
    var levels: [Double]
    private let train: Double

    /// - Parameter least: where `steps` equal steps would end; the levels that are used lie above.
    init(_ request: SamplerRequest, least: Double = 0) {
        let train = Double(request.numTrainTimesteps)
        self.train = train
        guard request.sigmas.isEmpty else {
            levels = request.sigmas
            return
        }
        guard request.timesteps.count != request.steps else {
            levels = request.timesteps.map { Double($0) / train }
            return
        }
        let shift = Double(request.shift)
        // In numpy's order, so that whole timesteps are the reference's.
        let stride = (least - 1) / Double(request.steps)
        levels = (0..<request.steps).map { step in
            let level = Double(step) * stride + 1
            return shift * level / (1 + (shift - 1) * level)
        }
    }

    /// [steps + 1], the last 0.
    var sigmas: [Float] { levels.map { Float($0) } + [0] }
    /// [steps], σ·num_train_timesteps.
    var timesteps: [Double] { levels.map { $0 * train } }
}

/// Euler steps over a `ShiftedSchedule`: what models distilled to few steps are sampled with (LightX2V).
struct ShiftedEuler: Sampler {
    let sigmas, timesteps: [Float]

    init(_ request: SamplerRequest) {
        let schedule = ShiftedSchedule(request)
        sigmas = schedule.sigmas
        timesteps = schedule.timesteps.map { Float($0) }
    }

    var startScale: Float { sigmas[0] }

    func step(_ index: Int, _ latent: Tensor, velocity: Tensor, tensors: [Tensor], _ backend: any ComputeBackend) {
        backend.eulerStep(sample: latent, velocity: velocity, dt: sigmas[index + 1] - sigmas[index], into: latent)
    }
}

/// Each step predicts the clip and mixes it with fresh noise at the next level: models distilled by distribution matching (Yin et al. 2024,
/// "Improved Distribution Matching Distillation", section 4.5; FastVideo's DMD pipelines) and by consistency.
struct RenoiseSampler: Sampler {
    let sigmas, timesteps: [Float]
    private let seed: UInt64
    /// Of the noise that the run begins with.
    private let stream: UInt64

    init(_ request: SamplerRequest) {
        let schedule = ShiftedSchedule(request)
        sigmas = schedule.sigmas
        timesteps = schedule.timesteps.map { Float($0) }
        seed = request.seed
        stream = SamplerRequest.stream(ofWindow: request.window)
    }

    /// Schedules that begin below 1 begin with that much noise.
    var startScale: Float { sigmas[0] }
    /// The predicted clip, and noise.
    var tensorCount: Int { 2 }
    var clipTensor: Int? { 0 }

    func step(_ index: Int, _ latent: Tensor, velocity: Tensor, tensors: [Tensor], _ backend: any ComputeBackend) {
        let (clip, noise) = (tensors[0], tensors[1])
        backend.eulerStep(sample: latent, velocity: velocity, dt: -sigmas[index], into: clip)
        let level = sigmas[index + 1]
        guard level > 0 else { return backend.copy(clip, into: latent) }
        // The noise depends on seed and step alone, so that a clip that is continued has the same.
        noise.fillNormal(seed: seed, stream: stream + UInt64(index) + 1)
        backend.affine(clip, scale: 1 - level, shift: 0, into: latent)
        backend.eulerStep(sample: latent, velocity: noise, dt: level, into: latent)
    }
}
