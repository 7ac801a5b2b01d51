// A job that is not accepted yet but already has files: pictures and clips that came with its request.
// Invariant: the files and their names are durable before the job is recorded; a draft that is dropped unsubmitted removes them, and
// after a crash the next start does, because no record names their directory.
import Glibc
public import SoradAPI
public import SoradSystem
import Synchronization

/// The drafts of this process. Their directories have no record and are no orphans, whatever the wall clock says of their age.
final class OpenDrafts: Sendable {
    let names = Mutex<Set<String>>([])
}

public final class JobDraft: Sendable {
    public let id: JobIdentifier
    private let directory: String
    private let log: Log
    private let isKept = Atomic<Bool>(false)
    private let open: OpenDrafts

    /// `directory` exists and is empty.
    init(id: JobIdentifier, directory: String, log: Log, open: OpenDrafts) {
        self.id = id
        self.directory = directory
        self.log = log
        self.open = open
        open.names.withLock { _ = $0.insert(id.text) }
    }

    deinit {
        defer { open.names.withLock { _ = $0.remove(id.text) } }
        guard !isKept.load(ordering: .acquiring) else { return }
        do throws(Errno) { try removeDirectory(directory) } catch { log.error("cannot remove the files of \(id): \(error)") }
    }

    /// Where a given file belongs.
    public func path(_ file: ReferenceFile) -> String { path(named: file.rawValue) }

    func path(named name: String) -> String { "\(directory)/\(name)" }

    /// Whether a file of that name was taken, and where it lies.
    public func has(_ name: String) -> Bool { fileExists(path(named: name)) }
    public func place(named name: String) -> String { path(named: name) }

    /// Takes a finished job's file as a given one. It shares the storage and outlives that job.
    public func adopt(_ clip: String, as file: ReferenceFile) throws(SoradError) { try adopt(clip, named: file.rawValue) }

    /// As above, under a name of `ReferenceClip.fileName`.
    public func adopt(_ clip: String, named name: String) throws(SoradError) {
        let target = "\(directory)/\(name)"
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

    func failure(_ error: Errno) -> SoradError {
        if error.isOutOfSpace { return SoradError(.storageFull, "the disk that holds the jobs is full; free some space and try again") }
        return SoradError(.unavailable, "the given files could not be stored: \(error.reason)")
    }
}
