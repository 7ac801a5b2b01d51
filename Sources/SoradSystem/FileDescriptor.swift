// Owns one open descriptor and closes it exactly once.
import CSoradLinux
import Glibc

/// An open file, socket or pipe. Non-copyable: it has one owner, which closes it by going out of scope or by `take()`-ing it away.
public struct FileDescriptor: ~Copyable, Sendable {
    public let rawValue: Int32

    /// Takes over `rawValue`, which must be open and owned by nobody else.
    public init(owning rawValue: Int32) {
        precondition(rawValue >= 0, "descriptor \(rawValue)")
        self.rawValue = rawValue
    }

    /// Opens a file; `flags` as in open(2), close-on-exec is always set.
    public init(opening path: String, flags: Int32, mode: UInt32 = 0o600) throws(Errno) {
        self.init(owning: try systemCall("open \(path)") { unsafe sorad_linux_open(path, flags, mode) })
    }

    deinit { _ = Glibc.close(rawValue) }

    /// Gives the descriptor away: the caller closes it.
    public consuming func take() -> Int32 {
        let value = rawValue
        discard self
        return value
    }

    /// Reads up to `count` bytes; an empty array is the end of the file.
    public borrowing func read(upTo count: Int) throws(Errno) -> [UInt8] {
        let fd = rawValue
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(Errno) {
                initialized = try systemCall("read") { unsafe Glibc.read(fd, buffer.baseAddress, count) }
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes all of `bytes`.
    public borrowing func write(_ bytes: [UInt8]) throws(Errno) {
        let fd = rawValue
        var offset = 0
        while offset < bytes.count {
            let start = offset
            offset += try systemCall("write") {
                unsafe bytes.withUnsafeBufferPointer { buffer in
                    unsafe Glibc.write(fd, buffer.baseAddress! + start, bytes.count - start)
                }
            }
        }
    }
}
