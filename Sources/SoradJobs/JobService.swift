// The job service: state machine, store and spool behind one lock. Clients' calls are in JobService+Clients, those of the daemon's loop in
// JobService+Worker; both go through `locked` and `handle` here.
// Invariant: an event's records are durable before anybody sees its effect; when they cannot be written the event has not happened.
import SoradAPI
public import SoradSystem
import Synchronization

public final class JobService: Sendable {
    public struct Settings: Sendable {
        public var limits = JobMachine.Limits()
        /// Jobs that are made at once, each by a worker of its own.
        public var workers = 1
        /// They are made by a pool of machines, whose memory is the pool's matter.
        public var isFleet = false
        /// Jobs that may wait.
        public var queueLimit = 100
        /// Bytes of the disk that new jobs must leave free.
        public var minimumFree = 32_000_000
        public var minimumFreeMegabytes: Int {
            get { minimumFree / 1_000_000 }
            set { minimumFree = newValue * 1_000_000 }
        }
        public var memory = MemoryBudget()
        public var retention = Retention()
        /// How long those who watch a job may hear nothing.
        public var heartbeat: Duration = .seconds(15)

        public init() {}
    }

    struct State {
        var machine: JobMachine
        let store: JobStore
        var identifiers: JobIdentifierSequence
        var effects: [JobMachine.Action] = []
        /// Set while the store cannot be used.
        var outage: StoreOutage?
        var reserve: DiskReserve
        /// Set when a write finds the disk full, until the machine has been held for it.
        var metFullDisk = false
        /// When to look again whether the disk has free space; set while the machine is held for that.
        var diskCheck: MonotonicTime?
        /// When something expires, or leftovers are looked for.
        var collectAt: MonotonicTime?
        var isStopping = false
        /// By model: what its last worker computes clips on, and why.
        var backends: [String: String] = [:]
        var controls: Controls
        /// Seconds that the last clip took.
        var lastDuration: Int?
        var estimate = QueueEstimate()
        /// When jobs of this run were accepted and begun: durations must not follow the wall clock when it is set.
        var moments: [JobIdentifier: (accepted: MonotonicTime?, begun: MonotonicTime?)] = [:]
    }

    let state: Mutex<State>
    let spool: Spool
    let settings: Settings
    let time: TimeSource
    let wake: EventCounter
    let log: Log
    let processes = WorkerProcesses()
    let drafts = OpenDrafts()
    public let metrics = Metrics()
    /// By the wall clock, seconds since 1970.
    let startedAt: Double
    /// Of users who have jobs.
    let names = UserNames()
    /// Sends the changes of jobs to listeners.
    public let feed: JobFeed
    /// Holds everything.
    let directory: String

    /// Opens the store in `directory` and takes up the jobs of the last run; none is started before
    /// `deliver(.released(.models))`. `wake` is signalled when the loop has something to do.
    public init(directory: String, settings: Settings, time: TimeSource, wake: EventCounter, log: Log) throws(SoradError) {
        var reserve = DiskReserve(path: "\(directory)/reserve")
        // On a full disk the database needs the reserve's space to be opened.
        removeFile(reserve.path)
        let store = try JobStore(path: "\(directory)/jobs.sqlite")
        reserve.fill()
        spool = try Spool(path: "\(directory)/spool")
        do {
            let controls = try Controls(store)
            let unfinished = try store.unfinished()
            let orphans = try spool.removeOrphans(keeping: try store.identifiers())
            if !unfinished.isEmpty { log.notice("\(unfinished.count) unfinished jobs of the last run continue") }
            if !orphans.isEmpty { log.notice("removed the files of \(orphans.count) jobs that are not recorded") }
            var holds: Set<JobMachine.Hold> = reserve.isFilled ? [.models] : [.models, .disk]
            if controls.isPaused { holds.insert(.administrator) }
            state = Mutex(
                State(
                    machine: JobService.machine(settings, processes, jobs: unfinished, holds: holds),
                    store: store, identifiers: JobIdentifierSequence(after: try store.newest()), reserve: reserve,
                    diskCheck: reserve.isFilled ? nil : time.monotonic() + JobService.diskInterval, controls: controls))
        } catch {
            throw SoradError(.unavailable, "cannot resume the jobs in \(directory): \(error)")
        }
        self.directory = directory
        self.settings = settings
        startedAt = Double(time.unixMilliseconds()) / 1000
        feed = JobFeed(heartbeat: settings.heartbeat)
        self.time = time
        self.wake = wake
        self.log = log
        for owner in Set(state.withLock { $0.machine.jobs.values.map(\.owner) }) { names.learn(owner) }
        do throws(DatabaseError) {
            try state.withLock { state throws(DatabaseError) in try collectAtStart(&state) }
        } catch { log.error("cannot look through finished jobs: \(error)") }
    }

    private static func machine(
        _ settings: Settings, _ processes: WorkerProcesses, jobs: [Job], holds: Set<JobMachine.Hold>
    ) -> JobMachine {
        let budget = settings.memory
        let isFleet = settings.isFleet
        return JobMachine(limits: settings.limits, slots: settings.workers, jobs: jobs, holds: holds) { slots in
            isFleet ? nil : budget.current(workers: slots.compactMap { processes[$0] })?.available
        }
    }

    /// A machine that takes up `jobs` with no worker running.
    func machine(jobs: [Job], holds: Set<JobMachine.Hold>) -> JobMachine {
        JobService.machine(settings, processes, jobs: jobs, holds: holds)
    }

    /// The result of `body`, or nil when the store fails: for dispensable records. A disk that fails is an outage here too.
    @discardableResult
    func withStore<Value: Sendable>(_ body: (JobStore) throws(DatabaseError) -> Value) -> Value? {
        try? locked { state throws(SoradError) in
            do throws(DatabaseError) { return try body(state.store) } catch {
                log.warning("the job store gives no help: \(error)")
                if error.isDiskFailure { beginOutage(error, &state) }
                throw SoradError(.internalFault, error.description)
            }
        }
    }

    func locked<Result: Sendable>(_ body: (inout State) throws(SoradError) -> Result) throws(SoradError) -> Result {
        let result: Swift.Result<Result, SoradError> = state.withLock { state in
            if let outage = state.outage { return .failure(outage.refusal) }
            defer { noteFullDisk(&state) }
            do throws(SoradError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    func handle(_ event: JobMachine.Event, _ state: inout State, _ record: IdempotencyRecord? = nil) throws(SoradError) {
        var machine = state.machine
        let actions = machine.handle(event, now: time.monotonic(), unixSeconds: time.unixSeconds())
        for case .generate(let slot, _, let request) in actions {
            machine.expect((try? state.store.expectedSeconds(for: request)) ?? [:], in: slot)
        }
        var stored: [Job] = []
        var erased: [JobIdentifier] = []
        for case .store(var job) in actions {
            if job.isOver { settle(&job) }
            stored.append(job)
        }
        for case .erase(let id) in actions { erased.append(id) }
        let need: WriteNeed =
            switch event {
            case .submitted: .refusable
            case .progressed: .optional
            default: .needed
            }
        let before = state.machine.jobs
        if try !write(stored: stored, erased: erased, &state, record, need) {
            for id in stored.map(\.id) { machine.forget(percent: before[id]?.percent ?? 0, of: id) }
            stored = []
        }
        for (new, old) in zip(machine.slots, state.machine.slots) {
            if let fault = new.fault, old.fault == nil {
                log.warning(
                    "the worker \(fault) and is killed", old.job.flatMap { before[$0] }.map { LogFields(nil, of: $0) } ?? LogFields())
            }
        }
        state.machine = machine
        if !stored.isEmpty || !erased.isEmpty { state.estimate.queueChanged() }
        tellOfWorker(event, stored, before)
        if let held = stored.first, held.status == .queued, let note = machine.note(for: held), before[held.id]?.status == .inProgress {
            log.notice("\(held.id) waits: \(note)", LogFields(.jobHeld, of: held))
        }
        for job in stored {
            let durations = durations(of: job, before: before[job.id], &state)
            count(job, before: before[job.id], durations)
            note(job, isNew: before[job.id] == nil, durations, &state)
        }
        tellWatchers(of: event, stored: stored, erased: erased, &state)
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

    /// Logs and counts jobs that lost their worker or continue.
    private func tellOfWorker(_ event: JobMachine.Event, _ stored: [Job], _ before: [JobIdentifier: Job]) {
        switch event {
        case .workerEnded:
            // One that is begun again at once is recorded twice.
            for job in stored.prefix(1) where before[job.id]?.status == .inProgress && job.status != .inProgress {
                metrics.add("sorad_worker_deaths_total", ["model": job.plan.model])
                let place = before[job.id]?.progress.map { " while \($0.phase.rawValue)" + ($0.done.map { ", after \($0)" } ?? "") } ?? ""
                log.notice("\(job.id) lost its worker\(place)", LogFields(.jobLostWorker, of: job))
            }
        case .progressed(_, let id, let progress):
            guard let job = before[id], let earlier = job.progress, earlier.phase != progress.phase else { return }
            if progress.step > 0 && progress.phase == .denoising || progress.frame > 0, let done = progress.done {
                log.notice("\(id) continues after \(done)", LogFields(.jobContinued, of: job))
            }
        default: break
        }
    }

    private func tellWatchers(of event: JobMachine.Event, stored: [Job], erased: [JobIdentifier], _ state: inout State) {
        for job in stored { feed.changed(state.estimated(job)) }
        // Most progress reports are not worth a record.
        if case .progressed(_, let id, _) = event, !stored.contains(where: { $0.id == id }), let job = state.machine.jobs[id] {
            feed.changed(state.estimated(job))
        }
        if case .placed(_, let id, _) = event, let job = state.machine.jobs[id] { feed.changed(state.estimated(job)) }
        for id in erased {
            state.moments[id] = nil
            feed.deleted(id)
        }
    }

    /// How long a job has waited and was made, where that is known: by the monotonic clock, and for a job of an earlier run by the
    /// recorded times.
    private func durations(of job: Job, before: Job?, _ state: inout State) -> JobDurations {
        let now = time.monotonic()
        var moments = state.moments[job.id] ?? (before == nil ? now : nil, nil)
        var durations = JobDurations()
        if job.startedAt != nil, before?.startedAt == nil {
            moments.begun = now
            durations.waited = moments.accepted.map { (now - $0).inSeconds } ?? Double(max(0, (job.startedAt ?? 0) - job.createdAt))
        }
        if job.isOver, let end = job.completedAt, let start = job.startedAt {
            durations.made = moments.begun.map { (now - $0).inSeconds } ?? Double(max(0, end - start))
        }
        state.moments[job.id] = job.isOver ? nil : moments
        return durations
    }

    private func note(_ job: Job, isNew: Bool, _ durations: JobDurations, _ state: inout State) {
        switch job.status {
        case .completed:
            if let made = durations.made { state.lastDuration = Int(made) }
            spool.removeCheckpoint(job.id)
            collect(&state, thoroughly: false)
            log.info("\(job.id) completed in \(state.lastDuration ?? 0) s", LogFields(.jobCompleted, of: job))
            remember(job, &state)
        case .failed:
            let event = job.error?.code == JobError.cancelled ? LogEvent.jobCancelled : .jobFailed
            log.notice("\(job.id) failed: \(job.error?.code ?? ""): \(job.error?.message ?? "")", LogFields(event, of: job))
        // No word of its prompt: that is its owner's.
        case .queued where isNew:
            let plan = job.plan
            log.info(
                "\(job.id) accepted from uid \(job.owner): \(plan.shownWidth)x\(plan.shownHeight), \(plan.shownFrames) frames, "
                    + "\(plan.stepsToRun) steps, \(plan.model)", LogFields(.jobAccepted, of: job))
        case .queued, .inProgress: log.debug("\(job.id) \(job.status.rawValue) \(job.percent) %", LogFields(nil, of: job))
        }
    }

    /// Records the clip's durations; a failure here does not fail the job.
    private func remember(_ job: Job, _ state: inout State) {
        do throws(DatabaseError) { try state.store.remember(job) } catch {
            log.warning("the time of \(job.id) could not be recorded: \(error)")
            if error.isDiskFailure { beginOutage(error, &state) }
        }
        state.estimate = QueueEstimate()
    }

    /// The need of a record that finds the disk full.
    enum WriteNeed {
        /// The request is refused.
        case refusable
        /// The next record says the same and more.
        case optional
        /// A job has ended or was removed: the reserve is there for this.
        case needed
    }

    /// A write that fails is never tried again, since that could acknowledge what the disk has lost; the store is then reopened. Only
    /// a full disk changes nothing, and a second attempt with the reserve's space is a first one.
    /// - Returns: false for an optional record that was left out.
    @discardableResult
    func write(
        stored: [Job], erased: [JobIdentifier], _ state: inout State, _ record: IdempotencyRecord? = nil, _ need: WriteNeed = .needed
    ) throws(SoradError) -> Bool {
        do throws(DatabaseError) {
            do throws(DatabaseError) {
                try state.store.apply(
                    stored: stored, erased: erased, record: record, isNew: need == .refusable, survivesPowerCut: need != .optional)
            } catch {
                guard error.isFull else { throw error }
                state.metFullDisk = true
                switch need {
                case .refusable: break
                case .optional: return false
                case .needed:
                    guard state.reserve.give() else { throw error }
                    try state.store.apply(stored: stored, erased: erased, record: record, isNew: need == .refusable)
                    return true
                }
                throw error
            }
            return true
        } catch {
            if error.isFull && need == .refusable {
                throw SoradError(.storageFull, "the disk that holds the jobs is full; free some space and try again")
            }
            beginOutage(error, &state)
            throw SoradError(.unavailable, "the job store failed: \(error)")
        }
    }

    func reading<Value>(_ body: () throws(DatabaseError) -> Value) throws(SoradError) -> Value {
        do throws(DatabaseError) { return try body() } catch { throw SoradError(.internalFault, "the job store cannot be read: \(error)") }
    }

    func removeFiles(_ id: JobIdentifier) {
        // The next start removes leftovers whose record has gone.
        do throws(Errno) { try spool.remove(id) } catch { log.error("cannot remove the files of \(id): \(error)") }
    }
}

extension LogFields {
    init(_ event: LogEvent?, of job: Job) { self.init(event, job: job.id.text, user: job.owner, model: job.plan.model) }
}

/// Seconds, where they are known and have just ended.
struct JobDurations {
    /// From acceptance to the beginning.
    var waited: Double?
    /// From the beginning to the end.
    var made: Double?
}

extension JobProgress {
    /// The finished units of the phase, where they are counted.
    fileprivate var done: String? {
        switch phase {
        case .denoising: "step \(step) of \(steps)"
        case .decoding: "frame \(frame)"
        default: nil
        }
    }
}
