// The hang watchdog: how long a worker with a job may be silent before it counts as hanging. Pure.
// A worker sends a message at every step, and a heartbeat at least once a second from the thread that computes; so silence means that
// nothing moves, however slow the machine is. The measure is the duration of one unit of the phase (a step, a frame) on this machine, or
// the longest silence so far in this phase; without either only the upper bound is left.
import SoradAPI
import SoradSystem

struct HangWatchdog: Sendable {
    private let bounds: ClosedRange<Duration>
    private let units: [JobPhase: Int]
    /// Expected seconds by phase name, from clips like this one on this machine.
    var expected: [String: Double] = [:]
    /// The first of which a worker tells.
    private var phase = JobPhase.encodingText
    private var last: MonotonicTime
    private var longest: Duration?

    /// A silence longer than this many times the measure is a hang.
    private static let factor = 10.0

    /// With nobody.
    init() {
        bounds = .zero ... .zero
        units = [:]
        last = MonotonicTime(nanoseconds: 0)
    }

    init(_ bounds: ClosedRange<Duration>, _ request: ClipPlan, since now: MonotonicTime) {
        self.bounds = bounds
        units = Dictionary(uniqueKeysWithValues: request.stages.map { ($0.phase, $0.units) })
        last = now
    }

    /// A message or a heartbeat has come.
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
        let limit = min(max(0, measure * HangWatchdog.factor), bounds.upperBound.inSeconds)
        return max(bounds.lowerBound, .seconds(limit))
    }

    /// When the silence will have been too long.
    var end: MonotonicTime { last + limit }
}
