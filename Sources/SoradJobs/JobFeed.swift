// Sends the changes of a job to its listeners as they happen.
// Invariant: a listener gets first the present state of the job and then every later change, in order and none twice: it is called while
// the job service's lock is held. So it must never wait and never call the service. Nothing is kept for a job that nobody watches but a
// number, and one preview of each job that runs.
public import SoradAPI
public import SoradSystem
import Synchronization

public enum JobNews: Sendable {
    /// The job as it is now. `number` grows with every change of a job that is not over.
    case changed(Job, number: UInt64, SharedText)
    case preview(Job, JobPreview, SharedText)
    /// The job was deleted before it was over.
    case deleted(JobIdentifier)
    /// Nothing was said for a while.
    case quiet
    /// The daemon stops; the job continues after its next start.
    case ended
}

/// What all listeners of one change write, written once: a thousand of them share its bytes.
public final class SharedText: Sendable {
    private let texts = Mutex<[String: [UInt8]]>([:])

    package init() {}

    /// The bytes called `name`; `make` makes them for the first who asks.
    public func bytes(_ name: String, _ make: () -> [UInt8]) -> [UInt8] {
        texts.withLock { texts in
            if let made = texts[name] { return made }
            let made = make()
            texts[name] = made
            return made
        }
    }
}

public final class JobFeed: Sendable {
    /// False: wants to hear no more.
    public typealias Listener = @Sendable (JobNews) -> Bool

    /// One listener, for `remove`.
    public struct Subscription: Sendable {
        let job: JobIdentifier
        let number: UInt64
    }

    private struct State {
        var listeners: [JobIdentifier: [UInt64: Listener]] = [:]
        var lastSubscription: UInt64 = 0
        /// Changes so far of the jobs that are not over.
        var changes: [JobIdentifier: UInt64] = [:]
        var previews: [JobIdentifier: JobPreview] = [:]
        var nextBeat: MonotonicTime?
        var hasEnded = false
    }

    private let state = Mutex(State())
    private let heartbeat: Duration
    /// Tells the numbers of this run of the daemon from those of another.
    public let run = String(UInt64.random(in: 0...UInt64.max), radix: 36)

    package init(heartbeat: Duration) { self.heartbeat = heartbeat }

    /// When `beat` is due; nil while nobody listens.
    public var nextBeat: MonotonicTime? { state.withLock { $0.nextBeat } }
    package var listenerCount: Int { state.withLock { $0.listeners.values.reduce(0) { $0 + $1.count } } }

    /// Tells all listeners that nothing has happened, so that a connection that is gone is noticed and one that is not is kept.
    public func beat(_ now: MonotonicTime) {
        state.withLock { state in
            guard let due = state.nextBeat, now >= due else { return }
            for job in Array(state.listeners.keys) { JobFeed.tell(job, .quiet, &state) }
            state.nextBeat = state.listeners.isEmpty ? nil : now + heartbeat
        }
    }

    /// The daemon stops.
    public func end() {
        state.withLock { state in
            state.hasEnded = true
            for job in Array(state.listeners.keys) { JobFeed.tell(job, .ended, &state) }
            state.listeners = [:]
            state.nextBeat = nil
        }
    }

    public func remove(_ subscription: Subscription) {
        state.withLock { state in
            state.listeners[subscription.job]?[subscription.number] = nil
            if state.listeners[subscription.job]?.isEmpty == true { state.listeners[subscription.job] = nil }
        }
    }

    // MARK: for the job service, under its lock

    /// Sends `listener` the present state of the job and, unless it is finished, every change.
    func add(_ job: Job, now: MonotonicTime, _ listener: @escaping Listener) -> Subscription {
        state.withLock { state in
            state.lastSubscription += 1
            let subscription = Subscription(job: job.id, number: state.lastSubscription)
            var wantsMore = listener(.changed(job, number: state.changes[job.id] ?? 0, SharedText()))
            if wantsMore, !job.isOver, let picture = state.previews[job.id] { wantsMore = listener(.preview(job, picture, SharedText())) }
            if wantsMore, !job.isOver, state.hasEnded {
                _ = listener(.ended)
                wantsMore = false
            }
            if wantsMore, !job.isOver {
                state.listeners[job.id, default: [:]][subscription.number] = listener
                state.nextBeat = state.nextBeat ?? now + heartbeat
            }
            return subscription
        }
    }

    func changed(_ job: Job) {
        state.withLock { state in
            let number = (state.changes[job.id] ?? 0) + 1
            state.changes[job.id] = job.isOver ? nil : number
            JobFeed.tell(job.id, .changed(job, number: number, SharedText()), &state)
            if let picture = job.progress?.preview {
                state.previews[job.id] = picture
                JobFeed.tell(job.id, .preview(job, picture, SharedText()), &state)
            }
            if job.isOver { JobFeed.forget(job.id, &state) }
        }
    }

    func deleted(_ id: JobIdentifier) {
        state.withLock { state in
            JobFeed.tell(id, .deleted(id), &state)
            JobFeed.forget(id, &state)
        }
    }

    private static func tell(_ job: JobIdentifier, _ news: JobNews, _ state: inout State) {
        guard let listeners = state.listeners[job] else { return }
        for (number, listener) in listeners where !listener(news) { state.listeners[job]?[number] = nil }
        if state.listeners[job]?.isEmpty == true { state.listeners[job] = nil }
    }

    private static func forget(_ job: JobIdentifier, _ state: inout State) {
        state.changes[job] = nil
        state.listeners[job] = nil
        state.previews[job] = nil
    }
}
