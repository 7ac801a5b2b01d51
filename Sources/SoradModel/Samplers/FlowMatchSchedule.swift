// Owns the noise levels of a denoising run: diffusers' FlowMatchEulerDiscreteScheduler, in the same number formats at the same places
// so that sigmas agree to the last bit or two. Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1 and 5.3.2.
public import SoradTensor

/// Noise levels from 1 (pure noise) to 0 (the clip).
public struct FlowMatchSchedule: Sampler, Equatable {
    /// [steps + 1], falling, the last 0. A sample at level σ is (1 − σ)·clip + σ·noise.
    public let sigmas: [Float]
    /// [steps]: the timestep that the transformer reads, σ·num_train_timesteps.
    public let timesteps: [Float]

    public var steps: Int { timesteps.count }

    /// - Parameters:
    ///   - steps: 1 or more.
    ///   - shift: above 1 spends more of the steps at high noise.
    public init(steps: Int, shift: Float, numTrainTimesteps: Int = 1000) {
        precondition(steps > 0 && shift > 0 && numTrainTimesteps > 0, "\(steps) steps, shift \(shift), \(numTrainTimesteps) timesteps")
        let train = Double(numTrainTimesteps)
        let shift64 = Double(shift)
        // The scheduler's own range is shifted once in float32 and, by set_timesteps, once more in float64.
        let highest = Double(Self.shifted(1, shift)) * train
        let lowest = Double(Self.shifted(1 / Float(numTrainTimesteps), shift)) * train
        let stride = steps > 1 ? (lowest - highest) / Double(steps - 1) : 0
        let levels = (0..<steps).map { step -> Float in
            let timestep = step == steps - 1 && steps > 1 ? lowest : Double(step) * stride + highest
            let sigma = timestep / train
            return Float(shift64 * sigma / (1 + (shift64 - 1) * sigma))
        }
        sigmas = levels + [0]
        timesteps = levels.map { $0 * Float(numTrainTimesteps) }
    }

    /// This schedule, or the levels that the request names.
    package static func sampler(_ request: SamplerRequest) -> any Sampler {
        guard request.sigmas.isEmpty else { return ShiftedEuler(request) }
        return FlowMatchSchedule(steps: request.steps, shift: request.shift, numTrainTimesteps: request.numTrainTimesteps)
    }

    /// Takes one Euler step.
    public func step(_ index: Int, _ latent: Tensor, velocity: Tensor, tensors: [Tensor], _ backend: any ComputeBackend) {
        backend.eulerStep(sample: latent, velocity: velocity, dt: sigmas[index + 1] - sigmas[index], into: latent)
    }

    private static func shifted(_ sigma: Float, _ shift: Float) -> Float { shift * sigma / (1 + (shift - 1) * sigma) }
}
