// Syncs checkpoints on a background thread, because waiting for the disk would cost a quick clip more than its own time.
// Invariant: at most one thread at a time; the file that it syncs is not written to meanwhile (`spared`), so a durable file holds on the disk
// what was in it when its sync began. A failed sync is never retried: the file is not durable until it is written again.
import Glibc
import SoradSystem
import Synchronization

final class BackgroundSync: Sendable {
    private struct State {
        var pacing: Pacing
        var isBusy = false
        /// Of the files in turn, the one that is being synced and the last one that was.
        var syncing: Int?
        var durable: Int?
        /// The files' names are durable too.
        var knowsNames = Set<Int>()
    }

    private let state: Mutex<State>
    private let directory: String
    private let time: TimeSource

    init(directory: String, pacing: Pacing, time: TimeSource) {
        self.directory = directory
        self.time = time
        state = Mutex(State(pacing: pacing))
    }

    /// Files that must not be written to now.
    var spared: [Int] { state.withLock { [$0.syncing, $0.durable].compactMap { $0 } } }

    /// The last one that was made durable.
    var durable: Int? { state.withLock { $0.durable } }

    /// Returns when nothing is being synced.
    func wait() { while state.withLock({ $0.isBusy }) { usleep(1_000) } }

    /// An earlier worker's file is on the disk.
    func hasDurable(_ slot: Int) { state.withLock { $0.durable = slot } }

    /// Begins to make `files` durable, unless that is still being done for others or was done only just now.
    /// - Parameter slot: which of the files in turn the last one of them is; nil for none.
    /// - Returns: whether it began.
    func begin(_ files: [OwnedFile], slot: Int?) -> Bool {
        let isDue = state.withLock { state in
            guard !state.isBusy, state.pacing.isDue(at: time.monotonic()) else { return false }
            state.isBusy = true
            state.syncing = slot
            return true
        }
        guard isDue else { return false }
        do throws(Errno) {
            try SystemThread(name: "checkpoint") { [self] in
                let began = time.monotonic()
                let isDurable = sync(files, slot)
                let ended = time.monotonic()
                state.withLock { state in
                    state.isBusy = false
                    state.syncing = nil
                    if isDurable, let slot {
                        state.durable = slot
                        state.knowsNames.insert(slot)
                    }
                    state.pacing.done(from: began, to: ended)
                }
            }.detach()
        } catch { state.withLock { ($0.isBusy, $0.syncing) = (false, nil) } }
        return true
    }

    private func sync(_ files: [OwnedFile], _ slot: Int?) -> Bool {
        do throws(Errno) {
            for file in files { try file.descriptor.syncData() }
            let isNameKnown = slot.map { slot in state.withLock { $0.knowsNames.contains(slot) } } ?? false
            if !isNameKnown { try syncDirectory(directory) }
            return true
        } catch { return false }
    }
}
