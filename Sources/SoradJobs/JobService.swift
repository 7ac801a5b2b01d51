// The jobs, whole: state machine, store and spool behind one lock. HTTP's threads ask and submit here; the daemon's loop brings what
// the worker says and takes away what is to be done with it.
// Invariant: an event's records are durable before anybody sees its effect; when they cannot be written the event has not happened.
public import SoradAPI
public import SoradSystem
import Synchronization

public final class JobService: Sendable {
    public struct Settings: Sendable {
        public var limits = JobMachine.Limits()
        /// Jobs that may wait.
        public var queueLimit = 100
        /// How long those who watch a job may hear nothing.
        public var heartbeat: Duration = .seconds(15)

        public init() {}
    }

    private struct State {
        var machine: JobMachine
        let store: JobStore
        var identifiers: JobIdentifierSequence
        var effects: [JobMachine.Action] = []
        /// Set once a record could not be written: what is on disk and what is here may differ, so nothing is done any more.
        var failure: String?
        /// Seconds that the last clip took.
        var lastDuration: Int?
    }

    private let state: Mutex<State>
    /// What happens to jobs, for those who watch them.
    public let feed: JobFeed
    private let spool: Spool
    private let settings: Settings
    private let time: TimeSource
    private let wake: EventCounter
    private let log: Log

    /// Opens the store in `directory` and takes up the jobs of the last run; none is started before `deliver(.resumed)`. `wake` is signalled when the loop has something to do.
    public init(directory: String, settings: Settings, time: TimeSource, wake: EventCounter, log: Log) throws(SoradError) {
        let store = try JobStore(path: "\(directory)/jobs.sqlite")
        spool = try Spool(path: "\(directory)/spool")
        do {
            let unfinished = try store.unfinished()
            let strangers = try spool.removeStrangers(keeping: try store.identifiers())
            if !unfinished.isEmpty { log.notice("\(unfinished.count) unfinished jobs of the last run go on") }
            if !strangers.isEmpty { log.notice("removed the files of \(strangers.count) jobs that are not recorded") }
            state = Mutex(
                State(
                    machine: JobMachine(limits: settings.limits, jobs: unfinished, isPaused: true), store: store,
                    identifiers: JobIdentifierSequence(after: try store.newest())))
        } catch {
            throw SoradError(.unavailable, "Cannot take up the jobs in \(directory): \(error).")
        }
        self.settings = settings
        feed = JobFeed(heartbeat: settings.heartbeat)
        self.time = time
        self.wake = wake
        self.log = log
    }

    // MARK: for clients

    /// The job that an earlier request like this one made; nil for a new request.
    /// - Throws: `.conflict` when the key belongs to another request.
    public func earlier(_ submission: Submission, owner: UInt32) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in try earlier(submission, owner, state) }
    }

    /// A place for the files of a job to be. Refused like the job itself when the queue is full.
    public func draft() throws(SoradError) -> JobDraft { try draft(ofJob: true) }

    /// A place for a file to be looked at. It goes with the last reference.
    public func scratch() throws(SoradError) -> JobDraft { try draft(ofJob: false) }

    private func draft(ofJob: Bool) throws(SoradError) -> JobDraft {
        let id = try locked { state throws(SoradError) in
            if ofJob { try checkQueue(state) }
            return state.identifiers.next(unixMilliseconds: time.unixMilliseconds(), random: randomBytes(10))
        }
        return JobDraft(id: id, directory: try prepareDirectory(of: id), log: log)
    }

    /// Accepts a job: durable when this returns, and its draft's files before it. A `submission` that has come before gives the job
    /// that it made then.
    public func submit(
        owner: UInt32, _ request: GenerationRequest, seconds: String, draft: JobDraft? = nil, submission: Submission? = nil
    ) throws(SoradError) -> Job {
        try draft?.seal()
        // When the store has failed it is not known whether the job is recorded, so its files stay; the next start knows.
        defer { if failure != nil { draft?.keep() } }
        let job = try locked { state throws(SoradError) in
            if let submission, let job = try earlier(submission, owner, state) { return job }
            try checkQueue(state)
            let id = draft?.id ?? state.identifiers.next(unixMilliseconds: time.unixMilliseconds(), random: randomBytes(10))
            let job = Job(id: id, owner: owner, request: request, seconds: seconds, createdAt: time.unixSeconds())
            try handle(.submitted(job), &state, submission)
            return state.machine.jobs[id] ?? job
        }
        if job.id == draft?.id { draft?.keep() }
        return job
    }

    private func checkQueue(_ state: State) throws(SoradError) {
        guard state.machine.queuedCount < settings.queueLimit else {
            throw SoradError(
                .busy,
                "The queue is full: \(state.machine.queuedCount) jobs wait already and the limit is \(settings.queueLimit); try again later."
            )
        }
    }

    /// The job, if `viewer` may see it: it is theirs, or they are root.
    public func job(_ id: JobIdentifier, viewer: UInt32) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in try find(id, viewer, state) }
    }

    /// Tells `listener`, which must not wait, what the job is and what becomes of it. nil when `viewer` has no such job.
    public func watch(_ id: JobIdentifier, viewer: UInt32, _ listener: @escaping JobFeed.Listener) throws(SoradError)
        -> JobFeed.Subscription?
    {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, state) else { return nil }
            // The loop must know of the first heartbeat.
            defer { wake.add() }
            return feed.add(job, now: time.monotonic(), listener)
        }
    }

    /// A page of the jobs that `viewer` may see, and whether there are more.
    public func page(viewer: UInt32, after: JobIdentifier?, newestFirst: Bool, limit: Int) throws(SoradError) -> (
        jobs: [Job], hasMore: Bool
    ) {
        try locked { state throws(SoradError) in
            let stored = try reading {
                () throws(DatabaseError) in
                try state.store.jobs(owner: viewer == 0 ? nil : viewer, after: after, newestFirst: newestFirst, limit: limit + 1)
            }
            return (stored.prefix(limit).map { state.machine.jobs[$0.id] ?? $0 }, stored.count > limit)
        }
    }

    /// Ends a job that is not over; one that was cancelled before stays so. nil when `viewer` has no such job.
    public func cancel(_ id: JobIdentifier, viewer: UInt32) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, state) else { return nil }
            if !job.isOver { try handle(.cancelled(id, erase: false), &state) }
            return try find(id, viewer, state)
        }
    }

    /// Removes a job, its record and its files; a running one is cancelled. False when `viewer` has no such job.
    public func delete(_ id: JobIdentifier, viewer: UInt32) throws(SoradError) -> Bool {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, state) else { return false }
            if job.isOver {
                try write(stored: [], erased: [id], &state)
                if state.machine.abandonedJob != id { removeFiles(id) }
            } else {
                try handle(.cancelled(id, erase: true), &state)
            }
            return true
        }
    }

    /// The path of one of a completed job's files.
    public func resultPath(_ job: Job, _ file: KeyPath<ClipResult, String>) -> String? {
        job.result.map { "\(spool.directory(of: job.id))/\($0[keyPath: file])" }
    }

    /// After how many milliseconds asking again is worth it: a tenth of what the last clip took.
    public var pollAfterMilliseconds: Int {
        state.withLock { min(5_000, max(250, ($0.lastDuration ?? 10) * 100)) }
    }

    public struct Summary: Sendable {
        public let queued: Int
        public let running: Int
        public let hasWorker: Bool
    }
    public var summary: Summary {
        state.withLock {
            Summary(queued: $0.machine.queuedCount, running: $0.machine.runningJob == nil ? 0 : 1, hasWorker: $0.machine.hasWorker)
        }
    }

    // MARK: for the daemon's loop

    /// What is to be done with the worker since the last call, in order.
    public func takeEffects() -> [JobMachine.Action] {
        state.withLock { state in
            defer { state.effects = [] }
            return state.effects
        }
    }

    /// When `deliver(.ticked)` is due.
    public var nextDeadline: MonotonicTime? { state.withLock { $0.machine.nextDeadline } }
    /// Why the daemon must stop, if it must.
    public var failure: String? { state.withLock { $0.failure } }

    /// Brings an event of the worker or of time. A finished job's files are made durable first. After a failed write nothing happens
    /// and `failure` is set.
    public func deliver(_ event: JobMachine.Event) {
        var event = event
        if case .finished(let id, var result) = event {
            do throws(SoradError) {
                try spool.seal(id, result)
                result.videoSHA256 = try spool.digest(id, result.video)
                event = .finished(id, result)
            } catch {
                event = .failed(id, JobError(code: "internal_error", message: error.message))
            }
        }
        try? locked { state throws(SoradError) in try handle(event, &state) }
    }

    /// The directory of a job about to run.
    public func prepareDirectory(of id: JobIdentifier) throws(SoradError) -> String {
        do throws(Errno) { try spool.prepare(id) } catch {
            if error.isOutOfSpace {
                throw SoradError(.storageFull, "The disk that holds the clips is full; free some space and send the request again.")
            }
            throw SoradError(.unavailable, "Cannot make the directory of \(id): \(error.reason).")
        }
        return spool.directory(of: id)
    }

    /// Lets the database grow to so many pages and then be full, as on a full disk; for tests.
    package func limitDatabase(toPages pages: Int) throws(SoradError) {
        try locked { state throws(SoradError) in
            try reading { () throws(DatabaseError) in try state.store.limit(toPages: pages) }
        }
    }

    // MARK: inside

    /// What `body` gives, or nil when the store fails: for records that can be done without. A disk that fails is final here too.
    @discardableResult
    func withStore<Value: Sendable>(_ body: (JobStore) throws(DatabaseError) -> Value) -> Value? {
        try? locked { state throws(SoradError) in
            do throws(DatabaseError) { return try body(state.store) } catch {
                log.warning("the job store gives no help: \(error)")
                if error.isDiskFailure {
                    state.failure = error.description
                    wake.add()
                }
                throw SoradError(.internalFault, error.description)
            }
        }
    }

    private func locked<Result: Sendable>(_ body: (inout State) throws(SoradError) -> Result) throws(SoradError) -> Result {
        let result: Swift.Result<Result, SoradError> = state.withLock { state in
            if let failure = state.failure {
                return .failure(SoradError(.unavailable, "The job store has failed and sorad is stopping: \(failure)"))
            }
            do throws(SoradError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func earlier(_ submission: Submission, _ owner: UInt32, _ state: State) throws(SoradError) -> Job? {
        let found = try reading { () throws(DatabaseError) in
            try state.store.earlier(submission, owner: owner, now: time.unixSeconds())
        }
        switch found {
        case .none: return nil
        case .job(let id): return try find(id, owner, state)
        case .otherRequest:
            throw SoradError(
                .conflict, "This Idempotency-Key was used for a request with other fields; use a new key for a new request.",
                param: "Idempotency-Key")
        }
    }

    private func find(_ id: JobIdentifier, _ viewer: UInt32, _ state: State) throws(SoradError) -> Job? {
        let job: Job?
        if let live = state.machine.jobs[id] {
            job = live
        } else {
            job = try reading { () throws(DatabaseError) in try state.store.job(id) }
        }
        return job.flatMap { viewer == 0 || $0.owner == viewer ? $0 : nil }
    }

    private func handle(_ event: JobMachine.Event, _ state: inout State, _ submission: Submission? = nil) throws(SoradError) {
        var machine = state.machine
        let actions = machine.handle(event, now: time.monotonic(), unixSeconds: time.unixSeconds())
        var stored: [Job] = []
        var erased: [JobIdentifier] = []
        for case .store(let job) in actions { stored.append(job) }
        for case .erase(let id) in actions { erased.append(id) }
        if case .submitted = event {
            try write(stored: stored, erased: erased, &state, submission, refusingWhenFull: true)
        } else {
            try write(stored: stored, erased: erased, &state)
        }
        state.machine = machine
        for job in stored { note(job, &state) }
        tellWatchers(of: event, stored: stored, erased: erased, state)
        for action in actions {
            switch action {
            case .store, .erase: break
            case .removeFiles(let id): removeFiles(id)
            default:
                state.effects.append(action)
                wake.add()
            }
        }
        // The loop must know of a new deadline.
        if !actions.isEmpty { wake.add() }
    }

    private func tellWatchers(of event: JobMachine.Event, stored: [Job], erased: [JobIdentifier], _ state: State) {
        for job in stored { feed.changed(job) }
        // Most of what a worker says is not worth a record.
        if case .progressed(let id, _) = event, !stored.contains(where: { $0.id == id }), let job = state.machine.jobs[id] {
            feed.changed(job)
        }
        for id in erased { feed.deleted(id) }
    }

    private func note(_ job: Job, _ state: inout State) {
        switch job.status {
        case .completed:
            if let end = job.completedAt, let start = job.startedAt { state.lastDuration = max(0, end - start) }
            log.info("\(job.id) completed in \(state.lastDuration ?? 0) s")
            remember(job, &state)
        case .failed: log.notice("\(job.id) failed: \(job.error?.code ?? ""): \(job.error?.message ?? "")")
        case .queued, .inProgress: log.debug("\(job.id) \(job.status.rawValue) \(job.percent) %")
        }
    }

    /// What the clip took goes into the history; a job is not lost over that.
    private func remember(_ job: Job, _ state: inout State) {
        do throws(DatabaseError) { try state.store.remember(job) } catch {
            log.warning("the time of \(job.id) could not be recorded: \(error)")
            if error.isDiskFailure { state.failure = error.description }
        }
    }

    /// A write that fails is final: retrying could acknowledge what the disk has lost. Only a full disk before a new job is merely refused.
    private func write(
        stored: [Job], erased: [JobIdentifier], _ state: inout State, _ submission: Submission? = nil, refusingWhenFull: Bool = false
    ) throws(SoradError) {
        do throws(DatabaseError) {
            try state.store.apply(stored: stored, erased: erased, submission: submission)
        } catch {
            if error.isFull && refusingWhenFull {
                throw SoradError(.storageFull, "The disk that holds the jobs is full; free some space and try again.")
            }
            state.failure = error.description
            wake.add()
            throw SoradError(.internalFault, "The job store failed: \(error).")
        }
    }

    private func reading<Value>(_ body: () throws(DatabaseError) -> Value) throws(SoradError) -> Value {
        do throws(DatabaseError) { return try body() } catch { throw SoradError(.internalFault, "The job store cannot be read: \(error).") }
    }

    private func removeFiles(_ id: JobIdentifier) {
        // What stays behind is found by the next start, if its record has gone.
        do throws(Errno) { try spool.remove(id) } catch { log.error("cannot remove the files of \(id): \(error)") }
    }
}
