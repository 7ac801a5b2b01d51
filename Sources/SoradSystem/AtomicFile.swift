// Writes a file so that its path shows either the old contents or the whole new ones, whatever dies in between: a file without a name in
// the same directory, fsync, a temporary name, rename, fsync of the directory. Where the file system has no files without names, the
// temporary name is there from the beginning, and the file is locked, so that what a dead writer left can be told from one that writes.
//
// Invariant: until `commit` the path is untouched; a writer that goes away uncommitted removes its temporary file, unless that is one to be
// continued. Only a plain file that may be written is replaced, and keeps its rights and its owner: symbolic links are followed, and devices,
// pipes and sockets are refused.
import CSoradLinux
import Glibc
import Synchronization

/// A file being written, to appear at `path` on `commit()`.
public struct AtomicFile: ~Copyable {
    public let path: String
    private let temporaryPath: String
    /// Whether the temporary name is there before `commit`.
    private let hasName: Bool
    /// Whether the temporary file stays when the writer goes away.
    private let isResumable: Bool
    private let descriptor: FileDescriptor
    private var buffer: [UInt8] = []
    private var committed = false
    /// Bytes taken so far.
    public private(set) var count = 0

    private static let bufferLimit = 1 << 20
    /// Temporary names of this process that would be left behind if it ended now.
    private static let unfinished = Mutex<Set<String>>([])

    /// Begins a file that will appear at `path` with `mode`, less the umask, or with the rights of the file that it replaces.
    /// - Parameter isResumable: until then it is `path`.partial, which stays when the writer goes away. What an earlier writer left there can
    ///   be read, and `resume` must be called before anything is written.
    public init(_ path: String, mode: UInt32 = 0o644, isResumable: Bool = false) throws(SoradError) {
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
        let temporaryPath = isResumable ? target + Self.ending : Self.temporaryPath(directory, name)
        let descriptor: FileDescriptor
        if isResumable {
            descriptor = try Self.open(temporaryPath, for: path, mode)
            hasName = true
        } else if let unnamed = Self.unnamed(in: directory, mode) {
            descriptor = unnamed
            // For the moment in which it has its temporary name.
            _ = try? descriptor.tryLock()
            hasName = false
        } else {
            Self.removeRemains(of: target)
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
        self.isResumable = isResumable
    }

    deinit {
        if hasName && !committed && !isResumable { Self.abandon(temporaryPath) }
    }

    /// Removes the temporary files of all writers of this process, which must end at once: for a program that is interrupted.
    public static func abandonAll() { unfinished.withLock { names in names.forEach(removeFile) } }

    /// Removes what writers of `path` that were killed have left in its folder.
    public static func removeRemains(of path: String) {
        let (directory, name) = split(path)
        let stem = stem(name)
        guard let names = try? fileNames(in: directory) else { return }
        for name in names where name.hasPrefix(stem) && name.hasSuffix(ending) && name.utf8.count > stem.utf8.count + ending.utf8.count {
            guard name.dropFirst(stem.count).dropLast(ending.count).allSatisfy(\.isWholeNumber) else { continue }
            let remains = "\(directory)/\(name)"
            // Whoever still writes it has locked it.
            guard let file = try? FileDescriptor(openingForReading: remains), (try? file.tryLock()) == true else { continue }
            removeFile(remains)
        }
    }

    /// Where the unfinished file is that can be continued.
    public var partialPath: String { temporaryPath }

    /// Bytes of the unfinished file at `offset` that were flushed; fewer only at its end.
    public func read(at offset: Int, count: Int) throws(SoradError) -> [UInt8] {
        do throws(Errno) { return try descriptor.read(at: offset, count: count) } catch { throw Self.explain(error, path) }
    }

    /// Keeps the first `position` bytes of it, and continues behind them.
    public mutating func resume(at position: Int) throws(SoradError) {
        precondition(isResumable && buffer.isEmpty, "resuming \(path)")
        let fd = descriptor.rawValue
        do throws(Errno) {
            try systemCall("ftruncate") { ftruncate(fd, off_t(position)) }
            try systemCall("lseek") { lseek(fd, off_t(position), SEEK_SET) }
        } catch {
            throw Self.explain(error, path)
        }
        count = position
    }

    /// Sets space on the disk aside for a file of `size` bytes, where the file system can.
    /// - Throws: `.storageFull` where there is less.
    public func reserve(_ size: Int) throws(SoradError) {
        let fd = descriptor.rawValue
        do throws(Errno) {
            try systemCall("fallocate") { sorad_linux_reserve(fd, off_t(size)) }
        } catch {
            if error.isOutOfSpace { throw Self.explain(error, path) }
        }
    }

    private static let ending = ".partial"

    /// What all temporary names of `name` begin with: with a process's number at most 255 bytes, whatever the name.
    private static func stem(_ name: String) -> String { ".\(name.prefix(48))." }

    private static func temporaryPath(_ directory: String, _ name: String) -> String {
        let path = "\(directory)/\(stem(name))\(getpid())"
        // A second writer of this process: no process has so large a number.
        return unfinished.withLock { $0.contains(path + ending) } ? path + "000000000" + ending : path + ending
    }

    private static func abandon(_ temporaryPath: String) {
        removeFile(temporaryPath)
        _ = unfinished.withLock { $0.remove(temporaryPath) }
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
            // Space that was reserved and is not needed goes back.
            let size = off_t(count)
            try systemCall("ftruncate") { ftruncate(fd, size) }
            try systemCall("fsync") { fsync(fd) }
            if !hasName {
                // A file of that name can only be the rest of a process that had this one's number.
                unsafe _ = unlink(from)
                Self.unfinished.withLock { _ = $0.insert(from) }
                try systemCall("linkat") { unsafe linkat(AT_FDCWD, "/proc/self/fd/\(fd)", AT_FDCWD, from, AT_SYMLINK_FOLLOW) }
            }
            try systemCall("rename") { unsafe rename(from, to) }
            committed = true
            _ = Self.unfinished.withLock { $0.remove(from) }
            let directory = try FileDescriptor(opening: Self.split(path).directory, flags: O_RDONLY | O_DIRECTORY)
            let directoryDescriptor = directory.rawValue
            try systemCall("fsync") { fsync(directoryDescriptor) }
        } catch {
            if !committed && !isResumable { Self.abandon(from) }
            throw Self.explain(error, path)
        }
    }

    /// Hands all that was taken to the system.
    public mutating func flush() throws(SoradError) {
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
        return try? FileDescriptor(opening: directory, flags: O_RDWR | O_DIRECTORY | 0o20000000, mode: mode)
    }

    private static func create(_ temporaryPath: String, for path: String, _ mode: UInt32) throws(SoradError) -> FileDescriptor {
        unfinished.withLock { _ = $0.insert(temporaryPath) }
        do throws(Errno) {
            let file = try FileDescriptor(opening: temporaryPath, flags: O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
            // Where the file system knows no locks, nobody can take it for a dead one's either.
            _ = try? file.tryLock()
            return file
        } catch {
            throw explain(error, path)
        }
    }

    private static func open(_ temporaryPath: String, for path: String, _ mode: UInt32) throws(SoradError) -> FileDescriptor {
        let file: FileDescriptor
        do throws(Errno) {
            file = try FileDescriptor(opening: temporaryPath, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: mode)
        } catch {
            throw explain(error, path)
        }
        guard (try? file.tryLock()) != false else {
            throw SoradError(.cannotCreate, "cannot write \(temporaryPath): another program is writing it", hint: "wait until it has ended")
        }
        return file
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
