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
        startFaults[wanted] = nil
        let freed = release(wanted, except: id)
        guard let id, let job = jobs[id] else {
            slots[slot.number].worker = .idle(model: wanted, closeAt: now + limits.workerIdle)
            return freed
        }
        return freed + generate(job, wanted, in: slot, now)
    }

    mutating func progressed(_ slot: WorkerSlot, _ id: JobIdentifier, _ progress: JobProgress, now: MonotonicTime) -> [Action] {
        var state = slots[slot.number]
        guard case .working(let model, id, _) = state.worker, state.fault == nil else { return [] }
        state.watchdog.heard(at: now, in: progress.phase)
        state.worker = .working(model: model, job: id, killAt: state.watchdog.end)
        defer { slots[slot.number] = state }
        // 100 is for jobs that are over and durable. Until it is recorded nobody sees a percentage: after a death of the daemon the
        // jobs begin with the recorded one, and it must not fall.
        let percent = max(jobs[id]!.percent, min(progress.percent, 99))
        let isRecorded = percent > jobs[id]!.percent && (state.lastRecord.map { now - $0 >= limits.progressRecord } ?? true)
        let isFurther = jobs[id]!.plan.place(of: progress) > farthestStop(of: jobs[id]!)
        if isFurther { forgetFaults(id, now: now) }
        let record = change(id) { job in
            if isRecorded { job.percent = percent }
            job.progress = progress
            if isFurther {
                job.workerDeaths = 0
                job.heldSeconds = 0
            }
        }
        if isRecorded { state.lastRecord = now }
        return isRecorded ? record : []
    }

    mutating func placed(_ slot: WorkerSlot, _ id: JobIdentifier, _ place: JobPlace, now: MonotonicTime) {
        guard slots[slot.number].job == id else { return }
        slots[slot.number].heard(at: now, loading: limits.workerStart)
        slots[slot.number].place = place
    }

    mutating func finished(
        _ slot: WorkerSlot, _ id: JobIdentifier, _ result: ClipResult, now: MonotonicTime, unixSeconds: Int
    ) -> [Action] {
        if let done = abandoned(slot, id, now: now) { return done }
        guard case .working(let model, id, _) = slots[slot.number].worker else { return [] }
        slots[slot.number].worker = .idle(model: model, closeAt: now + limits.workerIdle)
        forgetFaults(id, now: now)
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
        if error.code == JobError.insufficientStorage { holds.insert(.disk) }
        var actions = stopped(id, error, now: now, unixSeconds: unixSeconds)
        if error.code == JobError.modelInvalid {
            // Another worker opens the file as it is now.
            slots[slot.number].worker = .leaving(job: nil, killAt: now + limits.grace)
            actions.append(.closeWorker(slot))
        }
        return actions
    }

    /// `ClipPlan.place(of:)` beyond which the job has never stopped.
    private func farthestStop(of job: Job) -> Int { max(job.diedAt, faults[job.id]?.stops.keys.max() ?? 0) }

    /// The worker is done with a job that nobody wants any more. nil when `id` is not that job.
    private mutating func abandoned(_ slot: WorkerSlot, _ id: JobIdentifier, now: MonotonicTime) -> [Action]? {
        guard case .abandoning(let model, id, _) = slots[slot.number].worker else { return nil }
        slots[slot.number].worker = .idle(model: model, closeAt: now + limits.workerIdle)
        return [.removeFiles(id)]
    }

    mutating func workerEnded(_ slot: WorkerSlot, _ how: String, now: MonotonicTime, unixSeconds: Int) -> [Action] {
        let reason = slots[slot.number].fault ?? how
        switch slots[slot.number].ended() {
        case .starting(let model, let id, _): return couldNotStart(model, reason, job: id, now: now, unixSeconds: unixSeconds)
        case .working(_, let id, _):
            let code = limits.workersAreRemote ? JobError.machineFault : JobError.workerDied
            return stopped(id, JobError(code: code, message: "the worker \(reason)"), now: now, unixSeconds: unixSeconds)
        case .abandoning(_, let id, _), .leaving(let id?, _): return jobs[id] == nil ? [.removeFiles(id)] : []
        case .absent, .idle, .leaving(nil, _): return []
        }
    }
}
