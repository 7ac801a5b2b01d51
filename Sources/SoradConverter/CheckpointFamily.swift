// Owns what a family of published checkpoints is to the converter, and the registry by which a checkpoint finds its layouts: the converter's
// half of `ModelFamily`, under the same architecture. It stands apart because the worker, which maps untrusted files, carries nothing that
// reads checkpoints.
//
// A family is a folder (Wan/ is the first) and a row in `CheckpointRegistry.standard`. Text encoders and autoencoders are parts of their
// own, each with a row, so that families share them.
package import SoradModelFile
package import SoradSystem

/// One family of checkpoints.
package protocol CheckpointFamily: Sendable {
    /// `general.architecture` of the model files that its checkpoints become.
    var architecture: String { get }
    /// `_class_name` in `transformer/config.json`.
    var transformerClasses: [String] { get }
    /// What a checkpoint without a `sorad.json` gets: the defaults of its own pipeline.
    var defaults: CardDefaults { get }
    /// Refuses a pipeline whose way of sampling no model file describes.
    /// - Parameter index: `model_index.json`.
    func checkPipeline(_ index: ConfigFile) throws(SoradError)
    /// Reads and checks the network's configuration.
    /// - Parameters:
    ///   - index, own: `model_index.json` and `sorad.json`, and with them what a family keeps there.
    ///   - lowNoise: the configuration of a second network that takes over at low noise, if there is one.
    func network(_ config: ConfigFile, lowNoise: ConfigFile?, index: ConfigFile, own: ConfigFile?) throws(SoradError) -> any NetworkLayout
}

/// The defaults of a family's own pipeline.
package struct CardDefaults: Sendable {
    /// Pixels.
    package let width, height: Int
    package let frames, framesPerSecond, steps: Int
    /// Tokens that every prompt is filled up to.
    package let textLength: Int
    package let guidanceScale: Double

    package init(
        width: Int, height: Int, frames: Int, framesPerSecond: Int, steps: Int, textLength: Int, guidanceScale: Double
    ) {
        self.width = width
        self.height = height
        self.frames = frames
        self.framesPerSecond = framesPerSecond
        self.steps = steps
        self.textLength = textLength
        self.guidanceScale = guidanceScale
    }
}

/// The metadata and the tensor rules of one part of a checkpoint.
package protocol PartLayout: Sendable {
    /// Keys of the model file, in their order.
    var metadata: [(key: String, value: MetadataValue)] { get }
    var tensors: [TensorRule] { get }
}

/// A diffusion network.
package protocol NetworkLayout: PartLayout {
    /// Width of the text embeddings that it reads.
    var textWidth: Int { get }
    var inChannels: Int { get }
    var outChannels: Int { get }
    /// Channels of a mask that comes with a clip next to the latents; 0 where the latents are all that comes in.
    var maskChannels: Int { get }
    /// Channels of the mask of a clip that a branch of the network follows, one per pixel of a latent pixel; 0 without such a branch.
    var controlMask: Int { get }
    /// Of the embeddings of given pictures that it reads, and how many of them it has positions for; 0 for none.
    var pictures: (width: Int, positions: Int) { get }
    /// The tensors of a second network that takes over at low noise.
    var lowNoiseTensors: [TensorRule] { get }
    /// What the file says of both.
    func expertMetadata(trainSteps: Int) -> [(key: String, value: MetadataValue)]
}

extension NetworkLayout {
    package var maskChannels: Int { 0 }
    package var controlMask: Int { 0 }
    package var pictures: (width: Int, positions: Int) { (0, 0) }
    package var lowNoiseTensors: [TensorRule] { [] }
    package func expertMetadata(trainSteps: Int) -> [(key: String, value: MetadataValue)] { [] }
}

package protocol TextEncoderLayout: PartLayout {
    /// Of an embedding.
    var width: Int { get }
    var vocabulary: Int { get }
    /// Names that may be present besides `tensors` without being used.
    var duplicates: Set<String> { get }
}

package protocol AutoencoderLayout: PartLayout {
    var latentChannels: Int { get }
    /// Frames per latent frame, the first aside, and pixels along a side of a latent pixel.
    var timeScale: Int { get }
    var spatialScale: Int { get }
}

/// All that can be converted. To add a family or a part, add its folder or file and one row.
package struct CheckpointRegistry: Sendable {
    package typealias TextEncoderReader =
        @Sendable (ConfigFile, any TensorSource) throws(SoradError) -> any TextEncoderLayout
    package typealias AutoencoderReader = @Sendable (ConfigFile) throws(SoradError) -> any AutoencoderLayout

    package var families: [any CheckpointFamily]
    /// By `model_type` of `text_encoder/config.json`.
    package var textEncoders: [(type: String, read: TextEncoderReader)]
    /// By `_class_name` of `vae/config.json`.
    package var autoencoders: [(className: String, read: AutoencoderReader)]

    package static let standard = CheckpointRegistry(
        families: [WanCheckpoint()],
        textEncoders: [
            ("umt5", { config, weights throws(SoradError) in try UMT5Layout(config, weights) }),
            ("mt5", { config, weights throws(SoradError) in try UMT5Layout(config, weights) }),
            ("t5", { config, weights throws(SoradError) in try UMT5Layout(config, weights) }),
        ],
        autoencoders: [
            ("AutoencoderTAEHV", { config throws(SoradError) in try TAEHVLayout(config) }),
            ("AutoencoderKLWan", { config throws(SoradError) in try WanAutoencoderLayout(config) }),
            ("AutoencoderFrameBlocks", { config throws(SoradError) in try FrameBlocksLayout(config) }),
        ])

    /// The family of a checkpoint.
    /// - Throws: `.badInput` where none has its transformer.
    func family(_ transformer: ConfigFile) throws(SoradError) -> any CheckpointFamily {
        let rows = families.flatMap { family in family.transformerClasses.map { (name: $0, family: family) } }
        return rows[try transformer.choice("_class_name", of: rows.map(\.name))].family
    }

    func textEncoder(_ config: ConfigFile, _ weights: any TensorSource) throws(SoradError) -> any TextEncoderLayout {
        try textEncoders[config.choice("model_type", of: textEncoders.map(\.type), default: "umt5")].read(config, weights)
    }

    package func autoencoder(_ config: ConfigFile) throws(SoradError) -> any AutoencoderLayout {
        try autoencoders[config.choice("_class_name", of: autoencoders.map(\.className))].read(config)
    }
}
