// The free space of a file system, and space that is reserved.
import Glibc

public struct DiskSpace: Sendable, Equatable {
    /// Bytes that this process may still write.
    public let free: Int
    public let total: Int

    public init(free: Int, total: Int) {
        self.free = free
        self.total = total
    }

    /// Of the file system that holds `path`.
    public init(at path: String) throws(Errno) {
        var status = Glibc.statvfs()
        try systemCall("statvfs \(path)") { unsafe statvfs(path, &status) }
        let block = Int(clamping: status.f_frsize)
        func bytes(_ blocks: fsblkcnt_t) -> Int {
            let (product, overflow) = Int(clamping: blocks).multipliedReportingOverflow(by: block)
            return overflow ? .max : product
        }
        free = bytes(status.f_bavail)
        total = bytes(status.f_blocks)
    }
}

/// Makes `path` a file of `size` bytes whose space on the disk is reserved, durably.
public func reserveFile(_ path: String, size: Int) throws(Errno) {
    do throws(Errno) {
        let file = try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW)
        // Returns the error itself, unlike most calls.
        let code = posix_fallocate(file.rawValue, 0, off_t(size))
        guard code == 0 else { throw Errno(code: code, call: "posix_fallocate \(path)") }
        try file.sync()
    } catch {
        removeFile(path)
        throw error
    }
}
