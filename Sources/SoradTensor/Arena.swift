// Owns the memory of one computation: a single block of a backend's memory from which tensors are cut in order, all freed together.
//
// A workspace is described once, by code that cuts tensors from an arena. Run on a measuring arena it says how many bytes are needed
// before any are allocated; run on a real one it gives the tensors. Backends cut their own packed types from the same arena.

public final class Arena {
    public let backend: any ComputeBackend
    private let buffer: TensorBuffer
    private let start, byteCount: Int
    /// Bytes cut so far.
    public private(set) var used = 0

    fileprivate init(_ backend: any ComputeBackend, byteCount: Int) {
        self.backend = backend
        buffer = backend.allocate(byteCount: byteCount)
        (start, self.byteCount) = (0, byteCount)
    }

    fileprivate init(measuring backend: any ComputeBackend) {
        self.backend = backend
        buffer = MeasuredBuffer()
        (start, byteCount) = (0, Int.max)
    }

    /// Cuts from part of a buffer that is there already.
    public init(_ backend: any ComputeBackend, in part: ByteBuffer) {
        self.backend = backend
        buffer = part.buffer
        (start, byteCount) = (part.offset, part.count)
    }

    /// No memory is behind what is cut: it must not be read or written.
    public var isMeasuring: Bool { buffer is MeasuredBuffer }

    /// Cuts a tensor; its elements are zero in a fresh arena.
    public func tensor(_ shape: Shape) -> Tensor { Tensor(shape, buffer: buffer, offset: cut(shape.count * 4)) }

    public func bytes(_ count: Int) -> ByteBuffer { ByteBuffer(buffer: buffer, offset: cut(count), count: count) }

    /// Room for up to `capacity` rows of `width` values that linear layers read.
    public func activations(capacity: Int, width: Int) -> any ActivationMatrix {
        backend.activations(capacity: capacity, width: width, in: self)
    }

    /// Room for `capacity` keys and values of `heads` heads of `headWidth`.
    public func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision = .float) -> any PackedKeysValues {
        precondition(
            capacity > 0 && heads > 0 && (1...precision.widestHead).contains(headWidth) && headWidth % 2 == 0,
            "\(heads) heads of \(headWidth), \(capacity) keys")
        return backend.keysValues(capacity: capacity, heads: heads, headWidth: headWidth, precision: precision, in: self)
    }

    /// Room for an image [height, width, C] as int8 convolutions read it.
    public func image(_ shape: Shape) -> any QuantizedImage {
        precondition(shape.rank == 3, "an image of \(shape)")
        return backend.image(shape, in: self)
    }

    private func cut(_ count: Int) -> Int {
        let alignment = backend.alignment
        let place = start + used
        let rounded = (count + alignment - 1) / alignment * alignment
        precondition(rounded <= byteCount - used, "arena of \(byteCount) bytes cannot give \(rounded) more after \(used)")
        used += rounded
        return place
    }
}

extension ComputeBackend {
    /// Bytes that `workspace` cuts. What it makes must not be read or written.
    public func measure<Workspace>(_ workspace: (Arena) -> Workspace) -> Int {
        let arena = Arena(measuring: self)
        _ = workspace(arena)
        return arena.used
    }

    /// A workspace in an arena of just its size.
    public func make<Workspace>(_ workspace: (Arena) -> Workspace) -> Workspace {
        workspace(Arena(self, byteCount: measure(workspace)))
    }

    /// A tensor of zeros in memory of its own.
    public func tensor(_ shape: Shape) -> Tensor { Tensor(shape, buffer: allocate(byteCount: shape.count * 4), offset: 0) }

    /// A tensor of the given elements in memory of its own.
    public func tensor(_ shape: Shape, _ elements: [Float]) -> Tensor {
        let tensor = tensor(shape)
        tensor.set(elements)
        return tensor
    }

    /// `tensor` where operations can read it: itself, or a copy.
    public func resident(_ tensor: Tensor) -> Tensor {
        if owns(tensor.buffer) { return tensor }
        let copy = self.tensor(tensor.shape)
        copy.copy(from: tensor)
        return copy
    }
}
