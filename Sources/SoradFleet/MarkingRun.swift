// The operator's marking command on a clip that came back from the pool: the boxes have neither that program nor its key. It may take minutes,
// so it has a thread of its own, and the place tells the daemon meanwhile that all is well.
// Invariant: the lock of the job's folder is held until the program has ended, so that a clip is not marked twice at the same time, also
// when its place was dropped and another one has the job.
import SoradMedia
import SoradSystem
import Synchronization

final class MarkingRun: Sendable {
    private struct State {
        var isAbandoned = false
        var outcome: Result<Void, SoradError>?
    }

    private let state = Mutex(State())

    /// - Parameter clip: as the box made it; the marked one will be at `folder.marked`.
    /// - Throws: `.unavailable` when no thread can be started.
    init(_ command: MarkingCommand, on clip: String, in folder: JobFolder, lock: OwnedFile) throws(SoradError) {
        do throws(Errno) {
            try SystemThread(name: "marking", stackSize: 2 << 20) { [self] in
                let outcome: Result<Void, SoradError>
                do throws(SoradError) {
                    try command.mark(clip, into: folder.marked, in: folder.path) { self.isAbandoned }
                    outcome = .success(())
                } catch { outcome = .failure(error) }
                withExtendedLifetime(lock) { state.withLock { $0.outcome = outcome } }
            }.detach()
        } catch { throw SoradError(.unavailable, "cannot start a thread: \(error.reason)") }
    }

    /// nil while the program runs.
    var outcome: Result<Void, SoradError>? { state.withLock { $0.outcome } }

    private var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    /// Ends the program.
    func abandon() { state.withLock { $0.isAbandoned = true } }
}
