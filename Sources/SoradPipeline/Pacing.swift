// Decides when work besides the clip itself (a checkpoint, a preview) is due again.
package import SoradSystem

/// Not before `interval` has passed since the last time, nor before `share` times as long as it takes, so that it costs less than one part
/// in `share` of the time. What it takes is the least of the last three times: one that was disturbed says nothing.
package struct Pacing: Sendable {
    private let interval: Duration
    private let share: Int
    private var last: MonotonicTime
    private var costs: [Duration] = []

    package init(interval: Duration, share: Int, start: MonotonicTime) {
        self.interval = interval
        self.share = share
        last = start
    }

    package func isDue(at now: MonotonicTime) -> Bool { now - last >= max(interval, (costs.min() ?? .zero) * share) }

    /// - Parameter cost: what it took, where that is not the time that passed.
    package mutating func done(from began: MonotonicTime, to ended: MonotonicTime, cost: Duration? = nil) {
        costs = costs.suffix(2) + [cost ?? ended - began]
        last = ended
    }
}
