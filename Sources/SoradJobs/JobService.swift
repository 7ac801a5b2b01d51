// The jobs, whole: state machine, store and spool behind one lock. What clients may do with them is in JobService+Clients, what the
// daemon's loop does in JobService+Worker; both go through `locked` and `handle` here.
// Invariant: an event's records are durable before anybody sees its effect; when they cannot be written the event has not happened.
import SoradAPI
public import SoradSystem
import Synchronization

public final class JobService: Sendable {
    public struct Settings: Sendable {
        public var limits = JobMachine.Limits()
        /// Jobs that may wait.
        public var queueLimit = 100

        public init() {}
    }

    struct State {
        var machine: JobMachine
        let store: JobStore
        var identifiers: JobIdentifierSequence
        var effects: [JobMachine.Action] = []
        /// Set once a record could not be written: what is on disk and what is here may differ, so nothing is done any more.
        var failure: String?
        /// Seconds that the last clip took.
        var lastDuration: Int?
    }

    let state: Mutex<State>
    let spool: Spool
    let settings: Settings
    let time: TimeSource
    private let wake: EventCounter
    let log: Log

    /// Opens the store in `directory` and takes up the jobs of the last run; none is started before
    /// `deliver(.resumed)`. `wake` is signalled when the loop has something to do.
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
        self.time = time
        self.wake = wake
        self.log = log
    }

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

    func locked<Result: Sendable>(_ body: (inout State) throws(SoradError) -> Result) throws(SoradError) -> Result {
        let result: Swift.Result<Result, SoradError> = state.withLock { state in
            if let failure = state.failure {
                return .failure(SoradError(.unavailable, "The job store has failed and sorad is stopping: \(failure)"))
            }
            do throws(SoradError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    func handle(_ event: JobMachine.Event, _ state: inout State, _ submission: Submission? = nil) throws(SoradError) {
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

    private func note(_ job: Job, _ state: inout State) {
        switch job.status {
        case .completed:
            if let end = job.completedAt, let start = job.startedAt { state.lastDuration = max(0, end - start) }
            log.info("\(job.id) completed in \(state.lastDuration ?? 0) s")
        case .failed: log.notice("\(job.id) failed: \(job.error?.code ?? ""): \(job.error?.message ?? "")")
        case .queued, .inProgress: log.debug("\(job.id) \(job.status.rawValue) \(job.percent) %")
        }
    }

    /// A write that fails is final: retrying could acknowledge what the disk has lost. Only a full disk before a new job is merely refused.
    func write(
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

    func reading<Value>(_ body: () throws(DatabaseError) -> Value) throws(SoradError) -> Value {
        do throws(DatabaseError) { return try body() } catch { throw SoradError(.internalFault, "The job store cannot be read: \(error).") }
    }

    func removeFiles(_ id: JobIdentifier) {
        // What stays behind is found by the next start, if its record has gone.
        do throws(Errno) { try spool.remove(id) } catch { log.error("cannot remove the files of \(id): \(error)") }
    }
}
