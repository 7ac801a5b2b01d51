// Owns the one array type of the engine: dense, row-major float32 in a backend's buffer. Constant weights of any type are `Parameter`s.
//
// A tensor refers to its memory: copies and views share it. It is used by one thread at a time; the thread pool inside a backend
// splits one operation, never two. Models let backends work on tensors; whatever the host itself reads or writes here settles first.

public struct Tensor: @unchecked Sendable {
    public let shape: Shape
    public let buffer: TensorBuffer
    /// Bytes from the start of `buffer`.
    public let offset: Int

    @inlinable public var count: Int { shape.count }

    @inlinable public init(_ shape: Shape, buffer: TensorBuffer, offset: Int) {
        self.shape = shape
        self.buffer = buffer
        self.offset = offset
    }

    /// Zeros in the host's own memory.
    public init(_ shape: Shape) {
        self.init(shape, buffer: HostBuffer(byteCount: shape.count * 4), offset: 0)
    }

    /// The given elements in the host's own memory.
    public init(_ shape: Shape, _ elements: [Float]) {
        self.init(shape)
        set(elements)
    }

    // MARK: Views

    /// The same elements under another shape of the same count.
    public func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.count == count, "reshape \(self.shape) to \(shape)")
        return Tensor(shape, buffer: buffer, offset: offset)
    }

    /// Rows `range` of a matrix.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(shape.rank == 2 && range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
        return Tensor(Shape(range.count, shape[1]), buffer: buffer, offset: offset + range.lowerBound * shape[1] * 4)
    }

    /// The rows of sequence `index` of a matrix that holds `count` of equal length, one behind the other.
    public func sequence(_ index: Int, of count: Int) -> Tensor {
        precondition(shape[0] % count == 0, "\(count) sequences in \(shape)")
        let length = shape[0] / count
        return rows(index * length..<(index + 1) * length)
    }

    /// Element `index` of the slowest axis of a tensor with three or four axes, with one axis less.
    public func item(_ index: Int) -> Tensor {
        precondition((3...4).contains(shape.rank) && (0..<shape[0]).contains(index), "item \(index) of \(shape)")
        let inner = shape.rank == 3 ? Shape(shape[1], shape[2]) : Shape(shape[1], shape[2], shape[3])
        return Tensor(inner, buffer: buffer, offset: offset + index * inner.count * 4)
    }

    /// The first elements under a smaller shape: how one workspace serves several sizes.
    public func prefix(_ shape: Shape) -> Tensor {
        precondition(shape.count <= count, "prefix \(shape) of \(self.shape)")
        return Tensor(shape, buffer: buffer, offset: offset)
    }

    /// The memory of the elements as plain bytes, for files; sorad runs on little-endian machines alone.
    public var bytes: ByteBuffer { ByteBuffer(buffer: buffer, offset: offset, count: count * 4) }

    // MARK: On the host; everything here settles first

    public func withElements<Result, Failure: Error>(_ body: (Span<Float>) throws(Failure) -> Result) throws(Failure) -> Result {
        try unsafe withHostElements(.read) { start throws(Failure) in
            try body(unsafe Span(_unsafeStart: UnsafePointer(start), count: count))
        }
    }

    public func withMutableElements<Result, Failure: Error>(
        _ body: (inout MutableSpan<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe withHostElements(.change) { start throws(Failure) in
            var span = unsafe MutableSpan(_unsafeStart: start, count: count)
            return try body(&span)
        }
    }

    /// Lets `body` write every element; those that it leaves out have any value.
    public func overwriteElements(_ body: (inout MutableSpan<Float>) -> Void) {
        unsafe withHostElements(.overwrite) { start in
            var span = unsafe MutableSpan(_unsafeStart: start, count: count)
            body(&span)
        }
    }

    /// All elements, row by row.
    public var elements: [Float] {
        withElements { span in
            var values: [Float] = []
            values.reserveCapacity(span.count)
            for i in span.indices { values.append(span[i]) }
            return values
        }
    }

    /// Writes all elements, row by row.
    public func set(_ elements: [Float]) {
        precondition(elements.count == count, "\(elements.count) elements for shape \(shape)")
        overwriteElements { span in for i in span.indices { span[i] = elements[i] } }
    }

    public func fill(_ value: Float) { overwriteElements { span in for i in span.indices { span[i] = value } } }

    /// Copies all elements of a tensor of the same count, whatever memory each is in.
    public func copy(from other: Tensor) {
        precondition(other.count == count, "copy \(other.shape) to \(shape)")
        unsafe other.withHostElements(.read) { source in
            unsafe withHostElements(.overwrite) { target in unsafe target.update(from: source, count: count) }
        }
    }

    /// The same elements in new memory of the host.
    public func clone() -> Tensor {
        let new = Tensor(shape)
        new.copy(from: self)
        return new
    }

    /// This tensor where it is in the host's own memory, else a copy there: for what one stage of a clip hands to the next.
    public var onHost: Tensor { buffer is HostBuffer ? self : clone() }

    @unsafe func withHostElements<Result, Failure: Error>(
        _ access: TensorBuffer.Access, _ body: (UnsafeMutablePointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe buffer.withHostBytes(offset, count: count * 4, access) { start throws(Failure) in
            try unsafe body(start.assumingMemoryBound(to: Float.self))
        }
    }

    /// Where the elements lie, settled; for backends that compute on the host.
    @_spi(HostMemory) @inlinable @unsafe public func pointer() -> UnsafeMutablePointer<Float> {
        unsafe buffer.address(offset, count: count * 4).assumingMemoryBound(to: Float.self)
    }
}

/// Blocks of equal length at equal distances within a tensor: a frame of latents, some channels of an image.
public struct Blocks {
    public let tensor: Tensor
    /// The first element, the elements of a block, those from the start of one block to the start of the next, and how many blocks.
    public let start, length, stride, count: Int

    public init(_ tensor: Tensor, start: Int, length: Int, stride: Int, count: Int) {
        let end = count == 0 ? 0 : start + (count - 1) * stride + length
        precondition(
            start >= 0 && length >= 0 && stride >= length && count >= 0 && end <= tensor.count,
            "\(count) blocks of \(length) at \(start) in \(tensor.shape)")
        self.tensor = tensor
        self.start = start
        self.length = length
        self.stride = stride
        self.count = count
    }
}

extension Tensor {
    /// All elements, in blocks of `length`.
    public func blocks(of length: Int) -> Blocks {
        Blocks(self, start: 0, length: length, stride: length, count: length == 0 ? 0 : count / length)
    }

    /// Frame `frame` of latents [C, T, h, w]: a block for every channel.
    public func frame(_ frame: Int) -> Blocks {
        precondition(shape.rank == 4 && (0..<shape[1]).contains(frame), "frame \(frame) of \(shape)")
        let plane = shape[2] * shape[3]
        return Blocks(self, start: frame * plane, length: plane, stride: shape[1] * plane, count: shape[0])
    }

    /// Some channels of an image [h, w, C]: a block for every pixel.
    public func channels(_ range: Range<Int>) -> Blocks {
        precondition(range.lowerBound >= 0 && range.upperBound <= shape.last, "channels \(range) of \(shape)")
        return Blocks(self, start: range.lowerBound, length: range.count, stride: shape.last, count: count / shape.last)
    }
}
