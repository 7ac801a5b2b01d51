// Owns the sizes of one model, read from the metadata of its file and checked once: everything after relies on them.
public import SoradModelFile
public import SoradSystem
import SoradTensor

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
    let text: any TextEncoderConfiguration
    let network: any NetworkConfiguration
    let autoencoder: any AutoencoderConfiguration
    let samplerMaker: ModelRegistry.SamplerMaker

    /// - Throws: `.badInput` when the file names a part that is not known, or a size is impossible or does not fit another.
    public init(_ file: ModelFile) throws(SoradError) { try self.init(file, .standard) }

    package init(_ file: ModelFile, _ registry: ModelRegistry) throws(SoradError) {
        let data = file.metadata
        id = try data.string("sorad.model.id")
        defaults = Defaults(
            width: try data.integer("sorad.native.width", in: 1...16384), height: try data.integer("sorad.native.height", in: 1...16384),
            numFrames: try data.integer("sorad.native.num_frames", in: 1...4096), fps: try data.integer("sorad.native.fps", in: 1...240),
            numInferenceSteps: try data.integer("sorad.default.num_inference_steps", in: 1...1000),
            guidanceScale: try data.float("sorad.default.guidance_scale"), flowShift: try data.float("sorad.default.flow_shift"))
        textLength = try data.integer("sorad.text_length", in: 1...4096)
        network = try registry.family(data).configuration(data)
        samplerMaker = try registry.samplers.part(network.sampler, "\(file.path): the sampler")
        numTrainTimesteps = try data.integer("scheduler.num_train_timesteps", in: 1...100_000)
        text = try registry.textEncoders.part(network.textEncoder, "\(file.path): the text encoder")(data)
        autoencoder = try registry.autoencoders.part(network.autoencoder, "\(file.path): the autoencoder")(data)
        guard defaults.flowShift > 0 else {
            throw SoradError(.badInput, "\(file.path): sorad.default.flow_shift is \(defaults.flowShift), not positive")
        }
        guard network.textWidth == text.width else {
            throw SoradError(
                .badInput, "\(file.path): the network reads texts of width \(network.textWidth), and the text encoder writes \(text.width)")
        }
        guard network.latentChannels == autoencoder.latentChannels else {
            throw SoradError(
                .badInput,
                "\(file.path): the network has latents of \(network.latentChannels) channels, and the autoencoder \(autoencoder.latentChannels)"
            )
        }
        do throws(SoradError) {
            _ = try latentSize(width: defaults.width, height: defaults.height, numFrames: defaults.numFrames)
        } catch {
            throw SoradError(.badInput, "\(file.path): its own default size is impossible: \(error.message)")
        }
    }

    /// Width and height of a clip are multiples of this, pixels.
    public var sizeMultiple: Int { autoencoder.spatialScale * network.patch.height }
    /// The number of frames is 1 plus a multiple of this.
    public var frameMultiple: Int { autoencoder.timeScale * network.patch.frames }
    /// Pixels along a side that one latent pixel stands for, and frames that one latent frame does, the first aside.
    public var spatialScale: Int { autoencoder.spatialScale }
    public var timeScale: Int { autoencoder.timeScale }
    /// The largest width or height, pixels, that the position embedding knows.
    public var maxSide: Int { network.maxPositions * sizeMultiple }
    /// The largest number of frames that the position embedding knows.
    public var maxNumFrames: Int { (network.maxPositions * network.patch.frames - 1) * autoencoder.timeScale + 1 }
    /// Of a text embedding.
    public var textWidth: Int { text.width }
    public var latentChannels: Int { autoencoder.latentChannels }
    /// True if some latent frames may be given (their tokens carry timestep 0).
    public var takesKnownFrames: Bool { network.takesKnownFrames }

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
            ((numFrames - 1) / autoencoder.timeScale + 1) % network.patch.frames == 0
        else {
            throw SoradError(
                .badInput, "num_frames is \(numFrames); this model makes 1 plus a multiple of \(frameMultiple), up to \(maxNumFrames)",
                param: "num_frames")
        }
        let size = LatentSize(
            channels: autoencoder.latentChannels, frames: (numFrames - 1) / autoencoder.timeScale + 1,
            height: height / autoencoder.spatialScale, width: width / autoencoder.spatialScale)
        // Each factor is at most 2¹⁶·2⁴, so the product fits.
        let tokens = size.frames * size.height * size.width / (network.patch.frames * network.patch.height * network.patch.width)
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
