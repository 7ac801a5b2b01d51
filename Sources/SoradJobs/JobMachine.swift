// Jobs and workers as a pure state machine. Events go in, actions come out; it reads no clock, file or socket.
// Invariant: a job that is not over is either in `queue` or in exactly one slot, never both; a job leaves the machine exactly once,
// when it ends or is erased. Whoever runs it makes the `store` and `erase` actions of one event durable, together, before anything else
// of that event becomes visible. JobMachine+Worker handles the events of workers; WorkerSlot holds the state of one worker.
public import SoradAPI
public import SoradSystem

public struct JobMachine: Sendable {
    /// Deadlines; all can be set, so that tests need not wait.
    public struct Limits: Sendable {
        /// The longest silence of a worker that loads its model.
        public var workerStart: Duration = .seconds(120)
        /// Bounds of the silence of a worker with a job after which it counts as hanging; see `HangWatchdog`.
        public var shortestSilence: Duration = .seconds(60)
        public var longestSilence: Duration = .seconds(600)
        public var workerSilence: ClosedRange<Duration> {
            get { min(shortestSilence, longestSilence)...longestSilence }
            set { (shortestSilence, longestSilence) = (newValue.lowerBound, newValue.upperBound) }
        }
        /// A tick that comes this late says nothing about the worker: this process, or the whole machine, stood still.
        public var lateness: Duration = .seconds(5)
        /// How long a worker without work is kept.
        public var workerIdle: Duration = .seconds(300)
        /// From being told to stop to being killed.
        public var grace: Duration = .seconds(2)
        /// Between two records of a running job's percentage, which clients see when it is recorded.
        public var progressRecord: Duration = .milliseconds(50)
        /// This many faults at one place of a job prove that they are its own, unless nothing else continues either.
        public var attempts = 12
        /// From a fault to the next attempt; doubled with each further one, up to `longestWait`.
        public var firstWait: Duration { min(.milliseconds(100), longestWait) }
        public var longestWait: Duration = .seconds(60)
        /// Days for which faults of the machine may hold a job; 0 is no limit.
        public var holdDays = 30
        /// A worker's end is that of a connection: it says nothing about the job.
        public var workersAreRemote = false

        public init() {}
    }

    /// Why nothing is started.
    public enum Hold: String, Sendable, CaseIterable {
        /// It is not known yet which models there are.
        case models
        /// The disk is full.
        case disk
        case administrator
    }

    public enum Event: Sendable {
        case submitted(Job)
        /// The owner wants no more of a job that is not over. With `erase`, nor to hear of it again.
        case cancelled(JobIdentifier, erase: Bool)
        /// An administrator moves a job that is not over.
        case prioritized(JobIdentifier, Int)
        case workerReady(WorkerSlot, model: String)
        /// A heartbeat: nothing new, and the computing thread is alive.
        case workerAlive(WorkerSlot)
        case progressed(WorkerSlot, JobIdentifier, JobProgress)
        /// Where a job is made, in a pool of machines.
        case placed(WorkerSlot, JobIdentifier, JobPlace)
        case finished(WorkerSlot, JobIdentifier, ClipResult)
        case failed(WorkerSlot, JobIdentifier, JobError)
        /// The worker broke the protocol; it will be killed.
        case workerMisbehaved(WorkerSlot, String)
        /// The worker closed its connection; its process should end now.
        case workerHungUp(WorkerSlot)
        /// The worker's process has ended, or could not be started; `how` follows "the worker".
        case workerEnded(WorkerSlot, how: String)
        /// Time has passed.
        case ticked
        /// Nothing new is started for this reason; running jobs continue.
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
        case startWorker(WorkerSlot, model: String)
        case generate(WorkerSlot, JobIdentifier, ClipPlan)
        case cancel(WorkerSlot, JobIdentifier)
        /// Closing its socket tells the worker to exit.
        case closeWorker(WorkerSlot)
        case killWorker(WorkerSlot)

        /// The slot of the worker; nil for actions that are not about a worker.
        var slot: WorkerSlot? {
            switch self {
            case .store, .erase, .removeFiles: nil
            case .startWorker(let slot, _), .generate(let slot, _, _), .cancel(let slot, _), .closeWorker(let slot), .killWorker(let slot):
                slot
            }
        }
    }

    /// Jobs that are not over.
    public internal(set) var jobs: [JobIdentifier: Job] = [:]
    package internal(set) var queue: [JobIdentifier] = []
    /// By `WorkerSlot.number`.
    var slots: [SlotState]
    let limits: Limits
    /// Nothing is started while there is any.
    public internal(set) var holds: Set<Hold>
    private var isStopping = false
    /// Of jobs that are not over.
    var faults: [JobIdentifier: JobFaults] = [:]
    /// By model.
    var startFaults: [String: StartFaults] = [:]
    /// When a job got further than ever before.
    var lastAdvance: MonotonicTime?
    private var turn = FairTurn()
    /// Bytes that the workers of these slots may take together; nil when that is not known. Asked before a job is begun while another
    /// one runs.
    private let memory: @Sendable (Set<WorkerSlot>) -> Int?

    /// - Parameters:
    ///   - jobs: those of an earlier run that are not over.
    ///   - slots: how many jobs may run at once.
    public init(
        limits: Limits = Limits(), slots: Int = 1, jobs restored: [Job] = [], holds: Set<Hold> = [],
        memory: @escaping @Sendable (Set<WorkerSlot>) -> Int? = { _ in nil }
    ) {
        precondition(slots > 0, "\(slots) slots")
        self.limits = limits
        self.slots = Array(repeating: SlotState(), count: slots)
        self.holds = holds
        self.memory = memory
        for var job in restored.sorted(by: { $0.id < $1.id }) {
            precondition(!job.isOver, "\(job.id) has ended")
            job.status = .queued
            jobs[job.id] = job
            queue.append(job.id)
        }
    }

    public var queuedCount: Int { queue.count }
    /// The jobs that wait in the order in which they are begun, if nothing else comes.
    var order: [JobIdentifier] { turn.order(of: queue, jobs) }
    public var allSlots: [WorkerSlot] { slots.indices.map { WorkerSlot($0) } }
    public var hasWorker: Bool { slots.contains(where: \.hasWorker) }
    /// Slots whose worker process has not ended.
    var slotsWithWorker: Set<WorkerSlot> { Set(allSlots.filter { slots[$0.number].hasWorker }) }
    /// The jobs that are being made, in the order of their slots.
    public var runningJobs: [JobIdentifier] { slots.compactMap(\.job) }
    /// Where a job is made that is being made; nothing where that is this machine.
    package func place(of id: JobIdentifier) -> JobPlace { slots.first { $0.job == id }?.place ?? JobPlace() }
    /// Jobs that are over but whose directories a worker may still write to: their files are removed later, by an action.
    public var abandonedJobs: [JobIdentifier] { slots.compactMap(\.abandonedJob) }
    /// When `ticked` has something to do.
    public var nextDeadline: MonotonicTime? { (slots.compactMap(\.deadline) + [nextWait].compactMap { $0 }).min() }

    /// `unixSeconds`: the wall clock, for the records.
    public mutating func handle(_ event: Event, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .submitted(let job):
            precondition(jobs[job.id] == nil && job.status == .queued, "\(job.id) twice")
            jobs[job.id] = job
            queue.append(job.id)
            actions = [.store(job)]
        case .cancelled(let id, let erase): actions = cancel(id, erase: erase, now: now, unixSeconds: unixSeconds)
        case .prioritized(let id, let priority): if jobs[id] != nil { actions = change(id) { $0.priority = priority } }
        case .workerReady(let slot, let model): actions = workerBecameReady(slot, model, now: now)
        case .workerAlive(let slot): slots[slot.number].heard(at: now, loading: limits.workerStart)
        case .progressed(let slot, let id, let progress): actions = progressed(slot, id, progress, now: now)
        case .placed(let slot, let id, let place): placed(slot, id, place, now: now)
        case .finished(let slot, let id, let result): actions = finished(slot, id, result, now: now, unixSeconds: unixSeconds)
        case .failed(let slot, let id, let error): actions = failed(slot, id, error, now: now, unixSeconds: unixSeconds)
        case .workerMisbehaved(let slot, let what):
            slots[slot.number].fault = slots[slot.number].fault ?? what
            actions = [.killWorker(slot)]
        case .workerHungUp(let slot): slots[slot.number].hungUp(killAt: now + limits.grace)
        case .workerEnded(let slot, let how): actions = workerEnded(slot, how, now: now, unixSeconds: unixSeconds)
        case .ticked: actions = ticked(now)
        case .held(let hold): holds.insert(hold)
        case .released(let hold): holds.remove(hold)
        case .stopRequested: actions = stop(now)
        }
        while let more = startNext(now: now, unixSeconds: unixSeconds) { actions += more }
        return actions
    }

    // MARK: starting work

    /// Begins the job whose turn it is, or makes a place for it. nil when there is nothing that can be begun now.
    private mutating func startNext(now: MonotonicTime, unixSeconds: Int) -> [Action]? {
        guard !isStopping, holds.isEmpty, let id = turn.next(of: ready, jobs), let job = jobs[id] else { return nil }
        let model = job.plan.model
        guard let slot = place(for: model) else { return makePlace(now) }
        // An idle worker elsewhere may hold the memory that is missing.
        guard hasMemory(for: job, in: slot) else { return makePlace(now, except: slot) }
        let actions = begin(id, in: slot, unixSeconds: unixSeconds)
        switch slots[slot.number].worker {
        case .idle: return actions + generate(job, model, in: slot, now)
        case .starting(_, _, let killAt):
            slots[slot.number].worker = .starting(model: model, job: id, killAt: killAt)
            return actions
        default:
            slots[slot.number].worker = .starting(model: model, job: id, killAt: now + limits.workerStart)
            return actions + [.startWorker(slot, model: model)]
        }
    }

    /// A slot that can take a job of `model` at once: best one whose worker has that model, else one without a worker.
    private func place(for model: String) -> WorkerSlot? {
        func first(_ fits: (SlotState.Worker) -> Bool) -> WorkerSlot? { slots.firstIndex { fits($0.worker) }.map { WorkerSlot($0) } }
        return first { if case .idle(model, _) = $0 { true } else { false } }
            ?? first { if case .starting(model, nil, _) = $0 { true } else { false } } ?? first { $0 == .absent }
    }

    /// One worker has one model: an idle one of another model leaves, unless one is leaving already.
    private mutating func makePlace(_ now: MonotonicTime, except taken: WorkerSlot? = nil) -> [Action]? {
        let isLeaving = slots.contains { if case .leaving(nil, _) = $0.worker { true } else { false } }
        let idle = slots.indices.first { index in
            if case .idle = slots[index].worker { index != taken?.number } else { false }
        }
        guard !isLeaving, let idle else { return nil }
        slots[idle].worker = .leaving(job: nil, killAt: now + limits.grace)
        return [.closeWorker(WorkerSlot(idle))]
    }

    /// Whether the clip fits next to the running ones. Alone it may always begin: its need was checked when it was accepted.
    private func hasMemory(for job: Job, in slot: WorkerSlot) -> Bool {
        let others = allSlots.filter { $0 != slot && slots[$0.number].job != nil }
        guard !others.isEmpty, let free = memory(Set(others + [slot])) else { return true }
        return others.compactMap { slots[$0.number].job.flatMap { jobs[$0]?.plan.memory } }.reduce(job.plan.memory, saturatingSum) <= free
    }

    private mutating func begin(_ id: JobIdentifier, in slot: WorkerSlot, unixSeconds: Int) -> [Action] {
        queue.removeAll { $0 == id }
        if let job = jobs[id], job.startedAt == nil { turn.took(job.owner) }
        slots[slot.number].lastRecord = nil
        slots[slot.number].place = JobPlace()
        return change(id) { job in
            job.status = .inProgress
            job.startedAt = job.startedAt ?? unixSeconds
            job.progress = JobProgress(phase: .loading, step: 0, steps: job.plan.stepsToRun, percent: job.percent)
        }
    }

    mutating func generate(_ job: Job, _ model: String, in slot: WorkerSlot, _ now: MonotonicTime) -> [Action] {
        let watchdog = HangWatchdog(limits.workerSilence, job.plan, since: now)
        slots[slot.number].watchdog = watchdog
        slots[slot.number].worker = .working(model: model, job: job.id, killAt: now + watchdog.limit)
        return [.generate(slot, job.id, job.plan)]
    }

    /// Sets the expected seconds by phase name of the job in `slot`: the measure of its hang watchdog.
    public mutating func expect(_ seconds: [String: Double], in slot: WorkerSlot) {
        guard case .working(let model, let id, _) = slots[slot.number].worker else { return }
        slots[slot.number].watchdog.expected = seconds
        slots[slot.number].worker = .working(model: model, job: id, killAt: slots[slot.number].watchdog.end)
    }

    /// Changes a job that is not over and records it.
    mutating func change(_ id: JobIdentifier, _ body: (inout Job) -> Void) -> [Action] {
        guard var job = jobs[id] else { preconditionFailure("\(id) is not here") }
        body(&job)
        jobs[id] = job.isOver ? nil : job
        if job.isOver { faults[id] = nil }
        return [.store(job)]
    }

    mutating func end(_ id: JobIdentifier, _ error: JobError, unixSeconds: Int) -> [Action] {
        change(id) { job in
            job.status = .failed
            job.completedAt = unixSeconds
            job.progress = nil
            job.error = error
        }
    }

    /// The record with this percentage could not be written.
    mutating func forget(percent earlier: Int, of id: JobIdentifier) {
        jobs[id]?.percent = earlier
        for index in slots.indices where slots[index].job == id { slots[index].lastRecord = nil }
    }

    // MARK: cancelling, time, the end

    private mutating func cancel(_ id: JobIdentifier, erase: Bool, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        guard jobs[id] != nil else { return [] }
        let error = JobError(code: "cancelled", message: "the job was cancelled")
        var actions = end(id, error, unixSeconds: unixSeconds)
        if erase { actions = [.erase(id)] }
        queue.removeAll { $0 == id }
        let slot = allSlots.first { slots[$0.number].job == id || slots[$0.number].abandonedJob == id }
        switch slot.map({ slots[$0.number].worker }) {
        case .working(let model, _, _):
            slots[slot!.number].worker = .abandoning(model: model, job: id, killAt: now + limits.grace)
            actions.append(.cancel(slot!, id))
        case .starting(let model, _, let killAt):
            slots[slot!.number].worker = .starting(model: model, job: nil, killAt: killAt)
            actions.append(.removeFiles(id))
        // Put back by a stop, but the worker that had it may still be writing: `workerEnded` removes the files.
        case .leaving: break
        default: actions.append(.removeFiles(id))
        }
        return actions
    }

    private mutating func ticked(_ now: MonotonicTime) -> [Action] {
        endWaits(now)
        var actions: [Action] = []
        for slot in allSlots {
            let (closes, kills) = slots[slot.number].ticked(now, limits)
            if closes { actions.append(.closeWorker(slot)) }
            if kills { actions.append(.killWorker(slot)) }
        }
        return actions
    }

    private mutating func stop(_ now: MonotonicTime) -> [Action] {
        guard !isStopping else { return [] }
        isStopping = true
        var actions: [Action] = []
        for slot in allSlots where slots[slot.number].hasWorker {
            let state = slots[slot.number]
            if let running = state.job {
                queue.insert(running, at: 0)
                actions += change(running) { job in
                    job.status = .queued
                    job.progress = nil
                }
            }
            if case .working(_, let id, _) = state.worker { actions.append(.cancel(slot, id)) }
            slots[slot.number].worker = .leaving(job: state.job ?? state.abandonedJob, killAt: now + limits.grace)
            actions.append(.closeWorker(slot))
        }
        return actions
    }
}

/// A sum that is too large to be counted fits nowhere.
private func saturatingSum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
}
