// Owns one running ffmpeg, which reads frames from its standard input. Its standard error is captured for the error sentence.
// Invariant: no wait is unbounded. Every wait ends by progress, by the caller's request to stop, or by the stall limit, and the child is
// killed and reaped on every way out. The input is a socket rather than a pipe, so that a dead ffmpeg is an error code here and never a
// SIGPIPE for the whole program.
import Glibc
import SoradSystem

final class FFmpegProcess {
    private let process: ChildProcess
    /// nil once it is closed, after the last frame.
    private var input: FileDescriptor?
    private let errors: FileDescriptor
    /// The beginning of ffmpeg's standard error; the rest is read and dropped.
    private var captured: [UInt8] = []
    private var errorsEnded = false
    private let limits: EncoderLimits
    /// A busy machine is no stall: only an ffmpeg that neither takes frames nor uses processor time stands still.
    private var progress: ProcessorProgress
    private let shouldStop: () -> Bool

    private static let captureLimit = 16 << 10
    /// How often a wait asks whether it should stop.
    private static let slice = Duration.milliseconds(50)

    /// - Throws: `.configuration` if ffmpeg is not installed, `.unavailable` if it cannot be started.
    init(_ program: String, _ arguments: [String], limits: EncoderLimits, shouldStop: @escaping () -> Bool) throws(SoradError) {
        let executable = try FFmpegProcess.find(program)
        self.limits = limits
        progress = ProcessorProgress(limits.stall)
        self.shouldStop = shouldStop
        do throws(Errno) {
            let sockets = try SocketPair()
            let pipe = try Pipe()
            let null = try FileDescriptor(opening: "/dev/null", flags: O_WRONLY)
            process = try ChildProcess(
                ChildProcess.Command(
                    executable, arguments, environment: FFmpegProcess.environment(),
                    descriptors: [0: sockets.second.rawValue, 1: null.rawValue, 2: pipe.writeEnd.rawValue], limits: limits.resources,
                    diesWithParent: true))
            input = consume sockets.first
            errors = consume pipe.readEnd
        } catch {
            throw SoradError(
                .unavailable, "ffmpeg cannot be started: \(error.reason)", hint: "check that `ffmpeg -version` works for this user")
        }
    }

    /// The path of the program.
    static func find(_ program: String) throws(SoradError) -> String {
        if let executable = ChildProcess.executablePath(of: program) { return executable }
        let place = program.contains("/") ? "\(program) is not an executable file" : "the \(program) command is not in PATH"
        throw SoradError(.configuration, "ffmpeg cannot be found: \(place)", hint: "sudo apt install ffmpeg")
    }

    /// Sends bytes of frames, waiting while ffmpeg is busy.
    /// - Throws: `.cancelled` on a request to stop, else the reason why ffmpeg failed.
    func write(_ bytes: [UInt8]) throws(SoradError) {
        var offset = 0
        progress.reset()
        while offset < bytes.count {
            guard let sent = try send(bytes, from: offset) else { throw failure(waitForEnd()) }
            if sent > 0 {
                offset += sent
                progress.reset()
                continue
            }
            try pause(untilWritable: true)
        }
    }

    /// Closes the input and waits until ffmpeg has written its files.
    func finish() throws(SoradError) {
        input = nil
        progress.reset()
        while !errorsEnded { try pause(untilWritable: false) }
        while true {
            if let ending = process.wait(timeout: FFmpegProcess.slice) {
                guard ending.isSuccess else { throw failure(ending) }
                return
            }
            try checkTime()
        }
    }

    /// Kills ffmpeg if it still runs, and waits until it can write no more.
    func stop() {
        process.kill(SIGKILL)
        _ = process.wait(timeout: .seconds(5))
    }

    /// Number of bytes that ffmpeg took: 0 while it is busy, nil when it has closed its input.
    private func send(_ bytes: [UInt8], from offset: Int) throws(SoradError) -> Int? {
        precondition(input != nil, "frames after the end of the clip")
        do throws(Errno) {
            return try input!.send(bytes, from: offset) ?? 0
        } catch {
            switch error.code {
            case EPIPE, ECONNRESET: return nil
            default: throw SoradError.ffmpeg("cannot send frames to ffmpeg: \(error)")
            }
        }
    }

    /// Waits for one slice at most; reads standard error meanwhile, so that ffmpeg never blocks on it.
    private func pause(untilWritable: Bool) throws(SoradError) {
        var entries: [PollEntry] = errorsEnded ? [] : [PollEntry(reading: errors.rawValue)]
        if untilWritable, let descriptor = input?.rawValue { entries.append(PollEntry(writing: descriptor)) }
        do throws(Errno) {
            try poll(&entries, timeout: FFmpegProcess.slice)
            if !errorsEnded, entries[0].isReady { try readErrors() }
        } catch {
            throw SoradError.ffmpeg("cannot wait for ffmpeg: \(error)")
        }
        try checkTime()
    }

    private func checkTime() throws(SoradError) {
        if shouldStop() {
            process.kill(SIGKILL)
            throw SoradError(.cancelled, "the clip was cancelled while it was being written")
        }
        guard !progress.hasStalled(process) else {
            process.kill(SIGKILL)
            throw SoradError.ffmpeg("ffmpeg made no progress for \(limits.stall.components.seconds) seconds and was stopped")
        }
    }

    private func readErrors() throws(Errno) {
        let bytes = try errors.read(upTo: 4096)
        if bytes.isEmpty { errorsEnded = true }
        captured += bytes.prefix(FFmpegProcess.captureLimit - captured.count)
    }

    /// How an ffmpeg that has closed its input ends; it is killed if it does not.
    private func waitForEnd() -> ChildProcess.Ending {
        let ending = process.wait(timeout: .seconds(1)) ?? .killed(signal: SIGKILL)
        process.kill(SIGKILL)
        while !errorsEnded {
            do throws(Errno) {
                guard try waitUntilReady(PollEntry(reading: errors.rawValue), timeout: FFmpegProcess.slice) else { break }
                try readErrors()
            } catch { break }
        }
        return ending
    }

    /// One sentence from the exit status and the last line on standard error.
    private func failure(_ ending: ChildProcess.Ending) -> SoradError {
        let lines = String(decoding: captured, as: UTF8.self).split(whereSeparator: \.isNewline)
        if lines.contains(where: { $0.contains("No space left on device") || $0.contains("Disk quota exceeded") }) {
            return SoradError(.storageFull, "cannot write the clip: the disk is full", hint: "free some space and try again")
        }
        if ending == .killed(signal: SIGXFSZ) || lines.contains(where: { $0.contains("File too large") }) {
            return SoradError.ffmpeg("cannot write the clip: a file grew beyond the limit of \(limits.fileBytes) bytes", kind: .cannotWrite)
        }
        let reason = lines.last.map { ", saying: \($0)" } ?? ""
        return SoradError.ffmpeg(
            "cannot write the clip: ffmpeg \(ending)\(reason)",
            hint: "sorad needs ffmpeg 5.1 or newer with libx264 and libwebp: sudo apt install ffmpeg")
    }

    static func environment() -> [String: String] {
        let inherited = ChildProcess.currentEnvironment().filter { ["PATH", "LD_LIBRARY_PATH"].contains($0.key) }
        return inherited.merging(["LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1"]) { $1 }
    }
}

/// What ffmpeg may use at most. Frames are our own, so these catch a broken ffmpeg, not an attacker.
public struct EncoderLimits: Sendable {
    /// How long ffmpeg may make no progress.
    public var stall: Duration = .seconds(60)
    /// The longest file it may write.
    public var fileBytes: UInt64 = 1 << 30
    /// Address space, most of it shared libraries.
    public var memoryBytes: UInt64 = 4 << 30
    /// Seconds of processor time.
    public var processorSeconds: UInt64 = 3600

    public init() {}

    var resources: [(resource: Int32, value: UInt64)] {
        [
            (Int32(RLIMIT_FSIZE.rawValue), fileBytes), (Int32(RLIMIT_AS.rawValue), memoryBytes),
            (Int32(RLIMIT_CPU.rawValue), processorSeconds), (Int32(RLIMIT_CORE.rawValue), 0), (Int32(RLIMIT_NOFILE.rawValue), 64),
        ]
    }
}
