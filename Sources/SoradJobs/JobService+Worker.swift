// What the daemon's loop does with jobs: it brings what the worker says and takes away what is to be done with it.
import SoradAPI
public import SoradSystem
import Synchronization

extension JobService {
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
        if case .finished(let id, let result) = event {
            do throws(SoradError) { try spool.seal(id, result) } catch {
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
}
