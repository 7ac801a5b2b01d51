// Questions about a given file that only the worker can answer, since the daemon parses none: `--inspect` and `--origin`.
// Invariant: an answer against the file is the worker's own, given with the exit status of bad input. Whatever else ends a worker is a
// fault of the machine (docs/FAULTS.md): it is asked again, and then the error is of kind `.unavailable`, so that the client tries again.
import Glibc
public import SoradAPI
public import SoradSystem

/// Asks the worker for the facts of a given file: `worker --inspect PATH`.
/// - Parameter isAbandoned: whether nobody waits for the answer any more; asked ten times a second.
/// - Throws: `.badInput` with one clause about the file ("the PNG picture is cut off after 12 bytes"), `.unavailable`, `.cancelled`.
public func inspectReferenceFile(
    at path: String, worker: String, timeout: Duration = .seconds(100), isAbandoned: () -> Bool = { false }
) throws(SoradError) -> MediaFacts {
    try askAboutFile(["--inspect", path], worker: worker, timeout: timeout, isAbandoned: isAbandoned)
}

/// Asks the worker for the provenance mark of a given clip: `worker --origin PATH`.
/// - Throws: as `inspectReferenceFile`.
public func readProvenanceMark(
    at path: String, worker: String, isAbandoned: () -> Bool = { false }
) throws(SoradError) -> ProvenanceMark {
    try askAboutFile(["--origin", path], worker: worker, timeout: .seconds(60), isAbandoned: isAbandoned)
}

/// Runs the worker and reads its JSON answer from standard output.
private func askAboutFile<Answer: JSONRepresentable>(
    _ arguments: [String], worker: String, timeout: Duration, isAbandoned: () -> Bool
) throws(SoradError) -> Answer {
    var pauses = [200_000, 1_000_000].makeIterator()
    while true {
        switch try askOnce(arguments, worker, timeout, isAbandoned) as FileAnswer<Answer> {
        case .answer(let answer): return answer
        case .fault(let fault):
            guard let pause = pauses.next() else { throw fault }
            usleep(UInt32(pause))
        }
    }
}

private enum FileAnswer<Answer> {
    case answer(Answer)
    /// The machine's; another attempt may do better.
    case fault(SoradError)
}

private func askOnce<Answer: JSONRepresentable>(
    _ arguments: [String], _ worker: String, _ timeout: Duration, _ isAbandoned: () -> Bool
) throws(SoradError) -> FileAnswer<Answer> {
    func fault(_ what: String) -> SoradError {
        SoradError(.unavailable, "the given file cannot be looked at now: \(what); send the request again", retryAfter: 5)
    }
    let output: CapturedOutput
    do throws(Errno) {
        output = try captureOutput(of: .init(worker, arguments), timeout: timeout, limit: 1 << 16, shouldStop: isAbandoned)
    } catch { return .fault(fault("the worker \(worker) cannot be started: \(error.reason)")) }
    let sentence = output.sentence(of: "sorad-worker")
    switch output.end {
    case .ended(.exited(0)):
        do throws(JSONError) { return .answer(try Answer(json: try JSONValue(parsing: output.standardOutput))) } catch {
            throw SoradError(.internalFault, "the worker's description of a given file is not usable: \(error)")
        }
    case .ended(.exited(SoradError(.badInput, "").exitCode)) where !sentence.isEmpty: throw SoradError(.badInput, sentence)
    // The worker has tried for itself what a second attempt could mend.
    case .ended(.exited(SoradError(.unavailable, "").exitCode)) where !sentence.isEmpty,
        .ended(.exited(SoradError(.busy, "").exitCode)) where !sentence.isEmpty:
        throw fault(sentence)
    case .ended(let ending): return .fault(fault("the worker \(ending)\(sentence.isEmpty ? "" : ", saying: \(sentence)")"))
    case .tookTooLong, .stalled: throw fault("the worker did not answer within \(Int(timeout.inSeconds)) s")
    case .wroteTooMuch: throw SoradError(.internalFault, "the worker's description of a given file is longer than 64 KiB")
    case .abandoned: throw SoradError(.cancelled, "the client is gone")
    }
}
