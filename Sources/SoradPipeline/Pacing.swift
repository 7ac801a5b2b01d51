// Owns when something that is done beside a clip (a checkpoint, a preview) is due again.
package import SoradSystem

/// Not before `interval` has passed since the last time, nor before `share` times as long as that one took, so that it costs less than
/// one part in `share` of the time.
package struct Pacing: Sendable {
    private let interval: Duration
    private let share: Int
    private var last: MonotonicTime
    private var cost = Duration.zero

    package init(interval: Duration, share: Int, start: MonotonicTime) {
        self.interval = interval
        self.share = share
        last = start
    }

    package func isDue(at now: MonotonicTime) -> Bool { now - last >= max(interval, cost * share) }

    package mutating func done(from began: MonotonicTime, to ended: MonotonicTime) {
        cost = ended - began
        last = ended
    }
}
