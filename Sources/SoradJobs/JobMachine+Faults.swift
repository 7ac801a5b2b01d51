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
    /// The last one.
    var last: MonotonicTime
    /// When it may be begun again; nil when that time has come.
    var until: MonotonicTime?

    var count: Int { stops.values.reduce(0, +) }
}

/// The faults of a model's workers since the last one that became ready.
struct StartFaults: Sendable {
    var count = 0
    var reason = ""
    /// The last one.
    var last: MonotonicTime
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
        var own = faults[id] ?? JobFaults(stops: job.workerDeaths > 0 ? [job.diedAt: job.workerDeaths] : [:], since: now, last: now)
        let place = job.progress.map(job.plan.place) ?? 0
        // A hundred different ones would be strange enough; the number keeps a job's record small.
        if own.stops.count >= 100 { own.stops = [:] }
        own.stops[place, default: 0] += 1
        own.reason = error.message
        // While the disk is full nothing is tried.
        let held = error.code == JobError.insufficientStorage ? 0 : seconds(from: own.last, to: now)
        own.last = error.code == JobError.insufficientStorage ? now : own.last + .seconds(held)
        own.until = waitEnd(afterFault: own.count, now)
        let atPlace = own.stops[place]!
        if !error.isProvenMachines, atPlace >= limits.attempts, !othersAreStuck(with: id, since: own.since) {
            let final = JobError(code: error.code, message: "\(error.message); the job was tried \(atPlace) times and is given up")
            _ = change(id) { $0.workerDeaths = atPlace }
            return end(id, final, unixSeconds: unixSeconds) + [.removeFiles(id)]
        }
        faults[id] = own
        queue.insert(id, at: 0)
        let actions = change(id) { job in
            job.workerDeaths = atPlace
            job.diedAt = place
            job.status = .queued
            job.progress = nil
        }
        return actions + hold([id], for: held, error.message, unixSeconds: unixSeconds)
    }

    /// A worker of `model` did not become ready: nothing against its job, which waits like the others of that model.
    mutating func couldNotStart(
        _ model: String, _ reason: String, job id: JobIdentifier?, now: MonotonicTime, unixSeconds: Int
    ) -> [Action] {
        var fault = startFaults[model] ?? StartFaults(last: now)
        let held = seconds(from: fault.last, to: now)
        fault.last = fault.last + .seconds(held)
        fault.count += 1
        fault.reason = reason
        // Where jobs do not wait, starts still do: they would follow each other without end.
        fault.until = waitEnd(afterFault: fault.count, now) ?? now + .milliseconds(100)
        startFaults[model] = fault
        var actions: [Action] = []
        if let id {
            queue.insert(id, at: 0)
            actions = change(id) { job in
                job.status = .queued
                job.progress = nil
            }
        }
        let waiting = queue.filter { jobs[$0]?.plan.model == model }
        return actions + hold(waiting, for: held, "the worker \(reason)", unixSeconds: unixSeconds)
    }

    /// Adds to the time for which the machine's faults have held jobs, and ends those that they have held for too long. The time is counted
    /// while a daemon runs, by a clock that nobody sets.
    private mutating func hold(_ ids: [JobIdentifier], for seconds: Int, _ reason: String, unixSeconds: Int) -> [Action] {
        var actions: [Action] = []
        for id in ids {
            guard let job = jobs[id] else { continue }
            let held = job.heldSeconds + seconds
            if limits.holdDays > 0, held >= limits.holdDays * 86_400 {
                let message =
                    "faults of the machine held the job for \(limits.holdDays) days, the last one: \(reason); send the request again when "
                    + "that is mended"
                queue.removeAll { $0 == id }
                actions += end(id, JobError(code: JobError.heldTooLong, message: message), unixSeconds: unixSeconds) + [.removeFiles(id)]
            } else if held / 3600 > job.heldSeconds / 3600 {
                actions += change(id) { $0.heldSeconds = held }
            } else {
                jobs[id]!.heldSeconds = held
            }
        }
        return actions
    }

    /// A worker of `model` is ready: nothing holds its jobs any more, but those that have faults of their own, and the one that tries now.
    mutating func release(_ model: String, except tried: JobIdentifier?) -> [Action] {
        let free = queue.filter { id in
            guard let job = jobs[id] else { return false }
            return id != tried && job.plan.model == model && job.heldSeconds > 0 && faults[id] == nil
        }
        return free.flatMap { id in change(id) { $0.heldSeconds = 0 } }
    }

    private func seconds(from start: MonotonicTime, to end: MonotonicTime) -> Int { Int((end - start).inSeconds) }

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

    /// What keeps workers from being started while jobs wait for them, in a sentence; nil when nothing does, or for a moment only.
    package var startTrouble: String? {
        let wanted = Set(queue.compactMap { jobs[$0]?.plan.model })
        let faults = startFaults.filter { $0.value.count >= 3 && wanted.contains($0.key) }.sorted { $0.key < $1.key }
        guard let (model, fault) = faults.first else { return nil }
        return "a worker for the model \(model) \(fault.reason) (\(fault.count) times so far); its jobs wait"
    }

    /// Why a job that waits does not wait for its turn alone, or why one that was begun is not being made, in a sentence; nil when neither
    /// is so.
    package func note(for job: Job) -> String? {
        if job.status == .inProgress { return place(of: job.id).note }
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
