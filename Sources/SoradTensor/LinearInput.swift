// Owns the rows that linear layers read, as floats and, made on first use, as int8 codes: q, k and v share one quantisation.
//
// Invariant: the codes belong to the values unless `form` is nil. Whoever writes the values asks for them with `overwrite`.

/// Up to `capacity` rows of `width` floats, with room for their int8 form.
public final class LinearInput {
    /// How the codes were made.
    struct Form: Equatable {
        var rotation: Int?
        var asymmetric: Bool
    }

    public let width: Int
    /// The rows now held, [M, K].
    public private(set) var values: Tensor
    var form: Form?
    /// int8 [M, codeStride], scale f32 [M], zero point i32 [M]
    let codes: ByteBuffer
    let codeStride: Int
    let scale: Tensor
    let zero: ByteBuffer
    /// The rotated rows before quantisation, [M, K].
    let rotated: Tensor
    private let room: Tensor

    public init(capacity: Int, width: Int, in arena: Arena) {
        self.width = width
        room = arena.tensor(Shape(capacity, width))
        rotated = arena.tensor(Shape(capacity, width))
        codeStride = (width + 63) / 64 * 64
        codes = arena.bytes(capacity * codeStride)
        scale = arena.tensor(Shape(capacity))
        zero = arena.bytes(capacity * 4)
        values = room
    }

    /// The values, [rows, width], to be written now; earlier codes are forgotten.
    public func overwrite(rows: Int) -> Tensor {
        form = nil
        values = room.rows(0..<rows)
        return values
    }
}
