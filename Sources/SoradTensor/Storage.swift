// Owns memory for tensors: one block, aligned to a cache line, zeroed, freed with its last user.
// `unsafe` here: this is where addresses come from; every access above goes through a size check.
import Glibc

/// A block of bytes, 64-byte aligned. Shared by the tensors that lie in it.
@safe public final class Storage: @unchecked Sendable {
    public let byteCount: Int
    /// Null only when measuring (see `Arena`): such a block has a size and no memory.
    private let base: UnsafeMutableRawPointer?

    static let alignment = 64

    /// Allocates `byteCount` zero bytes.
    public init(byteCount: Int) {
        precondition(byteCount >= 0, "\(byteCount) bytes")
        let rounded = (max(byteCount, 1) + Self.alignment - 1) / Self.alignment * Self.alignment
        guard let memory = unsafe aligned_alloc(Self.alignment, rounded) else { fatalError("out of memory: \(rounded) bytes") }
        unsafe memset(memory, 0, rounded)
        unsafe base = memory
        self.byteCount = byteCount
    }

    /// A block that is only counted.
    init(measuring: ()) {
        unsafe base = nil
        byteCount = Int.max
    }

    deinit { unsafe free(base) }

    /// The address of byte `offset`, from which `count` bytes may be used.
    @unsafe func address(_ offset: Int, count: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && count >= 0 && count <= byteCount - offset, "bytes \(offset)+\(count) of a block of \(byteCount)")
        guard let base = unsafe base else { preconditionFailure("a tensor that was only measured has no memory") }
        return unsafe base + offset
    }
}

/// Part of a `Storage` as plain bytes: quantised activations, kernel scratch.
public struct ByteBuffer {
    let storage: Storage
    let offset: Int
    public let count: Int

    public init(count: Int) {
        self.init(storage: Storage(byteCount: count), offset: 0, count: count)
    }

    init(storage: Storage, offset: Int, count: Int) {
        self.storage = storage
        self.offset = offset
        self.count = count
    }

    @unsafe package func pointer() -> UnsafeMutableRawPointer { unsafe storage.address(offset, count: count) }

    public func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(unsafe RawSpan(_unsafeStart: pointer(), byteCount: count))
    }

    public func withMutableBytes<Result, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe MutableRawSpan(_unsafeStart: pointer(), byteCount: count)
        return try body(&span)
    }
}
