// A child process run to its end, with its output. Both outputs are read as they come, so that neither can block the other.
import Glibc

public struct CapturedOutput: Sendable {
    public var standardOutput: [UInt8] = []
    public var standardError: [UInt8] = []
    /// nil when it was killed because it took too long or wrote too much.
    public var ending: ChildProcess.Ending?
}

/// Runs `command`; its descriptors 1 and 2 are captured, at most `limit` bytes each.
public func captureOutput(of command: ChildProcess.Command, timeout: Duration, limit: Int) throws(Errno) -> CapturedOutput {
    var command = command
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
    var entries = [PollEntry(reading: outputEnd.rawValue), PollEntry(reading: errorEnd.rawValue)]
    while !entries.isEmpty {
        guard try poll(&entries, timeout: max(.zero, deadline - MonotonicTime.now())) else { return result }
        for entry in entries where entry.isReady {
            let isOutput = entry.descriptor == outputEnd.rawValue
            let bytes = isOutput ? try outputEnd.read(upTo: 65_536) : try errorEnd.read(upTo: 65_536)
            if isOutput { result.standardOutput += bytes } else { result.standardError += bytes }
            if bytes.isEmpty { entries.removeAll { $0.descriptor == entry.descriptor } }
        }
        if max(result.standardOutput.count, result.standardError.count) > limit { return result }
    }
    result.ending = child.wait(timeout: max(.zero, deadline - MonotonicTime.now()))
    return result
}
