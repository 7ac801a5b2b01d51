// The CPU's memory is the host's: tensors lie where the host can address them, weights are used where the file is mapped, and every
// operation is done when its call returns.
import SoradSystem
public import SoradTensor

extension CPUBackend {
    public var alignment: Int { HostBuffer.alignment }

    public func allocate(byteCount: Int) -> TensorBuffer { HostBuffer(byteCount: byteCount) }

    public func owns(_ buffer: TensorBuffer) -> Bool { buffer.isHostAddressable }

    public func load(_ parameter: Parameter) -> Parameter { parameter }

    public func activations(capacity: Int, width: Int, in arena: Arena) -> any ActivationMatrix {
        CPUActivationMatrix(capacity: capacity, width: width, in: arena)
    }

    public func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena)
        -> any PackedKeysValues
    {
        CPUKeysValues(capacity: capacity, heads: heads, headWidth: headWidth, precision: precision, in: arena)
    }

    public func image(_ shape: Shape, in arena: Arena) -> any QuantizedImage { CPUImage(shape, in: arena) }

    public func scratchBytes(_ weights: ConvolutionWeights, image: Shape) -> Int {
        guard weights.isInt8 else { return 0 }
        return CPUImage.floatCount(Shape(image[0], image[1], weights.inputs)) * 4 * (weights.has16BitInput ? 2 : 1)
    }

    /// Rows of the float kernels' tile, a multiple of every int8 one's.
    public var rowGranularity: Int { 12 }

    /// Of a feed-forward as wide as those of the published models, this is what third-level caches hold.
    public var intermediateRows: Int { 512 }

    public func finish() {}

    public var ownBytes: Int { pool.threadCount * Self.threadBytes }

    /// Scratch of the kernels of one thread: the rows of one product in tiles.
    private static let threadBytes = 768 << 10

    func own(_ input: any ActivationMatrix) -> CPUActivationMatrix { ownForm(input) }
    func own(_ packed: any PackedKeysValues) -> CPUKeysValues { ownForm(packed) }
    func own(_ image: any QuantizedImage) -> CPUImage { ownForm(image) }
}

extension BackendFactory {
    /// Makes CPU backends.
    /// - Parameters: as of `CPUBackend.init`.
    public static func cpu(threads: Int? = nil, instructionSet: InstructionSet? = nil) -> BackendFactory {
        BackendFactory("cpu" + (instructionSet.map { " \($0)" } ?? "") + (threads.map { ", \($0) threads" } ?? "")) {
            () throws(SoradError) in try CPUBackend(threads: threads, instructionSet: instructionSet)
        }
    }
}
