// How long a worker on a box has been silent although the box is in reach. Pure.
// A worker that computes says something at each step, and at least every ten seconds from the thread that computes; besides that only files
// that come back take time. HTCondor itself misses a worker that hangs. It also misses one that ended in the moment in which the head lost
// its power: the box waits for ever to tell of it.
import SoradSystem

struct BoxSilence: Sendable {
    private var isOnBox = false
    private var isAway = false
    private var last = MonotonicTime(nanoseconds: 0)

    mutating func take(_ event: PoolEvent, at now: MonotonicTime) {
        switch event {
        case .executing: (isOnBox, isAway) = (true, false)
        case .disconnected: isAway = true
        case .reconnected: isAway = false
        case .transferred: break
        case .submitted, .evicted, .exited, .killed, .removed, .held, .released, .lost: isOnBox = false
        }
        last = now
    }

    /// The worker has printed a line, or what follows from its silence is tried.
    mutating func begin(at now: MonotonicTime) { last = now }

    /// nil while no word is expected.
    func length(at now: MonotonicTime) -> Duration? { isOnBox && !isAway ? now - last : nil }
}
