// One place for a worker: the state of its worker, and how long that may last. Pure; times come in as values.
// Invariant: a slot has at most one worker process and one job. Faults, hang-ups, silences and deaths belong to that worker
// alone: events of one slot change nothing in another.
import SoradAPI
import SoradSystem

/// Names one of the daemon's places for workers.
public struct WorkerSlot: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// From 0.
    public let number: Int

    public init(_ number: Int) { self.number = number }

    public var description: String { "slot \(number)" }
    public static func < (left: WorkerSlot, right: WorkerSlot) -> Bool { left.number < right.number }
}

struct SlotState: Sendable {
    enum Worker: Sendable, Equatable {
        case absent
        case starting(model: String, job: JobIdentifier?, killAt: MonotonicTime)
        case idle(model: String, closeAt: MonotonicTime)
        case working(model: String, job: JobIdentifier, killAt: MonotonicTime)
        /// Told to cancel a job that is already over.
        case abandoning(model: String, job: JobIdentifier, killAt: MonotonicTime)
        /// Told to exit, perhaps while it still has an abandoned job.
        case leaving(job: JobIdentifier?, killAt: MonotonicTime)
    }

    var worker = Worker.absent
    /// Why the worker is being killed; says more in a job's error than "was killed". Follows "the worker".
    var fault: String?
    /// Its connection is closed, and its process should end now.
    var hasHungUp = false
    /// With the worker that has a job.
    var watchdog = HangWatchdog()
    /// Where its job is made, if that is not here.
    var place = JobPlace()
    /// When the percentage of its job was recorded last.
    var lastRecord: MonotonicTime?

    var hasWorker: Bool { worker != .absent }

    func isIdle(with model: String) -> Bool { if case .idle(model, _) = worker { true } else { false } }

    /// The job that is being made here.
    var job: JobIdentifier? {
        switch worker {
        case .starting(_, let job, _): job
        case .working(_, let job, _): job
        default: nil
        }
    }

    /// A job that has ended, or waits again, but whose directory the worker may still write to.
    var abandonedJob: JobIdentifier? {
        switch worker {
        case .abandoning(_, let job, _): job
        case .leaving(let job, _): job
        default: nil
        }
    }

    /// When `JobMachine.Event.ticked` has something to do here.
    var deadline: MonotonicTime? {
        switch worker {
        case .absent: nil
        case .starting(_, _, let at), .idle(_, let at), .working(_, _, let at), .abandoning(_, _, let at), .leaving(_, let at): at
        }
    }

    /// A message or a heartbeat has come: the deadline moves.
    mutating func heard(at now: MonotonicTime, loading: Duration) {
        guard fault == nil, !hasHungUp else { return }
        switch worker {
        case .starting(let model, let job, _): worker = .starting(model: model, job: job, killAt: now + loading)
        case .working(let model, let job, _):
            watchdog.heard(at: now)
            worker = .working(model: model, job: job, killAt: watchdog.end)
        default: break
        }
    }

    /// A process without a connection is of no use: it has until `killAt` to end by itself.
    mutating func hungUp(killAt: MonotonicTime) {
        switch worker {
        case .absent, .leaving: break
        case .starting(let model, let job, _): worker = .starting(model: model, job: job, killAt: killAt)
        case .idle: worker = .leaving(job: nil, killAt: killAt)
        case .working(let model, let job, _): worker = .working(model: model, job: job, killAt: killAt)
        case .abandoning(let model, let job, _): worker = .abandoning(model: model, job: job, killAt: killAt)
        }
        hasHungUp = true
    }

    /// The worker's process has ended.
    /// - Returns: the state in which it ended.
    mutating func ended() -> Worker {
        let before = worker
        self = SlotState()
        return before
    }

    /// The deadline has passed.
    /// - Returns: whether to close the worker's socket, and whether to kill it.
    mutating func ticked(_ now: MonotonicTime, _ limits: JobMachine.Limits) -> (close: Bool, kill: Bool) {
        guard let deadline, now >= deadline else { return (false, false) }
        // A killed worker ends at once; should the kernel hold it, it is killed again later.
        let again = now + limits.grace
        let isLate = now - deadline >= limits.lateness && fault == nil && !hasHungUp
        switch worker {
        case .absent: return (false, false)
        case .starting(let model, let job, _) where isLate:
            worker = .starting(model: model, job: job, killAt: now + limits.workerStart)
            return (false, false)
        case .working(let model, let job, _) where isLate:
            worker = .working(model: model, job: job, killAt: now + watchdog.limit)
            return (false, false)
        case .idle:
            worker = .leaving(job: nil, killAt: again)
            return (true, false)
        case .starting(let model, let job, _):
            fault = fault ?? (hasHungUp ? "closed its connection" : "said nothing for \(Int(limits.workerStart.inSeconds)) s, loading")
            worker = .starting(model: model, job: job, killAt: again)
        case .working(let model, let job, _):
            fault = fault ?? (hasHungUp ? "closed its connection" : "said nothing for \(Int(watchdog.limit.inSeconds)) s")
            worker = .working(model: model, job: job, killAt: again)
        case .abandoning(let model, let job, _): worker = .abandoning(model: model, job: job, killAt: again)
        case .leaving(let job, _): worker = .leaving(job: job, killAt: again)
        }
        return (false, true)
    }
}
