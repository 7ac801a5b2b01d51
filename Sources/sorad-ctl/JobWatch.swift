// Owns the wait for one job: follows its events and shows them, until it is finished, failed, interrupted, or too late.
import SoradAPI
import SoradSystem

struct JobWatch {
    /// The meaning of an interrupt.
    enum Purpose {
        /// The job was made by this command and goes with it.
        case ownJob
        /// Somebody looks on; the job continues.
        case anyJob
    }

    private let daemon: DaemonConnection
    private let interrupt: Interrupt
    private let purpose: Purpose
    private let writesJSON: Bool
    private let deadline: MonotonicTime?
    private var display: LiveDisplay

    /// Before a stream that ended early is opened again.
    private static let pause = Duration.milliseconds(250)

    init(_ daemon: DaemonConnection, _ arguments: Arguments, _ interrupt: Interrupt, _ purpose: Purpose = .ownJob, isSilent: Bool = false) {
        self.daemon = daemon
        self.interrupt = interrupt
        self.purpose = purpose
        writesJSON = arguments.has("json") && !arguments.has("quiet") && !isSilent
        deadline = arguments["timeout"].flatMap(Double.init).map { MonotonicTime.now() + .seconds(min(max($0, 0), 1e8)) }
        let isSilent = isSilent || arguments.has("json") || arguments.has("quiet")
        let environment = ChildProcess.currentEnvironment()
        display = LiveDisplay(
            progress: ProgressDisplay(style: isSilent ? .silent : Console.progressStyle(environment: environment)),
            form: isSilent ? nil : PictureForm.chosen(arguments, environment: environment))
    }

    /// - Returns: the completed job.
    /// - Throws: `.jobFailed`, `.cancelled`, `.timedOut`, and `.interrupted` after cancelling a job of one's own.
    consuming func wait(for created: Video) throws(SoradError) -> Video {
        var video = created
        var lastLine: JSONValue?
        var follower: JobFollower?
        while true {
            try show(video, follower?.takePreview(), &lastLine)
            if video.status == .completed || video.status == .failed { break }
            let current: JobFollower
            if let follower { current = follower } else { current = try JobFollower(video, socket: daemon.socketPath) }
            follower = current
            if interrupt.wait(for: current.counter, timeout: timeLeft) { throw interrupted(video.id) }
            try checkTime(video.id)
            switch current.take() {
            case .nothing: break
            case .video(let news): video = news
            case .ended:
                follower = nil
                video = try stateOf(video.id)
                guard video.status == .queued || video.status == .inProgress else { continue }
                if interrupt.wait(timeout: min(timeLeft ?? JobWatch.pause, JobWatch.pause)) { throw interrupted(video.id) }
                try checkTime(video.id)
            }
        }
        if video.status == .completed, display.showsPictures, let picture = daemon.thumbnail(of: video.id) {
            if let text = display.update(ProgressSnapshot(video), preview: picture, .current) { Console.draw(text) }
        }
        endLine()
        if video.status == .failed { throw failure(of: video) }
        return video
    }

    /// The job as the daemon has it now.
    /// - Throws: where the daemon cannot be asked, with the way to it later: the job is in its store.
    private mutating func stateOf(_ id: String) throws(SoradError) -> Video {
        do throws(SoradError) { return try daemon.video(id) } catch {
            guard error.kind == .unavailable || error.kind == .timedOut else { throw error }
            endLine()
            throw SoradError(error.kind, "\(error.message); the job continues", hint: "sorad-ctl watch \(id)")
        }
    }

    private var timeLeft: Duration? { deadline.map { max(.zero, $0 - MonotonicTime.now()) } }

    private mutating func checkTime(_ id: String) throws(SoradError) {
        guard let deadline, MonotonicTime.now() >= deadline else { return }
        endLine()
        throw SoradError(.timedOut, "\(id) is not finished yet; it continues without this command", hint: "sorad-ctl get \(id) -o FILE")
    }

    private mutating func show(_ video: Video, _ preview: JobPreviewPicture?, _ lastLine: inout JSONValue?) throws(SoradError) {
        if let text = display.update(ProgressSnapshot(video), preview: preview, .current) { Console.draw(text) }
        guard writesJSON, video.status == .queued || video.status == .inProgress else { return }
        let line = progressJSON(video)
        if line != lastLine { try Console.print(line.text()) }
        lastLine = line
    }

    private mutating func endLine() {
        if let text = display.end() { Console.draw(text) }
    }

    /// Cancels a job of one's own and returns the error to throw.
    private mutating func interrupted(_ id: String) -> SoradError {
        endLine()
        guard purpose == .ownJob else { return SoradError(.interrupted, "interrupted; \(id) continues") }
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
    object["frame"] = video.details.frame.map { .integer($0) }
    object["eta_seconds"] = video.details.etaSeconds.map { .double($0) }
    return .object(object)
}

/// Why a failed job failed, as an error of this program.
func failure(of video: Video) -> SoradError {
    guard let error = video.error else { return SoradError(.jobFailed, "\(video.id) failed without a reason") }
    if error.code == "cancelled" { return SoradError(.cancelled, "\(video.id) was cancelled") }
    return SoradError(.jobFailed, "\(video.id) failed: \(error.message)")
}
