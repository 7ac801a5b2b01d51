// Owns the one array type of the engine: dense, row-major float32. Constant weights of any type are `Parameter`s.
//
// A tensor refers to its memory: copies and views share it. It is used by one thread at a time; the thread pool inside a backend
// splits one operation, never two.

public struct Tensor: @unchecked Sendable {
    public let shape: Shape
    let storage: Storage
    /// Bytes from the start of `storage`.
    let offset: Int

    public var count: Int { shape.count }

    /// A new tensor of zeros.
    public init(_ shape: Shape) {
        self.init(shape, storage: Storage(byteCount: shape.count * 4), offset: 0)
    }

    /// A new tensor with the given elements.
    public init(_ shape: Shape, _ elements: [Float]) {
        precondition(elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
        self.init(shape)
        withMutableElements { span in for i in span.indices { span[i] = elements[i] } }
    }

    init(_ shape: Shape, storage: Storage, offset: Int) {
        self.shape = shape
        self.storage = storage
        self.offset = offset
    }

    /// The same elements under another shape of the same count.
    public func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.count == count, "reshape \(self.shape) to \(shape)")
        return Tensor(shape, storage: storage, offset: offset)
    }

    /// Rows `range` of a matrix, as a view.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(shape.rank == 2 && range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
        return Tensor(Shape(range.count, shape[1]), storage: storage, offset: offset + range.lowerBound * shape[1] * 4)
    }

    /// Element `index` of the slowest axis of a tensor with three or four axes, as a view with one axis less.
    public func item(_ index: Int) -> Tensor {
        precondition((3...4).contains(shape.rank) && (0..<shape[0]).contains(index), "item \(index) of \(shape)")
        let inner = shape.rank == 3 ? Shape(shape[1], shape[2]) : Shape(shape[1], shape[2], shape[3])
        return Tensor(inner, storage: storage, offset: offset + index * inner.count * 4)
    }

    /// The first elements seen under a smaller shape: how one workspace serves several sizes.
    public func prefix(_ shape: Shape) -> Tensor {
        precondition(shape.count <= count, "prefix \(shape) of \(self.shape)")
        return Tensor(shape, storage: storage, offset: offset)
    }

    public func withElements<Result, Failure: Error>(_ body: (Span<Float>) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(unsafe Span(_unsafeStart: pointer(), count: count))
    }

    public func withMutableElements<Result, Failure: Error>(
        _ body: (inout MutableSpan<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe MutableSpan(_unsafeStart: pointer(), count: count)
        return try body(&span)
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

    public func fill(_ value: Float) {
        withMutableElements { span in for i in span.indices { span[i] = value } }
    }

    /// Copies all elements of a tensor of the same count.
    public func copy(from other: Tensor) {
        precondition(other.count == count, "copy \(other.shape) to \(shape)")
        unsafe pointer().update(from: other.pointer(), count: count)
    }

    /// A new tensor with the same elements.
    public func clone() -> Tensor {
        let new = Tensor(shape)
        new.copy(from: self)
        return new
    }

    /// The memory of the elements as plain bytes, for files; sorad runs on little-endian machines alone.
    public var bytes: ByteBuffer { ByteBuffer(storage: storage, offset: offset, count: count * 4) }

    /// Where the elements lie; for backends.
    @unsafe package func pointer() -> UnsafeMutablePointer<Float> {
        unsafe storage.address(offset, count: count * 4).assumingMemoryBound(to: Float.self)
    }
}
