// Estimates when a waiting job will be done: the slots take the jobs in turn, each as soon as one is free, and every job takes as long as
// clips like it took on this machine.
// Invariant: no estimate rests on a guess. Where a clip of the shape was never made here, what the engine measured of the model counts; there is
// no estimate for a job behind one of which nothing is known, and none while nothing is begun; a slot whose running job cannot be estimated counts as never free. Later jobs with a higher priority or an earlier turn make
// it longer.
import SoradAPI
import SoradSystem

/// The inputs of estimates, cached until they change.
struct QueueEstimate {
    /// Seconds of a clip by shape and number of steps; nil for those of which nothing is known.
    fileprivate var clips: [String: Double?] = [:]
    /// The seconds of the jobs that wait, in their order, up to the first that is unknown.
    fileprivate var order: [(id: JobIdentifier, seconds: Double)]?
    /// The end of each, in seconds from now, when the slots are free after `free`.
    fileprivate var ends: (free: [Double?], of: [JobIdentifier: Double])?

    /// Jobs have come, gone or changed places.
    mutating func queueChanged() { (order, ends) = (nil, nil) }

    /// Seconds until each job ends, from the seconds until each slot is free; nil is never.
    static func ends(_ order: [(id: JobIdentifier, seconds: Double)], slots: [Double?]) -> [JobIdentifier: Double] {
        var free = slots.compactMap { $0 }
        var ends: [JobIdentifier: Double] = [:]
        for (id, seconds) in order {
            guard let next = free.indices.min(by: { free[$0] < free[$1] }) else { break }
            free[next] += seconds
            ends[id] = free[next]
        }
        return ends
    }
}

extension JobService.State {
    /// `job` with its estimate and the reason why it is held, if it waits.
    mutating func estimated(_ job: Job) -> Job {
        var job = job
        job.note = machine.note(for: job)
        job.box = machine.place(of: job.id).box
        guard job.status == .queued, job.note == nil, machine.holds.isEmpty, !isStopping else { return job }
        let order = order()
        // A slot without a job is free at once.
        let free = machine.slots.map { slot in
            guard let id = slot.job, let running = machine.jobs[id] else { return Optional(0.0) }
            return running.progress?.etaSeconds ?? seconds(for: running)
        }
        if estimate.ends?.free != free { estimate.ends = (free, QueueEstimate.ends(order, slots: free)) }
        job.etaSeconds = estimate.ends?.of[job.id]
        return job
    }

    private mutating func order() -> [(id: JobIdentifier, seconds: Double)] {
        if let order = estimate.order { return order }
        var order: [(id: JobIdentifier, seconds: Double)] = []
        for id in machine.order {
            guard let job = machine.jobs[id], let seconds = seconds(for: job) else { break }
            order.append((id, seconds))
        }
        estimate.order = order
        return order
    }

    /// Remaining seconds of a job that is not running; nil when no clip like it was made here.
    private mutating func seconds(for job: Job) -> Double? {
        let key = "\(job.plan.stepsToRun) \(job.plan.timeShape)"
        if estimate.clips[key] == nil {
            let phases = (try? store.expectedSeconds(for: job.plan)) ?? [:]
            let isKnown = phases[JobPhase.denoising.rawValue] ?? 0 > 0
            estimate.clips[key] = .some(isKnown ? phases.values.reduce(0, +) : job.plan.notes.estimate?.seconds)
        }
        return (estimate.clips[key] ?? nil).map { $0 * Double(100 - job.percent) / 100 }
    }
}
