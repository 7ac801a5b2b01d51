// When a job that waits will be done: what is left of the one that runs, and what those before it in turn and itself take, by this
// machine's own history.
// Invariant: no estimate rests on a guess. It ends at the first job of a shape that was never made here, and there is none while nothing
// is begun. Later jobs with a higher priority or an earlier turn make it longer; it is what holds if nothing else comes.
import SoradAPI
import SoradSystem

/// What estimates are made from; thrown away when it is no longer so.
struct QueueEstimate {
    /// Seconds of a clip by shape and number of steps; nil for those that were never made.
    fileprivate var clips: [String: Double?] = [:]
    /// From the beginning of the first job that waits to the end of each; unknown for those that are missing.
    fileprivate var ends: [JobIdentifier: Double]?

    /// Jobs have come, gone or changed places.
    mutating func queueChanged() { ends = nil }
}

extension JobService.State {
    /// `job` with its estimate, if it waits.
    mutating func estimated(_ job: Job) -> Job {
        guard job.status == .queued, machine.holds.isEmpty, !isStopping, let end = ends()[job.id] else { return job }
        var job = job
        if let running = machine.runningJob.flatMap({ machine.jobs[$0] }) {
            job.etaSeconds = (running.progress?.etaSeconds ?? seconds(for: running)).map { $0 + end }
        } else {
            job.etaSeconds = end
        }
        return job
    }

    private mutating func ends() -> [JobIdentifier: Double] {
        if let ends = estimate.ends { return ends }
        var ends: [JobIdentifier: Double] = [:]
        var sum = 0.0
        for id in machine.order {
            guard let job = machine.jobs[id], let seconds = seconds(for: job) else { break }
            sum += seconds
            ends[id] = sum
        }
        estimate.ends = ends
        return ends
    }

    /// What is left of a job that is not being computed now; nil when no clip like it was made here.
    private mutating func seconds(for job: Job) -> Double? {
        let key = "\(job.request.stepsToRun) \(job.request.timeShape)"
        if estimate.clips[key] == nil {
            let phases = (try? store.expectedSeconds(for: job.request)) ?? [:]
            let isKnown = phases[JobPhase.denoising.rawValue] ?? 0 > 0
            estimate.clips[key] = .some(isKnown ? phases.values.reduce(0, +) : nil)
        }
        return (estimate.clips[key] ?? nil).map { $0 * Double(100 - job.percent) / 100 }
    }
}
