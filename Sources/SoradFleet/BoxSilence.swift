// How long a worker on a box has been silent although it should compute. Pure.
// Invariant: while it need not say anything (no box, a link that is away, files on their way) there is no silence. A worker that computes
// says something at each step, and at least every ten seconds from the thread that computes; so silence means that nothing moves.
import SoradSystem

struct BoxSilence: Sendable {
    private enum Work {
        /// It is on no box, or its worker has ended.
        case none
        case computes
        /// Its worker has put it down and is started again when the checkpoint has come back.
        case isPutDown
    }

    private var work = Work.none
    private var isAway = false
    private var last = MonotonicTime(nanoseconds: 0)

    mutating func take(_ event: PoolEvent, at now: MonotonicTime) {
        switch event {
        case .executing: begin(now)
        case .transferred: if work == .isPutDown { begin(now) }
        case .disconnected: isAway = true
        case .reconnected:
            isAway = false
            last = now
        case .submitted, .evicted, .exited, .killed, .removed, .held, .released, .lost: work = .none
        }
    }

    /// Takes a line of the worker: an object with one member, which names it.
    mutating func take(word: JSONValue, at now: MonotonicTime) {
        last = now
        if word["putDown"] != nil {
            work = .isPutDown
        } else if word["finished"] != nil || word["failed"] != nil {
            work = .none
        } else {
            work = .computes
        }
    }

    mutating func restart(at now: MonotonicTime) { last = now }

    /// nil while none is expected of it.
    func length(at now: MonotonicTime) -> Duration? { work == .computes && !isAway ? now - last : nil }

    private mutating func begin(_ now: MonotonicTime) {
        work = .computes
        isAway = false
        last = now
    }
}
