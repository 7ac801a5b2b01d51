// Owns the rows that linear layers read, as floats and, made on first use, as int8 codes: q, k and v share one quantisation.
//
// Invariant: the codes belong to the rows unless `form` is nil. Whoever writes the values asks for them with `overwrite`. Rows may also
// be given as a norm still to be taken; int8 layers then take it a few rows at a time on the way to the codes, and the normalised
// floats never travel through memory.

/// A layer norm with its operands, as `ComputeBackend.layerNorm` takes them.
package struct LayerNorm {
    /// [M, K]
    package let x: Tensor
    package let epsilon: Float
    package let weight, bias: Parameter?
    package let scale, shift: RowVectors?

    package init(x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowVectors?, shift: RowVectors?) {
        self.x = x
        self.epsilon = epsilon
        self.weight = weight
        self.bias = bias
        self.scale = scale
        self.shift = shift
    }
}

/// Up to `capacity` rows of `width` floats, with room for their int8 form.
public final class LinearInput {
    /// How the codes were made.
    package struct Form: Equatable {
        package var rotation: Int?
        package var asymmetric: Bool

        package init(rotation: Int?, asymmetric: Bool) {
            self.rotation = rotation
            self.asymmetric = asymmetric
        }
    }

    public let width: Int
    /// The rows now held, [M, K]; not yet written while `norm` is there.
    public private(set) var values: Tensor
    /// What the rows are, if they are still to be computed.
    package private(set) var norm: LayerNorm?
    package var form: Form?
    /// The kernels' packed rows, scale f32 [M], zero point i32 [M]
    package let codes: ByteBuffer
    package let scale: Tensor
    package let zero: ByteBuffer
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
    package func overwrite(with norm: LayerNorm) {
        _ = overwrite(rows: norm.x.shape[0])
        self.norm = norm
    }

    /// The values have been written.
    package func settled() { norm = nil }
}
