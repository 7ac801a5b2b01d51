// Owns the choice of denoise steps that are not computed: where a run goes nearly straight, a step takes the velocity of the last computed
// one. Source of the criterion: Zhou et al. 2025, "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive
// Caching" (EasyCache): from one computed step to the next the velocity changes by a factor of what the latents change, and that factor
// changes slowly.
// Invariant: the choice depends on latents, velocities and `tolerance` alone, which are the same on every machine, and on sums in one
// order. `latents`, the held velocity and `rate` are its whole state.
import SoradTensor

/// Used by one run.
final class StepCache {
    /// Estimated change of the velocity, relative to its size, from which on a step is computed.
    private let tolerance: Float
    /// [C, T, h, w]: those of the last computed step.
    let latents: Tensor
    /// [C, T, h, w]: the velocity of the step before, while a new one is computed.
    private let earlier: Tensor
    private let backend: any ComputeBackend
    private var isEmpty = true
    /// Change of the velocity by change of the latents, between the last two computed steps; 0 before there are two.
    private(set) var rate: Float = 0

    init(tolerance: Float, _ shape: Shape, _ backend: any ComputeBackend) {
        self.tolerance = tolerance
        self.backend = backend
        (latents, earlier) = (backend.tensor(shape), backend.tensor(shape))
    }

    /// Continues with `latents` and a rate that were kept.
    func restore(rate: Float) { (self.rate, isEmpty) = (rate, false) }

    /// Whether `velocity` of the last computed step will do for `latent`.
    func suffices(_ velocity: Tensor, for latent: Tensor) -> Bool {
        guard !isEmpty, rate > 0 else { return false }
        // False for a number that is none.
        return Double(rate) * Self.difference(latent, latents) < Double(tolerance) * Self.magnitude(velocity)
    }

    /// `velocity` is about to be computed again.
    func willCompute(_ velocity: Tensor) { if !isEmpty { backend.copy(velocity, into: earlier) } }

    /// `velocity` was computed for `latent`.
    func computed(_ velocity: Tensor, for latent: Tensor) {
        if !isEmpty {
            let change = Self.difference(latent, latents)
            rate = change > 0 ? Float(Self.difference(velocity, earlier) / change) : 0
        }
        isEmpty = false
        backend.copy(latent, into: latents)
    }

    /// Σ|a − b|, one element after the other.
    private static func difference(_ a: Tensor, _ b: Tensor) -> Double {
        a.withElements { a in
            b.withElements { b in
                var sum = 0.0
                for i in a.indices { sum += Double(abs(a[i] - b[i])) }
                return sum
            }
        }
    }

    private static func magnitude(_ a: Tensor) -> Double {
        a.withElements { a in
            var sum = 0.0
            for i in a.indices { sum += Double(abs(a[i])) }
            return sum
        }
    }
}
