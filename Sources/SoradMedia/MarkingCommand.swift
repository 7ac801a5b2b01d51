// Runs the program that the operator names to sign clips: PROGRAM CLIP RESULT. It reads the MP4 file CLIP, which has all marks, and writes
// the MP4 file RESULT, which is kept in its place.
// Invariant: a clip is kept only with the program's success and with the mark that it was generated; everything else is a fault of the
// machine (docs/FAULTS.md), so that the job waits and no clip is lost, and none goes out unsigned.
import Glibc
import SoradAPI
public import SoradSystem

public struct MarkingCommand: Sendable {
    let program: String
    /// In the program's environment as SORAD_JOB and SORAD_MODEL.
    let job: String
    let model: String
    let limits: EncoderLimits

    /// Longest time of one run.
    static let timeLimit = Duration.seconds(120)
    private static let outputLimit = 1 << 16

    /// - Parameters:
    ///   - program: a name to look up in PATH, or a path.
    ///   - job, model: their ids, for its environment.
    public init(program: String, job: String, model: String, limits: EncoderLimits = EncoderLimits()) {
        self.program = program
        self.job = job
        self.model = model
        self.limits = limits
    }

    /// Marks a clip that another machine made.
    /// - Parameters:
    ///   - source: the clip, which stays as it is.
    ///   - target: the marked clip, whole and durable as soon as it is there.
    ///   - directory: receives files meanwhile.
    ///   - shouldStop: asked every 100 ms at least; true ends the work with `.cancelled`.
    /// - Throws: `.configuration` that names the program where it is at fault.
    public func mark(
        _ source: String, into target: String, in directory: String, shouldStop: () -> Bool
    ) throws(SoradError) {
        let clip: [UInt8]
        do throws(Errno) {
            let file = try FileDescriptor(openingForReading: source)
            let size = try file.regularFileSize()
            guard UInt64(size) <= limits.fileBytes else { throw Errno(code: EFBIG, call: "read \(source)") }
            clip = try file.read(at: 0, count: size)
        } catch { throw SoradError(.unavailable, "cannot read \(source): \(error.reason)") }
        let marked = try run(clip, in: directory, shouldStop: shouldStop)
        var file = try AtomicFile(target)
        try file.write(marked)
        try file.commit()
    }

    /// - Parameter directory: of the job; both files lie there meanwhile.
    /// - Returns: the file that the program wrote.
    func run(_ clip: [UInt8], in directory: String, shouldStop: () -> Bool) throws(SoradError) -> [UInt8] {
        let (source, target) = (directory + "/.marking.mp4", directory + "/.marked.mp4")
        removeFile(target)
        defer {
            removeFile(source)
            removeFile(target)
        }
        do throws(Errno) {
            removeFile(source)
            try FileDescriptor(creating: source).write(clip)
        } catch {
            throw SoradError(error.isOutOfSpace ? .storageFull : .cannotWrite, "cannot write \(source): \(error.reason)")
        }
        guard let executable = ChildProcess.executablePath(of: program) else { throw fault("is not an executable file") }
        let output: CapturedOutput
        do throws(Errno) {
            output = try captureOutput(
                of: .init(executable, [source, target], environment: environment, limits: resources), timeout: MarkingCommand.timeLimit,
                limit: MarkingCommand.outputLimit, shouldStop: shouldStop)
        } catch { throw SoradError(.unavailable, "the marking command \(program) cannot be started: \(error.reason)") }
        switch output.end {
        case .ended(.exited(0)): break
        case .abandoned: throw SoradError(.cancelled, "the clip was cancelled while it was being marked")
        case .ended(let ending): throw fault("\(ending)\(lastWords(output))")
        case .tookTooLong, .stalled: throw fault("was not done within \(Int(MarkingCommand.timeLimit.inSeconds)) s")
        case .wroteTooMuch: throw fault("wrote more than \(MarkingCommand.outputLimit) bytes of messages")
        }
        return try result(at: target)
    }

    private func result(at path: String) throws(SoradError) -> [UInt8] {
        let bytes: [UInt8]
        do throws(Errno) {
            let file = try FileDescriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW)
            let size = try file.regularFileSize()
            guard UInt64(size) <= limits.fileBytes else { throw Errno(code: EFBIG, call: "read \(path)") }
            bytes = try file.read(at: 0, count: size)
        } catch { throw fault("left no clip: \(error.reason)") }
        let mark: ProvenanceMark
        do throws(SoradError) {
            mark = try ProvenanceReader(size: bytes.count) { offset, count in Array(bytes[offset..<offset + count]) }.mark()
        } catch { throw fault("wrote no clip: \(error.message)") }
        guard mark.isOfSorad else { throw fault("took away the mark that the clip was generated") }
        return bytes
    }

    private func fault(_ what: String) -> SoradError {
        SoradError(
            .configuration, "the marking command \(program) \(what)",
            hint: "the clip waits; mend the program, or change the setting marking-command")
    }

    private func lastWords(_ output: CapturedOutput) -> String {
        let lines = String(decoding: output.standardError.suffix(2_000), as: UTF8.self).split(separator: "\n")
        return lines.last.map { ", saying: \($0.prefix(300))" } ?? ""
    }

    private var environment: [String: String] {
        let own = ChildProcess.currentEnvironment().filter { ["PATH", "HOME", "LANG", "TMPDIR"].contains($0.key) }
        return own.merging(["SORAD_JOB": job, "SORAD_MODEL": model]) { _, new in new }
    }

    private var resources: [(resource: Int32, value: UInt64)] {
        [
            (Int32(RLIMIT_FSIZE.rawValue), limits.fileBytes), (Int32(RLIMIT_CPU.rawValue), UInt64(MarkingCommand.timeLimit.inSeconds)),
            (Int32(RLIMIT_CORE.rawValue), 0),
        ]
    }
}
