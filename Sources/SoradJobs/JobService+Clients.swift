// The calls of clients: submit, look, cancel, delete. Called on HTTP's threads.
public import SoradAPI
public import SoradSystem
import Synchronization

extension JobService {
    /// The job that an earlier request like this one made; nil for a new request.
    /// - Throws: `.conflict` when the key belongs to another request.
    public func earlier(_ record: IdempotencyRecord, owner: UInt32) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in try earlier(record, owner, &state) }
    }

    /// A place for the files of a job to be. Refused like the job itself when no new one is taken.
    public func draft() throws(SoradError) -> JobDraft { try draft(ofJob: true) }

    /// A place for a file to be looked at. It goes with the last reference.
    public func scratch() throws(SoradError) -> JobDraft { try draft(ofJob: false) }

    private func draft(ofJob: Bool) throws(SoradError) -> JobDraft {
        let id = try locked { state throws(SoradError) in
            if ofJob {
                try counted(&state) { state throws(SoradError) in
                    try checkIntake(&state)
                    try checkDisk(nil, nil, &state)
                }
            }
            return state.identifiers.next(unixMilliseconds: time.unixMilliseconds(), random: randomBytes(10))
        }
        return JobDraft(id: id, directory: try prepareDirectory(of: id), log: log, open: drafts)
    }

    /// Accepts a job: durable when this returns, and its draft's files before it. `model` is the plan's; nil in tests that have none. A `record` that has come before gives the job
    /// that it made then.
    public func submit(
        owner: Viewer, _ plan: ClipPlan, model: ModelInfo? = nil, priority: Int = 0, draft: JobDraft? = nil,
        record: IdempotencyRecord? = nil, digest: String? = nil
    ) throws(SoradError) -> Job {
        var plan = plan
        plan.memory = plan.memory(of: model) ?? 0
        plan.notes.estimate = estimate(of: plan, model)
        names.learn(owner.user)
        try draft?.seal()
        // When the store has failed it is not known whether the job is recorded, so its files stay until it is.
        defer { if failure != nil { draft?.keep() } }
        let job = try locked { state throws(SoradError) in
            if let record, let job = try earlier(record, owner.user, &state) { return job }
            return try counted(&state) { state throws(SoradError) in
                try checkIntake(&state)
                try check(plan, model, of: owner, &state)
                if let draft { try checkGivenFiles(draft, of: owner, state) }
                let id = draft?.id ?? state.identifiers.next(unixMilliseconds: time.unixMilliseconds(), random: randomBytes(10))
                var job = Job(id: id, owner: owner.user, plan: plan, createdAt: time.unixSeconds())
                job.priority = priority
                job.digest = digest
                try handle(.submitted(job), &state, record)
                return state.estimated(state.machine.jobs[id] ?? job)
            }
        }
        if job.id == draft?.id { draft?.keep() }
        return job
    }

    /// A finished clip of the same request, model and files. nil when `owner` has none.
    public func finished(digest: String, owner: UInt32) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in
            let id = try reading { () throws(DatabaseError) in try state.store.completed(digest: digest, owner: owner) }
            guard let id, let job = try find(id, Viewer(user: owner), &state) else { return nil }
            metrics.add("sorad_jobs_reused_total")
            return job
        }
    }

    /// The job, if `viewer` may see it: it is theirs, or they are an administrator.
    public func job(_ id: JobIdentifier, viewer: Viewer) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in try find(id, viewer, &state) }
    }

    /// Sends `listener`, which must not wait, the job and all its changes. nil when `viewer` has no such job.
    public func watch(_ id: JobIdentifier, viewer: Viewer, _ listener: @escaping JobFeed.Listener) throws(SoradError)
        -> JobFeed.Subscription?
    {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, &state) else { return nil }
            // The loop must know of the first heartbeat.
            defer { wake.add() }
            return feed.add(job, now: time.monotonic(), listener)
        }
    }

    /// A page of the jobs that `viewer` may see, and whether there are more.
    public func page(viewer: Viewer, after: JobIdentifier?, newestFirst: Bool, limit: Int) throws(SoradError) -> (
        jobs: [Job], hasMore: Bool
    ) {
        try locked { state throws(SoradError) in
            let stored = try reading {
                () throws(DatabaseError) in
                try state.store.jobs(owner: viewer.isAdmin ? nil : viewer.user, after: after, newestFirst: newestFirst, limit: limit + 1)
            }
            let now = time.unixSeconds()
            let kept = stored.prefix(limit).filter { $0.expiresAt.map { $0 > now } ?? true }
            return (kept.map { state.estimated(state.machine.jobs[$0.id] ?? $0) }, stored.count > limit)
        }
    }

    /// Ends a job that is not over; one that was cancelled before stays so. nil when `viewer` has no such job.
    public func cancel(_ id: JobIdentifier, viewer: Viewer) throws(SoradError) -> Job? {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, &state) else { return nil }
            if !job.isOver { try handle(.cancelled(id, erase: false), &state) }
            return try find(id, viewer, &state)
        }
    }

    /// Removes a job, its record and its files; a running one is cancelled. False when `viewer` has no such job.
    public func delete(_ id: JobIdentifier, viewer: Viewer) throws(SoradError) -> Bool {
        try locked { state throws(SoradError) in
            guard let job = try find(id, viewer, &state) else { return false }
            if job.isOver {
                try write(stored: [], erased: [id], &state)
                // Its digest may have stayed on its account alone.
                _ = try? forgetClips(&state, time.unixSeconds())
                metrics.add("sorad_jobs_removed_total", ["reason": "deleted"])
                forgetEmbeddings(of: job.owner)
                if !state.machine.abandonedJobs.contains(id) { removeFiles(id) }
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

    /// The path of a file that a job keeps.
    public func keptPath(_ job: Job, named name: String) -> String { "\(spool.directory(of: job.id))/\(name)" }

    /// Milliseconds after which asking again is worth it: a tenth of the last clip's time.
    public var pollAfterMilliseconds: Int {
        state.withLock { min(5_000, max(250, ($0.lastDuration ?? 10) * 100)) }
    }

    public struct Summary: Sendable {
        public let queued: Int
        public let running: Int
        /// Worker processes that have not ended.
        public let workers: Int
        /// The reason why jobs are not accepted or done; nil for none.
        public let trouble: Trouble?
        public let isDraining: Bool
        public let isPaused: Bool
    }
    public var summary: Summary {
        state.withLock {
            Summary(
                queued: $0.machine.queuedCount, running: $0.machine.runningJobs.count,
                workers: ($0.outage?.workers ?? $0.machine.slotsWithWorker).count, trouble: $0.trouble,
                isDraining: $0.controls.isDraining, isPaused: $0.controls.isPaused)
        }
    }

    /// Jobs that may run at once.
    public var slotCount: Int { settings.workers }

    /// Free space of the disk that holds the jobs, in bytes; nil when it cannot be asked.
    public var freeDiskBytes: Int? { (try? DiskSpace(at: directory))?.free }

    // MARK: inside

    private func earlier(_ record: IdempotencyRecord, _ owner: UInt32, _ state: inout State) throws(SoradError) -> Job? {
        let found = try reading { () throws(DatabaseError) in
            try state.store.earlier(record, owner: owner, now: time.unixSeconds())
        }
        switch found {
        case .none: return nil
        case .job(let id): return try find(id, Viewer(user: owner), &state)
        case .otherRequest:
            throw SoradError(
                .conflict, "this Idempotency-Key was used for a request with other fields; use a new key for a new request",
                param: "Idempotency-Key")
        }
    }

    /// Counts refusals.
    private func counted<Value>(
        _ state: inout State, _ body: (inout State) throws(SoradError) -> Value
    ) throws(SoradError) -> Value {
        do throws(SoradError) { return try body(&state) } catch {
            metrics.add("sorad_jobs_refused_total", ["reason": error.code ?? (error.kind == .storageFull ? "disk_full" : "other")])
            throw error
        }
    }

    private func find(_ id: JobIdentifier, _ viewer: Viewer, _ state: inout State) throws(SoradError) -> Job? {
        let job: Job?
        if let live = state.machine.jobs[id] {
            job = live
        } else {
            job = try reading { () throws(DatabaseError) in try state.store.job(id) }
        }
        // The clock may have been set since it was decided when to look for them.
        if let expiry = job?.expiresAt, expiry <= time.unixSeconds() {
            collect(&state, thoroughly: false)
            return nil
        }
        return job.flatMap { viewer.mayKnow($0) ? state.estimated($0) : nil }
    }
}
