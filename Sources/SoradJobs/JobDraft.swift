// A job that is not accepted yet but already has files: pictures and clips that came with its request.
// Invariant: the files and their names are durable before the job is recorded; a draft that is dropped unsubmitted removes them, and
// after a crash the next start does, because no record names their directory.
import Glibc
public import SoradAPI
public import SoradSystem
import Synchronization

public final class JobDraft: Sendable {
    public let id: JobIdentifier
    private let directory: String
    private let log: Log
    private let isKept = Atomic<Bool>(false)

    /// `directory` exists and is empty.
    init(id: JobIdentifier, directory: String, log: Log) {
        self.id = id
        self.directory = directory
        self.log = log
    }

    deinit {
        guard !isKept.load(ordering: .acquiring) else { return }
        do throws(Errno) { try removeDirectory(directory) } catch { log.error("cannot remove the files of \(id): \(error)") }
    }

    /// Where a given file belongs.
    public func path(_ file: GivenFile) -> String { "\(directory)/\(file.rawValue)" }

    /// Takes a finished job's clip as a given file. It shares the clip's storage and outlives that job.
    public func adopt(_ clip: String, as file: GivenFile) throws(SoradError) {
        let target = path(file)
        do throws(Errno) {
            try systemCall("link") { unsafe link(clip, target) }
        } catch {
            if error.isNoSuchFile { throw SoradError(.notFound, "the clip is no longer there") }
            throw failure(error)
        }
    }

    /// Makes the files durable.
    func seal() throws(SoradError) {
        do throws(Errno) {
            for name in try directoryEntries(directory) { try syncFile("\(directory)/\(name)") }
            try syncDirectory(directory)
        } catch { throw failure(error) }
    }

    func keep() { isKept.store(true, ordering: .releasing) }

    private func failure(_ error: Errno) -> SoradError {
        if error.isOutOfSpace { return SoradError(.storageFull, "the disk that holds the jobs is full; free some space and try again") }
        return SoradError(.internalFault, "the given files could not be stored: \(error.reason)")
    }
}

/// Asks the worker, the only program that decodes, for the facts of a given file: `worker --inspect PATH`.
/// - Throws: `.badInput` with one clause about the file ("the PNG picture is cut off after 12 bytes").
public func inspectGivenFile(at path: String, worker: String, timeout: Duration = .seconds(60)) throws(SoradError) -> MediaFacts {
    try askAboutGivenFile(["--inspect", path], worker: worker, timeout: timeout)
}

/// Runs the worker and reads its JSON answer from standard output.
/// - Throws: `.badInput` with one clause about the file.
func askAboutGivenFile<Answer: JSONRepresentable>(_ arguments: [String], worker: String, timeout: Duration) throws(SoradError) -> Answer {
    let output: CapturedOutput
    do throws(Errno) {
        output = try captureOutput(of: .init(worker, arguments), timeout: timeout, limit: 1 << 16)
    } catch {
        throw SoradError(.unavailable, "the worker \(worker) cannot be run: \(error.reason)")
    }
    guard let ending = output.ending else { throw SoradError(.badInput, "it takes too long to read") }
    guard ending.isSuccess else {
        let line = String(decoding: output.standardError.prefix(2_000), as: UTF8.self).split(separator: "\n").first ?? ""
        let sentence = line.hasPrefix("sorad-worker: ") ? line.dropFirst("sorad-worker: ".count) : line
        // 65 is the exit status of bad input; anything else is a trouble of ours.
        guard ending == .exited(SoradError(.badInput, "").exitCode), !sentence.isEmpty else {
            throw SoradError(
                .internalFault, "the given file cannot be looked at: the worker \(ending)\(sentence.isEmpty ? "" : ", saying: \(sentence)")"
            )
        }
        throw SoradError(.badInput, String(sentence))
    }
    do throws(JSONError) {
        return try Answer(json: try JSONValue(parsing: output.standardOutput))
    } catch {
        throw SoradError(.internalFault, "the worker's description of a given file is not usable: \(error)")
    }
}
