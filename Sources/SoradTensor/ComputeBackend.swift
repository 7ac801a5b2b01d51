// Owns the list of operations that models are made of. Model code is written once against this protocol; a backend gives each
// operation its meaning on one kind of processor. Integer products are exact on every backend; the CPU's float results are the same
// bits for every thread count and instruction set.
//
// Letters: M rows (tokens), N outputs, K inputs, L keys, H heads, D head width, C channels.

/// What a linear layer or convolution does with its sums: y = activation(sum + bias), then `residual + gate · y`.
public enum Activation: Sendable {
    case none, relu, geluTanh, silu
}

/// Where an operation writes: a plain tensor of the result's shape, never one of the inputs unless said so.
public protocol ComputeBackend: AnyObject {
    /// For logs and reports, e.g. "cpu avx2, 2 threads".
    var description: String { get }

    // MARK: Matrices

    /// out [M, N] = residual + gate · activation(input [M, K]·Wᵀ + bias). `residual` [M, N] may be `out`; `gate` is a vector [N] per row.
    func linear(
        _ input: LinearInput, _ weights: LinearWeights, activation: Activation, gate: RowVectors?, residual: Tensor?, into out: Tensor)

    /// 2-D convolution of `x` and, if given, `x2` joined behind it along the channels; both [height, width, channels].
    /// With `upsample` every input pixel is seen as 2×2 equal ones. out [height', width', N] = relu?(residual + activation(sum + bias)).
    /// `residual` may be `out`, so that several convolutions can be summed.
    func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor)

    /// Makes x [height, width, C] the codes that int8 convolutions read; with a norm, that of its pixels. With a scale [C], that of the
    /// convolutions, the channels are multiplied by it.
    func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: QuantizedImage)

    /// out = residual + the sum of int8 convolutions, each of its own image, all of the same sizes: added in their order, each with its
    /// bias if it has one. `residual` may be `out`.
    func convolve(
        _ images: [QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor)

    // MARK: Norms

    /// Rows of x [M, K] to mean 0 and variance 1; then · weight + bias if given (both [K]); then · (1 + scale) + shift if given.
    func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowVectors?, shift: RowVectors?, into out: Tensor)

    /// The same into the rows of linear layers; taken when they are first read, so `x` and the vectors stay as they are until then.
    func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowVectors?, shift: RowVectors?, into input: LinearInput)

    /// Rows of x [M, K] to mean square 1, then · weight [K]. `out` may be `x`.
    func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor)

    // MARK: Attention

    /// `rmsNorm` of x [M, H·D] in place, then its rotary position embedding: row i of x is position i of the table, which begins anew
    /// for every further sequence that M holds.
    func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable)

    /// Arranges keys [L, H·D], and then values of the same shape, for any number of `attend` calls: one after the other, so that one
    /// tensor can hold both in turn.
    func pack(keys: Tensor, into packed: PackedKeysValues)
    func pack(values: Tensor, into packed: PackedKeysValues)

    /// out [M, H·D] = softmax(scale · q·kᵀ + keyBias [L] + bias [H, M, L]) · v. `out` may be `queries`. `bias` goes with float only.
    func attend(queries: Tensor, to packed: PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor)

    // MARK: Elementwise; `out` may be an input

    func add(_ a: Tensor, _ b: Tensor, into out: Tensor)
    func silu(_ x: Tensor, into out: Tensor)
    /// gelu(a) · b, GELU in its tanh form.
    func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor)
    /// 3·tanh(x / 3)
    func softClamp(_ x: Tensor, into out: Tensor)
    /// unconditional + scale · (conditional − unconditional): classifier-free guidance.
    func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor)
    /// sample + dt · velocity: one Euler step.
    func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor)
}

extension ComputeBackend {
    public func linear(_ input: LinearInput, _ weights: LinearWeights, into out: Tensor) {
        linear(input, weights, activation: .none, gate: nil, residual: nil, into: out)
    }

    public func linear(_ input: LinearInput, _ weights: LinearWeights, activation: Activation, into out: Tensor) {
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

/// What the products of an attention are made of. Both give the same bits on every machine; int8 is two to three times as fast.
public enum AttentionPrecision: Sendable {
    case float
    /// Keys, values and weights of 8 bits. Not for keys with a large bias, beside which the others' weights would vanish.
    case int8
    /// The same with weights of 16 bits, for where few keys take most of the weight and a byte is too coarse for the others.
    case int8TwoPlanes
}

/// Keys and values of H heads in a backend's own arrangement.
public struct PackedKeysValues {
    public let precision: AttentionPrecision
    public let heads: Int
    public let headWidth: Int
    /// Keys that it can hold.
    public let capacity: Int
    package let room: Tensor
    private let held: Held

    private final class Held { var keys = 0 }

    public init(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision = .float, in arena: Arena) {
        precondition(
            capacity > 0 && heads > 0 && (1...(precision == .float ? 512 : 256)).contains(headWidth) && headWidth % 2 == 0,
            "\(heads) heads of \(headWidth), \(capacity) keys")
        self.precision = precision
        self.heads = heads
        self.headWidth = headWidth
        self.capacity = capacity
        room = arena.tensor(Shape(packedFloats(heads: heads, keys: capacity, headWidth: headWidth, precision)))
        held = Held()
    }

    /// Keys now held.
    public package(set) var keys: Int {
        get { held.keys }
        nonmutating set { held.keys = newValue }
    }
}
