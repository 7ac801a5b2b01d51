// A device's memory as tensors know it, and the forms that the backend keeps activations, keys, values and images in.
public import SoradSystem
@_spi(HostMemory) public import SoradTensor

/// A block of a device's memory. One that could not be allocated has none: the device has a fault then, and nothing runs.
@safe public final class VulkanBuffer: TensorBuffer, @unchecked Sendable {
    let device: VulkanDevice
    let block: VulkanBlock?
    /// Constants that were copied here, by their first byte: what samples and the CPU's share of products read.
    var originals: [Int: Parameter] = [:]

    init(_ device: VulkanDevice, byteCount: Int, isCleared: Bool) {
        self.device = device
        block = device.allocate(byteCount: byteCount)
        if isCleared, let block { device.clear(block) }
        unsafe super.init(byteCount: byteCount, hostAddress: nil)
    }

    /// Nil, and no fault of the device, when there is no memory for it.
    init?(ifPossible device: VulkanDevice, byteCount: Int) {
        guard let block = device.allocateIfPossible(byteCount: byteCount) else { return nil }
        self.device = device
        self.block = block
        unsafe super.init(byteCount: byteCount, hostAddress: nil)
    }

    public override func settle() { device.settle() }

    public override func download(from offset: Int, into bytes: inout MutableRawSpan) {
        precondition(offset >= 0 && bytes.byteCount <= byteCount - offset, "bytes \(offset)+\(bytes.byteCount) of \(byteCount)")
        guard let block else { return }
        device.download(from: block, at: offset, into: &bytes)
    }

    public override func upload(_ bytes: RawSpan, at offset: Int) {
        precondition(offset >= 0 && bytes.byteCount <= byteCount - offset, "bytes \(offset)+\(bytes.byteCount) of \(byteCount)")
        guard let block else { return }
        device.upload(bytes, to: block, at: offset)
    }
}

/// Rows as floats, and as int8 once a layer has read them so.
final class VulkanActivationMatrix: ActivationMatrix {
    struct Form: Equatable {
        var rotation: Int?
        var isAsymmetric: Bool
    }

    let width: Int
    private(set) var values: Tensor
    /// How the int8 rows were made; nil when they are not those of `values`.
    var form: Form?
    /// [capacity, groups of four], scale f32 [capacity], zero point i32 [capacity]
    let rows, scale, zero: ByteBuffer
    private let room: Tensor

    init(capacity: Int, width: Int, in arena: Arena) {
        self.width = width
        room = arena.tensor(Shape(capacity, width))
        rows = arena.bytes(capacity * ((width + 3) / 4 * 4))
        scale = arena.bytes(capacity * 4)
        zero = arena.bytes(capacity * 4)
        values = room
    }

    func overwrite(rows: Int) -> Tensor {
        form = nil
        values = room.rows(0..<rows)
        return values
    }
}

/// Float: the keys and values as they come. Int8: see shaders/pack_int8.comp.
final class VulkanKeysValues: PackedKeysValues {
    let precision: AttentionPrecision
    let heads, headWidth, capacity: Int
    var keys = 0
    /// F32 [capacity, H·D], or int8 [H, capacity, D/4] and [H, capacity/4, D]
    let packedKeys, packedValues: ByteBuffer
    /// Int8 alone. F32 [H·D]; [H, capacity]; [H·D]; [H·D]
    let keyMean, keyScale, valueMean, valueScale: ByteBuffer
    /// Keys and values as they came, on the host, where the next attention is to be compared with the CPU's.
    var shadow: (keys: Tensor?, values: Tensor?) = (nil, nil)

    init(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena) {
        self.precision = precision
        (self.heads, self.headWidth, self.capacity) = (heads, headWidth, capacity)
        let width = heads * headWidth
        let isFloat = precision == .float
        packedKeys = arena.bytes(isFloat ? capacity * width * 4 : capacity * heads * ((headWidth + 3) / 4 * 4))
        packedValues = arena.bytes(isFloat ? capacity * width * 4 : (capacity + 3) / 4 * 4 * width)
        keyMean = arena.bytes(isFloat ? 4 : width * 4)
        keyScale = arena.bytes(isFloat ? 4 : capacity * heads * 4)
        valueMean = arena.bytes(isFloat ? 4 : width * 4)
        valueScale = arena.bytes(isFloat ? 4 : width * 4)
    }
}

/// An image as every backend has it: see `QuantizedImage.bytes`.
final class VulkanImage: QuantizedImage {
    let shape: Shape
    let bytes: ByteBuffer

    static let headBytes = 64

    static func byteCount(_ shape: Shape) -> Int { headBytes + (shape[0] + 2) * (shape[1] + 2) * ((shape[2] + 3) / 4 * 4) }

    init(_ shape: Shape, _ bytes: ByteBuffer) {
        self.shape = shape
        self.bytes = bytes
    }

    var head: ByteBuffer { ByteBuffer(buffer: bytes.buffer, offset: bytes.offset, count: 8) }
    var values: ByteBuffer {
        ByteBuffer(buffer: bytes.buffer, offset: bytes.offset + Self.headBytes, count: bytes.count - Self.headBytes)
    }
}

extension VulkanBackend {
    static let blockAlignment = 256
    public var alignment: Int { Self.blockAlignment }

    public func allocate(byteCount: Int) -> TensorBuffer { VulkanBuffer(device, byteCount: byteCount, isCleared: true) }

    public func owns(_ buffer: TensorBuffer) -> Bool { (buffer as? VulkanBuffer)?.device === device }

    public func activations(capacity: Int, width: Int, in arena: Arena) -> any ActivationMatrix {
        VulkanActivationMatrix(capacity: capacity, width: width, in: arena)
    }

    public func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena)
        -> any PackedKeysValues
    {
        VulkanKeysValues(capacity: capacity, heads: heads, headWidth: headWidth, precision: precision, in: arena)
    }

    public func image(_ shape: Shape, in arena: Arena) -> any QuantizedImage {
        VulkanImage(shape, arena.bytes(VulkanImage.byteCount(shape)))
    }

    public func scratchBytes(_ weights: ConvolutionWeights, image: Shape) -> Int {
        guard weights.isInt8 else { return 0 }
        return VulkanImage.byteCount(Shape(image[0], image[1], weights.inputs)) * (weights.has16BitInput ? 2 : 1)
    }

    /// Rows of the shaders' tile.
    public var rowGranularity: Int { 64 }

    /// Devices have no cache that a wide intermediate would fit; the bound is for memory.
    public var intermediateRows: Int { 4096 }

    public func finish() throws(SoradError) {
        device.beginEpoch()
        sampler.beginEpoch()
        if let fault = device.fault { throw fault }
        guard streamed.total > 0, !hasReported else { return }
        hasReported = true
        options.report(
            "\(streamed.total >> 20) MiB of the weights do not fit into the memory of \(device.info.name) "
                + "and are copied to it for every use")
    }
}
