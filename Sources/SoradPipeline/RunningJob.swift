// Owns the bookkeeping of the clip that is being made: where it is, how long each phase took, and whether it should go on.
// Invariant: every mark on the way passes through `reached`, so none forgets to look for a cancel.
import SoradAPI
import SoradSystem

struct RunningJob {
    let stop: StopCheck
    private var meter: ProgressMeter
    private let time: TimeSource
    private let progress: ClipPipeline.ProgressHandler
    private var timings: [String: Double] = [:]
    private var phase: JobPhase?
    private var phaseStart: MonotonicTime

    init(meter: ProgressMeter, time: TimeSource, stop: @escaping StopCheck, progress: @escaping ClipPipeline.ProgressHandler) {
        self.meter = meter
        self.time = time
        self.stop = stop
        self.progress = progress
        phaseStart = time.monotonic()
    }

    /// Marks that `done` of `total` units of `phase` are finished.
    /// - Throws: what `stop` throws.
    mutating func reached(_ phase: JobPhase, _ done: Int, of total: Int, preview: JobPreview? = nil) throws(SoradError) {
        try stop()
        let now = time.monotonic()
        if phase != self.phase { close(at: now, next: phase) }
        var news = meter.reached(phase, done, of: total, at: now)
        news.preview = preview
        progress(news)
    }

    /// As `reached`, for units that were finished in an earlier life of the job: they say nothing about the pace of this one.
    mutating func resumed(_ phase: JobPhase, _ done: Int, of total: Int) throws(SoradError) {
        meter.skip(phase, done, of: total)
        try reached(phase, done, of: total)
    }

    /// Ends the last phase.
    /// - Returns: seconds spent by phase name.
    mutating func finish() -> [String: Double] {
        close(at: time.monotonic(), next: nil)
        return timings
    }

    private mutating func close(at now: MonotonicTime, next: JobPhase?) {
        if let phase { timings[phase.rawValue, default: 0] += (now - phaseStart).inSeconds }
        phase = next
        phaseStart = now
    }
}
