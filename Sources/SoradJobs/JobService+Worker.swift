// The calls of the daemon's loop: it delivers the events of workers and takes the actions for them.
import SoradAPI
public import SoradSystem
import Synchronization

extension JobService {
    /// A slot for each worker that there may be.
    public var slots: [WorkerSlot] { state.withLock { $0.machine.allSlots } }

    /// The actions for the worker of `slot` since the last call, in order.
    public func takeEffects(of slot: WorkerSlot) -> [JobMachine.Action] {
        state.withLock { state in
            defer { state.effects.removeAll { $0.slot == slot } }
            return state.effects.filter { $0.slot == slot }
        }
    }

    /// Whether somebody still wants the job: it has not ended and was not erased.
    func isWanted(_ id: JobIdentifier) -> Bool { state.withLock { $0.machine.jobs[id] != nil } }

    /// The jobs that have been begun, in the order of their slots, with their places.
    public var begunJobs: [Job] {
        state.withLock { state in state.machine.runningJobs.compactMap { id in state.machine.jobs[id] }.map { state.estimated($0) } }
    }

    /// When `deliver(.ticked)` is due.
    public var nextDeadline: MonotonicTime? {
        state.withLock { state in
            if let outage = state.outage { return outage.workers.isEmpty ? outage.retryAt : nil }
            return [state.machine.nextDeadline, state.diskCheck, state.collectAt].compactMap { $0 }.min()
        }
    }
    /// Why the store cannot be used now, if it cannot.
    public var failure: String? { state.withLock { $0.outage?.reason } }

    /// Brings an event of the worker or of time. A finished job's files are made durable first. After a failed write it has not happened
    /// and `failure` is set.
    public func deliver(_ event: JobMachine.Event) {
        var event = event
        switch event {
        case .finished(let slot, let id, var result):
            do throws(SoradError) {
                try spool.seal(id, result)
                result.videoSHA256 = try spool.digest(id, result.video)
                event = .finished(slot, id, result)
            } catch {
                event = .failed(slot, id, JobError(error))
            }
        case .ticked: tend()
        case .stopRequested: state.withLock { $0.isStopping = true }
        case .workerEnded(let slot, _): _ = state.withLock { $0.outage?.workers.remove(slot) }
        default: break
        }
        try? locked { state throws(SoradError) in try handle(event, &state) }
    }

    /// The directory of a job about to run.
    public func prepareDirectory(of id: JobIdentifier) throws(SoradError) -> String {
        do throws(Errno) { try spool.prepare(id) } catch {
            if error.isOutOfSpace {
                throw SoradError(.storageFull, "the disk that holds the clips is full; free some space and send the request again")
            }
            throw SoradError(.unavailable, "cannot make the directory of \(id): \(error.reason)")
        }
        return spool.directory(of: id)
    }

    /// Ends the next `count` records with the error `code` of SQLite; for tests.
    package func failStore(_ count: Int, code: Int32) { state.withLock { $0.store.fail(count, code: code) } }

    /// Limits the database to this many pages, as a full disk does; for tests.
    package func limitDatabase(toPages pages: Int) throws(SoradError) {
        try locked { state throws(SoradError) in
            try reading { () throws(DatabaseError) in try state.store.limit(toPages: pages) }
        }
    }
}
