// Owns one running ffmpeg that decodes a given file: it yields RGB frames one at a time, so a clip of any length takes little memory.
// Invariant: no wait is unbounded: each ends by progress, by the caller's request to stop, or by the stall limit; the child is killed and
// reaped on every way out. A file that comes here has passed its inspection, so it is known to be good: nothing that goes wrong is its
// fault, and no error is of kind `.badInput`: the job is tried again.
import Glibc
public import SoradAPI
public import SoradSystem

public final class FrameReader {
    private let source: MediaSource
    private let layout: FrameLayout
    private let process: ChildProcess
    private let output: FileDescriptor
    private let errors: FileDescriptor
    private let frameBytes: Int
    private let shouldStop: () -> Bool
    private var buffer: [UInt8] = []
    private var outputEnded = false
    private var errorsEnded = false
    /// The beginning of ffmpeg's standard error, for the verdict alone: it names paths of ours.
    private var captured: [UInt8] = []

    private static let captureLimit = 4 << 10
    private static let slice = Duration.milliseconds(50)
    private static let stall = Duration.seconds(30)

    /// Starts ffmpeg on the file at `path`, whose middle is cropped to the shape of `width` × `height` and scaled to it.
    /// - Parameters:
    ///   - count: frames to read at most.
    ///   - fps: frames a second of a clip, which keeps its playing time: frames are repeated and left out. No matter for a picture.
    ///   - shouldStop: asked every 50 ms at least while waiting; true ends the work with `.cancelled`.
    /// - Throws: with the code `media_failed`; `.configuration` without ffmpeg, `.unavailable` if it cannot be started.
    public init(
        _ path: String, width: Int, height: Int, count: Int, fps: Int, program: String = "ffmpeg",
        shouldStop: @escaping () -> Bool = { false }
    ) throws(SoradError) {
        precondition((1...MediaLimits.side).contains(width) && (1...MediaLimits.side).contains(height) && count > 0, "\(width)×\(height)")
        self.shouldStop = shouldStop
        let executable = try FFmpegProcess.find(program)
        do throws(SoradError) {
            source = try MediaSource(path)
            layout = FrameLayout(try describeFrame(of: source, program: program), isPicture: source.isPicture, colors: source.colors)
        } catch {
            // The machine's fault, which passes.
            guard error.kind != .unavailable, error.kind != .busy else { throw error }
            throw SoradError.ffmpeg("a given file that was accepted cannot be read now: \(error.message)")
        }
        frameBytes = width * height * layout.pixels.bytes
        let command = DecodeCommand(source)
        do throws(Errno) {
            let frames = try Pipe()
            let errorPipe = try Pipe()
            var child = command.command(executable, command.frames(layout, width: width, height: height, count: count, fps: fps))
            child.descriptors = [1: frames.writeEnd.rawValue, 2: errorPipe.writeEnd.rawValue]
            process = try ChildProcess(child)
            output = consume frames.readEnd
            errors = consume errorPipe.readEnd
        } catch {
            throw SoradError(
                .unavailable, "ffmpeg cannot be started: \(error.reason)", hint: "check that `ffmpeg -version` works for this user")
        }
    }

    /// What ffmpeg takes while it reads a given file, per pixel that it holds (`MediaFacts.heldPixels`). The kernel holds it to that
    /// (`DecodeCommand.limits`); most of the fixed part is its shared libraries.
    public static let memory = ModelMemory.Part(.ffmpeg, .referencePixels, fixed: 66_000_000, perUnit: bytesPerHeldPixel)
    static let bytesPerHeldPixel = 30

    deinit { process.kill(SIGKILL) }

    /// The next frame, [H, W, 3] bytes; nil after the last.
    /// - Throws: `.cancelled` on a request to stop; else with the code `media_failed`.
    public func next() throws(SoradError) -> [UInt8]? {
        while buffer.count < frameBytes, !outputEnded { try wait() }
        if buffer.count >= frameBytes {
            let frame = Array(buffer.prefix(frameBytes))
            buffer.removeFirst(frameBytes)
            return layout.rgb(frame)
        }
        while !errorsEnded { try wait() }
        guard let ending = process.wait(timeout: FrameReader.stall) else { throw stalled }
        guard ending.isSuccess, buffer.isEmpty else { throw failure(ending) }
        return nil
    }

    private var stalled: SoradError {
        SoradError.ffmpeg("the ffmpeg that reads a given file stood still for \(FrameReader.stall.components.seconds) s")
    }

    private func failure(_ ending: ChildProcess.Ending) -> SoradError {
        switch DecoderVerdict(ending, errors: captured, hasMemory: machineHasMemory(for: source)) {
        case .fault(let how): SoradError.ffmpeg("the ffmpeg that reads a given file \(how)")
        case .success, .refusal: SoradError.ffmpeg("a given file that was accepted cannot be decoded now: ffmpeg \(ending)")
        }
    }

    /// Waits for bytes and takes them. Standard error is read too, so that ffmpeg never blocks on it.
    private func wait() throws(SoradError) {
        var progress = ProcessorProgress(FrameReader.stall)
        while true {
            guard !shouldStop() else { throw SoradError(.cancelled, "the job was cancelled") }
            guard !progress.hasStalled(process) else { throw stalled }
            do throws(Errno) {
                if try takeBytes() { return }
            } catch { throw SoradError.ffmpeg("cannot read from ffmpeg: \(error)") }
        }
    }

    private func takeBytes() throws(Errno) -> Bool {
        var entries: [PollEntry] = []
        if !outputEnded { entries.append(PollEntry(reading: output.rawValue)) }
        if !errorsEnded { entries.append(PollEntry(reading: errors.rawValue)) }
        guard try poll(&entries, timeout: FrameReader.slice) else { return false }
        for entry in entries where entry.isReady {
            if entry.descriptor == output.rawValue {
                let bytes = try output.read(upTo: max(frameBytes - buffer.count, 1 << 16))
                buffer += bytes
                outputEnded = bytes.isEmpty
            } else {
                let bytes = try errors.read(upTo: 4096)
                errorsEnded = bytes.isEmpty
                captured += bytes.prefix(FrameReader.captureLimit - captured.count)
            }
        }
        return true
    }
}
