// The files of jobs: one directory per job, named by its identifier.
// Invariant: a job is recorded as completed only after its files and their names are durable; files without a record are removed at
// the next start. So database and spool agree after any crash.
package import SoradAPI
public import SoradSystem

public struct Spool: Sendable {
    public let path: String

    /// Makes the directory when it is missing.
    public init(path: String) throws(SoradError) {
        self.path = path
        do throws(Errno) { try makeDirectories(path) } catch {
            throw SoradError(.configuration, "cannot make the spool directory \(path): \(error.reason)")
        }
    }

    private static var full: SoradError { SoradError(.storageFull, "the disk that holds the clips is full") }

    public func directory(of id: JobIdentifier) -> String { "\(path)/\(id.text)" }

    /// The directory for the worker to write to.
    package func prepare(_ id: JobIdentifier) throws(Errno) { try makeDirectories(directory(of: id)) }

    /// Makes a finished job's files durable.
    /// - Throws: `.internalFault` when the worker named a file that is not a plain name in the job's directory; `.cannotWrite` when one is
    ///   not there, is empty, or the disk fails: made again it may be whole; `.storageFull`.
    package func seal(_ id: JobIdentifier, _ result: ClipResult) throws(SoradError) {
        for name in [result.video, result.thumbnail, result.spritesheet] + [result.latents].compactMap({ $0 }) {
            guard !name.isEmpty, !name.contains("/"), name != ".", name != "..", !name.utf8.contains(0) else {
                throw SoradError(.internalFault, "the worker named a result \"\(name.prefix(64))\", which is not a file name")
            }
            do throws(Errno) {
                let file = try FileDescriptor(openingForReading: "\(directory(of: id))/\(name)")
                guard try file.regularFileSize() > 0 else { throw Errno(code: 0, call: "empty") }
                try file.sync()
            } catch {
                if error.isOutOfSpace { throw Spool.full }
                throw SoradError(
                    .cannotWrite, "the worker's result \(name) is \(error.code == 0 ? "empty" : "not usable: \(error.reason)")")
            }
        }
        do throws(Errno) { try syncDirectory(directory(of: id)) } catch {
            if error.isOutOfSpace { throw Spool.full }
            throw SoradError(.cannotWrite, "the results of \(id) could not be made durable: \(error.reason)")
        }
    }

    /// After its result is recorded: nobody takes the job up again, nor are the files of use that a killed worker had begun (their names
    /// begin with a full stop).
    package func removeCheckpoint(_ id: JobIdentifier) {
        let names = (try? fileNames(in: directory(of: id))) ?? []
        for name in names where CheckpointName.all.contains(name) || name.hasPrefix(".") { removeFile("\(directory(of: id))/\(name)") }
    }

    package func remove(_ id: JobIdentifier) throws(Errno) { try removeDirectory(directory(of: id)) }

    /// Removes directories that no record names and returns their names. `before`: only older ones, in milliseconds since 1970.
    package func removeOrphans(keeping known: Set<String>, before limit: Int64 = .max) throws(Errno) -> [String] {
        var removed: [String] = []
        for name in try directoryEntries(path) {
            guard let id = JobIdentifier(name), id.milliseconds < limit, !known.contains(name) else { continue }
            try removeDirectory("\(path)/\(name)")
            removed.append(name)
        }
        return removed
    }
}
