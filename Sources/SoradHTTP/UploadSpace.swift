// The disk space that uploads may take while their requests are read and handled.
// Invariant: uploads never take the space that must stay free, and one user's never take more than half of what there is above it, so
// that there is always as much for the others.
package import SoradSystem
import Synchronization

public final class UploadSpace: Sendable {
    private struct State {
        var total = 0
        var files = 0
        var byUser: [UInt32: (bytes: Int, files: Int)] = [:]
    }

    private let state = Mutex(State())
    private let bytesLimit: Int
    private let filesLimit: Int
    private let free: @Sendable () -> Int?
    /// The disk is asked once for as many bytes of a file.
    static let step = 1 << 20

    /// - Parameters:
    ///   - bytes: of all uploads together.
    ///   - files: that are open at once.
    ///   - free: bytes that may be taken now: what must stay free is not in it. nil when that is not known.
    public init(bytes: Int, files: Int, free: @escaping @Sendable () -> Int?) {
        bytesLimit = bytes
        filesLimit = files
        self.free = free
    }

    /// The share of one file, given back with its last reference.
    package final class Share: Sendable {
        private let space: UploadSpace
        private let user: UInt32
        private let bytes = Mutex(0)

        fileprivate init(_ space: UploadSpace, _ user: UInt32) {
            self.space = space
            self.user = user
        }

        /// Before a file that has `size` bytes grows by `count`.
        /// - Throws: `.storageFull`, `.busy`; nothing is taken then.
        package func grow(from size: Int, by count: Int) throws(SoradError) {
            let taken = bytes.withLock { $0 }
            guard size + count > taken else { return }
            let more = (size + count - taken + UploadSpace.step - 1) / UploadSpace.step * UploadSpace.step
            try space.take(more, user)
            bytes.withLock { $0 += more }
        }

        deinit { space.giveBack(bytes.withLock { $0 }, user) }
    }

    /// A share for a new file of `user`.
    package func share(of user: UInt32) throws(SoradError) -> Share {
        let isTaken = state.withLock { state in
            let own = state.byUser[user] ?? (0, 0)
            guard state.files < filesLimit, own.files < max(1, filesLimit / 2) else { return false }
            state.files += 1
            state.byUser[user] = (own.bytes, own.files + 1)
            return true
        }
        guard isTaken else {
            throw SoradError(
                .busy, "too many files are being uploaded at the moment; try again later", code: "too_many_uploads", retryAfter: 5)
        }
        return Share(self, user)
    }

    private func take(_ count: Int, _ user: UInt32) throws(SoradError) {
        // The space of uploads that are under way is taken already, but for what they have asked for and not written yet.
        let free = free() ?? Int.max
        let refusal = state.withLock { state -> SoradError? in
            let own = state.byUser[user] ?? (0, 0)
            guard count <= free else {
                return SoradError(
                    .storageFull, "the disk has no space for the upload above what must stay free; free some space and try again")
            }
            // Half of what there would be without this user's uploads.
            guard own.bytes + count <= max(UploadSpace.step, (min(free, Int.max / 2) + own.bytes) / 2) else {
                return SoradError(
                    .busy, "your uploads take \(own.bytes >> 20) MiB already, which is half of the disk's free space; wait for one to end",
                    code: "too_many_uploads", retryAfter: 10)
            }
            guard state.total + count <= bytesLimit else {
                return SoradError(
                    .busy, "the uploads that are under way take \(state.total >> 20) MiB already; try again later",
                    code: "too_many_uploads",
                    retryAfter: 10)
            }
            state.total += count
            state.byUser[user] = (own.bytes + count, own.files)
            return nil
        }
        if let refusal { throw refusal }
    }

    private func giveBack(_ count: Int, _ user: UInt32) {
        state.withLock { state in
            let own = state.byUser[user] ?? (0, 0)
            state.total -= count
            state.files -= 1
            state.byUser[user] = own.files <= 1 ? nil : (own.bytes - count, own.files - 1)
        }
    }

    /// Bytes that uploads have asked for.
    package var bytesTaken: Int { state.withLock { $0.total } }
}
