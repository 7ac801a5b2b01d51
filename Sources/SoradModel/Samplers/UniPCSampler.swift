// Owns UniPC of second order with corrector: diffusers' UniPCMultistepScheduler as Wan's pipelines configure it (flow_prediction,
// use_flow_sigmas, solver_order 2, bh2, lower_order_final), with the same timesteps and the same numbers up to rounding.
// Source: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models".
import SoradTensor

/// A predictor of second order, each of whose results the next step's prediction corrects.
struct UniPCSampler: Sampler {
    let sigmas, timesteps: [Float]
    /// The step that a run begins with: nothing before it is known.
    private let first: Int

    /// The scheduler's levels never reach 1, whose logarithm of signal to noise has no value.
    private static let tip = 1e-6

    init(_ request: SamplerRequest) {
        var schedule = ShiftedSchedule(request, least: 1 / Double(request.numTrainTimesteps))
        if abs(schedule.levels[0] - 1) < Self.tip { schedule.levels[0] -= Self.tip }
        sigmas = schedule.sigmas
        first = request.firstStep
        // The scheduler tells whole numbers, rounded towards 0. Levels of a request may have been divided by the number of timesteps, which
        // must not cost one.
        let slip = request.sigmas.isEmpty ? 0 : 1e-9
        timesteps = schedule.timesteps.map { Float(($0 + slip).rounded(.towardZero)) }
    }

    /// The clip that the last step predicted, the one before, and the sample that the last step began with, corrected.
    var stateCount: Int { 3 }
    var tensorCount: Int { 4 }
    var clipTensor: Int? { 0 }

    func step(_ index: Int, _ latent: Tensor, velocity: Tensor, tensors: [Tensor], _ backend: any ComputeBackend) {
        let (last, earlier, sample, clip) = (tensors[0], tensors[1], tensors[2], tensors[3])
        backend.eulerStep(sample: latent, velocity: velocity, dt: -sigmas[index], into: clip)
        if index > first {
            correct(index, sample, last: last, earlier: earlier, clip: clip, into: latent, backend)
        }
        backend.copy(last, into: earlier)
        backend.copy(clip, into: last)
        backend.copy(latent, into: sample)
        predict(index, sample, last: last, earlier: earlier, into: latent, backend)
    }

    /// Order of the predictor of one step, and of the corrector behind it: lower at both ends.
    private func order(_ index: Int) -> Int { min(2, timesteps.count - index, index - first + 1) }

    /// out = ratio·sample + clip terms, at the level after `index`.
    private func predict(
        _ index: Int, _ sample: Tensor, last: Tensor, earlier: Tensor, into out: Tensor, _ backend: any ComputeBackend
    ) {
        guard sigmas[index + 1] > 0 else { return backend.copy(last, into: out) }
        let move = Move(from: sigmas[index], to: sigmas[index + 1])
        var lastFactor = -move.alpha * move.phi
        var earlierFactor = 0.0
        if order(index) == 2 {
            let ratio = Move.ratio(sigmas[index - 1], sigmas[index], sigmas[index + 1])
            let half = -move.alpha * move.phi * 0.5 / ratio
            earlierFactor = half
            lastFactor -= half
        }
        backend.affine(sample, scale: Float(move.scale), shift: 0, into: out)
        backend.eulerStep(sample: out, velocity: last, dt: Float(lastFactor), into: out)
        if earlierFactor != 0 { backend.eulerStep(sample: out, velocity: earlier, dt: Float(earlierFactor), into: out) }
    }

    /// The sample at the level `index` once more, now that the clip predicted from it is known.
    private func correct(
        _ index: Int, _ sample: Tensor, last: Tensor, earlier: Tensor, clip: Tensor, into out: Tensor, _ backend: any ComputeBackend
    ) {
        let move = Move(from: sigmas[index - 1], to: sigmas[index])
        let scale = -move.alpha * move.phi
        var (lastFactor, earlierFactor, clipFactor) = (scale - scale * 0.5, 0.0, scale * 0.5)
        if order(index - 1) == 2 {
            let ratio = Move.ratio(sigmas[index - 2], sigmas[index - 1], sigmas[index])
            // B(h) = expm1(−h): the two conditions of the second order.
            let one = move.phi / -move.h - 1
            let two = one / -move.h - 0.5
            let (b1, b2) = (one / move.phi, two * 2 / move.phi)
            let before = (b1 - b2) / (1 - ratio)
            let now = b1 - before
            earlierFactor = scale * before / ratio
            clipFactor = scale * now
            lastFactor = scale - earlierFactor - clipFactor
        }
        backend.affine(sample, scale: Float(move.scale), shift: 0, into: out)
        backend.eulerStep(sample: out, velocity: last, dt: Float(lastFactor), into: out)
        if earlierFactor != 0 { backend.eulerStep(sample: out, velocity: earlier, dt: Float(earlierFactor), into: out) }
        backend.eulerStep(sample: out, velocity: clip, dt: Float(clipFactor), into: out)
    }
}

/// Coefficients of a move between two levels σ, with α = 1 − σ and λ = ln(α/σ). In double precision, and with a logarithm of our own, so that
/// every machine has the same.
private struct Move {
    /// λ_to − λ_from
    let h: Double
    /// expm1(−h)
    let phi: Double
    /// α_to, and σ_to / σ_from.
    let alpha, scale: Double

    init(from: Float, to: Float) {
        alpha = Self.alpha(to)
        scale = Double(to) / Double(from)
        // e^−h = (α_from / σ_from) · (σ_to / α_to)
        let decay = Self.alpha(from) / Double(from) * Double(to) / alpha
        phi = decay - 1
        h = -naturalLogarithm(decay)
    }

    /// The scheduler computes it in single precision, which is most of its difference next to 1.
    private static func alpha(_ sigma: Float) -> Double { Double(1 - sigma) }

    /// (λ_before − λ_from) / (λ_to − λ_from)
    static func ratio(_ before: Float, _ from: Float, _ to: Float) -> Double {
        -Move(from: before, to: from).h / Move(from: from, to: to).h
    }
}
