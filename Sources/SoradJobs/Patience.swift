// How long a worker that has a job may be silent before it is held to hang. Pure.
// A worker speaks at every mark of progress, and at least once a second as long as the thread that computes comes by; so silence says
// that nothing moves, however slow the machine is. The measure is what one unit of the phase (a step, a frame) took on this machine, or
// the longest silence so far in this phase; without either only the longest patience is left.
import SoradAPI
import SoradSystem

struct Patience: Sendable {
    private let bounds: ClosedRange<Duration>
    private let units: [JobPhase: Int]
    /// What clips like this one took here, in seconds by phase name.
    var expected: [String: Double] = [:]
    /// The first of which a worker tells.
    private var phase = JobPhase.encodingText
    private var last: MonotonicTime
    private var longest: Duration?

    /// A silence of so many times the measure is no slowness.
    private static let factor = 10.0

    /// With nobody.
    init() {
        bounds = .zero ... .zero
        units = [:]
        last = MonotonicTime(nanoseconds: 0)
    }

    init(_ bounds: ClosedRange<Duration>, _ request: GenerationRequest, since now: MonotonicTime) {
        self.bounds = bounds
        units = Dictionary(uniqueKeysWithValues: request.stages.map { ($0.phase, $0.units) })
        last = now
    }

    /// The worker has given a sign.
    mutating func heard(at now: MonotonicTime, in phase: JobPhase? = nil) {
        if let phase, phase != self.phase {
            self.phase = phase
            longest = nil
        } else {
            longest = max(longest ?? .zero, now - last)
        }
        last = now
    }

    var limit: Duration {
        let unit = expected[phase.rawValue].map { $0 / Double(max(1, units[phase] ?? 1)) }
        guard let measure = [unit, longest?.inSeconds].compactMap({ $0 }).max() else { return bounds.upperBound }
        // Expected seconds come from a file; a product beyond any bound is no number of nanoseconds.
        let limit = min(max(0, measure * Patience.factor), bounds.upperBound.inSeconds)
        return max(bounds.lowerBound, .seconds(limit))
    }

    /// When the silence will have been too long.
    var end: MonotonicTime { last + limit }
}
