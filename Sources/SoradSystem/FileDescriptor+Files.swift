// Regular files through a descriptor: sizes, positions, and temporary files that are moved into place.
import CSoradLinux
import Glibc

extension Errno {
    public var isNoSuchFile: Bool { code == ENOENT || code == ENOTDIR }
    public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
}

extension FileDescriptor {
    /// Opens an existing file for reading; a symbolic link in the last component is refused.
    public init(openingForReading path: String) throws(Errno) {
        try self.init(opening: path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    }

    /// Makes a new file at `path`, which must not exist, for reading and writing.
    public init(creating path: String, mode: UInt32 = 0o600) throws(Errno) {
        try self.init(opening: path, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
    }

    /// A file without a name that holds `bytes` and stands at their beginning.
    public static func inMemory(_ bytes: [UInt8]) throws(Errno) -> FileDescriptor {
        let file = FileDescriptor(owning: try systemCall("memfd_create") { unsafe sorad_linux_memory_file("sorad") })
        try file.write(bytes, at: 0)
        return file
    }

    /// Bytes of a regular file; anything else throws EINVAL.
    public borrowing func regularFileSize() throws(Errno) -> Int {
        let fd = rawValue
        var status = stat()
        try systemCall("fstat") { unsafe fstat(fd, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Errno(code: EINVAL, call: "fstat") }
        return Int(status.st_size)
    }

    /// Cuts a file off behind its first `size` bytes; a shorter one is left as it is.
    public borrowing func shorten(to size: Int) throws(Errno) {
        let fd = rawValue
        guard try regularFileSize() > size else { return }
        try systemCall("ftruncate") { ftruncate(fd, off_t(size)) }
    }

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    public borrowing func read(at offset: Int, count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        let got = try read(at: offset, into: &raw)
        bytes.removeLast(count - got)
        return bytes
    }

    /// Fills `bytes` from `offset` on.
    /// - Returns: how many were there; fewer only at the end of the file.
    public borrowing func read(at offset: Int, into bytes: inout MutableRawSpan) throws(Errno) -> Int {
        let (fd, count) = (rawValue, bytes.byteCount)
        var done = 0
        while done < count {
            let start = done
            let got = try systemCall("pread") {
                unsafe bytes.withUnsafeMutableBytes { unsafe pread(fd, $0.baseAddress! + start, count - start, off_t(offset + start)) }
            }
            if got == 0 { break }
            done += got
        }
        return done
    }

    /// Writes all of `bytes` from `offset` on.
    public borrowing func write(_ bytes: [UInt8], at offset: Int) throws(Errno) { unsafe try write(bytes.span.bytes, at: offset) }

    /// Writes all of `bytes` from `offset` on.
    public borrowing func write(_ bytes: RawSpan, at offset: Int) throws(Errno) {
        let fd = rawValue
        var done = 0
        while done < bytes.byteCount {
            let start = done
            done += try systemCall("pwrite") {
                unsafe bytes.withUnsafeBytes { unsafe pwrite(fd, $0.baseAddress! + start, $0.count - start, off_t(offset + start)) }
            }
        }
    }
}

/// Appends `bytes` to the file at `path`, which is made where it is missing; `replacing` empties it first.
public func appendToFile(_ path: String, _ bytes: [UInt8], replacing: Bool = false) throws(Errno) {
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | (replacing ? O_TRUNC : 0)
    try FileDescriptor(opening: path, flags: flags, mode: 0o644).write(bytes)
}

/// Removes the file at `path`; one that is not there is no error.
public func removeFile(_ path: String) {
    _ = unsafe Glibc.unlink(path)
}

/// Gives the file at `old` the further name `new`, which must not exist, and takes the old name away. Same file system.
public func moveFile(_ old: String, to new: String) throws(Errno) {
    try systemCall("link") { unsafe Glibc.link(old, new) }
    removeFile(old)
}

/// This process.
public func processIdentifier() -> Int32 { Glibc.getpid() }

/// Names in a directory, without "." and "..".
public func fileNames(in directory: String) throws(Errno) -> [String] {
    guard let stream = unsafe opendir(directory) else { throw Errno(code: errno, call: "opendir \(directory)") }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
            unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}

/// A descriptor for several who use it: a closure, or a thread that writes and another that makes durable.
public final class OwnedFile: Sendable {
    public let descriptor: FileDescriptor

    public init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}
