// Owns the small exact operations that every backend shares and that run once per clip or frame: tables, noise, pixels, conversions.
// `unsafe` here: the C functions take addresses; sizes are checked before each call.
internal import CSoradKernels

/// Floats that a backend needs for the keys and values of `heads` heads.
func packedFloats(heads: Int, keys: Int, headWidth: Int, _ precision: AttentionPrecision) -> Int {
    switch precision {
    case .float: sorad_attention_packed_floats_f32(heads, keys, headWidth)
    case .int8, .int8TwoPlanes: sorad_attention_packed_floats_qd8kv(heads, keys, headWidth)
    }
}

/// Bytes that any backend's int8 form of `rows` rows of `width` values takes.
func packedRowsMostBytes(rows: Int, width: Int) -> Int { sorad_qd8_packed_max_bytes(rows, width) }

/// cos and sin [positions, width / 2] of p·theta^(−2i/width).
func angles(positions: Int, width: Int, theta: Double) -> (cosine: Tensor, sine: Tensor) {
    let cosine = Tensor(Shape(positions, width / 2))
    let sine = Tensor(Shape(positions, width / 2))
    unsafe sorad_rope_table(positions, width, theta, cosine.pointer(), sine.pointer(), width / 2)
    return (cosine, sine)
}

/// ln x for the logit of a key that stands for x equal ones.
public func naturalLogarithm(_ x: Double) -> Double {
    precondition(x.isNormal && x > 0, "ln \(x)")
    return sorad_log(x)
}

extension Tensor {
    /// Standard normal values by Philox-4x32-10: element i depends on (seed, stream, i) only.
    public func fillNormal(seed: UInt64, stream: UInt64) {
        unsafe sorad_philox_normal(seed, stream, 0, count, pointer())
    }

    /// Becomes the sinusoidal embeddings [timesteps.count, width] of timesteps in 0...num_train_timesteps (diffusers Timesteps,
    /// flip_sin_to_cos, no frequency shift): cosines, then sines.
    public func fillTimestepEmbedding(_ timesteps: [Float]) {
        precondition(shape.rank == 2 && shape[0] == timesteps.count, "\(timesteps.count) timesteps into \(shape)")
        unsafe timesteps.withUnsafeBufferPointer { unsafe sorad_timestep_embedding($0.baseAddress!, timesteps.count, shape[1], pointer()) }
    }

    /// Row `index` becomes row `row` of an embedding table [rows, K] of f16, bf16 or f32.
    public func setRow(_ index: Int, from table: Parameter, row: Int) {
        let width = shape[1]
        precondition(
            shape.rank == 2 && index < shape[0] && row >= 0 && (row + 1) * width <= table.count, "row \(row) of \(table.count / width)")
        let target = unsafe rows(index..<index + 1).pointer()
        switch table.elementType {
        case .f32: unsafe target.update(from: table.pointer(Float.self) + row * width, count: width)
        case .f16: unsafe sorad_f16_to_f32(table.pointer(UInt16.self) + row * width, target, width)
        case .bf16: unsafe sorad_bf16_to_f32(table.pointer(UInt16.self) + row * width, target, width)
        case .i8, .i32: preconditionFailure("an embedding table of \(table.elementType)")
        }
    }

    /// Channels `first` and on of every pixel [h, w, C] become the pixels of `out` [h, w, c].
    public func copyChannels(from first: Int, to out: Tensor) {
        let (wide, narrow) = (shape.last, out.shape.last)
        precondition(
            count / wide == out.count / narrow && first >= 0 && first + narrow <= wide, "channels from \(first) of \(shape) to \(out.shape)"
        )
        let (source, target) = unsafe (pointer() + first, out.pointer())
        for pixel in 0..<count / wide { unsafe (target + pixel * narrow).update(from: source + pixel * wide, count: narrow) }
    }

    /// [h, w, C·r²] to `out` [h·r, w·r, C], as torch's pixel_shuffle, channels last.
    public func shufflePixels(_ r: Int, into out: Tensor) {
        precondition(
            out.shape == Shape(shape[0] * r, shape[1] * r, shape[2] / (r * r)) && out.count == count,
            "shuffle \(shape) by \(r) to \(out.shape)")
        unsafe sorad_pixel_shuffle(pointer(), shape[0], shape[1], out.shape[2], r, out.pointer())
    }

    /// [h·r, w·r, C] to `out` [h, w, C·r²]: the inverse of `shufflePixels`.
    public func unshufflePixels(_ r: Int, into out: Tensor) {
        precondition(
            shape == Shape(out.shape[0] * r, out.shape[1] * r, out.shape[2] / (r * r)) && out.count == count,
            "unshuffle \(shape) by \(r) to \(out.shape)")
        unsafe sorad_pixel_unshuffle(pointer(), out.shape[0], out.shape[1], shape[2], r, out.pointer())
    }

    /// Frame `frame` of latents [C, T, h, w] to `out` [h, w, C], times `std` plus `mean` (both [C]).
    public func denormalizeLatent(frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        convertLatent(self, frame, mean, std, out, toPlanar: false)
    }

    /// `image` [h, w, C], minus `mean` and divided by `std` (both [C]), becomes frame `frame` of these latents [C, T, h, w].
    public func setNormalizedLatent(frame: Int, from image: Tensor, mean: Tensor, std: Tensor) {
        convertLatent(self, frame, mean, std, image, toPlanar: true)
    }

    /// Pictures in [0, 1] to bytes, rounded to nearest even.
    public func appendBytes(to bytes: inout [UInt8]) {
        let count = count
        let source = unsafe pointer()
        bytes.append(
            contentsOf: unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                unsafe sorad_rgb_to_u8(source, buffer.baseAddress!, count)
                initialized = count
            })
    }

    /// Bytes to [0, 1].
    public func set(from bytes: Span<UInt8>) {
        precondition(bytes.count == count, "\(bytes.count) bytes into \(shape)")
        unsafe bytes.withUnsafeBufferPointer { unsafe sorad_u8_to_rgb($0.baseAddress!, pointer(), count) }
    }
}

private func convertLatent(_ latents: Tensor, _ frame: Int, _ mean: Tensor, _ std: Tensor, _ image: Tensor, toPlanar: Bool) {
    let channels = latents.shape[0]
    let frames = latents.shape[1]
    let pixels = latents.shape[2] * latents.shape[3]
    precondition(
        latents.shape.rank == 4 && image.shape == Shape(latents.shape[2], latents.shape[3], channels),
        "latents \(latents.shape), image \(image.shape)")
    precondition((0..<frames).contains(frame) && mean.count == channels && std.count == channels, "frame \(frame) of \(frames)")
    let plane = unsafe latents.pointer() + frame * pixels
    var arguments = unsafe sorad_latent_args()
    unsafe arguments.x = toPlanar ? UnsafePointer(image.pointer()) : UnsafePointer(plane)
    unsafe arguments.x_pixel_stride = toPlanar ? channels : 1
    unsafe arguments.x_channel_stride = toPlanar ? 1 : frames * pixels
    unsafe arguments.out = toPlanar ? plane : image.pointer()
    unsafe arguments.out_pixel_stride = toPlanar ? 1 : channels
    unsafe arguments.out_channel_stride = toPlanar ? frames * pixels : 1
    unsafe arguments.pixels = pixels
    unsafe arguments.channels = channels
    unsafe arguments.mean = UnsafePointer(mean.pointer())
    unsafe arguments.std = UnsafePointer(std.pointer())
    if toPlanar { unsafe sorad_latent_normalize(&arguments) } else { unsafe sorad_latent_denormalize(&arguments) }
}
