// Owns the list of operations that models are made of. Model code is written once against this protocol; a backend gives each
// operation its meaning on one kind of processor. Every backend gives the same bits: the scalar C kernels are the definition.
//
// An operation may return before it has run, or begun. Backends run operations in the order in which they were handed over, so only the
// host has to wait, and it does so by itself wherever it reads or writes a tensor (see TensorBuffer). Nothing here returns a number that
// was computed: models decide nothing by values.
//
// Letters: M rows (tokens), N outputs, K inputs, L keys, H heads, D head width, C channels, T latent frames, h and w latent sides.
public import SoradSystem

/// What a linear layer or convolution does with its sums: y = activation(sum + bias), then `residual + gate · y`.
public enum Activation: Sendable {
    case none, relu, geluTanh, silu
}

/// Where an operation writes: a plain tensor of the result's shape, never one of the inputs unless said so. All tensors, parameters and
/// packed types are the backend's own (see `owns`).
public protocol ComputeBackend: AnyObject {
    /// For logs and reports, e.g. "cpu avx2, 2 threads".
    var description: String { get }

    // MARK: Memory

    /// Tensors begin at multiples of this many bytes of their buffer.
    var alignment: Int { get }

    /// A block of zeros.
    func allocate(byteCount: Int) -> TensorBuffer

    /// Whether operations can work on tensors in `buffer`.
    func owns(_ buffer: TensorBuffer) -> Bool

    /// Constant numbers where operations can read them: `parameter` itself, or a copy.
    func load(_ parameter: Parameter) -> Parameter

    /// Weights where operations can read them. Without an implementation of its own, `load` of each parameter.
    func load(_ weights: LinearWeights) -> LinearWeights
    func load(_ weights: ConvolutionWeights) -> ConvolutionWeights

    /// See `Arena`, which calls these.
    func activations(capacity: Int, width: Int, in arena: Arena) -> any ActivationMatrix
    func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena) -> any PackedKeysValues
    func image(_ shape: Shape, in arena: Arena) -> any QuantizedImage

    /// Bytes that `convolve` of a tensor [height, width, C] sets aside for the image that it quantizes; the largest is kept and reused.
    func scratchBytes(_ weights: ConvolutionWeights, image: Shape) -> Int

    /// Bytes that the backend takes for itself, besides what it allocates in arenas. 0 without an implementation of its own.
    var ownBytes: Int { get }

    /// Products waste nothing on this number of rows or a multiple of it.
    var rowGranularity: Int { get }

    /// How many rows of a wide intermediate are best computed and read again before the next ones are, so that they stay in a cache.
    var intermediateRows: Int { get }

    /// Waits for every operation so far.
    /// - Throws: what went wrong with any of them since the last call, with the code `SoradError.deviceFailed` where another backend can do
    ///   the same. What was read from tensors meanwhile is then worthless.
    func finish() throws(SoradError)

    // MARK: Copies

    /// Copies blocks to as many blocks of the same length.
    func copy(_ source: Blocks, into target: Blocks)

    func fill(_ out: Tensor, with value: Float)

    // MARK: Matrices

    /// out [M, N] = residual + gate · activation(input [M, K]·Wᵀ + bias). `residual` [M, N] may be `out`; `gate` is a vector [N] per row.
    func linear(
        _ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation, gate: RowModulation?, residual: Tensor?,
        into out: Tensor)

    /// 2-D convolution of `x` and, if given, `x2` joined behind it along the channels; both [height, width, channels].
    /// With `upsample` every input pixel is seen as 2×2 equal ones. out [height', width', N] = relu?(residual + activation(sum + bias)).
    /// `residual` may be `out`, so that several convolutions can be summed.
    func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor)

    /// Quantizes x [height, width, C] to int8 with one scale and zero point per image, after an optional RMSNorm and SiLU of each pixel.
    /// With `scale` [C], that of the convolutions, the channels are multiplied by it first.
    func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage)

    /// out = residual + the sum of int8 convolutions, each of its own image, all of the same sizes: added in their order, each with its
    /// bias if it has one. `residual` may be `out`.
    func convolve(
        _ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor)

    // MARK: Norms

    /// Rows of x [M, K] to mean 0 and variance 1; then · weight + bias if given (both [K]); then · (1 + scale) + shift if given.
    /// Lazy: fused into the first linear layer that reads `input`; do not change the operands before.
    func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?,
        into input: any ActivationMatrix)

    /// Rows of x [M, K] to mean square 1, then · weight [K]. `out` may be `x`.
    func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor)

    // MARK: Attention

    /// `rmsNorm` of x [M, H·D] in place, then its rotary position embedding: row i of x is position i of the table, which begins again
    /// for every further sequence that M holds.
    func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable)

    /// Arranges keys [L, H·D], and then values of the same shape, for any number of `attend` calls: one after the other, so that one
    /// tensor can hold both in turn.
    func pack(keys: Tensor, into packed: any PackedKeysValues)
    func pack(values: Tensor, into packed: any PackedKeysValues)

    /// out [M, H·D] = softmax(scale · q·kᵀ + keyBias [L] + bias [H, M, L]) · v. `out` may be `queries`. `bias` goes with float only.
    func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor)

    /// The same for sequences of equal length that lie one behind the other in one tensor: those of sequence i go to, and are asked of,
    /// `packed[i]`. Without an implementation of its own, one sequence after the other.
    func pack(keys: Tensor, into packed: [any PackedKeysValues])
    func pack(values: Tensor, into packed: [any PackedKeysValues])
    /// - Parameter keyBiases: one per sequence.
    func attend(queries: Tensor, to packed: [any PackedKeysValues], scale: Float, keyBiases: [Tensor?], into out: Tensor)

    /// Hands over operations of which those between two `pack`s depend row by row: row i of each, of those with as many rows, reads and
    /// writes what the others read and write of row i alone. A backend may then take some rows through several of them before it begins
    /// with others. No result changes. Without an implementation of its own, the operations as they are.
    func alongRows(_ operations: () -> Void)

    // MARK: Elementwise; `out` may be an input

    func add(_ a: Tensor, _ b: Tensor, into out: Tensor)
    func silu(_ x: Tensor, into out: Tensor)
    /// gelu(a) · b, GELU in its tanh form.
    func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor)
    /// 3·tanh(x / 3)
    func softClamp(_ x: Tensor, into out: Tensor)
    /// x · scale + shift, rounded after each.
    func affine(_ x: Tensor, scale: Float, shift: Float, into out: Tensor)
    /// unconditional + scale · (conditional − unconditional): classifier-free guidance.
    func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor)
    /// sample + dt · velocity: one Euler step.
    func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor)

    // MARK: Latents and pixels

    /// Latents [C, T, h, w] to rows [tokens, C·pt·ph·pw], channel slowest.
    func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor)
    /// Rows [tokens, pt·ph·pw·C], channel fastest, to latents [C, T, h, w].
    func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor)

    /// Frame `frame` of latents [C, T, h, w] to `out` [h, w, C], times `std` plus `mean` (both [C]).
    func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor)
    /// `image` [h, w, C], minus `mean` and divided by `std` (both [C]), becomes frame `frame` of latents [C, T, h, w].
    func normalize(_ image: Tensor, mean: Tensor, std: Tensor, into latent: Tensor, frame: Int)

    /// [h, w, C·r²] to `out` [h·r, w·r, C], as torch's pixel_shuffle, channels last.
    func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor)
    /// [h·r, w·r, C] to `out` [h, w, C·r²]: the inverse of `shufflePixels`.
    func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor)
}

extension ComputeBackend {
    public var ownBytes: Int { 0 }

    public func alongRows(_ operations: () -> Void) { operations() }

    public func pack(keys: Tensor, into packed: [any PackedKeysValues]) {
        for (index, one) in packed.enumerated() { pack(keys: keys.sequence(index, of: packed.count), into: one) }
    }

    public func pack(values: Tensor, into packed: [any PackedKeysValues]) {
        for (index, one) in packed.enumerated() { pack(values: values.sequence(index, of: packed.count), into: one) }
    }

    public func attend(queries: Tensor, to packed: [any PackedKeysValues], scale: Float, keyBiases: [Tensor?], into out: Tensor) {
        for (index, one) in packed.enumerated() {
            attend(
                queries: queries.sequence(index, of: packed.count), to: one, scale: scale, keyBias: keyBiases[index], bias: nil,
                into: out.sequence(index, of: packed.count))
        }
    }

    public func load(_ weights: LinearWeights) -> LinearWeights { weights.map(load) }
    public func load(_ weights: ConvolutionWeights) -> ConvolutionWeights { weights.map(load) }

    /// Copies all elements of a tensor of the same count.
    public func copy(_ source: Tensor, into target: Tensor) {
        precondition(source.count == target.count, "copy \(source.shape) to \(target.shape)")
        copy(source.blocks(of: source.count), into: target.blocks(of: target.count))
    }

    public func linear(_ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation = .none, into out: Tensor) {
        linear(input, weights, activation: activation, gate: nil, residual: nil, into: out)
    }
}

/// The second half of a convolution's input channels.
public enum ConvolutionPartner {
    case none
    /// [height, width, channels]
    case tensor(Tensor)
    /// That many channels of zeros.
    case zeros(Int)
}

extension SoradError {
    /// Code of the error of a device that failed or gave wrong results.
    public static let deviceFailed = "device_failed"
}

/// Makes backends of one kind: the one place where a program or a test chooses what computes.
public struct BackendFactory: Sendable, CustomStringConvertible {
    public let description: String
    private let body: @Sendable () throws(SoradError) -> any ComputeBackend

    public init(_ description: String, _ body: @escaping @Sendable () throws(SoradError) -> any ComputeBackend) {
        self.description = description
        self.body = body
    }

    /// - Throws: `.configuration` or `.unavailable` when this machine has no such backend.
    public func make() throws(SoradError) -> any ComputeBackend { try body() }
}
