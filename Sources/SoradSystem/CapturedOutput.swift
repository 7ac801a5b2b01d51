// A child process run to its end, with its output. Both outputs are read as they come, so that neither can block the other.
// Invariant: the child does not outlive the call, nor this process.
import Glibc

public struct CapturedOutput: Sendable {
    public enum Ending: Sendable, Equatable {
        case ended(ChildProcess.Ending)
        /// The time was over. `processor`: what the child had computed until then.
        case tookTooLong(processor: Duration)
        /// It used no processor time for as long as `stall`: stopped, or waiting for a disk.
        case stalled
        case wroteTooMuch
        /// Nobody wants the answer any more.
        case abandoned
    }

    public var standardOutput: [UInt8] = []
    public var standardError: [UInt8] = []
    /// The child was killed unless this is `.ended`.
    public var end = Ending.abandoned

    /// How it ended by itself; nil when it was cut short.
    public var ending: ChildProcess.Ending? { if case .ended(let ending) = end { ending } else { nil } }
    /// The first line of standard error, without the program's name before it.
    public func sentence(of program: String) -> String {
        let line = String(decoding: standardError.prefix(2_000), as: UTF8.self).split(separator: "\n").first ?? ""
        return String(line.hasPrefix("\(program): ") ? line.dropFirst(program.utf8.count + 2) : line)
    }
}

/// Runs `command`; its descriptors 1 and 2 are captured, at most `limit` bytes each. The child dies with the calling thread.
/// - Parameters:
///   - stall: longest time without output in which the child uses no processor time; nil is no limit.
///   - shouldStop: asked ten times a second; true ends the child.
public func captureOutput(
    of command: ChildProcess.Command, timeout: Duration, limit: Int, stall: Duration? = nil, shouldStop: () -> Bool = { false }
) throws(Errno) -> CapturedOutput {
    var command = command
    command.diesWithParent = true
    let output = try Pipe()
    let errors = try Pipe()
    let outputEnd = output.readEnd
    let errorEnd = errors.readEnd
    let child: ChildProcess
    do {
        let outputWriter = output.writeEnd
        let errorWriter = errors.writeEnd
        command.descriptors[1] = outputWriter.rawValue
        command.descriptors[2] = errorWriter.rawValue
        child = try ChildProcess(command)
    }
    var result = CapturedOutput()
    let deadline = MonotonicTime.now() + timeout
    var progress = ProcessorProgress(stall)
    var entries = [PollEntry(reading: outputEnd.rawValue), PollEntry(reading: errorEnd.rawValue)]
    while true {
        // Once both outputs have ended, only the child's own end is awaited.
        var waited = entries.isEmpty ? [PollEntry(reading: child.endDescriptor)] : entries
        let isReady = try poll(&waited, timeout: min(.milliseconds(100), max(.zero, deadline - MonotonicTime.now())))
        if isReady, entries.isEmpty { break }
        for entry in waited where entry.isReady {
            let isOutput = entry.descriptor == outputEnd.rawValue
            let bytes = isOutput ? try outputEnd.read(upTo: 65_536) : try errorEnd.read(upTo: 65_536)
            if isOutput { result.standardOutput += bytes } else { result.standardError += bytes }
            if bytes.isEmpty { entries.removeAll { $0.descriptor == entry.descriptor } }
        }
        if isReady { progress.reset() }
        if max(result.standardOutput.count, result.standardError.count) > limit {
            result.end = .wroteTooMuch
            return result
        }
        if shouldStop() { return result }
        if MonotonicTime.now() >= deadline {
            result.end = .tookTooLong(processor: child.processorTime() ?? .zero)
            return result
        }
        if !isReady, progress.hasStalled(child) {
            result.end = .stalled
            return result
        }
    }
    guard let ending = child.wait(timeout: .zero) else { preconditionFailure("\(child.pid) has ended and cannot be waited for") }
    result.end = .ended(ending)
    return result
}

/// Tells a child that computes from one that stands still.
public struct ProcessorProgress: Sendable {
    private let limit: Duration?
    private var lastTime: Duration?
    private var lastLook: MonotonicTime?
    private var since = MonotonicTime.now()

    /// - Parameter limit: how long a child may use no processor time; nil is for ever.
    public init(_ limit: Duration?) { self.limit = limit }

    /// The child has shown in another way that it gets on.
    public mutating func reset() { since = MonotonicTime.now() }

    /// To be asked now and then while nothing comes from `child`. Looks at its time once a second at most.
    public mutating func hasStalled(_ child: ChildProcess) -> Bool {
        let now = MonotonicTime.now()
        guard let limit, now - since >= min(limit, .seconds(1)), lastLook.map({ now - $0 >= min(limit, .seconds(1)) }) ?? true else {
            return false
        }
        lastLook = now
        let time = child.processorTime()
        if let time, time != lastTime {
            lastTime = time
            reset()
        }
        return now - since >= limit
    }
}
