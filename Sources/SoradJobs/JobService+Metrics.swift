// Metrics of jobs: counters on events, gauges when somebody asks.
import SoradAPI
import SoradSystem
import Synchronization

extension JobService {
    /// A job was recorded; `before` is its earlier state, nil for a new one.
    func count(_ job: Job, before: Job?, _ durations: JobDurations) {
        if before == nil && job.status == .queued { metrics.add("sorad_jobs_accepted_total") }
        if let waited = durations.waited { metrics.observe("sorad_job_wait_seconds", [:], waited) }
        guard job.isOver else { return }
        let status = job.error?.code == "cancelled" ? "cancelled" : job.status.rawValue
        metrics.add("sorad_jobs_finished_total", ["status": status])
        guard let result = job.result else { return }
        metrics.add("sorad_clip_seconds_total", [:], Double(job.plan.clipMilliseconds) / 1000)
        if let made = durations.made { metrics.observe("sorad_job_duration_seconds", [:], made) }
        for stage in job.plan.stages {
            if let seconds = result.timings[stage.phase.rawValue] {
                metrics.observe("sorad_phase_duration_seconds", ["phase": stage.phase.rawValue], seconds)
            }
        }
    }

    /// The metrics as text; gauges are measured now.
    public func metricsText() -> String {
        let summary = summary
        metrics.set("sorad_jobs_queued", [:], Double(summary.queued))
        metrics.set("sorad_jobs_running", [:], Double(summary.running))
        metrics.set("sorad_workers", [:], Double(summary.workers))
        metrics.set("sorad_worker_slots", [:], Double(settings.workers))
        metrics.set("sorad_draining", [:], summary.isDraining ? 1 : 0)
        metrics.set("sorad_paused", [:], summary.isPaused ? 1 : 0)
        if let space = try? DiskSpace(at: directory) { metrics.set("sorad_disk_free_bytes", [:], Double(space.free)) }
        if let bytes = withStore({ store throws(DatabaseError) in try store.over().reduce(0) { $0 + $1.bytes } }) {
            metrics.set("sorad_clips_bytes", [:], Double(bytes))
        }
        return metrics.text
    }
}
