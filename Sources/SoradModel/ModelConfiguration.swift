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
    /// The timestep that the network gets in each step of the schedule that it was trained for; empty for any schedule.
    let timesteps: [Float]
    package let text: any TextEncoderConfiguration
    let image: (any ImageEncoderConfiguration)?
    let network: any NetworkConfiguration
    let autoencoder: any AutoencoderConfiguration
    let samplerMaker: ModelRegistry.SamplerMaker
    /// How clips are made in two sizes; nil for a model that makes them at one.
    public let cascade: CascadeConfiguration?

    /// The `textLength` of a file, of which nothing else need be known.
    public static func textLength(_ data: Metadata) throws(SoradError) -> Int { try data.integer("sorad.text_length", in: 1...4096) }

    /// - Throws: `.badInput` when the file names a part that is not known, or a size is impossible or does not fit another.
    public init(_ file: ModelFile) throws(SoradError) { try self.init(file, .standard) }

    package init(_ file: ModelFile, _ registry: ModelRegistry) throws(SoradError) {
        let data = file.metadata
        id = try Self.checkedName(data.string("sorad.model.id"), file.path)
        defaults = Defaults(
            width: try data.integer("sorad.native.width", in: 1...16384), height: try data.integer("sorad.native.height", in: 1...16384),
            numFrames: try data.integer("sorad.native.num_frames", in: 1...4096), fps: try data.integer("sorad.native.fps", in: 1...240),
            numInferenceSteps: try data.integer("sorad.default.num_inference_steps", in: 1...1000),
            guidanceScale: try data.float("sorad.default.guidance_scale"), flowShift: try data.float("sorad.default.flow_shift"))
        textLength = try Self.textLength(data)
        network = try registry.family(data).configuration(data)
        samplerMaker = try registry.samplers.part(network.sampler, "\(file.path): the sampler")
        numTrainTimesteps = try data.integer("scheduler.num_train_timesteps", in: 1...100_000)
        let key = "scheduler.timesteps"
        timesteps = data.contains(key) ? try data.floats(key) : []
        let train = Float(numTrainTimesteps)
        guard timesteps.count <= 1000, zip(timesteps, timesteps.dropFirst()).allSatisfy({ $0 > $1 }),
            timesteps.allSatisfy({ $0 > 0 && $0 <= train })
        else { throw SoradError(.badInput, "\(file.path): \(key) must fall, from at most \(numTrainTimesteps) to above 0") }
        text = try registry.textEncoders.part(network.textEncoder, "\(file.path): the text encoder")(data)
        autoencoder = try registry.autoencoders.part(network.autoencoder, "\(file.path): the autoencoder")(data)
        cascade = try CascadeConfiguration(data)
        guard cascade == nil || [.none, .frames].contains(network.conditioning) else {
            throw SoradError(.badInput, "\(file.path): a cascade goes with no network that reads a clip next to the latents")
        }
        image =
            network.imageWidth > 0 ? try registry.imageEncoders.part(data.string("ie.type"), "\(file.path): the image encoder")(data) : nil
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
        if case .channels(let mask) = network.conditioning, mask != autoencoder.timeScale {
            throw SoradError(
                .badInput, "\(file.path): the network reads masks of \(mask) frames, and a latent frame stands for \(autoencoder.timeScale)"
            )
        }
        if case .control(let mask) = network.conditioning, mask != autoencoder.spatialScale * autoencoder.spatialScale {
            throw SoradError(
                .badInput,
                "\(file.path): the network reads masks of \(mask) pixels, and a latent pixel has \(autoencoder.spatialScale) along a side")
        }
        if let image {
            guard image.width == network.imageWidth,
                network.imagePositions == 0 || network.imagePositions == network.picturesNeeded * image.tokens
            else {
                throw SoradError(
                    .badInput,
                    "\(file.path): the image encoder writes \(image.tokens) embeddings of \(image.width) numbers, and the network reads others"
                )
            }
        }
        guard network.patch.frames == 1 else {
            throw SoradError(
                .badInput, "\(file.path): patches of \(network.patch.frames) latent frames do not divide 1 plus a multiple of them")
        }
        do throws(SoradError) {
            _ = try latentSize(width: defaults.width, height: defaults.height, numFrames: defaults.numFrames)
        } catch {
            throw SoradError(.badInput, "\(file.path): its own default size is impossible: \(error.message)")
        }
    }

    /// The public name: it stands in URLs, on terminals and in file marks.
    private static func checkedName(_ name: String, _ path: String) throws(SoradError) -> String {
        let isNamed = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || [0x2D, 0x2E, 0x5F].contains($0) }
        guard isNamed, (1...64).contains(name.utf8.count) else {
            throw SoradError(
                .badInput, "\(path): sorad.model.id must have 1 to 64 lower-case letters, digits, \".\", \"-\" and \"_\"",
                hint: "convert the checkpoint again with --name")
        }
        return name
    }

    /// Width and height of a clip are multiples of this, pixels.
    public var sizeMultiple: Int { autoencoder.spatialScale * network.patch.height }
    /// The number of frames is 1 plus a multiple of this.
    public var frameMultiple: Int { autoencoder.timeScale * network.patch.frames }
    /// Pixels along a side that one latent pixel stands for, and frames that one latent frame does, the first aside.
    public var spatialScale: Int { autoencoder.spatialScale }
    public var timeScale: Int { autoencoder.timeScale }
    /// The largest width or height, pixels, that the position embedding knows.
    public var maxSide: Int { min(network.maxPositions * sizeMultiple, Self.maxPixelsAlongSide) }
    /// The largest number of frames that the position embedding knows.
    public var maxNumFrames: Int { (network.maxPositions * network.patch.frames - 1) * autoencoder.timeScale + 1 }
    /// Latent pixels along a side of a token, and those that it stands for.
    public var tokenSide: Int { network.patch.height }
    public var tokenPixels: Int { network.patch.frames * network.patch.height * network.patch.width }
    /// Tensors of latents that its sampler works with.
    var samplerTensors: Int { samplerMaker(SamplerRequest(steps: 1, shift: 1, numTrainTimesteps: numTrainTimesteps)).tensorCount }
    /// Pictures that it makes no clip without: of the beginning, and of the end.
    public var picturesNeeded: Int { network.picturesNeeded }
    /// The second of two networks that share the steps may have a guidance scale of its own.
    public var hasExperts: Bool { network.hasExperts }
    /// Pictures that go through the image encoder: of the beginning, and of the end; and the embeddings of all of them.
    public var picturesEncoded: Int { image == nil ? 0 : network.picturesNeeded }
    public var pictureTokens: Int { picturesEncoded * (image?.tokens ?? 0) }
    /// Whether given frames reach the network as a clip next to the latents.
    public var takesConditioningClip: Bool { if case .channels = network.conditioning { true } else { false } }
    /// Whether it follows a given clip (`ControlClip`), and so needs one in every run.
    public var takesControl: Bool { if case .control = network.conditioning { true } else { false } }
    /// Channels of what it follows; 0 for a model that follows nothing.
    var controlChannels: Int {
        if case .control(let mask) = network.conditioning { 2 * latentChannels + mask } else { 0 }
    }
    /// What stands for a clip to follow while a step is only measured; nil for a model that follows none.
    public func greyControl(_ size: LatentSize) -> ControlClip? {
        takesControl ? ControlClip(grey: controlChannels, size) : nil
    }
    /// What stands for given frames while a step is only measured; nil for a model that takes none next to the latents.
    public func greyClip(_ size: LatentSize, numFrames: Int) -> ConditioningClip? {
        guard takesConditioningClip else { return nil }
        return ConditioningClip(
            latents: Tensor(Shape(size.channels, size.frames, size.height, size.width)),
            isGiven: [Bool](repeating: false, count: numFrames),
            pictures: pictureTokens > 0 ? Tensor(Shape(pictureTokens, network.imageWidth)) : nil)
    }

    /// Whether a clip of these sides, pixels, is made in two sizes; `ClipPlan.cascade` asks the same.
    public func isCascaded(width: Int, height: Int) -> Bool {
        guard let cascade else { return false }
        return min(width, height) >= 2 * cascade.leastSide && width % (2 * sizeMultiple) == 0 && height % (2 * sizeMultiple) == 0
    }

    /// Of a text embedding.
    public var textWidth: Int { text.width }
    public var latentChannels: Int { autoencoder.latentChannels }
    /// True if some latent frames may be given (their tokens carry timestep 0).
    public var takesConditioningFrames: Bool { network.takesConditioningFrames }

    /// All sizes that the network and the autoencoder can make; ModelInfo offers a part of them.
    public var sizes: ClipSizes {
        ClipSizes(
            model: id, native: (defaults.width, defaults.height), sizeMultiple: sizeMultiple, maxWidth: maxSide, maxHeight: maxSide,
            frameMultiple: frameMultiple, maxNumFrames: maxNumFrames,
            maxPixels: checkedProduct([Self.maxTokens, sizeMultiple, sizeMultiple, frameMultiple]) ?? Int.max)
    }

    /// The latents of a clip.
    /// - Throws: `.badInput` with `param` set when the model cannot make this size.
    public func latentSize(width: Int, height: Int, numFrames: Int) throws(SoradError) -> LatentSize {
        try sizes.check(width: width, height: height, numFrames: numFrames, fps: defaults.fps)
        return LatentSize(
            channels: autoencoder.latentChannels, frames: (numFrames - 1) / autoencoder.timeScale + 1,
            height: height / autoencoder.spatialScale, width: width / autoencoder.spatialScale)
    }

    /// Far above what any CPU can attend over; keeps every size computed from it within range.
    static let maxTokens = 1 << 20
    /// A product of two such sides still fits.
    private static let maxPixelsAlongSide = 1 << 24
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
