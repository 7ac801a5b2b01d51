// What the operations of `ComputeBackend` demand of the sizes of their arguments, for every backend. An operation calls the check of
// its name first; what comes after relies on it.

/// A broken size is a mistake in the program: it traps.
public enum OperationChecks {
    // MARK: Matrices

    public static func linear(
        _ input: any ActivationMatrix, _ weights: LinearWeights, gate: RowModulation?, residual: Tensor?, into out: Tensor
    ) {
        let rows = input.values.shape[0]
        precondition(
            input.width == weights.inputs && out.shape == Shape(rows, weights.outputs),
            "\(input.values.shape)·[\(weights.outputs), \(weights.inputs)]ᵀ into \(out.shape)")
        precondition(residual == nil || residual!.shape == out.shape, "residual of \(out.shape)")
        precondition(gate == nil || gate!.groups.rowCount == rows && gate!.table.shape[2] == weights.outputs, "gate of \(out.shape)")
    }

    public static func layerNorm(
        _ x: Tensor, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?, into input: any ActivationMatrix
    ) {
        let k = x.shape[1]
        precondition(input.width == k, "norm of \(x.shape) into rows of \(input.width)")
        precondition(x.shape.rank == 2 && (weight == nil || weight!.count == k) && (bias == nil || bias!.count == k), "norm of \(x.shape)")
        precondition((scale == nil) == (shift == nil) && scale?.groups == shift?.groups, "scale and shift go together")
        precondition(
            scale == nil || scale!.groups.rowCount == x.shape[0] && scale!.table.shape[2] == k && shift!.table.shape[2] == k,
            "modulation of \(x.shape)")
    }

    public static func rmsNorm(_ x: Tensor, weight: Parameter, into out: Tensor) {
        precondition(x.shape.rank == 2 && out.shape == x.shape && weight.count == x.shape[1], "norm of \(x.shape) into \(out.shape)")
    }

    public static func normAndRotate(_ x: Tensor, weight: Parameter, heads: Int, by table: RotaryTable) {
        rmsNorm(x, weight: weight, into: x)
        let headWidth = x.shape[1] / heads
        precondition(
            x.shape[0] % table.tokens == 0 && headWidth * heads == x.shape[1] && table.cosines.shape[1] * 2 == headWidth,
            "rotation of \(x.shape), \(heads) heads")
    }

    // MARK: Attention

    public static func pack(keys: Tensor, into packed: any PackedKeysValues) {
        precondition(
            keys.shape.rank == 2 && (1...packed.capacity).contains(keys.shape[0])
                && keys.shape[1] == packed.heads * packed.headWidth, "keys \(keys.shape)")
    }

    public static func pack(values: Tensor, into packed: any PackedKeysValues) {
        precondition(values.shape == Shape(packed.keys, packed.heads * packed.headWidth), "\(values.shape), \(packed.keys) keys")
    }

    public static func attend(queries: Tensor, to packed: any PackedKeysValues, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let (rows, heads, keys) = (queries.shape[0], packed.heads, packed.keys)
        precondition(
            queries.shape == Shape(rows, heads * packed.headWidth) && out.shape == queries.shape && keys > 0,
            "queries \(queries.shape), \(keys) keys")
        precondition(bias == nil || packed.precision == .float, "a bias per query with int8 attention")
        precondition(keyBias == nil || keyBias!.count == keys, "key bias of \(keys) keys")
        precondition(bias == nil || bias!.shape == Shape(heads, rows, keys), "bias of \(heads) heads, \(rows) queries, \(keys) keys")
    }

    // MARK: Images

    public static func convolve(
        _ x: Tensor, _ partner: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation,
        residual: Tensor?, reluAtEnd: Bool, into out: Tensor
    ) {
        precondition(x.shape.rank == 3, "convolution of \(x.shape)")
        sizes(x.shape, weights, upsample: upsample, residual, out)
        let zoom = upsample ? 2 : 1
        precondition(!weights.padsAtEnd || x.shape[0] * zoom % 2 == 0 && x.shape[1] * zoom % 2 == 0, "odd sides of \(x.shape)")
        var channels = x.shape[2]
        switch partner {
        case .none: break
        case .zeros(let count): channels += count
        case .tensor(let other):
            precondition(
                other.shape.rank == 3 && other.shape[0] == x.shape[0] && other.shape[1] == x.shape[1], "\(other.shape) next to \(x.shape)")
            precondition(!weights.isInt8 || weights.inputScale == nil, "scales of the channels of two images")
            channels += other.shape[2]
        }
        precondition(channels == weights.inputs, "\(channels) channels for \(weights.inputs)")
        precondition(!weights.isInt8 || !weights.has16BitInput || activation == .none && !reluAtEnd, "an activation of a 16-bit input")
    }

    public static func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage) {
        precondition(x.shape == image.shape, "an image of \(x.shape) into \(image.shape)")
        precondition(norm == nil || norm!.weight.count == x.shape[2], "norm of \(x.shape)")
        precondition(scale == nil || scale!.count == x.shape[2], "scales of \(x.shape)")
    }

    public static func convolve(
        _ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor
    ) {
        precondition(!images.isEmpty && images.count == weights.count, "\(images.count) images for \(weights.count) convolutions")
        let (first, shape) = (weights[0], images[0].shape)
        precondition(
            weights.allSatisfy {
                $0.isInt8 && $0.kernel == first.kernel && $0.stride == first.stride && $0.outputs == first.outputs
                    && $0.inputs == shape[2]
            } && images.allSatisfy { $0.shape == shape }, "convolutions of several kinds")
        sizes(shape, first, upsample: upsample, residual, out)
    }

    private static func sizes(_ shape: Shape, _ weights: ConvolutionWeights, upsample: Bool, _ residual: Tensor?, _ out: Tensor) {
        let zoom = upsample ? 2 : 1
        let height = (shape[0] * zoom + weights.stride - 1) / weights.stride
        let width = (shape[1] * zoom + weights.stride - 1) / weights.stride
        precondition(out.shape == Shape(height, width, weights.outputs), "convolution of \(shape) into \(out.shape)")
        precondition(residual == nil || residual!.shape == out.shape, "residual of \(out.shape)")
    }

    /// `wide` is the image of more pixels, `deep` that of more channels.
    public static func shuffle(wide: Tensor, deep: Tensor, _ r: Int) {
        precondition(
            wide.shape == Shape(deep.shape[0] * r, deep.shape[1] * r, deep.shape[2] / (r * r)) && wide.count == deep.count,
            "shuffle of \(deep.shape) by \(r) and \(wide.shape)")
    }

    // MARK: Copies, latents and tokens

    public static func copy(_ source: Blocks, into target: Blocks) {
        precondition(
            source.length == target.length && source.count == target.count,
            "\(source.count) blocks of \(source.length) to \(target.count) of \(target.length)")
    }

    /// Operations that make each value from those of the same place.
    public static func elementwise(_ a: Tensor, _ b: Tensor? = nil, into out: Tensor) {
        precondition(a.count == out.count && (b == nil || b!.count == out.count), "\(a.shape) into \(out.shape)")
    }

    public static func patches(_ latent: Tensor, _ layout: PatchLayout, _ rows: Tensor) {
        precondition(latent.shape == layout.latent && rows.shape == layout.rows, "latents \(latent.shape), rows \(rows.shape)")
    }

    /// `image` is, or becomes, frame `frame` of the latents [C, T, h, w].
    public static func frame(_ frame: Int, of latents: Tensor, mean: Tensor, std: Tensor, image: Tensor) {
        precondition(latents.shape.rank == 4, "latents \(latents.shape)")
        let (channels, frames) = (latents.shape[0], latents.shape[1])
        precondition(
            image.shape == Shape(latents.shape[2], latents.shape[3], channels), "latents \(latents.shape), image \(image.shape)")
        precondition((0..<frames).contains(frame) && mean.count == channels && std.count == channels, "frame \(frame) of \(frames)")
    }
}
