// A backend that hands every operation to another one and writes down how long it took and how much arithmetic it was.
import SoradSystem
import SoradTensor

final class ProfilingBackend: ComputeBackend {
    /// All calls of one operation with one shape.
    struct Entry {
        let name, shape: String
        /// Products of int8 numbers, to be compared with the int8 peak.
        let isInteger: Bool
        /// Multiplies and adds of one call; 0 where they are not what the time goes to.
        let operations: Double
        var calls = 0
        var seconds = 0.0
    }

    private let inner: any ComputeBackend
    /// Whether each operation is waited for; otherwise the times of single ones mean nothing.
    private let timesEach: Bool
    private var index: [String: Int] = [:]
    private(set) var entries: [Entry] = []
    /// The fault of an operation, until `finish` throws it.
    private var failure: SoradError?

    init(_ inner: any ComputeBackend, timesEach: Bool = true) {
        self.inner = inner
        self.timesEach = timesEach
    }

    var description: String { inner.description }

    /// Multiplies and adds of all calls.
    var operations: Double { entries.reduce(0) { $0 + $1.operations * Double($1.calls) } }

    func forget() {
        index = [:]
        entries = []
    }

    private func timed(_ name: String, _ shape: String, _ operations: Double = 0, isInteger: Bool = false, _ work: () -> Void) {
        let start = ContinuousClock.now
        work()
        do throws(SoradError) { if timesEach { try inner.finish() } } catch { failure = failure ?? error }
        let seconds = (ContinuousClock.now - start).seconds
        let key = name + " " + shape
        let at = index[key] ?? entries.count
        if at == entries.count {
            index[key] = at
            entries.append(Entry(name: name, shape: shape, isInteger: isInteger, operations: operations))
        }
        entries[at].calls += 1
        entries[at].seconds += seconds
    }

    // MARK: Memory

    var alignment: Int { inner.alignment }
    var rowGranularity: Int { inner.rowGranularity }
    var intermediateRows: Int { inner.intermediateRows }
    var ownBytes: Int { inner.ownBytes }

    func allocate(byteCount: Int) -> TensorBuffer { inner.allocate(byteCount: byteCount) }
    func owns(_ buffer: TensorBuffer) -> Bool { inner.owns(buffer) }
    func load(_ parameter: Parameter) -> Parameter { inner.load(parameter) }
    func load(_ weights: LinearWeights) -> LinearWeights { inner.load(weights) }
    func load(_ weights: ConvolutionWeights) -> ConvolutionWeights { inner.load(weights) }

    func activations(capacity: Int, width: Int, in arena: Arena) -> any ActivationMatrix {
        inner.activations(capacity: capacity, width: width, in: arena)
    }

    func keysValues(capacity: Int, heads: Int, headWidth: Int, precision: AttentionPrecision, in arena: Arena) -> any PackedKeysValues {
        inner.keysValues(capacity: capacity, heads: heads, headWidth: headWidth, precision: precision, in: arena)
    }

    func image(_ shape: Shape, in arena: Arena) -> any QuantizedImage { inner.image(shape, in: arena) }

    func scratchBytes(_ weights: ConvolutionWeights, image: Shape) -> Int { inner.scratchBytes(weights, image: image) }

    func finish() throws(SoradError) {
        if let failure = failure.take() { throw failure }
        try inner.finish()
    }

    // MARK: Operations

    private func size(_ x: Tensor) -> String { (0..<x.shape.rank).map { "\(x.shape[$0])" }.joined(separator: "x") }

    func linear(
        _ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation, gate: RowModulation?, residual: Tensor?,
        into out: Tensor
    ) {
        let (m, k, n) = (out.shape[0], weights.inputs, weights.outputs)
        let isInteger = if case .int8 = weights.precision { true } else { false }
        timed(
            isInteger ? "linear int8" : "linear float", "M=\(m) K=\(k) N=\(n)", 2 * Double(m) * Double(k) * Double(n), isInteger: isInteger
        ) {
            inner.linear(input, weights, activation: activation, gate: gate, residual: residual, into: out)
        }
    }

    func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor
    ) {
        let products = Double(out.count) * Double(weights.inputs * weights.kernel * weights.kernel)
        let isInteger = if case .int8 = weights.precision { true } else { false }
        timed(
            isInteger ? "conv int8" : "conv float",
            "\(x.shape[0])x\(x.shape[1])x\(weights.inputs) \(weights.kernel)x\(weights.kernel) -> \(size(out))", 2 * products,
            isInteger: isInteger
        ) {
            inner.convolve(x, x2, weights, upsample: upsample, activation: activation, residual: residual, reluAtEnd: reluAtEnd, into: out)
        }
    }

    func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage) {
        timed(norm == nil ? "quantize" : "norm, quantize", size(x)) { inner.quantize(x, norm: norm, scale: scale, into: image) }
    }

    func convolve(_ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor) {
        let products = Double(out.count) * Double(weights[0].inputs * weights[0].kernel * weights[0].kernel * images.count)
        let shape = (0..<3).map { "\(images[0].shape[$0])" }.joined(separator: "x")
        timed(
            "conv int8 x\(images.count)", "\(shape) \(weights[0].kernel)x\(weights[0].kernel) -> \(size(out))", 2 * products,
            isInteger: true
        ) {
            inner.convolve(images, weights, upsample: upsample, residual: residual, into: out)
        }
    }

    func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?,
        into input: any ActivationMatrix
    ) {
        // Taken by the first layer that reads it, in whose time it is.
        inner.layerNorm(x, epsilon: epsilon, weight: weight, bias: bias, scale: scale, shift: shift, into: input)
    }

    func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor) {
        timed("rms norm", size(x)) { inner.rmsNorm(x, epsilon: epsilon, weight: weight, into: out) }
    }

    func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable) {
        timed("norm and rotate", size(x)) { inner.normAndRotate(x, epsilon: epsilon, weight: weight, heads: heads, by: table) }
    }

    func pack(keys: Tensor, into packed: any PackedKeysValues) {
        timed("pack keys", size(keys)) { inner.pack(keys: keys, into: packed) }
    }

    func pack(values: Tensor, into packed: any PackedKeysValues) {
        timed("pack values", size(values)) { inner.pack(values: values, into: packed) }
    }

    func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let isInteger = packed.precision != .float
        let operations = 4 * Double(queries.count) * Double(packed.keys)
        let shape = "L=\(queries.shape[0]) keys=\(packed.keys) H=\(packed.heads) D=\(packed.headWidth)"
        timed(isInteger ? "attend int8" : "attend float", shape, operations, isInteger: isInteger) {
            inner.attend(queries: queries, to: packed, scale: scale, keyBias: keyBias, bias: bias, into: out)
        }
    }

    func pack(keys: Tensor, into packed: [any PackedKeysValues]) {
        timed("pack keys", size(keys)) { inner.pack(keys: keys, into: packed) }
    }

    func pack(values: Tensor, into packed: [any PackedKeysValues]) {
        timed("pack values", size(values)) { inner.pack(values: values, into: packed) }
    }

    func attend(queries: Tensor, to packed: [any PackedKeysValues], scale: Float, keyBiases: [Tensor?], into out: Tensor) {
        let isInteger = packed[0].precision != .float
        let operations = packed.reduce(0) { $0 + 4 * Double(queries.count / packed.count) * Double($1.keys) }
        let shape = "L=\(queries.shape[0]) keys=\(packed[0].keys) H=\(packed[0].heads) D=\(packed[0].headWidth)"
        timed(isInteger ? "attend int8" : "attend float", shape, operations, isInteger: isInteger) {
            inner.attend(queries: queries, to: packed, scale: scale, keyBiases: keyBiases, into: out)
        }
    }

    /// Operations that are to be timed one by one are run one by one.
    func alongRows(_ operations: () -> Void) { if timesEach { operations() } else { inner.alongRows(operations) } }

    func add(_ a: Tensor, _ b: Tensor, into out: Tensor) { timed("add", size(out)) { inner.add(a, b, into: out) } }
    func silu(_ x: Tensor, into out: Tensor) { timed("silu", size(out)) { inner.silu(x, into: out) } }
    func softClamp(_ x: Tensor, into out: Tensor) { timed("soft clamp", size(out)) { inner.softClamp(x, into: out) } }
    func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        timed("gelu multiply", size(out)) { inner.geluTanhMultiply(a, b, into: out) }
    }
    func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor) {
        timed("guide", size(out)) { inner.guide(unconditional: unconditional, conditional: conditional, scale: scale, into: out) }
    }
    func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor) {
        timed("euler step", size(out)) { inner.eulerStep(sample: sample, velocity: velocity, dt: dt, into: out) }
    }
    func affine(_ x: Tensor, scale: Float, shift: Float, into out: Tensor) {
        timed("affine", size(out)) { inner.affine(x, scale: scale, shift: shift, into: out) }
    }
    func fill(_ out: Tensor, with value: Float) { timed("fill", size(out)) { inner.fill(out, with: value) } }
    func copy(_ source: Blocks, into target: Blocks) {
        timed("copy", "\(source.count)x\(source.length)") { inner.copy(source, into: target) }
    }
    func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor) {
        timed("patchify", size(latent)) { inner.patchify(latent, layout, into: rows) }
    }
    func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor) {
        timed("unpatchify", size(latent)) { inner.unpatchify(rows, layout, into: latent) }
    }
    func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        timed("denormalize", size(out)) { inner.denormalize(latent, frame: frame, mean: mean, std: std, into: out) }
    }
    func normalize(_ image: Tensor, mean: Tensor, std: Tensor, into latent: Tensor, frame: Int) {
        timed("normalize", size(image)) { inner.normalize(image, mean: mean, std: std, into: latent, frame: frame) }
    }
    func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        timed("shuffle pixels", size(x)) { inner.shufflePixels(x, r, into: out) }
    }
    func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        timed("unshuffle pixels", size(x)) { inner.unshufflePixels(x, r, into: out) }
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
