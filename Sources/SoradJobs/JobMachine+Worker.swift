// Events of workers and their consequences for the workers' jobs.
import SoradAPI
import SoradSystem

extension JobMachine {
    mutating func workerBecameReady(_ slot: WorkerSlot, _ model: String, now: MonotonicTime) -> [Action] {
        guard case .starting(let wanted, let id, _) = slots[slot.number].worker else { return [] }
        guard model == wanted else {
            slots[slot.number].fault = "says that it has the model \"\(model.prefix(64))\" and not \"\(wanted)\""
            return [.killWorker(slot)]
        }
        guard let id, let job = jobs[id] else {
            slots[slot.number].worker = .idle(model: wanted, closeAt: now + limits.workerIdle)
            return []
        }
        return generate(job, wanted, in: slot, now)
    }

    mutating func progressed(_ slot: WorkerSlot, _ id: JobIdentifier, _ progress: JobProgress, now: MonotonicTime) -> [Action] {
        var state = slots[slot.number]
        guard case .working(let model, id, _) = state.worker, state.fault == nil else { return [] }
        state.watchdog.heard(at: now, in: progress.phase)
        state.worker = .working(model: model, job: id, killAt: state.watchdog.end)
        defer { slots[slot.number] = state }
        // 100 is for jobs that are over and durable.
        let percent = max(jobs[id]!.percent, min(progress.percent, 99))
        let hasGrown = percent > jobs[id]!.percent
        let record = change(id) { job in
            job.percent = percent
            job.progress = progress
            if job.plan.place(of: progress) > job.diedAt { job.workerDeaths = 0 }
        }
        guard hasGrown, state.lastRecord.map({ now - $0 >= limits.progressRecord }) ?? true else { return [] }
        state.lastRecord = now
        return record
    }

    mutating func finished(
        _ slot: WorkerSlot, _ id: JobIdentifier, _ result: ClipResult, now: MonotonicTime, unixSeconds: Int
    ) -> [Action] {
        if let done = abandoned(slot, id, now: now) { return done }
        guard case .working(let model, id, _) = slots[slot.number].worker else { return [] }
        slots[slot.number].worker = .idle(model: model, closeAt: now + limits.workerIdle)
        return change(id) { job in
            job.status = .completed
            job.percent = 100
            job.completedAt = unixSeconds
            job.progress = nil
            job.result = result
        }
    }

    mutating func failed(_ slot: WorkerSlot, _ id: JobIdentifier, _ error: JobError, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        if let done = abandoned(slot, id, now: now) { return done }
        guard case .working(let model, id, _) = slots[slot.number].worker else { return [] }
        slots[slot.number].worker = .idle(model: model, closeAt: now + limits.workerIdle)
        if error.code == JobError.insufficientStorage, storageFailures[id, default: 0] + 1 < limits.storageFailures {
            return waitForSpace(id)
        }
        if error.code == JobError.mediaFailed { return tryAgain(id, orFail: error, unixSeconds: unixSeconds) }
        return end(id, error, unixSeconds: unixSeconds) + [.removeFiles(id)]
    }

    /// A job that found the disk full loses nothing: it continues from its last checkpoint when there is free space.
    private mutating func waitForSpace(_ id: JobIdentifier) -> [Action] {
        storageFailures[id, default: 0] += 1
        holds.insert(.disk)
        queue.insert(id, at: 0)
        return change(id) { job in
            job.status = .queued
            job.progress = nil
            job.note = "the disk is full; the job continues from its last step when there is free space"
        }
    }

    /// The worker is done with a job that nobody wants any more. nil when `id` is not that job.
    private mutating func abandoned(_ slot: WorkerSlot, _ id: JobIdentifier, now: MonotonicTime) -> [Action]? {
        guard case .abandoning(let model, id, _) = slots[slot.number].worker else { return nil }
        slots[slot.number].worker = .idle(model: model, closeAt: now + limits.workerIdle)
        return [.removeFiles(id)]
    }

    mutating func workerEnded(_ slot: WorkerSlot, _ how: String, unixSeconds: Int) -> [Action] {
        let reason = slots[slot.number].fault ?? how
        switch slots[slot.number].ended() {
        case .starting(_, let id?, _), .working(_, let id, _):
            return tryAgain(id, orFail: JobError(code: "worker_died", message: "the worker \(reason)"), unixSeconds: unixSeconds)
        case .abandoning(_, let id, _), .leaving(let id?, _): return jobs[id] == nil ? [.removeFiles(id)] : []
        case .absent, .idle, .starting(_, nil, _), .leaving(nil, _): return []
        }
    }

    /// The job continues from its last checkpoint, unless a worker has died on it at this place before.
    private mutating func tryAgain(_ id: JobIdentifier, orFail error: JobError, unixSeconds: Int) -> [Action] {
        let deaths = jobs[id]!.workerDeaths + 1
        let place = jobs[id]!.progress.map(jobs[id]!.plan.place) ?? 0
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
        let final = JobError(code: error.code, message: "\(error.message); the job was tried \(deaths) times and is given up")
        return end(id, final, unixSeconds: unixSeconds) + [.removeFiles(id)]
    }
}
