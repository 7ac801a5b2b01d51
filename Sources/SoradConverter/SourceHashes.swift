// Owns the SHA-256 of the source files, which a thread of its own computes next to the conversion. It hashes a file when the first of its
// tensors is asked for, so that the file comes from the disk once and the conversion finds it in the page cache.
import Glibc
import SoradSystem
import Synchronization

/// "NAME SHA256" of every source, and the newest modification time.
final class SourceHashes: Sendable {
    private let shared: Shared
    private let thread: SystemThread?

    private struct State {
        /// Sources that were not begun, and those of them that may be.
        var left: [Int]
        var allowed: Set<String> = []
        /// All may be begun.
        var isLast = false
        /// Nobody waits for the result.
        var isAbandoned = false
        var lines: [Int: String] = [:]
        var newest = 0
        var failure: SoradError?
    }

    private final class Shared: Sendable {
        let files: [(name: String, path: String)]
        let state: Mutex<State>

        init(_ files: [(name: String, path: String)]) {
            self.files = files
            state = Mutex(State(left: Array(files.indices)))
        }
    }

    init(_ files: [(name: String, path: String)]) {
        let shared = Shared(files)
        self.shared = shared
        // Without a thread, `wait` does it all.
        thread = try? SystemThread(name: "hashes") { Self.work(shared) }
    }

    deinit { shared.state.withLock { $0.isAbandoned = true } }

    /// The tensors of `path` are being read.
    func begin(_ path: String) { shared.state.withLock { _ = $0.allowed.insert(path) } }

    /// Call once, when all tensors were read.
    func wait() throws(SoradError) -> (lines: [String], newest: Int) {
        shared.state.withLock { $0.isLast = true }
        Self.work(shared)
        while shared.state.withLock({ $0.lines.count < shared.files.count && $0.failure == nil }) { usleep(1000) }
        let state = shared.state.withLock { $0 }
        if let failure = state.failure { throw failure }
        return (shared.files.indices.compactMap { state.lines[$0] }, state.newest)
    }

    /// Hashes files as long as there are any.
    private static func work(_ shared: Shared) {
        while true {
            let index = shared.state.withLock { state -> Int? in
                let place = state.left.firstIndex { state.isLast || state.allowed.contains(shared.files[$0].path) }
                return place.map { state.left.remove(at: $0) }
            }
            guard let index else {
                guard !shared.state.withLock({ $0.left.isEmpty || $0.isLast || $0.isAbandoned || $0.failure != nil }) else { return }
                usleep(10_000)
                continue
            }
            let (name, path) = shared.files[index]
            do throws(SoradError) {
                let file = try MappedFile(path)
                guard let hash = hash(file, shared) else { return }
                shared.state.withLock { state in
                    state.lines[index] = "\(name) \(hash)"
                    state.newest = max(state.newest, file.modified)
                }
            } catch { shared.state.withLock { $0.failure = $0.failure ?? error } }
        }
    }

    /// nil when nobody waits for it any more.
    private static func hash(_ file: MappedFile, _ shared: Shared) -> String? {
        var sum = SHA256()
        let step = 64 << 20
        for start in stride(from: 0, to: file.size, by: step) {
            guard !shared.state.withLock({ $0.isAbandoned }) else { return nil }
            let range = MappedRange(file: file, offset: start, count: min(step, file.size - start))
            range.withBytes { sum.update($0) }
        }
        return SHA256.hexadecimal(sum.finalize())
    }
}
