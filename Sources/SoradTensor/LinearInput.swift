// Owns the rows that linear layers read, as floats and, made on first use, as int8 codes: q, k and v share one quantisation.
//
// Invariant: the codes belong to the rows unless `form` is nil. Whoever writes the values asks for them with `overwrite`. Rows may also
// be given as a norm still to be taken; int8 layers then take it a few rows at a time on the way to the codes, and the normalised
// floats never travel through memory.

/// A layer norm with its operands, as `ComputeBackend.layerNorm` takes them.
struct LayerNorm {
    /// [M, K]
    let x: Tensor
    let epsilon: Float
    let weight, bias: Parameter?
    let scale, shift: RowVectors?
}

/// Up to `capacity` rows of `width` floats, with room for their int8 form.
public final class LinearInput {
    /// How the codes were made.
    struct Form: Equatable {
        var rotation: Int?
        var asymmetric: Bool
    }

    public let width: Int
    /// The rows now held, [M, K]; not yet written while `norm` is there.
    public private(set) var values: Tensor
    /// What the rows are, if they are still to be computed.
    private(set) var norm: LayerNorm?
    var form: Form?
    /// The kernels' packed rows, scale f32 [M], zero point i32 [M]
    let codes: ByteBuffer
    let scale: Tensor
    let zero: ByteBuffer
    private let room: Tensor

    public init(capacity: Int, width: Int, in arena: Arena) {
        self.width = width
        room = arena.tensor(Shape(capacity, width))
        codes = arena.bytes(packedRowsMostBytes(rows: capacity, width: width))
        scale = arena.tensor(Shape(capacity))
        zero = arena.bytes(capacity * 4)
        values = room
    }

    /// The values, [rows, width], to be written now; earlier codes are forgotten.
    public func overwrite(rows: Int) -> Tensor {
        form = nil
        norm = nil
        values = room.rows(0..<rows)
        return values
    }

    /// Makes the rows those of a norm, to be taken when they are first read. Its operands stay as they are until then.
    func overwrite(with norm: LayerNorm) {
        _ = overwrite(rows: norm.x.shape[0])
        self.norm = norm
    }

    /// The values have been written.
    func settled() { norm = nil }
}
