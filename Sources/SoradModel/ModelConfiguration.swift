// Owns the sizes of one model, read from the metadata of its file and checked once: everything after relies on them.
public import SoradModelFile
public import SoradSystem
package import SoradTensor

/// Sizes and defaults of one model file.
public struct ModelConfiguration: Sendable {
    /// What a request gets that names nothing itself.
    public struct Defaults: Sendable {
        /// Pixels.
        public let width, height: Int
        public let numFrames, fps: Int
        public let numInferenceSteps: Int
        public let guidanceScale, flowShift: Float
    }

    public let id: String
    public let defaults: Defaults
    /// Tokens that every prompt is filled up to, and the most that it may have.
    public let textLength: Int
    /// Timesteps of the training schedule, 1000 as a rule.
    public let numTrainTimesteps: Int
    let text: TextEncoderConfiguration
    let transformer: TransformerConfiguration
    let autoencoder: AutoencoderFamily

    public init(_ file: ModelFile) throws(SoradError) {
        let data = file.metadata
        id = try data.string("sorad.model.id")
        defaults = Defaults(
            width: try data.integer("sorad.native.width", in: 1...16384), height: try data.integer("sorad.native.height", in: 1...16384),
            numFrames: try data.integer("sorad.native.num_frames", in: 1...4096), fps: try data.integer("sorad.native.fps", in: 1...240),
            numInferenceSteps: try data.integer("sorad.default.num_inference_steps", in: 1...1000),
            guidanceScale: try data.float("sorad.default.guidance_scale"), flowShift: try data.float("sorad.default.flow_shift"))
        textLength = try data.integer("sorad.text_length", in: 1...4096)
        let scheduler = try data.string("scheduler.type")
        guard scheduler == "flow_match_euler" else {
            throw SoradError(.badInput, "\(file.path) asks for the scheduler \"\(scheduler)\", and only flow_match_euler is known")
        }
        numTrainTimesteps = try data.integer("scheduler.num_train_timesteps", in: 1...100_000)
        text = try TextEncoderConfiguration(data)
        transformer = try TransformerConfiguration(data)
        autoencoder = try AutoencoderFamily(data)
        guard defaults.flowShift > 0 else {
            throw SoradError(.badInput, "\(file.path): sorad.default.flow_shift is \(defaults.flowShift), not positive")
        }
        guard transformer.textWidth == text.width else {
            throw SoradError(
                .badInput,
                "\(file.path): the transformer reads texts of width \(transformer.textWidth), and the text encoder writes \(text.width)")
        }
        guard transformer.inChannels == autoencoder.latentChannels, transformer.outChannels == transformer.inChannels else {
            throw SoradError(
                .badInput,
                "\(file.path): the transformer has \(transformer.inChannels) channels in and \(transformer.outChannels) out, and the autoencoder \(autoencoder.latentChannels)"
            )
        }
        do throws(SoradError) {
            _ = try latentSize(width: defaults.width, height: defaults.height, numFrames: defaults.numFrames)
        } catch {
            throw SoradError(.badInput, "\(file.path): its own default size is impossible: \(error.message)")
        }
    }

    /// Width and height of a clip are multiples of this, pixels.
    public var sizeMultiple: Int { autoencoder.spatialScale * transformer.patch.height }
    /// The number of frames is 1 plus a multiple of this.
    public var frameMultiple: Int { autoencoder.timeScale * transformer.patch.frames }
    /// Pixels along a side that one latent pixel stands for, and frames that one latent frame does, the first aside.
    public var spatialScale: Int { autoencoder.spatialScale }
    public var timeScale: Int { autoencoder.timeScale }
    /// The largest width or height, pixels, that the position embedding knows.
    public var maxSide: Int { transformer.maxPositions * sizeMultiple }
    /// The largest number of frames that the position embedding knows.
    public var maxNumFrames: Int { (transformer.maxPositions * transformer.patch.frames - 1) * autoencoder.timeScale + 1 }
    /// Of a text embedding.
    public var textWidth: Int { text.width }
    public var latentChannels: Int { autoencoder.latentChannels }
    /// True if some latent frames may be given (their tokens carry timestep 0).
    public var takesKnownFrames: Bool { transformer.expandTimesteps }

    /// The latents of a clip.
    /// - Throws: `.badInput` with `param` set when the model cannot make this size.
    public func latentSize(width: Int, height: Int, numFrames: Int) throws(SoradError) -> LatentSize {
        for (name, value) in [("width", width), ("height", height)] {
            guard value > 0, value <= maxSide, value % sizeMultiple == 0 else {
                throw SoradError(
                    .badInput, "\(name) is \(value); this model makes multiples of \(sizeMultiple) up to \(maxSide)", param: name)
            }
        }
        guard numFrames > 0, numFrames <= maxNumFrames, (numFrames - 1) % frameMultiple == 0,
            ((numFrames - 1) / autoencoder.timeScale + 1) % transformer.patch.frames == 0
        else {
            throw SoradError(
                .badInput, "num_frames is \(numFrames); this model makes 1 plus a multiple of \(frameMultiple), up to \(maxNumFrames)",
                param: "num_frames")
        }
        let size = LatentSize(
            channels: autoencoder.latentChannels, frames: (numFrames - 1) / autoencoder.timeScale + 1,
            height: height / autoencoder.spatialScale, width: width / autoencoder.spatialScale)
        // Each factor is at most 2¹⁶·2⁴, so the product fits.
        let tokens = size.frames * size.height * size.width / transformer.patchVolume
        guard tokens <= Self.maxTokens else {
            throw SoradError(
                .badInput, "\(width)×\(height) pixels and \(numFrames) frames are \(tokens) tokens; \(Self.maxTokens) are the limit",
                param: "size")
        }
        return size
    }

    /// Far above what any CPU can attend over; keeps every size computed from it within range.
    static let maxTokens = 1 << 20
}

/// The shape of the latents of one clip: [channels, frames, height, width].
public struct LatentSize: Sendable, Equatable {
    public let channels, frames, height, width: Int

    public init(channels: Int, frames: Int, height: Int, width: Int) {
        self.channels = channels
        self.frames = frames
        self.height = height
        self.width = width
    }
}

/// The mT5-style encoder (transformers UMT5EncoderModel).
struct TextEncoderConfiguration: Sendable {
    let width, headWidth, heads, feedForward, layers, vocabulary: Int
    let buckets, maxDistance: Int
    let epsilon: Float

    init(_ data: Metadata) throws(SoradError) {
        width = try data.integer("te.d_model", in: 1...65536)
        headWidth = try data.integer("te.d_kv", in: 2...256)
        heads = try data.integer("te.num_heads", in: 1...256)
        feedForward = try data.integer("te.d_ff", in: 1...65536)
        layers = try data.integer("te.num_layers", in: 1...256)
        vocabulary = try data.integer("te.vocab_size", in: 1...10_000_000)
        buckets = try data.integer("te.relative_attention_num_buckets", in: 4...4096)
        maxDistance = try data.integer("te.relative_attention_max_distance", in: 2...1_000_000)
        epsilon = try data.float("te.layer_norm_epsilon")
        let projection = try data.string("te.feed_forward_proj")
        guard projection == "gated-gelu" else {
            throw SoradError(.badInput, "\(data.path): the text encoder's feed-forward is \"\(projection)\", and only gated-gelu is known")
        }
        guard headWidth % 2 == 0, maxDistance > buckets / 4 else {
            throw SoradError(
                .badInput,
                "\(data.path): te.d_kv is \(headWidth) and te.relative_attention_max_distance \(maxDistance), which do not fit together with \(buckets) buckets"
            )
        }
    }
}

/// The Wan diffusion transformer (diffusers WanTransformer3DModel).
package struct TransformerConfiguration: Sendable {
    let layers, heads, headWidth, inChannels, outChannels, textWidth, frequencyWidth, feedForward, maxPositions: Int
    let patch: (frames: Int, height: Int, width: Int)
    let crossAttentionNorm, expandTimesteps: Bool
    let epsilon: Float
    /// Of the attention between the clip's own tokens: int8 where its linear layers are. The text's few keys stay float.
    package var attentionPrecision = AttentionPrecision.float
    /// Bytes of a weight of int8 attention.
    var attentionPlanes = 1

    /// Channels of the hidden state.
    var width: Int { heads * headWidth }
    /// Latent values in one token.
    var patchVolume: Int { patch.frames * patch.height * patch.width }

    init(_ data: Metadata) throws(SoradError) {
        layers = try data.integer("dit.num_layers", in: 1...512)
        heads = try data.integer("dit.num_attention_heads", in: 1...256)
        headWidth = try data.integer("dit.attention_head_dim", in: 6...256)
        inChannels = try data.integer("dit.in_channels", in: 1...1024)
        outChannels = try data.integer("dit.out_channels", in: 1...1024)
        textWidth = try data.integer("dit.text_dim", in: 1...65536)
        frequencyWidth = try data.integer("dit.freq_dim", in: 2...65536)
        feedForward = try data.integer("dit.ffn_dim", in: 1...65536)
        maxPositions = try data.integer("dit.rope_max_seq_len", in: 1...65536)
        let sizes = try data.integers("dit.patch_size", in: 1...16)
        crossAttentionNorm = try data.bool("dit.cross_attn_norm")
        expandTimesteps = try data.bool("dit.expand_timesteps")
        epsilon = try data.float("dit.eps")
        if data.contains("dit.attention_planes") { attentionPlanes = try data.integer("dit.attention_planes", in: 1...2) }
        let norm = try data.string("dit.qk_norm")
        guard sizes.count == 3 else { throw SoradError(.badInput, "\(data.path): dit.patch_size has \(sizes.count) numbers, not 3") }
        patch = (sizes[0], sizes[1], sizes[2])
        guard norm == "rms_norm_across_heads" else {
            throw SoradError(.badInput, "\(data.path): dit.qk_norm is \"\(norm)\", and only rms_norm_across_heads is known")
        }
        guard sizes[1] == sizes[2], inChannels * patchVolume <= 65536, outChannels * patchVolume <= 65536 else {
            throw SoradError(
                .badInput, "\(data.path): patches of \(sizes) with \(inChannels) and \(outChannels) channels are not square or too large")
        }
        guard headWidth % 2 == 0, frequencyWidth % 2 == 0 else {
            throw SoradError(.badInput, "\(data.path): dit.attention_head_dim \(headWidth) and dit.freq_dim \(frequencyWidth) must be even")
        }
    }
}

/// The TAEHV-family video autoencoder.
package struct AutoencoderConfiguration: Sendable {
    let imageChannels, latentChannels, patchSize: Int
    let encoderChannels, decoderChannels: [Int]
    let encoderTimeDownscale, decoderTimeUpscale, decoderSpaceUpscale: [Bool]
    /// Missing frames of the first group are put in front of the clip (the first frame repeated) or behind it.
    let padsInFront: Bool
    let mean, std: [Float]

    static let levels = 3
    /// Pixels of the decoded clip per latent pixel.
    var spatialScale: Int { patchSize << decoderSpaceUpscale.filter { $0 }.count }
    /// Frames per latent frame.
    var timeScale: Int { 1 << decoderTimeUpscale.filter { $0 }.count }

    init(_ data: Metadata) throws(SoradError) {
        imageChannels = try data.integer("vae.image_channels", in: 3...3)
        latentChannels = try data.integer("vae.latent_channels", in: 1...1024)
        patchSize = try data.integer("vae.patch_size", in: 1...16)
        encoderChannels = try data.integers("vae.encoder_channels", in: 1...4096)
        decoderChannels = try data.integers("vae.decoder_channels", in: 1...4096)
        encoderTimeDownscale = try data.bools("vae.encoder_time_downscale")
        decoderTimeUpscale = try data.bools("vae.decoder_time_upscale")
        decoderSpaceUpscale = try data.bools("vae.decoder_space_upscale")
        mean = try data.floats("vae.latents_mean")
        std = try data.floats("vae.latents_std")
        let padding = try data.string("vae.encoder_padding")
        padsInFront = padding == "front"
        guard padding == "front" || padding == "back" else {
            throw SoradError(.badInput, "\(data.path): vae.encoder_padding is \"\(padding)\", neither front nor back")
        }
        guard encoderChannels.count == Self.levels + 1, decoderChannels.count == Self.levels + 1,
            [encoderTimeDownscale, decoderTimeUpscale, decoderSpaceUpscale].allSatisfy({ $0.count == Self.levels })
        else { throw SoradError(.badInput, "\(data.path): the autoencoder must have \(Self.levels) levels") }
        guard encoderTimeDownscale.filter({ $0 }).count == decoderTimeUpscale.filter({ $0 }).count else {
            throw SoradError(.badInput, "\(data.path): the autoencoder's encoder and decoder scale time differently")
        }
        guard mean.count == latentChannels, std.count == latentChannels, std.allSatisfy({ $0 > 0 }) else {
            throw SoradError(
                .badInput, "\(data.path): vae.latents_mean and vae.latents_std must have \(latentChannels) numbers, the latter positive")
        }
    }

    /// The published sizes of the one for Wan 2.1's latents, for measuring without a file.
    package init() {
        (imageChannels, latentChannels, patchSize) = (3, 16, 1)
        encoderChannels = [64, 64, 64, 64]
        decoderChannels = [256, 128, 64, 64]
        encoderTimeDownscale = [true, true, false]
        decoderTimeUpscale = [false, true, true]
        decoderSpaceUpscale = [true, true, true]
        padsInFront = false
        mean = [Float](repeating: 0, count: 16)
        std = [Float](repeating: 1, count: 16)
    }
}
