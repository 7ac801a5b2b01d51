// Owns one read-only memory mapping of a regular file: model files are used where they lie, without a second copy.
//
// Invariant: while the object lives, `size` bytes from `base` are mapped, and a `MappedRange` keeps the object alive.
//
// A file that becomes shorter under its mapping makes the next access to the lost pages a SIGBUS. Nothing in user space can forbid
// that, so it is met three times: the size is taken from the descriptor that is mapped, never from the path; `checkUnchanged` tells
// before a job whether the file is still the one that was opened; and `explainLostPages` turns the signal itself, should it come,
// into a sentence with the file's name and exit status 74 instead of a bare death.
import CSoradLinux
import Glibc

/// A regular file mapped read-only.
@safe public final class MappedFile: Sendable {
    public let path: String
    /// Bytes of the file and of the mapping; at least 1.
    public let size: Int
    /// When the contents were last changed, Unix time in seconds.
    public let modified: Int
    private nonisolated(unsafe) let base: UnsafeRawPointer
    private let descriptor: FileDescriptor
    /// Its state when it was opened.
    public let state: FileIdentity
    /// Of that, what says that the contents are the same.
    private let identity: [Int64]

    /// Maps `path`.
    /// - Throws: `.notFound` when nothing is there, `.permission` when it may not be read, `.badInput` when it is empty or no regular file.
    public init(_ path: String) throws(SoradError) {
        do throws(Errno) {
            // O_NONBLOCK: opening a FIFO by mistake must not wait for a writer; it changes nothing for a regular file.
            descriptor = try FileDescriptor(opening: path, flags: O_RDONLY | O_NONBLOCK)
        } catch {
            throw Self.explain(error, path)
        }
        let status = try Self.status(of: descriptor, path)
        guard status.st_mode & S_IFMT == S_IFREG else { throw SoradError(.badInput, "\(path) is not a regular file") }
        guard status.st_size > 0 else { throw SoradError(.badInput, "\(path) is empty") }
        guard let size = Int(exactly: status.st_size) else { throw SoradError(.badInput, "\(path) is too large to map") }
        let fd = descriptor.rawValue
        let address = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, fd, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else {
            throw SoradError(.badInput, "cannot map \(path): \(Errno(code: errno, call: "mmap").reason)")
        }
        self.path = path
        self.size = size
        modified = Int(status.st_mtim.tv_sec)
        unsafe base = UnsafeRawPointer(address)
        identity = Self.identity(of: status)
        state = FileIdentity(status)
        unsafe sorad_linux_watch_mapping(base, size, path)
    }

    deinit {
        unsafe sorad_linux_unwatch_mapping(base)
        unsafe munmap(UnsafeMutableRawPointer(mutating: base), size)
    }

    /// The whole file.
    public var bytes: MappedRange { MappedRange(file: self, offset: 0, count: size) }

    /// Calls `body` with the file's bytes.
    public func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(unsafe RawSpan(_unsafeStart: base, byteCount: size))
    }

    /// Throws `.badInput` when the mapped file was truncated, rewritten or grown since it was opened (a new file renamed over the path
    /// is no change: the mapping keeps the old one).
    public func checkUnchanged() throws(SoradError) {
        let status = try Self.status(of: descriptor, path)
        guard Int(status.st_size) == size else {
            throw SoradError(
                .badInput, "\(path) changed from \(size) to \(status.st_size) bytes while in use", hint: "put the file back and start again"
            )
        }
        guard Self.identity(of: status) == identity else {
            throw SoradError(.badInput, "\(path) was changed while in use", hint: "replace model files by renaming a new one over the old")
        }
    }

    /// Installs the SIGBUS handler described at the head of this file. Call once, early, in a program that maps model files.
    public static func explainLostPages() { sorad_linux_explain_lost_pages() }

    fileprivate func pointer(at offset: Int) -> UnsafeRawPointer { unsafe base + offset }

    private static func status(of descriptor: borrowing FileDescriptor, _ path: String) throws(SoradError) -> stat {
        var status = stat()
        let fd = descriptor.rawValue
        do throws(Errno) {
            try systemCall("fstat") { unsafe fstat(fd, &status) }
        } catch {
            throw explain(error, path)
        }
        return status
    }

    /// Without the change time: that moves when another file is renamed over this one, which does no harm.
    private static func identity(of status: stat) -> [Int64] {
        [
            Int64(bitPattern: UInt64(status.st_dev)), Int64(bitPattern: UInt64(status.st_ino)), Int64(status.st_mtim.tv_sec),
            Int64(status.st_mtim.tv_nsec),
        ]
    }

    /// Where the symbolic link at `path` leads; nil for anything else.
    private static func linkTarget(_ path: String) -> String? {
        var target = [UInt8](repeating: 0, count: 4096)
        let count = unsafe target.withUnsafeMutableBytes { unsafe readlink(path, $0.baseAddress!, $0.count) }
        return count > 0 ? String(decoding: target[..<count], as: UTF8.self) : nil
    }

    private static func explain(_ error: Errno, _ path: String) -> SoradError {
        switch error.code {
        case ENOENT, ENOTDIR:
            SoradError(.notFound, linkTarget(path).map { "\(path) is a link to \($0), which does not exist" } ?? "\(path) does not exist")
        case ELOOP: SoradError(.notFound, "\(path) is a link that leads to itself")
        case EACCES, EPERM: SoradError(.permission, "\(path) may not be read: \(error.reason)")
        default: SoradError(.badInput, "cannot read \(path): \(error.reason)")
        }
    }
}

/// Part of a mapped file; keeps the mapping alive.
public struct MappedRange: Sendable {
    public let file: MappedFile
    /// First byte, counted from the start of the file.
    public let offset: Int
    public let count: Int

    public init(file: MappedFile, offset: Int, count: Int) {
        precondition(
            offset >= 0 && count >= 0 && offset <= file.size && count <= file.size - offset,
            "bytes \(offset)+\(count) of a file of \(file.size)")
        self.file = file
        self.offset = offset
        self.count = count
    }

    /// Calls `body` with the bytes.
    public func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(unsafe RawSpan(_unsafeStart: file.pointer(at: offset), byteCount: count))
    }

    /// Tells the kernel that these pages will not be read soon: where memory is short they are the first to go, before those that are read
    /// in every step, and they count as this process's no longer. Reading brings them back.
    public func giveBack() {
        let pages = wholePages(in: offset..<offset + count, page: Int(sysconf(Int32(_SC_PAGESIZE))))
        guard !pages.isEmpty else { return }
        let start = unsafe UnsafeMutableRawPointer(mutating: file.pointer(at: pages.lowerBound))
        unsafe _ = madvise(start, pages.count, Self.madviseCold)
        unsafe _ = madvise(start, pages.count, MADV_DONTNEED)
    }

    /// MADV_COLD of Linux 5.4, which the C library's Swift module lacks; an older kernel refuses it, and nothing is lost.
    private static let madviseCold: Int32 = 20

    /// A copy of the bytes.
    public var array: [UInt8] { withBytes { bytes in unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) } } }

    /// Where the bytes lie; valid while `file` lives. For kernels, which take addresses.
    @unsafe public var address: UnsafeRawPointer { unsafe file.pointer(at: offset) }
}

/// Whether something is at `path`, of whatever kind.
public func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
