// Metrics of jobs: counters on events, gauges when somebody asks.
import SoradAPI
import SoradSystem
import Synchronization

extension JobService {
    /// A job was recorded; `before` is its earlier state, nil for a new one.
    func count(_ job: Job, before: Job?, _ durations: JobDurations) {
        let model = ["model": job.plan.model]
        if before == nil && job.status == .queued { metrics.add("sorad_jobs_accepted_total", model) }
        if let waited = durations.waited { metrics.observe("sorad_job_wait_seconds", model, waited) }
        guard job.isOver else { return }
        let status = job.error?.code == "cancelled" ? "cancelled" : job.status.rawValue
        metrics.add("sorad_jobs_finished_total", ["model": job.plan.model, "status": status])
        guard let result = job.result else { return }
        metrics.add("sorad_clip_seconds_total", model, Double(job.plan.clipMilliseconds) / 1000)
        if let made = durations.made { metrics.observe("sorad_job_duration_seconds", model, made) }
        for stage in job.plan.stages {
            if let seconds = result.timings[stage.phase.rawValue] {
                metrics.observe("sorad_phase_duration_seconds", ["model": job.plan.model, "phase": stage.phase.rawValue], seconds)
            }
        }
    }

    /// The metrics as text; gauges are measured now.
    public func metricsText() -> String {
        let summary = summary
        metrics.set("sorad_jobs_queued", [:], Double(summary.queued))
        metrics.set("sorad_jobs_running", [:], Double(summary.running))
        metrics.set("sorad_oldest_queued_seconds", [:], Double(oldestQueuedSeconds))
        metrics.set("sorad_workers", [:], Double(summary.workers))
        metrics.set("sorad_worker_slots", [:], Double(settings.workers))
        metrics.set("sorad_draining", [:], summary.isDraining ? 1 : 0)
        metrics.set("sorad_paused", [:], summary.isPaused ? 1 : 0)
        if let space = try? DiskSpace(at: directory) { metrics.set("sorad_disk_free_bytes", [:], Double(space.free)) }
        if let bytes = withStore({ store throws(DatabaseError) in try store.over().reduce(0) { $0 + $1.bytes } }) {
            metrics.set("sorad_clips_bytes", [:], Double(bytes))
        }
        measureProcess()
        return metrics.text
    }

    private var oldestQueuedSeconds: Int {
        let oldest = state.withLock { state in state.machine.queue.compactMap { state.machine.jobs[$0]?.createdAt }.min() }
        return oldest.map { max(0, time.unixSeconds() - $0) } ?? 0
    }

    private func measureProcess() {
        metrics.set("process_start_time_seconds", [:], startedAt)
        metrics.set("process_max_fds", [:], Double(DescriptorLimit.current))
        guard let usage = ProcessUsage.ofThisProcess() else { return }
        metrics.raise("process_cpu_seconds_total", to: usage.processorSeconds)
        metrics.set("process_resident_memory_bytes", [:], Double(usage.residentMemory))
        metrics.set("process_virtual_memory_bytes", [:], Double(usage.virtualMemory))
        metrics.set("process_open_fds", [:], Double(usage.openDescriptors))
    }
}
