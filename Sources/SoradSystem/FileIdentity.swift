// Tells whether a file is still the same, by the kernel's metadata, without reading it.
// Invariant: whoever changes the contents of a file changes its change time, which no program can set back; only within the clock's
// coarse tick two changes can look like one, and `isSettled` says when that has passed.
import Glibc

/// Identifies one state of one file.
public struct FileIdentity: Sendable, Equatable, Hashable {
    public let device: UInt64
    public let inode: UInt64
    public let size: Int64
    /// Nanoseconds since 1970.
    public let modified: Int64
    public let changed: Int64

    /// The identity of the file at `path`; symbolic links are followed.
    public init(_ path: String) throws(Errno) {
        var status = stat()
        try systemCall("stat \(path)") { unsafe stat(path, &status) }
        self.init(status)
    }

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
    }

    /// Whether the last change lies so far back that a further one would show: two seconds, the coarsest tick of a file system here.
    /// A file whose times lie in the future is never settled.
    public func isSettled(unixMilliseconds: Int64) -> Bool { max(modified, changed) / 1_000_000 + 2_000 <= unixMilliseconds }

    /// For a database: one text for one identity.
    public var text: String { "\(device):\(inode):\(size):\(modified):\(changed)" }
}
