// What happens to jobs and to the one worker: a pure state machine. Events go in, actions come out; it reads no clock, file or socket.
// Invariant: a job that is not over is either in `queue` or the one that `worker` has, never both; a job leaves the machine exactly
// once, when it is over or erased. Whoever runs it makes the `store` and `erase` actions of one event durable, together, before
// anything else of that event becomes visible.
public import SoradAPI
public import SoradSystem

public struct JobMachine: Sendable {
    /// Deadlines; all can be set, so that tests need not wait.
    public struct Limits: Sendable {
        /// The longest silence of a worker that loads its model.
        public var workerStart: Duration = .seconds(120)
        /// Bounds of the silence of a worker with a job after which it counts as hanging; see `Patience`.
        public var shortestSilence: Duration = .seconds(60)
        public var longestSilence: Duration = .seconds(600)
        public var workerSilence: ClosedRange<Duration> {
            get { min(shortestSilence, longestSilence)...longestSilence }
            set { (shortestSilence, longestSilence) = (newValue.lowerBound, newValue.upperBound) }
        }
        /// A look at the clock that comes so much too late says nothing about the worker: this process, or all of them, stood still.
        public var lateness: Duration = .seconds(5)
        /// How long a worker without work is kept.
        public var workerIdle: Duration = .seconds(300)
        /// From being told to stop to being killed.
        public var grace: Duration = .seconds(2)
        /// Between two records of a running job's percentage.
        public var progressRecord: Duration = .seconds(1)
        /// A job on which this many workers have died, or found its files not to be written, at one place is given up. One that goes
        /// further each time is not to blame.
        public var workerDeaths = 2
        /// A job that found no room on the disk this many times, although there was some again in between, is given up.
        public var storageFailures = 3

        public init() {}
    }

    /// Why nothing is started.
    public enum Hold: String, Sendable, CaseIterable {
        /// It is not known yet which models there are.
        case models
        /// There is no room on the disk.
        case disk
        case administrator
    }

    public enum Event: Sendable {
        case submitted(Job)
        /// The owner wants no more of a job that is not over. With `erase`, nor to hear of it again.
        case cancelled(JobIdentifier, erase: Bool)
        case workerReady(model: String)
        /// The worker has nothing new to tell, and goes on.
        case workerAlive
        case progressed(JobIdentifier, JobProgress)
        case finished(JobIdentifier, ClipResult)
        case failed(JobIdentifier, JobError)
        /// The worker broke the protocol; it will be killed.
        case workerMisbehaved(String)
        /// The worker closed its connection; its process should end now.
        case workerHungUp
        /// The worker's process has ended, or could not be started; `how` follows "the worker", and has no full stop.
        case workerEnded(how: String)
        /// Time has passed.
        case ticked
        /// Nothing new is started for this reason; a job that runs goes on.
        /// An administrator moves a job that is not over.
        case prioritised(JobIdentifier, Int)
        case held(Hold)
        case released(Hold)
        /// The daemon stops: nothing new is started.
        case stopRequested
    }

    public enum Action: Sendable, Equatable {
        case store(Job)
        case erase(JobIdentifier)
        /// No worker writes there any more.
        case removeFiles(JobIdentifier)
        case startWorker(model: String)
        case generate(JobIdentifier, GenerationRequest)
        case cancel(JobIdentifier)
        /// Closing its socket tells the worker to exit.
        case closeWorker
        case killWorker
    }

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

    /// Jobs that are not over.
    public private(set) var jobs: [JobIdentifier: Job] = [:]
    package private(set) var queue: [JobIdentifier] = []
    private(set) var worker = Worker.absent
    private let limits: Limits
    /// Nothing is started while there is any.
    public private(set) var holds: Set<Hold>
    private var isStopping = false
    /// Why the worker is being killed; better than "was killed" in a job's error. Follows "the worker".
    private(set) var fault: String?
    private var hasHungUp = false
    /// With the worker that has a job.
    private var patience = Patience()
    private var lastRecord: MonotonicTime?
    /// How often jobs that are not over have found no room.
    private var storageFailures: [JobIdentifier: Int] = [:]
    private var turn = FairTurn()

    /// `jobs`: those of an earlier run that are not over.
    public init(limits: Limits = Limits(), jobs restored: [Job] = [], holds: Set<Hold> = []) {
        self.limits = limits
        self.holds = holds
        for var job in restored.sorted(by: { $0.id < $1.id }) {
            precondition(!job.isOver, "\(job.id) is over")
            job.status = .queued
            jobs[job.id] = job
            queue.append(job.id)
        }
    }

    public var queuedCount: Int { queue.count }
    /// The jobs that wait in the order in which they are begun, if nothing else comes.
    var order: [JobIdentifier] { turn.order(of: queue, jobs) }
    public var hasWorker: Bool { worker != .absent }
    public var runningJob: JobIdentifier? {
        switch worker {
        case .starting(_, let job, _): job
        case .working(_, let job, _): job
        default: nil
        }
    }
    /// A job that is over but whose directory the worker may still write to: its files are removed later, by an action.
    public var abandonedJob: JobIdentifier? {
        switch worker {
        case .abandoning(_, let job, _): job
        case .leaving(let job, _): job
        default: nil
        }
    }
    /// When `ticked` has something to do.
    public var nextDeadline: MonotonicTime? {
        switch worker {
        case .absent: nil
        case .starting(_, _, let at), .idle(_, let at), .working(_, _, let at), .abandoning(_, _, let at), .leaving(_, let at): at
        }
    }

    /// `unixSeconds`: the wall clock, for what is stored.
    public mutating func handle(_ event: Event, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .submitted(let job):
            precondition(jobs[job.id] == nil && job.status == .queued, "\(job.id) twice")
            jobs[job.id] = job
            queue.append(job.id)
            actions = [.store(job)]
        case .cancelled(let id, let erase): actions = cancel(id, erase: erase, now: now, unixSeconds: unixSeconds)
        case .workerReady(let model): actions = workerBecameReady(model, now: now)
        case .workerAlive: workerLives(now)
        case .progressed(let id, let progress): actions = progressed(id, progress, now: now)
        case .finished(let id, let result): actions = finished(id, result, now: now, unixSeconds: unixSeconds)
        case .failed(let id, let error): actions = failed(id, error, now: now, unixSeconds: unixSeconds)
        case .workerMisbehaved(let what):
            fault = fault ?? what
            actions = [.killWorker]
        case .workerHungUp: workerHungUp(now)
        case .workerEnded(let how): actions = workerEnded(how, unixSeconds: unixSeconds)
        case .ticked: actions = ticked(now)
        case .prioritised(let id, let priority): if jobs[id] != nil { actions = change(id) { $0.priority = priority } }
        case .held(let hold): holds.insert(hold)
        case .released(let hold): holds.remove(hold)
        case .stopRequested: actions = stop(now)
        }
        return actions + startNext(now: now, unixSeconds: unixSeconds)
    }

    // MARK: starting work

    private mutating func startNext(now: MonotonicTime, unixSeconds: Int) -> [Action] {
        guard !isStopping, holds.isEmpty, let id = turn.next(of: queue, jobs), let job = jobs[id] else { return [] }
        switch worker {
        case .absent:
            worker = .starting(model: job.request.model, job: id, killAt: now + limits.workerStart)
            return begin(id, unixSeconds: unixSeconds) + [.startWorker(model: job.request.model)]
        case .starting(let model, nil, let killAt) where model == job.request.model:
            worker = .starting(model: model, job: id, killAt: killAt)
            return begin(id, unixSeconds: unixSeconds)
        case .idle(let model, _) where model == job.request.model:
            let actions = begin(id, unixSeconds: unixSeconds)
            return actions + generate(job, model, now)
        case .idle:
            // One worker has one model: it makes room first.
            worker = .leaving(job: nil, killAt: now + limits.grace)
            return [.closeWorker]
        default: return []
        }
    }

    private mutating func begin(_ id: JobIdentifier, unixSeconds: Int) -> [Action] {
        queue.removeAll { $0 == id }
        if let job = jobs[id], job.startedAt == nil { turn.took(job.owner) }
        lastRecord = nil
        return change(id) { job in
            job.status = .inProgress
            job.startedAt = job.startedAt ?? unixSeconds
            job.note = nil
            job.progress = JobProgress(phase: .loading, step: 0, steps: job.request.stepsToRun, percent: job.percent)
        }
    }

    private mutating func generate(_ job: Job, _ model: String, _ now: MonotonicTime) -> [Action] {
        patience = Patience(limits.workerSilence, job.request, since: now)
        worker = .working(model: model, job: job.id, killAt: now + patience.limit)
        return [.generate(job.id, job.request)]
    }

    /// Tells what clips like the running job took on this machine, in seconds by phase name: the measure of how long its worker may be
    /// silent.
    public mutating func expect(_ seconds: [String: Double]) {
        guard case .working(let model, let id, _) = worker else { return }
        patience.expected = seconds
        worker = .working(model: model, job: id, killAt: patience.end)
    }

    /// Changes a job that is not over and records it.
    private mutating func change(_ id: JobIdentifier, _ body: (inout Job) -> Void) -> [Action] {
        guard var job = jobs[id] else { preconditionFailure("\(id) is not here") }
        body(&job)
        jobs[id] = job.isOver ? nil : job
        if job.isOver { storageFailures[id] = nil }
        return [.store(job)]
    }

    // MARK: what the worker says

    private mutating func workerBecameReady(_ model: String, now: MonotonicTime) -> [Action] {
        guard case .starting(let wanted, let id, _) = worker else { return [] }
        guard model == wanted else {
            fault = "says that it has the model \"\(model.prefix(64))\" and not \"\(wanted)\""
            return [.killWorker]
        }
        guard let id, let job = jobs[id] else {
            worker = .idle(model: wanted, closeAt: now + limits.workerIdle)
            return []
        }
        return generate(job, wanted, now)
    }

    private mutating func workerLives(_ now: MonotonicTime) {
        guard fault == nil, !hasHungUp else { return }
        switch worker {
        case .starting(let model, let job, _): worker = .starting(model: model, job: job, killAt: now + limits.workerStart)
        case .working(let model, let job, _):
            patience.heard(at: now)
            worker = .working(model: model, job: job, killAt: patience.end)
        default: break
        }
    }

    private mutating func progressed(_ id: JobIdentifier, _ progress: JobProgress, now: MonotonicTime) -> [Action] {
        guard case .working(let model, id, _) = worker, fault == nil else { return [] }
        patience.heard(at: now, in: progress.phase)
        worker = .working(model: model, job: id, killAt: patience.end)
        // 100 is for jobs that are over and durable.
        let percent = max(jobs[id]!.percent, min(progress.percent, 99))
        let hasGrown = percent > jobs[id]!.percent
        let record = change(id) { job in
            job.percent = percent
            job.progress = progress
            if progress.place > job.diedAt { job.workerDeaths = 0 }
        }
        guard hasGrown, lastRecord.map({ now - $0 >= limits.progressRecord }) ?? true else { return [] }
        lastRecord = now
        return record
    }

    private mutating func finished(_ id: JobIdentifier, _ result: ClipResult, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        if let done = abandoned(id, now: now) { return done }
        guard case .working(let model, id, _) = worker else { return [] }
        worker = .idle(model: model, closeAt: now + limits.workerIdle)
        return change(id) { job in
            job.status = .completed
            job.percent = 100
            job.completedAt = unixSeconds
            job.progress = nil
            job.result = result
        }
    }

    private mutating func failed(_ id: JobIdentifier, _ error: JobError, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        if let done = abandoned(id, now: now) { return done }
        guard case .working(let model, id, _) = worker else { return [] }
        worker = .idle(model: model, closeAt: now + limits.workerIdle)
        if error.code == JobError.insufficientStorage, storageFailures[id, default: 0] + 1 < limits.storageFailures {
            return waitForRoom(id)
        }
        if error.code == JobError.mediaFailed { return tryAgain(id, orFail: error, unixSeconds: unixSeconds) }
        return end(id, error, unixSeconds: unixSeconds) + [.removeFiles(id)]
    }

    /// A job that found the disk full loses nothing: it goes on from its last checkpoint when there is room.
    private mutating func waitForRoom(_ id: JobIdentifier) -> [Action] {
        storageFailures[id, default: 0] += 1
        holds.insert(.disk)
        queue.insert(id, at: 0)
        return change(id) { job in
            job.status = .queued
            job.progress = nil
            job.note = "The disk is full; the job goes on from where it was when there is room."
        }
    }

    /// The worker is done with a job that nobody wants any more. nil when `id` is not that job.
    private mutating func abandoned(_ id: JobIdentifier, now: MonotonicTime) -> [Action]? {
        switch worker {
        case .abandoning(let model, id, _):
            worker = .idle(model: model, closeAt: now + limits.workerIdle)
            return [.removeFiles(id)]
        default: return nil
        }
    }

    private mutating func end(_ id: JobIdentifier, _ error: JobError, unixSeconds: Int) -> [Action] {
        change(id) { job in
            job.status = .failed
            job.completedAt = unixSeconds
            job.progress = nil
            job.error = error
        }
    }

    /// A process without a connection is of no use: it has the grace to end by itself.
    private mutating func workerHungUp(_ now: MonotonicTime) {
        let killAt = now + limits.grace
        switch worker {
        case .absent, .leaving: break
        case .starting(let model, let job, _): worker = .starting(model: model, job: job, killAt: killAt)
        case .idle: worker = .leaving(job: nil, killAt: killAt)
        case .working(let model, let job, _): worker = .working(model: model, job: job, killAt: killAt)
        case .abandoning(let model, let job, _): worker = .abandoning(model: model, job: job, killAt: killAt)
        }
        hasHungUp = true
    }

    private mutating func workerEnded(_ how: String, unixSeconds: Int) -> [Action] {
        let before = worker
        let reason = fault ?? how
        worker = .absent
        fault = nil
        hasHungUp = false
        switch before {
        case .starting(_, let id?, _), .working(_, let id, _):
            return tryAgain(id, orFail: JobError(code: "worker_died", message: "The worker \(reason)."), unixSeconds: unixSeconds)
        case .abandoning(_, let id, _), .leaving(let id?, _): return jobs[id] == nil ? [.removeFiles(id)] : []
        case .absent, .idle, .starting(_, nil, _), .leaving(nil, _): return []
        }
    }

    /// The job goes on from its last checkpoint, unless it has come to grief at this place before.
    private mutating func tryAgain(_ id: JobIdentifier, orFail error: JobError, unixSeconds: Int) -> [Action] {
        let deaths = jobs[id]!.workerDeaths + 1
        let place = jobs[id]!.progress?.place ?? 0
        if deaths < limits.workerDeaths {
            queue.insert(id, at: 0)
            return change(id) { job in
                job.workerDeaths = deaths
                job.diedAt = max(job.diedAt, place)
                job.status = .queued
                job.progress = nil
            }
        }
        _ = change(id) { $0.workerDeaths = deaths }
        let final = JobError(code: error.code, message: "\(error.message) The job was tried \(deaths) times and is given up.")
        return end(id, final, unixSeconds: unixSeconds) + [.removeFiles(id)]
    }

    // MARK: cancelling, time, the end

    private mutating func cancel(_ id: JobIdentifier, erase: Bool, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        guard jobs[id] != nil else { return [] }
        let error = JobError(code: "cancelled", message: "The job was cancelled.")
        var actions = end(id, error, unixSeconds: unixSeconds)
        if erase { actions = [.erase(id)] }
        queue.removeAll { $0 == id }
        switch worker {
        case .working(let model, id, _):
            worker = .abandoning(model: model, job: id, killAt: now + limits.grace)
            actions.append(.cancel(id))
        case .starting(let model, id, let killAt):
            worker = .starting(model: model, job: nil, killAt: killAt)
            actions.append(.removeFiles(id))
        // Put back by a stop, but the worker that had it may still be writing: `workerEnded` removes the files.
        case .leaving(id, _): break
        default: actions.append(.removeFiles(id))
        }
        return actions
    }

    private mutating func ticked(_ now: MonotonicTime) -> [Action] {
        guard let deadline = nextDeadline, now >= deadline else { return [] }
        // A killed worker ends at once; should the kernel hold it, it is killed again later.
        let again = now + limits.grace
        let isLate = now - deadline >= limits.lateness && fault == nil && !hasHungUp
        switch worker {
        case .absent: return []
        case .starting(let model, let job, _) where isLate:
            worker = .starting(model: model, job: job, killAt: now + limits.workerStart)
            return []
        case .working(let model, let job, _) where isLate:
            worker = .working(model: model, job: job, killAt: now + patience.limit)
            return []
        case .idle:
            worker = .leaving(job: nil, killAt: again)
            return [.closeWorker]
        case .starting(let model, let job, _):
            fault = fault ?? (hasHungUp ? "closed its connection" : "said nothing for \(Int(limits.workerStart.inSeconds)) s, loading")
            worker = .starting(model: model, job: job, killAt: again)
        case .working(let model, let job, _):
            fault = fault ?? (hasHungUp ? "closed its connection" : "said nothing for \(Int(patience.limit.inSeconds)) s")
            worker = .working(model: model, job: job, killAt: again)
        case .abandoning(let model, let job, _): worker = .abandoning(model: model, job: job, killAt: again)
        case .leaving(let job, _): worker = .leaving(job: job, killAt: again)
        }
        return [.killWorker]
    }

    private mutating func stop(_ now: MonotonicTime) -> [Action] {
        guard !isStopping else { return [] }
        isStopping = true
        let running = runningJob
        var actions: [Action] = []
        if let running {
            queue.insert(running, at: 0)
            actions += change(running) { job in
                job.status = .queued
                job.progress = nil
            }
        }
        if hasWorker {
            if case .working(_, let id, _) = worker { actions.append(.cancel(id)) }
            worker = .leaving(job: running ?? abandonedJob, killAt: now + limits.grace)
            actions.append(.closeWorker)
        }
        return actions
    }
}
