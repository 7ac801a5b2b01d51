// Owns the CPU's own forms of what models only hand on: packed rows with their pending norm, packed keys and values, quantized images.
// `unsafe` here: numbers of other types lie in the memory of tensors; sizes are checked first.
internal import CSoradKernels
@_spi(HostMemory) import SoradTensor

/// A layer norm with its operands, as `ComputeBackend.layerNorm` takes them.
struct LayerNorm {
    /// [M, K]
    let x: Tensor
    let epsilon: Float
    let weight, bias: Parameter?
    let scale, shift: RowModulation?
}

/// Up to `capacity` rows of `width` floats, with a buffer for the packed int8 rows that are made of them on first use: q, k and v share one
/// quantization. A norm may be pending: int8 layers take it a few rows at a time on the way to the packed rows, and the normalized
/// floats never travel through memory.
///
/// Invariant: the packed rows belong to the values unless `form` is nil. Whoever writes the values asks for them with `overwrite`.
final class CPUActivationMatrix: ActivationMatrix {
    /// How the packed rows were made.
    struct Form: Equatable {
        var rotation: Int?
        var asymmetric: Bool
    }

    let width: Int
    /// Not yet written while a norm is pending.
    private(set) var values: Tensor
    private(set) var pendingNorm: LayerNorm?
    var form: Form?
    /// The kernels' packed rows, scale f32 [M], zero point i32 [M]
    let packed: ByteBuffer
    let scale: Tensor
    let zero: ByteBuffer
    private let buffer: Tensor

    init(capacity: Int, width: Int, in arena: Arena) {
        self.width = width
        buffer = arena.tensor(Shape(capacity, width))
        packed = arena.bytes(sorad_qd8_packed_max_bytes(capacity, width))
        scale = arena.tensor(Shape(capacity))
        zero = arena.bytes(capacity * 4)
        values = buffer
    }

    func overwrite(rows: Int) -> Tensor {
        form = nil
        pendingNorm = nil
        values = buffer.rows(0..<rows)
        return values
    }

    /// Makes the rows those of a norm, to be taken when they are first read. Its operands stay as they are until then.
    func overwrite(with norm: LayerNorm) {
        _ = overwrite(rows: norm.x.shape[0])
        pendingNorm = norm
    }

    /// The norm has been written to the values.
    func normIsTaken() { pendingNorm = nil }
}

final class CPUKeysValues: PackedKeysValues {
    let precision: AttentionPrecision
    let heads, headWidth, capacity: Int
    var keys = 0
    /// In the kernels' arrangement.
    let packed: Tensor

    init(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena) {
        self.precision = precision
        self.heads = heads
        self.headWidth = headWidth
        self.capacity = capacity
        let floats =
            switch precision {
            case .float: sorad_attention_packed_floats_f32(heads, capacity, headWidth)
            case .int8, .int8Probs16: sorad_attention_packed_floats_qd8kv(heads, capacity, headWidth)
            }
        packed = arena.tensor(Shape(floats))
    }
}

final class CPUImage: QuantizedImage {
    let shape: Shape
    /// Scale and zero point, then from the second cache line on the quantized values.
    private let memory: Tensor

    private static let headFloats = 16

    convenience init(_ shape: Shape, in arena: Arena) {
        self.init(shape, arena.tensor(Shape(Self.floatCount(shape))))
    }

    /// In the first floats of `buffer`.
    init(_ shape: Shape, _ buffer: Tensor) {
        self.shape = shape
        memory = buffer.prefix(Shape(Self.floatCount(shape)))
    }

    static func floatCount(_ shape: Shape) -> Int {
        headFloats + (shape[0] + 2) * (shape[1] + 2) * ((shape[2] + 3) / 4)
    }

    var bytes: ByteBuffer { memory.bytes }

    var scale: Float {
        get { unsafe memory.pointer()[0] }
        set { unsafe memory.pointer()[0] = newValue }
    }

    var zero: Int32 {
        get { unsafe Int32(bitPattern: memory.pointer()[1].bitPattern) }
        set { unsafe memory.pointer()[1] = Float(bitPattern: UInt32(bitPattern: newValue)) }
    }

    @unsafe func quantized() -> UnsafeMutablePointer<Int8> {
        let start = unsafe UnsafeMutableRawPointer(memory.pointer() + Self.headFloats)
        return unsafe start.assumingMemoryBound(to: Int8.self)
    }
}
