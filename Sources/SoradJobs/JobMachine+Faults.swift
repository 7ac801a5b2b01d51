// What a fault does to a job (docs/FAULTS.md). Pure.
// Rule: a fault of the machine holds the job, with a wait that doubles; only what is proven to be the job's own fault ends it. Proof is the
// engine's word (`invalid_request`), or `Limits.attempts` faults at one place of the job, while the machine let other jobs get on.
import SoradAPI
import SoradSystem

/// The faults of one job since it last got further than ever before.
struct JobFaults: Sendable {
    /// How often it stopped, by `ClipPlan.place(of:)`.
    var stops: [Int: Int] = [:]
    /// The last one, as a clause.
    var reason = ""
    let since: MonotonicTime
    /// When it may be begun again; nil when that time has come.
    var until: MonotonicTime?

    var count: Int { stops.values.reduce(0, +) }
}

/// The faults of a model's workers since the last one that became ready.
struct StartFaults: Sendable {
    var count = 0
    var reason = ""
    /// When another one may be started; nil when that time has come.
    var until: MonotonicTime?
}

extension JobError {
    /// Trying again gives the same.
    var isProvenOwn: Bool { code == JobError.invalidRequest || code == JobError.cancelled }
    /// Whatever the job asks for, it is not the reason.
    var isProvenMachines: Bool {
        [JobError.machineFault, JobError.insufficientStorage, JobError.configuration, JobError.modelInvalid].contains(code)
    }
}

extension JobMachine {
    /// Puts a job that ran back into the queue until the machine may have recovered, or ends it when the fault is proven to be its own.
    mutating func stopped(_ id: JobIdentifier, _ error: JobError, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        if error.isProvenOwn { return end(id, error, unixSeconds: unixSeconds) + [.removeFiles(id)] }
        let job = jobs[id]!
        var own = faults[id] ?? JobFaults(stops: job.workerDeaths > 0 ? [job.diedAt: job.workerDeaths] : [:], since: now)
        let place = job.progress.map(job.plan.place) ?? 0
        // A hundred different ones would be strange enough; the number keeps a job's record small.
        if own.stops.count >= 100 { own.stops = [:] }
        own.stops[place, default: 0] += 1
        own.reason = error.message
        own.until = waitEnd(afterFault: own.count, now)
        let atPlace = own.stops[place]!
        if !error.isProvenMachines, atPlace >= limits.attempts, !othersAreStuck(with: id, since: own.since) {
            let final = JobError(code: error.code, message: "\(error.message); the job was tried \(atPlace) times and is given up")
            _ = change(id) { $0.workerDeaths = atPlace }
            return end(id, final, unixSeconds: unixSeconds) + [.removeFiles(id)]
        }
        faults[id] = own
        queue.insert(id, at: 0)
        return change(id) { job in
            job.workerDeaths = atPlace
            job.diedAt = place
            job.status = .queued
            job.progress = nil
        }
    }

    /// A worker of `model` did not become ready: nothing against its job, which waits like the others of that model.
    mutating func couldNotStart(_ model: String, _ reason: String, job id: JobIdentifier?, now: MonotonicTime) -> [Action] {
        var fault = startFaults[model] ?? StartFaults()
        fault.count += 1
        fault.reason = reason
        // Where jobs do not wait, starts still do: they would follow each other without end.
        fault.until = waitEnd(afterFault: fault.count, now) ?? now + .milliseconds(100)
        startFaults[model] = fault
        guard let id else { return [] }
        queue.insert(id, at: 0)
        return change(id) { job in
            job.status = .queued
            job.progress = nil
        }
    }

    /// The first wait doubled with each fault, up to the longest. nil where nobody is to wait.
    private func waitEnd(afterFault count: Int, _ now: MonotonicTime) -> MonotonicTime? {
        let wait = min(limits.longestWait, limits.firstWait * (1 << min(max(0, count - 1), 20)))
        return wait == .zero ? nil : now + wait
    }

    /// Whether other jobs have faults too and nothing got on since `time`: then the machine is to blame.
    private func othersAreStuck(with id: JobIdentifier, since time: MonotonicTime) -> Bool {
        let others = faults.contains { $0.key != id && jobs[$0.key] != nil } || startFaults.values.contains { $0.count > 0 }
        return others && (lastAdvance ?? time) <= time
    }

    /// The job has got further, or ended.
    mutating func forgetFaults(_ id: JobIdentifier, now: MonotonicTime) {
        lastAdvance = now
        faults[id] = nil
    }

    /// Waits whose time has come.
    mutating func endWaits(_ now: MonotonicTime) {
        for (id, own) in faults where own.until.map({ $0 <= now }) ?? false { faults[id]!.until = nil }
        for (model, own) in startFaults where own.until.map({ $0 <= now }) ?? false { startFaults[model]!.until = nil }
    }

    /// The jobs that may be begun: those that wait for nothing but their turn.
    var ready: [JobIdentifier] {
        queue.filter { id in
            guard let job = jobs[id], faults[id]?.until == nil else { return false }
            return startFaults[job.plan.model]?.until == nil || slots.contains { $0.isIdle(with: job.plan.model) }
        }
    }

    /// When the next wait of a job that is not over ends.
    var nextWait: MonotonicTime? {
        let waits = faults.compactMap { jobs[$0.key] == nil ? nil : $0.value.until } + startFaults.values.compactMap(\.until)
        return waits.min()
    }

    /// Why a job that waits does not wait for its turn alone, in a sentence; nil when it does.
    package func note(for job: Job) -> String? {
        guard job.status == .queued else { return nil }
        if holds.contains(.disk) { return "the disk is full; the job continues from its last step when there is free space" }
        if holds.contains(.administrator) { return "an administrator has paused the queue; the job begins when it is resumed" }
        if let start = startFaults[job.plan.model], start.count > 0, !slots.contains(where: { $0.isIdle(with: job.plan.model) }) {
            return "the machine is at fault: the worker \(start.reason); it is started again from time to time "
                + "(\(start.count) so far), and the job continues by itself"
        }
        if let own = faults[job.id] {
            return "stopped by a fault, perhaps of the machine: \(own.reason); the job continues by itself from its last step "
                + "(\(own.count) so far)"
        }
        if holds.contains(.models) { return "the models are being looked at; the job continues by itself" }
        return nil
    }
}
