// Owns the wait for one job: asks, shows, sleeps, until it is finished, failed, interrupted, or too late.
import SoradAPI
import SoradSystem

struct JobWatch {
    private let daemon: DaemonConnection
    private let interrupt: Interrupt
    private let isJSON: Bool
    private let deadline: MonotonicTime?
    private var display: ProgressDisplay

    /// How often the daemon is asked: often enough for a bar that moves, seldom enough to cost nothing.
    private static let interval = Duration.milliseconds(250)

    init(_ daemon: DaemonConnection, _ invocation: Invocation, _ interrupt: Interrupt) {
        self.daemon = daemon
        self.interrupt = interrupt
        isJSON = invocation.has("--json")
        deadline = invocation["--timeout"].flatMap(Double.init).map { MonotonicTime.now() + .seconds(min(max($0, 0), 1e8)) }
        let isSilent = isJSON || invocation.has("--quiet")
        display = ProgressDisplay(style: isSilent ? .silent : Console.progressStyle(environment: ChildProcess.currentEnvironment()))
    }

    /// - Returns: the completed job.
    /// - Throws: `.jobFailed`, `.cancelled`, `.timedOut`, and `.interrupted` after cancelling the job.
    consuming func wait(for created: Video) throws(SoradError) -> Video {
        var video = created
        var lastLine: JSONValue?
        while true {
            try show(video, &lastLine)
            if video.status == .completed || video.status == .failed { break }
            if interrupt.wait(JobWatch.interval) { throw cancel(video.id) }
            if let deadline, MonotonicTime.now() >= deadline {
                endLine()
                throw SoradError(
                    .timedOut, "\(video.id) is not finished yet; it goes on without this command", hint: "sorad-ctl get \(video.id) -o FILE"
                )
            }
            video = try daemon.video(video.id)
        }
        endLine()
        if video.status == .failed { throw failure(of: video) }
        return video
    }

    private mutating func show(_ video: Video, _ lastLine: inout JSONValue?) throws(SoradError) {
        if let text = display.update(ProgressSnapshot(video)) { Console.note(text) }
        guard isJSON, video.status == .queued || video.status == .inProgress else { return }
        let line = progressJSON(video)
        if line != lastLine { try Console.print(line.text()) }
        lastLine = line
    }

    private mutating func endLine() {
        if let text = display.end() { Console.note(text) }
    }

    /// Cancels the job and returns what to throw.
    private mutating func cancel(_ id: String) -> SoradError {
        endLine()
        do throws(SoradError) { _ = try daemon.cancel(id) } catch {
            return SoradError(
                .interrupted, "interrupted, and \(id) could not be cancelled: \(error.message)", hint: "sorad-ctl cancel \(id)")
        }
        return SoradError(.interrupted, "interrupted; \(id) was cancelled")
    }
}

/// One line of `generate --json` while the job runs.
private func progressJSON(_ video: Video) -> JSONValue {
    var object: JSONObject = [
        "schema": "sorad.progress/1", "id": .string(video.id), "status": .string(video.status.rawValue),
        "percent": .integer(video.progress),
    ]
    object["phase"] = video.details.phase.map { .string($0.rawValue) }
    object["step"] = video.details.step.map { .integer($0) }
    object["steps"] = video.details.steps.map { .integer($0) }
    object["eta_seconds"] = video.details.etaSeconds.map { .double($0) }
    return .object(object)
}

/// Why a failed job failed, as an error of this program.
func failure(of video: Video) -> SoradError {
    guard let error = video.error else { return SoradError(.jobFailed, "\(video.id) failed without a reason") }
    if error.code == "cancelled" { return SoradError(.cancelled, "\(video.id) was cancelled") }
    return SoradError(.jobFailed, "\(video.id) failed: \(error.message)")
}
