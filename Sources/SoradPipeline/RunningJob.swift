// Keeps the books of the clip that is being made: its progress, the time of each phase, and whether it is cancelled.
// Invariant: every report of progress passes through `reached`, which looks for a cancel.
import SoradAPI
import SoradSystem

final class RunningJob {
    let identifier: String
    let stop: StopCheck
    /// Whether the work is to be put down at the next checkpoint.
    let isPutDown: () -> Bool
    /// Passes through the network so far, those of earlier workers included.
    var passes = 0
    private var meter: ProgressMeter
    private let time: TimeSource
    private let progress: ClipPipeline.ProgressHandler
    private var timings: [String: Double] = [:]
    /// The phase that the passing time is charged to.
    private var phase: JobPhase?
    private var phaseStart: MonotonicTime

    init(
        _ identifier: String = "", meter: ProgressMeter, time: TimeSource, stop: @escaping StopCheck,
        isPutDown: @escaping () -> Bool, progress: @escaping ClipPipeline.ProgressHandler
    ) {
        self.identifier = identifier
        self.isPutDown = isPutDown
        self.meter = meter
        self.time = time
        self.stop = stop
        self.progress = progress
        phaseStart = time.monotonic()
    }

    /// Marks that `done` of `total` units of `phase` are finished.
    /// - Throws: what `stop` throws.
    func reached(_ phase: JobPhase, _ done: Int, of total: Int, preview: JobPreview? = nil) throws(SoradError) {
        try stop()
        let now = time.monotonic()
        if phase != self.phase { close(at: now, next: phase) }
        var news = meter.reached(phase, done, of: total, at: now)
        news.preview = preview
        progress(news)
    }

    /// As `reached`, for units that were finished in an earlier life of the job: they say nothing about the pace of this one.
    func resumed(_ phase: JobPhase, _ done: Int, of total: Int) throws(SoradError) {
        meter.skip(phase, done, of: total)
        try reached(phase, done, of: total)
    }

    /// Charges the time of `body` to `phase`, and the time after it to the phase before it.
    func during(_ phase: JobPhase, _ body: () throws(SoradError) -> Void) throws(SoradError) {
        let before = self.phase
        close(at: time.monotonic(), next: phase)
        defer { close(at: time.monotonic(), next: before) }
        try body()
    }

    /// Ends the last phase.
    /// - Returns: seconds spent by phase name.
    func finish() -> [String: Double] {
        close(at: time.monotonic(), next: nil)
        return timings
    }

    private func close(at now: MonotonicTime, next: JobPhase?) {
        if let phase { timings[phase.rawValue, default: 0] += (now - phaseStart).inSeconds }
        phase = next
        phaseStart = now
    }
}

extension SoradError {
    /// The work ends here for now, and a checkpoint is written.
    static let putDown = SoradError(.cancelled, "the work is put down; it continues from its checkpoint", code: JobError.putDown)
}
