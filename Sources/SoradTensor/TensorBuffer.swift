// Owns what everybody but its backend knows about a tensor's memory: a block of bytes with a size.
//
// Invariant, the settle point: an operation may still be waiting or running when its call returns. Whoever wants an address waits first
// (`address` calls `settle`), and a block that the host cannot address is only ever copied, by its backend, in the order of the
// operations. So no host code can see bytes that an earlier operation has yet to write.
//
// Addresses are for backends and for this module's own copies; they are behind `@_spi(HostMemory)`, which .ci/check-imports permits in
// the backends alone. `unsafe` here: this is where addresses come from; every access goes through a size check.
import Glibc

/// A block of one backend's memory, in which tensors lie. Backends make subclasses of their own.
@safe open class TensorBuffer: @unchecked Sendable {
    public final let byteCount: Int
    /// Nil where the host cannot address the memory.
    @usableFromInline final let base: UnsafeMutableRawPointer?

    /// - Parameter hostAddress: where the host may read and write once `settle` has returned; nil for memory of a device.
    @_spi(HostMemory) @unsafe public init(byteCount: Int, hostAddress: UnsafeMutableRawPointer?) {
        self.byteCount = byteCount
        unsafe base = hostAddress
    }

    /// Waits for every operation that was handed to the backend and touches this memory.
    open func settle() {}

    /// Copies bytes to the host, after the operations that were handed over before. A device's buffer overrides it.
    open func download(from offset: Int, into bytes: inout MutableRawSpan) {
        let source = unsafe address(offset, count: bytes.byteCount)
        unsafe bytes.withUnsafeMutableBytes { target in
            if let start = target.baseAddress { unsafe start.copyMemory(from: source, byteCount: target.count) }
        }
    }

    /// Copies bytes from the host, before the operations that are handed over afterwards; the host may change its own when the call
    /// returns. A device's buffer overrides it.
    open func upload(_ bytes: RawSpan, at offset: Int) {
        let target = unsafe address(offset, count: bytes.byteCount)
        unsafe bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { unsafe target.copyMemory(from: start, byteCount: source.count) }
        }
    }

    public final var isHostAddressable: Bool { unsafe base != nil }

    /// The address of byte `offset`, from which `count` bytes may be used; nothing is under way there.
    @_spi(HostMemory) @inlinable @unsafe public final func address(_ offset: Int, count: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && count >= 0 && count <= byteCount - offset, "bytes \(offset)+\(count) of a block of \(byteCount)")
        guard let base = unsafe base else {
            preconditionFailure("the host cannot address this memory: it belongs to a device, or was only measured")
        }
        settle()
        return unsafe base + offset
    }

    /// What the host does with bytes.
    enum Access { case read, overwrite, change }

    /// Shows bytes to `body`: the memory itself, or a copy that is brought back where `body` returns and has written.
    @unsafe final func withHostBytes<Result, Failure: Error>(
        _ offset: Int, count: Int, _ access: Access, _ body: (UnsafeMutableRawPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if isHostAddressable { return try unsafe body(address(offset, count: count)) }
        precondition(offset >= 0 && count >= 0 && count <= byteCount - offset, "bytes \(offset)+\(count) of a block of \(byteCount)")
        let copy = HostBuffer(byteCount: count)
        defer { withExtendedLifetime(copy) {} }
        let start = unsafe copy.address(0, count: count)
        if access != .overwrite {
            var target = unsafe MutableRawSpan(_unsafeStart: start, byteCount: count)
            download(from: offset, into: &target)
        }
        let result = try unsafe body(start)
        if access != .read { upload(unsafe RawSpan(_unsafeStart: start, byteCount: count), at: offset) }
        return result
    }
}

/// The host's own memory, 64-byte aligned and zeroed: what the CPU backend computes in.
@safe public final class HostBuffer: TensorBuffer, @unchecked Sendable {
    public static let alignment = 64
    private let memory: UnsafeMutableRawPointer

    /// Allocates `byteCount` zero bytes.
    public init(byteCount: Int) {
        precondition(byteCount >= 0, "\(byteCount) bytes")
        let rounded = (max(byteCount, 1) + Self.alignment - 1) / Self.alignment * Self.alignment
        guard let memory = unsafe aligned_alloc(Self.alignment, rounded) else { fatalError("out of memory: \(rounded) bytes") }
        unsafe memset(memory, 0, rounded)
        unsafe self.memory = memory
        unsafe super.init(byteCount: byteCount, hostAddress: memory)
    }

    deinit { unsafe free(memory) }
}

/// A block that is only counted: it has a size without end and no memory.
final class MeasuredBuffer: TensorBuffer, @unchecked Sendable {
    init() { unsafe super.init(byteCount: Int.max, hostAddress: nil) }
}

/// Part of a buffer as plain bytes, for files and for what a backend keeps there.
public struct ByteBuffer {
    public let buffer: TensorBuffer
    /// Bytes from the start of `buffer`.
    public let offset: Int
    public let count: Int

    public init(buffer: TensorBuffer, offset: Int, count: Int) {
        self.buffer = buffer
        self.offset = offset
        self.count = count
    }

    /// Zero bytes of the host's own memory.
    public init(count: Int) { self.init(buffer: HostBuffer(byteCount: count), offset: 0, count: count) }

    /// Settles, then shows the bytes.
    public func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        try unsafe buffer.withHostBytes(offset, count: count, .read) { start throws(Failure) in
            try body(unsafe RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
        }
    }

    /// Settles, then lets the bytes be changed; of a device's memory nothing changes when `body` throws.
    public func withMutableBytes<Result, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe buffer.withHostBytes(offset, count: count, .change) { start throws(Failure) in
            var span = unsafe MutableRawSpan(_unsafeStart: start, byteCount: count)
            return try body(&span)
        }
    }

    @_spi(HostMemory) @inlinable @unsafe public func pointer() -> UnsafeMutableRawPointer { unsafe buffer.address(offset, count: count) }
}
