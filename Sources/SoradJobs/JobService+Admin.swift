// The calls of administrators. Durable when they return: a daemon that was drained or paused starts so.
public import SoradSystem
import Synchronization

extension JobService {
    public static let priorityRange = -100...100

    /// No new jobs are taken; those that wait are done.
    public func drain() throws(SoradError) { try change { $0.isDraining = true } }

    /// No job is begun any more; running jobs continue to their end.
    public func pause() throws(SoradError) { try change { $0.isPaused = true } }

    /// Ends both.
    public func resume() throws(SoradError) {
        try change { controls in
            controls.isDraining = false
            controls.isPaused = false
        }
    }

    public var quotas: QuotaTable { state.withLock { $0.controls.quotas } }

    /// Of `user`, or of everybody who has none of their own. nil takes a user's own away.
    public func setQuota(_ quota: Quota?, of user: UInt32?) throws(SoradError) -> QuotaTable {
        try change { controls in
            if let user { controls.quotas.users[user] = quota } else { controls.quotas.standard = quota ?? Quota() }
        }
        return quotas
    }

    /// Moves a job that is not over. nil when there is none.
    public func setPriority(_ priority: Int, of id: JobIdentifier) throws(SoradError) -> Job? {
        precondition(JobService.priorityRange.contains(priority), "priority \(priority)")
        return try locked { state throws(SoradError) in
            try handle(.prioritized(id, priority), &state)
            return state.machine.jobs[id].map { state.estimated($0) }
        }
    }

    private func change(_ body: (inout Controls) -> Void) throws(SoradError) {
        try locked { state throws(SoradError) in
            var controls = state.controls
            body(&controls)
            do throws(DatabaseError) { try controls.record(in: state.store, before: state.controls) } catch {
                if error.isFull { throw SoradError(.storageFull, "the disk that holds the jobs is full; free some space and try again") }
                beginOutage(error, &state)
                throw SoradError(.unavailable, "the job store failed: \(error)")
            }
            let wasPaused = state.controls.isPaused
            state.controls = controls
            // The loop tells the service manager.
            wake.add()
            if controls.isPaused != wasPaused {
                try handle(controls.isPaused ? .held(.administrator) : .released(.administrator), &state)
                // Those who watch a waiting job learn why it waits, or that it no longer does.
                for id in state.machine.order {
                    if let job = state.machine.jobs[id] { feed.changed(state.estimated(job)) }
                }
            }
        }
    }
}
