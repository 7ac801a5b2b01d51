// Owns what a family of video models is to everything above it, and the registries by which a model file finds its parts.
//
// A family is a folder (Wan/ is the first) and a row in `ModelRegistry.standard`: how its part of a file is read, its network with its
// conditioning, and by name the text encoder, the autoencoder and the sampler that it works with. Those are parts of their own, each with
// a row in a registry of the same kind, so that families share them.
package import SoradModelFile
package import SoradSystem
public import SoradTensor

/// One family of diffusion networks.
package protocol ModelFamily: Sendable {
    /// `general.architecture` of its files.
    var architecture: String { get }
    /// Reads and checks the family's own metadata.
    /// - Throws: `.badInput` naming the file and the key.
    func configuration(_ data: Metadata) throws(SoradError) -> any NetworkConfiguration
}

/// The sizes of a family's network in one file, checked, and the parts that go with it.
package protocol NetworkConfiguration: Sendable {
    /// Rows of the registries.
    var textEncoder: String { get }
    var autoencoder: String { get }
    var sampler: String { get }
    /// Width of the text embeddings that it reads.
    var textWidth: Int { get }
    /// Channels of the latents that it reads and of the velocities that it writes.
    var latentChannels: Int { get }
    /// Latent values along each axis that one token stands for.
    var patch: (frames: Int, height: Int, width: Int) { get }
    /// Tokens along an axis that the position embedding knows.
    var maxPositions: Int { get }
    /// How frames that are given reach it.
    var conditioning: ConditioningForm { get }
    /// Pictures without which it makes no clip: of the beginning, and of the end.
    var picturesNeeded: Int { get }
    /// Several networks share the steps, and the second one may have a guidance scale of its own.
    var hasExperts: Bool { get }
    /// Of the embeddings of given pictures that it reads; 0 for none.
    var imageWidth: Int { get }
    /// Embeddings of pictures that it has positions for; 0 for any number.
    var imagePositions: Int { get }

    func network(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any DiffusionNetwork
}

extension NetworkConfiguration {
    package var picturesNeeded: Int { 0 }
    package var hasExperts: Bool { false }
    package var imageWidth: Int { 0 }
    package var imagePositions: Int { 0 }
    /// True if some frames may be given.
    package var takesConditioningFrames: Bool { conditioning != .none }
}

/// How a network reads frames that are given.
package enum ConditioningForm: Equatable, Sendable {
    case none
    /// As latent frames among the others (`ConditioningFrames`).
    case frames
    /// As a clip next to the latents (`ConditioningClip`), with a mask of that number of channels.
    case channels(mask: Int)
    /// As a clip that a branch of the network follows (`ControlClip`), with a mask of that number of channels.
    case control(mask: Int)
}

/// A network that says in which direction latents go.
package protocol DiffusionNetwork: AnyObject {
    /// Prepares the denoising of one clip: prompts, conditioning, workspace.
    /// - Parameters:
    ///   - prompts: [L, text width] each; the velocities come in their order.
    ///   - textLength: rows that every prompt is filled up to.
    ///   - given: frames that are given, in the form that the configuration takes.
    ///   - stop: asked between the parts of the work; what it throws ends it.
    func run(_ size: LatentSize, prompts: [Tensor], textLength: Int, given: Conditioning, stop: StopCheck) throws(SoradError)
        -> any DenoisingRun

    /// Bytes that a run of `prompts` prompts takes.
    /// - Parameter pictureTokens: embeddings of all given pictures.
    func runBytes(_ size: LatentSize, prompts: Int, textLength: Int, pictureTokens: Int) -> Int

    /// What a pass takes on this machine, by running a part of it; nil where nobody can tell.
    func measuredCost() -> PassCost?
}

extension DiffusionNetwork {
    package func measuredCost() -> PassCost? { nil }
}

/// Seconds of a pass for one prompt, with t tokens: fixed + perToken · t + perPair · t².
public struct PassCost: Sendable, Equatable {
    public var fixed, perToken, perPair: Double
}

/// One clip in a network. Used by one thread.
package protocol DenoisingRun: AnyObject {
    /// Writes what is known of the clip into its latents [C, T, h, w]; before and after every step.
    func condition(_ latent: Tensor)

    /// The guidance at `timestep` of a clip with the guidance `scale`.
    /// - Parameter second: that of the second of two experts; nil means what the model file says.
    func guidance(_ scale: Float, second: Float?, timestep: Float) -> Float

    /// Which of several networks is asked at `timestep`.
    func expert(timestep: Float) -> Int

    /// The velocity of `latent` [C, T, h, w] for the first prompts, as many as there are velocities, of the same shape.
    /// - Parameter stop: called before every part of a layer; what it throws ends the pass.
    func predict<Failure: Error>(
        _ latent: Tensor, timestep: Float, into velocities: [Tensor], stop: () throws(Failure) -> Void) throws(Failure)
}

extension DenoisingRun {
    package func guidance(_ scale: Float, second: Float?, timestep: Float) -> Float { scale }
    package func expert(timestep: Float) -> Int { 0 }
}

/// Seconds of a pass of texts through a text encoder, with t tokens together: fixed + perToken · t.
public struct TextCost: Sendable, Equatable {
    public var fixed, perToken: Double
}

/// Text to embeddings.
package protocol TextEncoder: AnyObject {
    /// Bytes that encoding two texts of `length` tokens takes, and any that are no longer and have as many tokens together.
    func workspaceBytes(length: Int) -> Int

    /// Token ids of each text to embeddings [L, width], in the host's memory: for each the bits that it has alone. The texts go through the
    /// layers together, so that every weight is read and unpacked once.
    /// - Parameter stop: asked before every part of a layer.
    /// - Throws: `.badInput` for an id outside the vocabulary; what `stop` throws.
    func encode(_ texts: [[Int32]], stop: StopCheck) throws(SoradError) -> [Tensor]

    /// What encoding takes on this machine, by running one of its layers.
    func measuredCost() -> TextCost
}

extension TextEncoder {
    /// One text, to the end.
    package func encode(_ ids: [Int32]) throws(SoradError) -> Tensor { try encode([ids], stop: {})[0] }
}

/// The sizes of a text encoder in one file, checked.
package protocol TextEncoderConfiguration: Sendable {
    /// Of an embedding.
    var width: Int { get }
    func encoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any TextEncoder

    /// How far the output of the encoder with the weights `stored` is from that with the floats `exact`, of which one layer is asked for at a
    /// time; the embedding table is taken from `stored`.
    func deviations(
        of stored: WeightReader, from exact: WeightReader, _ texts: [[Int32]], _ backend: any ComputeBackend
    ) throws(SoradError) -> EncoderDeviations
}

/// A picture to embeddings.
package protocol ImageEncoder: AnyObject {
    /// Bytes that encoding a picture takes.
    func workspaceBytes() -> Int
    /// Seconds that encoding a picture takes on this machine, by running one layer.
    func measuredSeconds() -> Double

    /// A picture to embeddings [tokens, width], in the host's memory.
    /// - Parameters:
    ///   - picture: [height, width, 3] RGB bytes.
    ///   - stop: asked between the layers.
    /// - Throws: what `stop` throws.
    func encode(_ picture: [UInt8], width: Int, height: Int, stop: StopCheck) throws(SoradError) -> Tensor
}

/// The sizes of an image encoder in one file, checked.
package protocol ImageEncoderConfiguration: Sendable {
    /// Of an embedding, and how many a picture has.
    var width: Int { get }
    var tokens: Int { get }
    func encoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any ImageEncoder
}

/// The sizes of an autoencoder in one file, checked.
package protocol AutoencoderConfiguration: Sendable {
    var latentChannels: Int { get }
    /// Pixels of the decoded clip per latent pixel.
    var spatialScale: Int { get }
    /// Frames per latent frame, the first aside.
    var timeScale: Int { get }
    func autoencoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder
}

/// What a sampler is made for.
package struct SamplerRequest: Sendable {
    package let steps: Int
    /// Above 1 spends more of the steps at high noise.
    package let shift: Float
    package let numTrainTimesteps: Int
    /// The timestep that the network gets in each step, for models that were trained for these alone; other numbers of steps are spread by `shift`.
    package var timesteps: [Float] = []
    /// The noise level before each step, falling, where the request names them; none for the schedule that the rest describes.
    package var sigmas: [Double] = []
    /// The step that the run begins with; above 0 where it begins with a clip mixed into noise.
    package var firstStep = 0
    /// Of the clip's noise, and the window of the clip that the run makes.
    package var seed: UInt64 = 0
    package var window = 0

    package init(steps: Int, shift: Float, numTrainTimesteps: Int) {
        precondition(steps > 0 && shift > 0 && numTrainTimesteps > 0, "\(steps) steps, shift \(shift), \(numTrainTimesteps) timesteps")
        self.steps = steps
        self.shift = shift
        self.numTrainTimesteps = numTrainTimesteps
    }

    /// The stream of a window's noise at the start. Those behind it, fewer than 2³², are for noise that the sampler adds.
    package static func stream(ofWindow window: Int) -> UInt64 { UInt64(window) << 32 }
}

/// The noise levels of one run, and how it goes from one to the next.
public protocol Sampler: Sendable {
    /// [steps + 1], falling from 1 (pure noise) to 0 (the clip).
    var sigmas: [Float] { get }
    /// [steps]: the timestep that the network reads.
    var timesteps: [Float] { get }
    /// Tensors of the latents' shape that it works with.
    var tensorCount: Int { get }
    /// How many of them, from the first, must be kept from one step to the next.
    var stateCount: Int { get }
    /// Which of them holds the clip as the last step predicted it, if one does.
    var clipTensor: Int? { get }
    /// What the noise of the start is multiplied by.
    var startScale: Float { get }

    /// Takes `latent` [C, T, h, w] from level `index` to the next, in place.
    /// - Parameter tensors: `tensorCount` of the same shape.
    func step(_ index: Int, _ latent: Tensor, velocity: Tensor, tensors: [Tensor], _ backend: any ComputeBackend)
}

extension Sampler {
    public var tensorCount: Int { stateCount }
    public var stateCount: Int { 0 }
    public var clipTensor: Int? { nil }
    public var startScale: Float { 1 }

    /// Mixes a clip into noise at the level of one step, so that denoising can begin there: noise = (1 − σ)·clip + σ·noise.
    /// - Parameters:
    ///   - clip: clean latents [C, T, h, w].
    ///   - noise: standard normal latents of the same shape; becomes the mixture.
    public func mix(_ clip: Tensor, into noise: Tensor, atStep step: Int) {
        precondition(clip.shape == noise.shape, "a clip \(clip.shape) and noise \(noise.shape)")
        let sigma = sigmas[step]
        let share = 1 - sigma
        clip.withElements { clip in
            noise.withMutableElements { noise in
                for i in clip.indices { noise[i] = share * clip[i] + sigma * noise[i] }
            }
        }
    }
}

/// Parts of one kind by the names that files and families give them.
package struct PartRegistry<Part: Sendable>: Sendable {
    package let rows: [(name: String, part: Part)]

    package init(_ rows: [(name: String, part: Part)]) { self.rows = rows }

    /// - Parameters:
    ///   - place: the file and the key that name the part, for the sentence.
    /// - Throws: `.badInput` where no row has this name.
    package func part(_ name: String, _ place: String) throws(SoradError) -> Part {
        guard let row = rows.first(where: { $0.name == name }) else {
            throw SoradError(
                .badInput, "\(place) is \"\(name)\", and this program knows \(rows.map(\.name).joined(separator: ", "))",
                hint: "use a file for this edition of sorad, or convert the checkpoint again")
        }
        return row.part
    }
}

/// All that a model file can be made of. To add a family or a part, add its folder and one row.
package struct ModelRegistry: Sendable {
    package typealias TextEncoderReader = @Sendable (Metadata) throws(SoradError) -> any TextEncoderConfiguration
    package typealias ImageEncoderReader = @Sendable (Metadata) throws(SoradError) -> any ImageEncoderConfiguration
    package typealias AutoencoderReader = @Sendable (Metadata) throws(SoradError) -> any AutoencoderConfiguration
    package typealias SamplerMaker = @Sendable (SamplerRequest) -> any Sampler

    package var families: [any ModelFamily]
    package var textEncoders: PartRegistry<TextEncoderReader>
    package var imageEncoders: PartRegistry<ImageEncoderReader>
    package var autoencoders: PartRegistry<AutoencoderReader>
    package var samplers: PartRegistry<SamplerMaker>

    package static let standard = ModelRegistry(
        families: [WanFamily()],
        textEncoders: PartRegistry([
            ("umt5", { data throws(SoradError) in try UMT5Configuration(data) })
        ]),
        imageEncoders: PartRegistry([
            ("clip", { data throws(SoradError) in try CLIPConfiguration(data) })
        ]),
        autoencoders: PartRegistry([
            ("taehv", { data throws(SoradError) in try TAEHVConfiguration(data) }),
            ("frame_blocks", { data throws(SoradError) in try FrameBlocksConfiguration(data) }),
            ("wan", { data throws(SoradError) in try WanAutoencoderConfiguration(data) }),
        ]),
        samplers: PartRegistry([
            ("flow_match_euler", { FlowMatchSchedule.sampler($0) }),
            ("unipc", { UniPCSampler($0) }), ("euler", { ShiftedEuler($0) }), ("renoise", { RenoiseSampler($0) }),
        ]))

    /// The family of a file.
    /// - Throws: `.badInput` where none has its architecture.
    func family(_ data: Metadata) throws(SoradError) -> any ModelFamily {
        let key = "general.architecture"
        let known = PartRegistry(families.map { (name: $0.architecture, part: $0) })
        return try known.part(try data.string(key), "\(data.path): \(key)")
    }
}
