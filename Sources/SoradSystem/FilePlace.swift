// What lies at a path that somebody named for output, so that nothing but a plain file is ever replaced.
import Glibc

/// The kind, the rights and the identity of a file of any kind.
public struct FilePlace: Sendable, Equatable {
    public enum Kind: String, Sendable {
        case regular = "a file", directory = "a directory", link = "a symbolic link", pipe = "a pipe", socket = "a socket",
            device = "a device"
    }

    public let kind: Kind
    /// Permission bits.
    public let mode: UInt32
    public let owner: UInt32
    public let group: UInt32
    private let device: UInt64
    private let inode: UInt64

    /// nil when nothing can be seen there.
    public init?(_ path: String, followingLinks: Bool) {
        var status = stat()
        guard unsafe (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        self.init(status)
    }

    /// What a standard stream leads to; nil when it is closed.
    public init?(_ stream: StandardStream) {
        var status = stat()
        guard unsafe fstat(stream.rawValue, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .link
            case S_IFIFO: .pipe
            case S_IFSOCK: .socket
            default: .device
            }
        mode = UInt32(status.st_mode) & 0o7777
        owner = UInt32(status.st_uid)
        group = UInt32(status.st_gid)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// Two names of one file.
    public func isSame(as other: FilePlace) -> Bool { device == other.device && inode == other.inode }
}

/// The path that symbolic links at `path` lead to in the end, whether something is there or not.
/// - Throws: ELOOP for links that lead in a circle.
public func pathBehindLinks(_ path: String) throws(Errno) -> String {
    var path = path
    for _ in 0..<40 {
        guard FilePlace(path, followingLinks: false)?.kind == .link else { return path }
        var bytes = [CChar](repeating: 0, count: 4096)
        let link = path
        let count = try systemCall("readlink \(link)") { unsafe readlink(link, &bytes, bytes.count) }
        let target = String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        path = target.hasPrefix("/") ? target : (path.lastIndex(of: "/").map { String(path[...$0]) } ?? "") + target
    }
    throw Errno(code: ELOOP, call: "readlink \(path)")
}

/// Whether this process may write to the file at `path`.
public func mayWrite(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }
