// Runs an ffmpeg that reads a given file to its end, and tells a fault of the machine from a fault of the file (docs/FAULTS.md).
// Invariant: a file is refused only on proof: an ffmpeg that was left alone refused it, and a second one did too. Whatever else ends an
// ffmpeg (a signal from outside, a stall, a start that fails, a resource that is missing) is tried again, and is then an error of kind
// `.unavailable`, which says nothing against the file. A machine that is too busy to be done in time is one of kind `.busy`, at once: the
// client waits, and another attempt would take as long.
import Glibc
import SoradAPI
import SoradSystem

enum DecoderVerdict: Sendable, Equatable {
    case success
    /// The file's own fault, if a second attempt says the same.
    case refusal
    /// The machine's; the text follows "ffmpeg".
    case fault(String)

    /// - Parameters:
    ///   - errors: what ffmpeg wrote on standard error.
    ///   - hasMemory: whether the machine could have given an ffmpeg all the memory that it may take.
    init(_ ending: ChildProcess.Ending, errors: [UInt8], hasMemory: Bool) {
        switch ending {
        case .exited(0): self = .success
        case .killed(let signal) where DecoderVerdict.crashes.contains(signal): self = .refusal
        // 255: a signal that ffmpeg handles has stopped it. 126 and 127: the dynamic loader lacks a file or memory.
        case .killed, .exited(255), .exited(126), .exited(127): self = .fault("\(ending)")
        case .exited:
            let text = String(decoding: errors, as: UTF8.self)
            let missing = DecoderVerdict.shortages + (hasMemory ? [] : [DecoderVerdict.noMemory])
            self = missing.first { text.contains($0) }.map { .fault("failed: \($0)") } ?? .refusal
        }
    }

    /// Signals by which a process brings itself down.
    private static let crashes = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS]
    /// The C library's words for EAGAIN (no thread), EMFILE and ENFILE.
    private static let shortages = ["Resource temporarily unavailable", "Too many open files", "Too many open files in system"]
    /// ENOMEM: the file's own fault where only ffmpeg's own limit can have refused the memory.
    private static let noMemory = "Cannot allocate memory"
}

/// How long and how often an ffmpeg that reads a whole given file is tried.
struct DecoderTrials: Sendable {
    /// Longest time of one ffmpeg.
    var attempt: Duration = .seconds(30)
    /// Longest time in which it uses no processor time.
    var stall: Duration = .seconds(8)
    /// Between two attempts after a fault of the machine.
    var pauses: [Duration] = [.milliseconds(100), .milliseconds(400), .seconds(1)]
}

/// Runs `program` with `arguments`, which are about `source`, until it succeeds or the file is proven to be at fault.
/// - Returns: its output; `ending` is success, or the refusal that two attempts agree on.
/// - Throws: `.badInput` for a file that takes too long or says too much, `.unavailable` when the machine does not let an ffmpeg finish,
///   `.busy` when it gives an ffmpeg too little time.
func runDecoder(
    _ arguments: [String], for source: MediaSource, program: String, limit: Int = 1 << 20, trials: DecoderTrials = DecoderTrials()
) throws(SoradError) -> CapturedOutput {
    var fault = SoradError(.unavailable, "")
    var refusals = 0
    var pauses = trials.pauses.makeIterator()
    while true {
        do throws(SoradError) {
            let output = try runOnce(arguments, source, program, limit, trials)
            if output.ending?.isSuccess == true || refusals > 0 { return output }
            // Nothing has to pass before the second opinion.
            refusals += 1
            continue
        } catch {
            guard error.kind == .unavailable else { throw error }
            fault = error
        }
        guard let pause = pauses.next() else { throw fault }
        sleep(pause)
    }
}

/// - Throws: `.unavailable` for a fault of the machine.
private func runOnce(
    _ arguments: [String], _ source: MediaSource, _ program: String, _ limit: Int, _ trials: DecoderTrials
) throws(SoradError) -> CapturedOutput {
    let output: CapturedOutput
    do throws(SoradError) {
        let command = DecodeCommand(source).command(try FFmpegProcess.find(program), arguments)
        do throws(Errno) {
            output = try captureOutput(of: command, timeout: trials.attempt, limit: limit, stall: trials.stall)
        } catch { throw SoradError(.configuration, "ffmpeg cannot be started: \(error.reason)") }
    } catch { throw SoradError(.unavailable, error.message, hint: error.hint) }
    switch output.end {
    case .ended(let ending):
        guard case .fault(let how) = DecoderVerdict(ending, errors: output.standardError, hasMemory: machineHasMemory(for: source)) else {
            return output
        }
        throw SoradError(.unavailable, "the ffmpeg that reads the file \(how)")
    case .stalled:
        throw SoradError(.unavailable, "the ffmpeg that reads the file stood still for \(Int(trials.stall.inSeconds)) s")
    case .tookTooLong(let processor):
        let seconds = Int(trials.attempt.inSeconds)
        // Half of the time on a processor: more time would not have changed much.
        guard processor * 2 < trials.attempt else {
            throw SoradError(.badInput, "the file takes longer than \(seconds) seconds to decode")
        }
        throw SoradError(.busy, "the machine is too busy to decode the file in \(seconds) s")
    case .wroteTooMuch: throw SoradError(.badInput, "the file says more about itself than \(limit) bytes")
    case .abandoned: preconditionFailure("nobody stops an inspection here")
    }
}

/// Whether the machine could give an ffmpeg all the memory that `DecodeCommand.limits` lets it have for this file.
func machineHasMemory(for source: MediaSource) -> Bool {
    MemoryHeadroom.ofThisProcess().map { $0.available >= DecodeCommand.ownBytes + source.decodeBytes } ?? true
}

private func sleep(_ duration: Duration) { _ = usleep(UInt32(duration.nanoseconds / 1000)) }
