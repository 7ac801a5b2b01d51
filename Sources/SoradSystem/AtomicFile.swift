// Writes a file so that its path shows either the old contents or the whole new ones, whatever dies in between: a file without a name in
// the same directory, fsync, a temporary name, rename, fsync of the directory. Where the file system has no files without names, the
// temporary name is there from the beginning.
//
// Invariant: until `commit` the path is untouched; a writer that goes away uncommitted removes its temporary file. Only a plain file that may
// be written is replaced, and keeps its rights and its owner: symbolic links are followed, and devices, pipes and sockets are refused.
import Glibc

/// A file being written, to appear at `path` on `commit()`.
public struct AtomicFile: ~Copyable {
    public let path: String
    private let temporaryPath: String
    /// Whether the temporary name is there before `commit`.
    private let hasName: Bool
    private let descriptor: FileDescriptor
    private var buffer: [UInt8] = []
    private var committed = false
    /// Bytes taken so far.
    public private(set) var count = 0

    private static let bufferLimit = 1 << 20

    /// Begins a file that will appear at `path` with `mode`, less the umask, or with the rights of the file that it replaces.
    public init(_ path: String, mode: UInt32 = 0o644) throws(SoradError) {
        let target: String
        do throws(Errno) { target = try pathBehindLinks(path) } catch { throw Self.explain(error, path) }
        let (directory, name) = Self.split(target)
        let replaced = FilePlace(target, followingLinks: false)
        guard !name.isEmpty, replaced?.kind != .directory else { throw SoradError(.usage, "\(path) names a directory, not a file") }
        if let replaced {
            guard replaced.kind == .regular else {
                throw SoradError(.cannotCreate, "cannot create \(path): \(replaced.kind.rawValue) is there", hint: "name another file")
            }
            guard mayWrite(target) else { throw SoradError(.cannotCreate, "cannot replace \(path): it may not be written") }
        }
        // At most 255 bytes, whatever the name.
        let temporaryPath = "\(directory)/.\(name.prefix(48)).\(getpid()).partial"
        let descriptor: FileDescriptor
        if let unnamed = Self.unnamed(in: directory, mode) {
            descriptor = unnamed
            hasName = false
        } else {
            descriptor = try Self.create(temporaryPath, for: path, mode)
            hasName = true
        }
        if let replaced {
            // Only root can give a file away; for others it stays their own.
            _ = fchown(descriptor.rawValue, replaced.owner, replaced.group)
            _ = fchmod(descriptor.rawValue, replaced.mode)
        }
        self.descriptor = descriptor
        self.temporaryPath = temporaryPath
        self.path = target
    }

    deinit {
        if hasName && !committed { unsafe _ = unlink(temporaryPath) }
    }

    /// Appends `bytes`.
    public mutating func write(_ bytes: RawSpan) throws(SoradError) {
        count += bytes.byteCount
        if bytes.byteCount < Self.bufferLimit - buffer.count {
            unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
            return
        }
        try flush()
        try store(bytes)
    }

    public mutating func write(_ bytes: [UInt8]) throws(SoradError) { unsafe try write(bytes.span.bytes) }

    /// Overwrites bytes that were appended before; `position` + `bytes.count` must not exceed `count`.
    public mutating func overwrite(_ bytes: [UInt8], at position: Int) throws(SoradError) {
        precondition(position >= 0 && position + bytes.count <= count, "overwriting \(position)+\(bytes.count) of \(count) bytes")
        try flush()
        let fd = descriptor.rawValue
        var done = 0
        while done < bytes.count {
            let start = done
            do throws(Errno) {
                done += try systemCall("pwrite") {
                    unsafe bytes.withUnsafeBytes {
                        unsafe pwrite(fd, $0.baseAddress! + start, bytes.count - start, off_t(position + start))
                    }
                }
            } catch {
                throw Self.explain(error, path)
            }
        }
    }

    /// Makes the file durable and visible at `path`, over whatever was there.
    public consuming func commit() throws(SoradError) {
        try flush()
        let fd = descriptor.rawValue
        let (from, to) = (temporaryPath, path)
        do throws(Errno) {
            try systemCall("fsync") { fsync(fd) }
            if !hasName {
                // A file of that name can only be the rest of a process that had this one's number.
                unsafe _ = unlink(from)
                try systemCall("linkat") { unsafe linkat(AT_FDCWD, "/proc/self/fd/\(fd)", AT_FDCWD, from, AT_SYMLINK_FOLLOW) }
            }
            try systemCall("rename") { unsafe rename(from, to) }
            committed = true
            let directory = try FileDescriptor(opening: Self.split(path).directory, flags: O_RDONLY | O_DIRECTORY)
            let directoryDescriptor = directory.rawValue
            try systemCall("fsync") { fsync(directoryDescriptor) }
        } catch {
            if !committed { unsafe _ = unlink(from) }
            throw Self.explain(error, path)
        }
    }

    private mutating func flush() throws(SoradError) {
        guard !buffer.isEmpty else { return }
        let full = buffer
        buffer = []
        try unsafe store(full.span.bytes)
    }

    private func store(_ bytes: RawSpan) throws(SoradError) {
        let fd = descriptor.rawValue
        var done = 0
        while done < bytes.byteCount {
            let start = done
            do throws(Errno) {
                done += try systemCall("write") {
                    unsafe bytes.withUnsafeBytes { unsafe Glibc.write(fd, $0.baseAddress! + start, bytes.byteCount - start) }
                }
            } catch {
                throw Self.explain(error, path)
            }
        }
    }

    /// A file that goes with its descriptor until it gets a name; nil where there are none.
    private static func unnamed(in directory: String, _ mode: UInt32) -> FileDescriptor? {
        // Without /proc it could not be given a name.
        guard directoryExists("/proc/self/fd") else { return nil }
        return try? FileDescriptor(opening: directory, flags: O_WRONLY | O_DIRECTORY | 0o20000000, mode: mode)
    }

    private static func create(_ temporaryPath: String, for path: String, _ mode: UInt32) throws(SoradError) -> FileDescriptor {
        do throws(Errno) {
            return try FileDescriptor(opening: temporaryPath, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
        } catch {
            throw explain(error, path)
        }
    }

    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let directory = String(path[..<slash])
        return (directory.isEmpty ? "/" : directory, String(path[path.index(after: slash)...]))
    }

    private static func explain(_ error: Errno, _ path: String) -> SoradError {
        switch error.code {
        case ENOSPC, EDQUOT: SoradError(.storageFull, "cannot write \(path): the disk is full", hint: "free some space and try again")
        case ENOENT where FilePlace(split(path).directory, followingLinks: true)?.kind == .directory:
            SoradError(.cannotCreate, "cannot create \(path): its directory takes no new files")
        case ENOENT, ENOTDIR: SoradError(.cannotCreate, "cannot create \(path): its directory does not exist")
        case EACCES, EPERM, EROFS, ELOOP, ENAMETOOLONG: SoradError(.cannotCreate, "cannot create \(path): \(error.reason)")
        default: SoradError(.cannotWrite, "cannot write \(path): \(error.reason)")
        }
    }
}
